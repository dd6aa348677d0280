// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import type { CompiledPolicy } from "#policy/policy-set";
import { emptyWorld } from "#policy/world";
import { ruleResult } from "../testing.ts";
import { noValues } from "../input/values.ts";
import { checkAssertions } from "./assertions.ts";
import type { LoadedTest } from "./load.ts";
import { runTest } from "./run.ts";

const ref = { apiVersion: "kyverno.io/v1", kind: "ClusterPolicy", namespace: "", name: "labels" };
const policy: CompiledPolicy = {
  ref,
  annotations: {},
  index: "any",
  validate: ({ name }) => [
    ruleResult({
      policy: ref,
      result: name === "good" ? "pass" : "fail",
      message: `about ${name}`,
    }),
  ],
};
const pod = (name: string): JsonObject => ({ apiVersion: "v1", kind: "Pod", metadata: { name } });
const loaded: LoadedTest = {
  compilation: {
    set: { policies: [policy], candidates: () => [policy] },
    problems: [],
    unsupported: [],
  },
  policies: [{ ...ref, metadata: { name: "labels", labels: { a: "b" } } }],
  resources: [pod("good"), pod("bad")],
  payloads: new Map(),
  requests: new Map(),
  targets: [],
  options: { world: emptyWorld(0), values: noValues, userInfo: null, operation: undefined },
  unsupported: [],
};

const rows: readonly (readonly [reason: string, assertion: Json, want: readonly string[]])[] = [
  [
    "without a match every response counts",
    { assert: { ruleType: "Validation" } },
    ["passed", "passed"],
  ],
  [
    "a resource is matched in part",
    { match: { resource: { metadata: { name: "good" } } }, assert: { status: "pass" } },
    ["passed"],
  ],
  [
    "or by its name alone",
    { match: { resource: { name: "bad" } }, assert: { status: "pass" } },
    ["failed"],
  ],
  [
    "a policy by its document",
    { match: { policy: { metadata: { labels: { a: "b" } } } }, assert: { name: "check" } },
    ["passed", "passed"],
  ],
  [
    "nothing matched is nothing checked",
    { match: { rule: { name: "other" } }, assert: { status: "pass" } },
    [],
  ],
  [
    "an error assertion has to be wrong",
    { match: { resource: { name: "bad" } }, error: { status: "pass" } },
    ["passed"],
  ],
  [
    "expressions are named, not guessed",
    { assert: { "(status == 'pass')": true } },
    ["unsupported"],
  ],
];

describe("checks of a test", () => {
  test.each(rows)("%s", (_reason, assertion, want) => {
    const checks = checkAssertions([assertion], loaded, runTest(loaded)(undefined));
    expect(checks.map((check) => check.status)).toEqual(want);
  });
});
