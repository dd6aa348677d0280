// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { compileClassicPolicy } from "#policy/kyverno/classic/compile";

const pods = { any: [{ resources: { kinds: ["Pod"] } }] };
const rule = (more: JsonObject = {}, validate: JsonObject = { pattern: {} }): JsonObject => ({
  name: "r",
  match: pods,
  validate,
  ...more,
});

const problemsOf = (spec: JsonObject): readonly string[] =>
  compileClassicPolicy(
    { apiVersion: "kyverno.io/v1", kind: "ClusterPolicy", metadata: { name: "p" }, spec },
    [],
  ).problems.map(({ path, message }) => `${path}: ${message}`);

const specRows: readonly (readonly [reason: string, spec: JsonObject, problem: string])[] = [
  [
    "a misspelt action would only audit",
    { validationFailureAction: "Enforced" },
    "spec.validationFailureAction: must be one of Audit, Enforce",
  ],
  [
    "so would that of an override",
    { validationFailureActionOverrides: [{ action: "Deny" }] },
    "spec.validationFailureActionOverrides[0].action: must be one of",
  ],
  [
    "a misspelt One would run all",
    { applyRules: "one" },
    "spec.applyRules: must be one of All, One",
  ],
  [
    "a misspelt failure policy says nothing",
    { failurePolicy: "ignore" },
    "spec.failurePolicy: must be one of Ignore, Fail",
  ],
  ["a field that nobody knows", { backgroud: false }, "spec.backgroud: unknown field"],
];

test.each(specRows)("%s", (_reason, spec, problem) => {
  expect(problemsOf({ rules: [rule()], ...spec })[0]).toContain(problem);
});

const ruleRows: readonly (readonly [reason: string, rule: JsonObject, problem: string])[] = [
  ["a rule about nothing would never apply", rule({ match: null }), ".match: must say which"],
  [
    "any and all together: Kyverno takes one of them",
    rule({ match: { ...pods, all: pods.any } }),
    ".match: only one of any, all",
  ],
  [
    "a misspelt operation would never match",
    rule({ exclude: { any: [{ resources: { operations: ["CREAT"] } }] } }),
    '.exclude.any[0].resources.operations: must be one of CREATE, UPDATE, DELETE, CONNECT, got "CREAT"',
  ],
  [
    "a misspelt action of a rule",
    rule({}, { pattern: {}, failureAction: "Block" }),
    ".validate.failureAction: must be one of",
  ],
  [
    "a level that is none",
    rule({}, { podSecurity: { level: "strict" } }),
    ".validate.podSecurity.level: must be one of privileged, baseline, restricted",
  ],
  [
    "an exclusion of no control would exclude nothing",
    rule({}, { podSecurity: { level: "baseline", exclude: [{ controlName: "Seccomp profile" }] } }),
    '.validate.podSecurity.exclude[0].controlName: must be the name of a control of the Pod Security Standards, got "Seccomp profile"',
  ],
  [
    "an entry of a foreach that checks nothing",
    rule({}, { foreach: [{ list: "a" }] }),
    ".validate.foreach[0]: must have one of pattern, anyPattern, deny, foreach",
  ],
  [
    "a nested entry with two checks: only one would run",
    rule({}, { foreach: [{ list: "a", foreach: [{ list: "b", deny: {}, pattern: {} }] }] }),
    ".validate.foreach[0].foreach[0]: only one of",
  ],
];

test.each(ruleRows)("%s", (_reason, one, problem) => {
  expect(problemsOf({ rules: [one] })[0]).toContain(`spec.rules[0]${problem}`);
});

test("what Kyverno allows is no problem", () => {
  const spec = {
    validationFailureAction: "enforce",
    validationFailureActionOverrides: [{ action: "audit", namespaces: ["a"] }],
    applyRules: "One",
    failurePolicy: "Ignore",
    background: false,
    webhookTimeoutSeconds: 5,
    rules: [
      rule({ match: { resources: { kinds: ["Pod"], operations: ["CREATE", "CONNECT"] } } }),
      rule(
        { name: "s" },
        { podSecurity: { level: "restricted", exclude: [{ controlName: "/proc Mount Type" }] } },
      ),
    ],
  };
  expect(problemsOf(spec)).toEqual([]);
});
