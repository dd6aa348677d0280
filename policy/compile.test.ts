// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile, documentsMax } from "#policy/compile";
import { generate, mutate, validate } from "#policy/evaluate";
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { formatProblem } from "#policy/problem";
import { mutating, onePolicyOfEachKind, pod, podRules, validating } from "#policy/testing";
import { emptyWorld } from "#policy/world";

const problemsOf = (document: unknown): readonly string[] =>
  compile([document]).problems.map(formatProblem);

test("one policy of each kind compiles, in the order of its documents", () => {
  const { set, problems, unsupported } = compile(onePolicyOfEachKind);
  expect(problems).toEqual([]);
  expect(unsupported).toEqual([]);
  expect(set.policies.map(({ ref }) => ref.kind)).toEqual([
    "ValidatingPolicy",
    "MutatingPolicy",
    "GeneratingPolicy",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicy",
    "ClusterPolicy",
    "DeletingPolicy",
    "ClusterCleanupPolicy",
  ]);
});

test("a List is unpacked, as kubectl writes it", () => {
  const list = { apiVersion: "v1", kind: "List", items: [validating, mutating] };
  expect(compile([list]).set.policies.map(({ ref }) => ref.name)).toEqual(["named", "mutating"]);
});

describe("documents that cannot be used are named, with what is allowed", () => {
  test("unknown kind", () => {
    const [problem] = problemsOf({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" } });
    expect(problem).toContain("ConfigMap/x: kind: v1 ConfigMap is no policy kind");
    expect(problem).toContain("policies.kyverno.io/ValidatingPolicy");
  });
  test("unknown version", () => {
    const [problem] = problemsOf({ ...validating, apiVersion: "policies.kyverno.io/v2" });
    expect(problem).toContain("allowed are policies.kyverno.io/v1alpha1");
  });
  test("no name", () => {
    expect(problemsOf({ ...validating, metadata: {} })).toEqual([
      "ValidatingPolicy: metadata.name: must be a non-empty string",
    ]);
  });
  test("an expression that does not compile, by path, line and column", () => {
    const spec = {
      matchConstraints: { resourceRules: podRules },
      validations: [{ expression: "1 +\n unknown" }],
    };
    expect(problemsOf({ ...validating, spec })[0]).toMatch(
      /^ValidatingPolicy\/named: spec\.validations\[0\]\.expression: line 2, column 2: undeclared reference to 'unknown'/,
    );
  });
  test("a result of the wrong type", () => {
    const spec = {
      matchConstraints: { resourceRules: podRules },
      validations: [{ expression: "'yes'" }],
    };
    expect(problemsOf({ ...validating, spec })).toContain(
      "ValidatingPolicy/named: spec.validations[0].expression: must evaluate to bool but gives string",
    );
  });
  test("a variable that is used before it is there, and one that is there twice", () => {
    const variables = [
      { name: "a", expression: "variables.b" },
      { name: "b", expression: "1" },
      { name: "b", expression: "variables.b + 1" },
    ];
    const spec = { matchConstraints: { resourceRules: podRules }, variables, validations: [] };
    const problems = problemsOf({ ...validating, spec });
    expect(problems[0]).toContain("spec.variables[0].expression");
    expect(problems[1]).toContain("spec.variables[2].name: is a second variable named b");
  });
  test("kinds that are never evaluated are unsupported, and every match is an error", () => {
    const image = { ...validating, kind: "ImageValidatingPolicy" };
    const { set, problems, unsupported } = compile([image]);
    expect(problems).toEqual([]);
    expect(unsupported).toHaveLength(1);
    const [result] = validate(set, reviewOf(pod), emptyWorld(0));
    expect([result?.result, result?.action, result?.unsupported]).toEqual([
      "error",
      "Enforce",
      unsupported[0]?.reason,
    ]);
  });
  test("one bad document does not stop the others", () => {
    const { set, problems } = compile([7, validating, { kind: "X" }]);
    expect(set.policies).toHaveLength(1);
    expect(problems).toHaveLength(2);
  });
});

describe("hostile documents give problems, never an exception", () => {
  const cyclic: Record<string, unknown> = { ...validating };
  cyclic["spec"] = cyclic;
  let deep: Json = "x";
  for (let depth = 0; depth < 5_000; depth += 1) deep = [deep];
  const hostile: Readonly<Record<string, unknown>> = {
    "a cycle": cyclic,
    "a date, as YAML makes them": { ...validating, metadata: { name: "x", created: new Date(0) } },
    "5,000 levels": { ...validating, spec: deep },
    "a function": { ...validating, spec: () => 1 },
    "not a number": { ...validating, spec: { x: Number.NaN } },
    null: null,
    "a list": [],
    "a list of 2,000 validations": {
      ...validating,
      spec: {
        matchConstraints: {},
        validations: Array.from({ length: 2_000 }, () => ({ expression: "true" })),
      },
    },
  };
  for (const [name, document] of Object.entries(hostile)) {
    test(`compiles none of ${name}`, () => {
      const { set, problems } = compile([document]);
      expect(set.policies).toEqual([]);
      expect(problems.length).toBeGreaterThan(0);
    });
  }

  test("too many documents are cut off and named", () => {
    const many = Array.from({ length: documentsMax + 5 }, () => 1);
    expect(compile(many).problems.at(-1)?.message).toContain(`at most ${documentsMax}`);
  });

  test("keys that every object inherits are data", () => {
    const document: unknown = JSON.parse(
      '{"apiVersion":"policies.kyverno.io/v1","kind":"ValidatingPolicy","metadata":{"name":"__proto__","annotations":{"__proto__":"x"}},"spec":{"matchConstraints":{},"variables":[{"name":"constructor","expression":"1"}],"validations":[{"expression":"variables.constructor == 1"}]}}',
    );
    const { set, problems } = compile([document]);
    expect(problems).toEqual([]);
    expect(validate(set, reviewOf(pod), emptyWorld(0)).map(({ result }) => result)).toEqual([
      "pass",
    ]);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test("nor are they fields of a policy", () => {
    const document: unknown = JSON.parse(
      '{"apiVersion":"policies.kyverno.io/v1","kind":"ValidatingPolicy","metadata":{"name":"x"},"spec":{"__proto__":{"validations":[]},"matchConstraints":{},"validations":[]}}',
    );
    expect(compile([document]).problems.map(({ path }) => path)).toEqual(["spec.__proto__"]);
  });
});

describe("fields and words that a kind does not have are named, never passed over", () => {
  const changed = (document: JsonObject, change: JsonObject): JsonObject => ({
    ...document,
    spec: { ...(isObject(document["spec"]) ? document["spec"] : {}), ...change },
  });
  const [, , , vap = {}, binding = {}] = onePolicyOfEachKind;
  test.each([
    {
      reason: "a policy that never denies",
      document: changed(validating, { validationActons: ["Deny"] }),
      path: "spec.validationActons",
    },
    {
      reason: "an action that nobody takes",
      document: changed(validating, { validationActions: ["Block"] }),
      path: "spec.validationActions[0]",
    },
    {
      reason: "a message that is never shown",
      document: changed(validating, { validations: [{ expression: "true", mesage: "no" }] }),
      path: "spec.validations[0].mesage",
    },
    {
      reason: "a rule that matches more than it says",
      document: changed(validating, {
        matchConstraints: { resourceRules: [{ ...podRules[0], resourceName: ["a"] }] },
      }),
      path: "spec.matchConstraints.resourceRules[0].resourceName",
    },
    {
      reason: "what belongs into spec",
      document: { ...validating, validations: [] },
      path: "validations",
    },
    {
      reason: "a patch of another type",
      document: changed(mutating, { mutations: [{ patchType: "JSONPatch", jsonPath: {} }] }),
      path: "spec.mutations[0].jsonPath",
    },
    {
      reason: "Kubernetes' own kinds",
      document: changed(vap, { validationActions: ["Deny"] }),
      path: "spec.validationActions",
    },
    {
      reason: "a failure policy that is none",
      document: changed(vap, { failurePolicy: "Deny" }),
      path: "spec.failurePolicy",
    },
    {
      reason: "a binding without its parameters",
      document: changed(binding, { paramsRef: { name: "p" } }),
      path: "spec.paramsRef",
    },
  ])("$reason: $path", ({ document, path }) => {
    const { set, problems } = compile([document]);
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(set.policies).toEqual([]);
  });
});

describe("objects of any shape are judged without a throw", () => {
  const objects: readonly JsonObject[] = [
    {},
    { apiVersion: "v1", kind: "Pod" },
    { apiVersion: "v1", kind: "Pod", metadata: [], spec: null },
    { apiVersion: "v1", kind: "Pod", metadata: { name: 7, namespace: {}, labels: [] } },
    { apiVersion: {}, kind: [] },
    Object.fromEntries<Json>([
      ["apiVersion", "v1"],
      ["kind", "Pod"],
      ["__proto__", { metadata: 1 }],
    ]),
  ];
  const { set } = compile(onePolicyOfEachKind);
  for (const [index, object] of objects.entries()) {
    test(`object ${index}`, () => {
      for (const operation of ["CREATE", "UPDATE", "DELETE"] as const) {
        const review = reviewOf(object, { operation });
        validate(set, review, emptyWorld(0));
        mutate(set, review, emptyWorld(0));
        generate(set, review, emptyWorld(0));
        for (const policy of set.policies) policy.deletion?.(review, emptyWorld(0));
      }
      expect(true).toBe(true);
    });
  }
});

test("policies that only delete stop and change nothing", () => {
  const cleanup = {
    apiVersion: "kyverno.io/v2",
    kind: "ClusterCleanupPolicy",
    metadata: { name: "old" },
    spec: {
      match: { any: [{ resources: { kinds: ["Pod"] } }] },
      schedule: "0 0 * * *",
    },
  };
  const { set, unsupported } = compile([cleanup]);
  expect(unsupported).toEqual([]);
  const review = reviewOf(pod);
  expect(validate(set, review, emptyWorld(0))).toEqual([]);
  expect(mutate(set, review, emptyWorld(0)).object).toBe(pod);
  expect(set.policies.map((policy) => policy.deletion?.(review, emptyWorld(0)))).toMatchObject([
    [{ result: "pass", action: "Audit", type: "Deletion" }],
  ]);
});
