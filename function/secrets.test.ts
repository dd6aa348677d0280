// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { bucket, guardrails, makeCaller, validating } from "#test/support/run-function";
import { makeMask } from "./secrets.ts";

// A secret is planted in every place where a request can hold one, and policies try to tell it: it must not be in anything
// that goes out beside the objects themselves.

const plain = "hunter2-planted";
const base64 = Buffer.from(plain, "utf8").toString("base64");

const secret = (data: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "keys", namespace: "team-a" },
  ...data,
});
const planted: Readonly<Record<string, JsonObject>> = {
  data: secret({ data: { password: base64 } }),
  stringData: secret({ stringData: { password: plain } }),
};
const onSecrets = (expression: string, messageExpression: string, answer: string): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "tells", annotations: { "parapet.dev/on-violation": answer } },
  spec: {
    validationActions: ["Deny"],
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], resources: ["secrets"], operations: ["*"] },
      ],
    },
    validations: [{ expression, messageExpression }],
  },
});
const classic: JsonObject = {
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "classic" },
  spec: {
    validationFailureAction: "Enforce",
    rules: [
      {
        name: "tells",
        match: { any: [{ resources: { kinds: ["Secret"] } }] },
        validate: {
          message: "found {{ request.object.data.password }} and {{ request.object.stringData }}",
          pattern: { data: { password: "?never" }, stringData: { password: "?never" } },
        },
      },
    ],
  },
};
const lookup = "resource.Get('v1', 'secrets', 'team-a', 'keys')";
const teller = (text: string, options = {}): JsonObject =>
  validating("tells", "false", {
    spec: { validations: [{ expression: "false", messageExpression: text }] },
    ...options,
  });

const policies: Readonly<Record<string, { reason: string; policy: JsonObject }>> = {
  Message: {
    reason: "A policy on the Secret quotes it.",
    policy: onSecrets("false", "'found ' + string(object)", "Hold"),
  },
  Error: {
    reason: "An error quotes a value of the Secret.",
    policy: onSecrets("int(object.data.password) > 1", "'x'", "Hold"),
  },
  Fatal: { reason: "So in a Fatal result.", policy: onSecrets("false", "string(object)", "Fatal") },
  Approval: {
    reason: "So while it waits for people.",
    policy: onSecrets("false", "string(object)", "RequireApproval"),
  },
  Classic: { reason: "A classic message with variables.", policy: classic },
  Lookup: {
    reason: "A policy on something else looks at the Secret beside it.",
    policy: teller(
      `'keys: ' + string(${lookup}.?data.password.orValue(${lookup}.?stringData.password.orValue('')))`,
    ),
  },
  Decoded: {
    reason: "And decodes it.",
    policy: teller(`string(base64.decode(${lookup}.?data.password.orValue('${base64}')))`),
  },
};

describe.each(Object.entries(planted))("a secret in %s", (_, object) => {
  test.each(Object.entries(policies))("is told nowhere: %s", (_name, { policy }) => {
    const own = { ...object, metadata: { name: "keys", namespace: "team-a", uid: "u" } };
    for (const observed of [{}, { keys: own }]) {
      const request = {
        input: guardrails([policy], { writeStatus: true }),
        desired: { keys: object, store: bucket() },
        observed,
      };
      const asked = makeCaller()(request).response.requirements?.resources ?? {};
      const required = Object.fromEntries(Object.keys(asked).map((name) => [name, []]));
      const { response, log } = makeCaller()({ ...request, required });
      expect(response.results.length).toBeGreaterThan(0);
      const told = JSON.stringify([
        response.results,
        response.conditions,
        response.requirements,
        response.desired?.composite,
        response.output,
        log,
      ]);
      expect(told).not.toContain(plain);
      expect(told).not.toContain(base64);
      const held: unknown = response.desired?.resources["keys"]?.resource?.["metadata"];
      expect(JSON.stringify(held ?? {})).not.toContain(plain);
    }
  });
});

test("a secret that a policy about something else quotes is masked, and the rest of the sentence stays", () => {
  const { response } = makeCaller()({
    input: guardrails([teller(`'password ' + ${lookup}.stringData.password + ' is weak'`)]),
    desired: { keys: planted["stringData"] ?? {}, store: bucket() },
  });
  expect(response.conditions[0]?.message).toContain("password (not shown) is weak");
});

test.each([
  [
    "a value of several lines, on one",
    "line one\n  line two",
    "x line one line two y",
    "x (not shown) y",
  ],
  ["a value in JSON", 'say "abc"', '{"a":"say \\"abc\\""}', '{"a":"(not shown)"}'],
  ["a value that another one contains", "abcd", "abcdefgh", "(not shown)"],
  ["no value that stands in any text", "no", "there is no reason", "there is no reason"],
])("the mask covers %s", (_, value, text, want) => {
  const mask = makeMask(() => [secret({ stringData: { a: value, b: "abcdefgh" } })]);
  expect(mask(text)).toBe(want);
});
