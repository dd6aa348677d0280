// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import type { CompiledPolicy } from "#policy/policy-set";
import type { Result, RuleResult } from "#policy/report/result";
import { emptyWorld } from "#policy/world";
import { ruleResult } from "../testing.ts";
import { noValues } from "../input/values.ts";
import { checkResult } from "./checks.ts";
import type { Check, ReadExpected } from "./checks.ts";
import type { LoadedTest } from "./load.ts";
import { runTest } from "./run.ts";
import type { ExpectedResult } from "./test-file.ts";

const pod = (name: string, namespace = "default"): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace },
});

const classicRef = {
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  namespace: "",
  name: "labels",
};
const celRef = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  namespace: "",
  name: "labels",
};

const verdict = (rule: string, result: Result, more: Partial<RuleResult> = {}): RuleResult =>
  ruleResult({ policy: classicRef, rule, result, message: `${rule} says ${result}`, ...more });

/** A policy that says the same about every resource whose name starts with `match`. */
const validating = (
  results: readonly RuleResult[],
  ref = classicRef,
  match = "",
): CompiledPolicy => ({
  ref,
  annotations: {},
  index: "any",
  validate: (review) =>
    review.name.startsWith(match) ? results.map((one) => ({ ...one, policy: ref })) : [],
});

const load = (policies: readonly CompiledPolicy[], more: Partial<LoadedTest> = {}): LoadedTest => ({
  compilation: { set: { policies, candidates: () => policies }, problems: [], unsupported: [] },
  policies: [],
  resources: [pod("a"), pod("b", "other")],
  payloads: new Map(),
  requests: new Map(),
  targets: [],
  options: { world: emptyWorld(0), values: noValues, userInfo: null, operation: undefined },
  unsupported: [],
  ...more,
});

const expected = (more: Partial<ExpectedResult> = {}): ExpectedResult => ({
  policy: "labels",
  rule: "check",
  kind: "Pod",
  result: "pass",
  resources: ["a"],
  resourceSpecs: [],
  operation: undefined,
  patchedResources: "",
  generatedResource: "",
  cloneSourceResource: "",
  failOnMissingResources: false,
  ruleless: false,
  ...more,
});

const noFiles: ReadExpected = (file) => ({ error: `${file}: no such file` });
const checks = (
  result: ExpectedResult,
  loaded: LoadedTest,
  read: ReadExpected = noFiles,
): readonly Check[] => checkResult(result, loaded, runTest(loaded), read);

type Row = readonly [
  reason: string,
  result: Partial<ExpectedResult>,
  policies: readonly CompiledPolicy[],
  want: readonly (readonly [resource: string, status: Check["status"], actual: string])[],
];

const rows: readonly Row[] = [
  [
    "the rule's result is the expected one",
    {},
    [validating([verdict("check", "pass")])],
    [["a", "passed", "pass"]],
  ],
  ["another result fails", {}, [validating([verdict("check", "fail")])], [["a", "failed", "fail"]]],
  [
    "rules for pod controllers count as the rule",
    {},
    [validating([verdict("autogen-check", "pass")])],
    [["a", "passed", "pass"]],
  ],
  [
    "and those for CronJobs",
    {},
    [validating([verdict("autogen-cronjob-check", "pass")])],
    [["a", "passed", "pass"]],
  ],
  [
    "another rule's result does not count: nothing speaks against it",
    {},
    [validating([verdict("other", "fail")])],
    [["a", "skipped", ""]],
  ],
  [
    "a policy without rules is asked without a rule",
    { rule: "" },
    [validating([verdict("", "pass")], celRef)],
    [["a", "passed", "pass"]],
  ],
  [
    "even when the test names one",
    {},
    [validating([verdict("", "fail")], celRef)],
    [["a", "failed", "fail"]],
  ],
  [
    "a flag makes the rule's name irrelevant",
    { ruleless: true },
    [validating([verdict("other", "pass")])],
    [["a", "passed", "pass"]],
  ],
  [
    "what no rule matched is excluded, whatever was expected",
    { result: "fail" },
    [validating([], classicRef)],
    [["a", "skipped", ""]],
  ],
  ["an absent policy is not found", { policy: "other" }, [validating([])], [["a", "failed", ""]]],
  [
    "a namespace narrows the policy",
    { policy: "team/labels" },
    [validating([verdict("check", "pass")])],
    [["a", "failed", ""]],
  ],
  [
    "a namespace narrows the resource",
    { resources: ["other/b"] },
    [validating([verdict("check", "pass")])],
    [["other/b", "passed", "pass"]],
  ],
  [
    "the wrong namespace finds nothing, so all resources are checked",
    { resources: ["default/b"] },
    [validating([verdict("check", "pass")])],
    [
      ["Pod/default/a", "passed", "pass"],
      ["Pod/other/b", "passed", "pass"],
    ],
  ],
  [
    "unless the test asks for the missing to fail",
    { resources: ["default/b"], failOnMissingResources: true },
    [validating([verdict("check", "pass")])],
    [["default/b", "failed", ""]],
  ],
  [
    "one missing name among others is passed over",
    { resources: ["a", "z"] },
    [validating([verdict("check", "pass")])],
    [
      ["a", "passed", "pass"],
      ["z", "skipped", ""],
    ],
  ],
  [
    "no names means all resources",
    { resources: [] },
    [validating([verdict("check", "pass")], classicRef, "a")],
    [
      ["Pod/default/a", "passed", "pass"],
      ["Pod/other/b", "skipped", ""],
    ],
  ],
  [
    "specs name resources by version, namespace and name",
    {
      resources: [],
      resourceSpecs: [{ group: "", version: "v1", kind: "Pod", namespace: "other", name: "b" }],
    },
    [validating([verdict("check", "pass")])],
    [["Pod/other/b", "passed", "pass"]],
  ],
  [
    "of several rules the worst counts",
    { ruleless: true },
    [validating([verdict("one", "pass"), verdict("two", "fail")])],
    [["a", "failed", "fail"]],
  ],
  [
    "what cannot be evaluated is neither good nor a failure",
    {},
    [validating([verdict("", "error", { unsupported: "needs a registry" })])],
    [["a", "unsupported", "error"]],
  ],
];

describe("checks", () => {
  test.each(rows)("%s", (_reason, result, policies, want) => {
    const got = checks(expected(result), load(policies));
    expect(got.map((check) => [check.resource, check.status, check.actual])).toEqual(want);
    expect(
      got.every((check) => check.ok === (check.status === "passed" || check.status === "skipped")),
    ).toBe(true);
  });

  test("an invalid classic policy is passed over, a CEL policy that does not compile fails", () => {
    const problems = (kind: string) => [
      { document: `${kind}/labels`, path: "spec", message: "is wrong" },
    ];
    const of = (kind: string) =>
      checks(
        expected(),
        load([], { compilation: { ...load([]).compilation, problems: problems(kind) } }),
      );
    expect(of("ClusterPolicy")[0]).toMatchObject({ status: "skipped", ok: true });
    expect(of("ValidatingPolicy")[0]).toMatchObject({ status: "failed", ok: false });
  });

  test("Kyverno hears nothing of a CEL policy with plain constraints that does not match", () => {
    const resourceRules = [{ apiGroups: [""], apiVersions: ["v1"], resources: ["services"] }];
    const document = (constraints: JsonObject): JsonObject => ({
      ...celRef,
      metadata: { name: "labels" },
      spec: { matchConstraints: constraints },
    });
    const of = (constraints: JsonObject) =>
      checks(expected(), load([validating([], celRef)], { policies: [document(constraints)] }))[0];
    expect(of({ resourceRules })).toMatchObject({ status: "failed" });
    expect(of({ resourceRules, objectSelector: { matchLabels: { a: "b" } } })).toMatchObject({
      status: "skipped",
    });
  });
});

describe("mutation", () => {
  const labelled = (object: JsonObject): JsonObject => ({
    ...object,
    metadata: { name: "a", namespace: "default", labels: { x: "y" } },
  });
  const mutating: CompiledPolicy = {
    ref: classicRef,
    annotations: {},
    index: "any",
    mutate: ({ object }) => ({
      object: labelled(object ?? {}),
      results: [verdict("check", "pass", { type: "Mutation" })],
    }),
  };
  const file =
    (objects: readonly JsonObject[]): ReadExpected =>
    () => ({ objects });
  const patched = expected({ patchedResources: "patched.yaml" });

  test("the resource as it was left is compared", () => {
    expect(checks(patched, load([mutating]), file([labelled(pod("a"))]))[0]).toMatchObject({
      status: "passed",
    });
  });

  test("a difference names its path", () => {
    const [check] = checks(patched, load([mutating]), file([pod("a")]));
    expect(check).toMatchObject({ status: "failed" });
    expect(check?.message).toContain('metadata.labels.x: expected nothing, found "y"');
  });

  test("a file without the resource says nothing about it", () => {
    expect(checks(patched, load([mutating]), file([pod("z")]))[0]).toMatchObject({
      status: "skipped",
    });
  });

  test("an unreadable file fails", () => {
    expect(checks(patched, load([mutating]))[0]).toMatchObject({
      status: "failed",
      message: "patched.yaml: no such file",
    });
  });

  test("an operation is evaluated by itself", () => {
    const byOperation: CompiledPolicy = {
      ...validating([]),
      validate: ({ operation }) => [verdict("check", operation === "DELETE" ? "fail" : "pass")],
    };
    expect(
      checks(expected({ operation: "DELETE", result: "fail" }), load([byOperation]))[0],
    ).toMatchObject({ status: "passed" });
    expect(checks(expected(), load([byOperation]))[0]).toMatchObject({ status: "passed" });
  });
});
