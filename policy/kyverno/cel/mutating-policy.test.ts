// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import { mutate } from "#policy/evaluate";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

const podSpec = { containers: [{ name: "c", image: "i" }] };
const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "n", labels: { a: "1" } },
  spec: podSpec,
};
const rules = (resources: readonly string[]): JsonObject => ({
  resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], resources, operations: ["CREATE"] }],
});
const policy = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1beta1",
  kind: "MutatingPolicy",
  metadata: { name: "m", ...metadata },
  spec: { matchConstraints: rules(["pods"]), ...spec },
});
const apply = (expression: string): JsonObject => ({
  patchType: "ApplyConfiguration",
  applyConfiguration: { expression },
});
const patch = (expression: string): JsonObject => ({
  patchType: "JSONPatch",
  jsonPatch: { expression },
});
const labelled = apply(`Object{metadata: Object.metadata{labels: {"b": "2"}}}`);
const run = (document: JsonObject, object: JsonObject = pod, world: World = emptyWorld(0)) => {
  const { set, problems } = compile([document]);
  expect(problems).toEqual([]);
  const done = mutate(set, reviewOf(object), world);
  const results = done.results.map(({ rule, result, message }) => [rule, result, message]);
  return { ...done, results };
};

describe("MutatingPolicy", () => {
  test("mutations run in order, each on what the one before left", () => {
    const second = patch(
      `[JSONPatch{op: "add", path: "/metadata/labels/n", value: string(size(object.metadata.labels))}]`,
    );
    const { object, results } = run(policy({ mutations: [labelled, second] }));
    expect(object["metadata"]).toMatchObject({ labels: { a: "1", b: "2", n: "2" } });
    expect(results).toEqual([["", "pass", "success"]]);
  });

  test("a policy that changes nothing still passes, and gives back the very same object", () => {
    const { object, results } = run(policy({ mutations: [apply("Object{}")] }));
    expect(object).toBe(pod);
    expect(results).toEqual([["", "pass", "success"]]);
  });

  test("the first error leaves the object as it was", () => {
    const bad = patch(`[JSONPatch{op: "replace", path: "/spec/x/y", value: 1}]`);
    const { object, results } = run(policy({ mutations: [labelled, bad] }));
    expect(object).toBe(pod);
    expect(results).toEqual([
      [
        "evaluation",
        "error",
        "failed to evaluate policy: JSON Patch: replace operation does not apply: doc is missing path: /spec/x/y: missing value",
      ],
    ]);
  });

  test("match conditions may use variables, and skip when false", () => {
    const variables = [{ name: "named", expression: "object.metadata.name == 'x'" }];
    const matchConditions = [{ name: "c", expression: "variables.named" }];
    const { results } = run(policy({ variables, matchConditions, mutations: [labelled] }));
    expect(results).toEqual([["", "skip", "skip"]]);
  });

  test("variables keep the value of their first reading, as in the reference", () => {
    const variables = [{ name: "count", expression: "string(size(object.metadata.labels))" }];
    const count = (path: string): JsonObject =>
      patch(`[JSONPatch{op: "add", path: "/metadata/labels/${path}", value: variables.count}]`);
    const { object } = run(policy({ variables, mutations: [count("x"), count("y")] }));
    expect(object["metadata"]).toMatchObject({ labels: { x: "1", y: "1" } });
  });

  test("atomic lists need useServerSideApply", () => {
    const args = apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "c", args: ["y"]}]}}`,
    );
    expect(run(policy({ mutations: [args] })).results[0]?.[1]).toBe("error");
    const evaluation = { useServerSideApply: true };
    const { object } = run(policy({ evaluation, mutations: [args] }));
    expect(object["spec"]).toEqual({ containers: [{ name: "c", image: "i", args: ["y"] }] });
  });

  test("an exception leaves the object alone", () => {
    const exception: JsonObject = {
      apiVersion: "policies.kyverno.io/v1",
      kind: "PolicyException",
      metadata: { name: "e", namespace: "x" },
      spec: { policyRefs: [{ name: "m", kind: "MutatingPolicy" }] },
    };
    const { set } = compile([policy({ mutations: [labelled] }), exception]);
    const { object, results } = mutate(set, reviewOf(pod), emptyWorld(0));
    expect(object).toBe(pod);
    expect(results.map(({ result, exceptions }) => [result, exceptions])).toEqual([
      ["skip", ["x/e"]],
    ]);
  });
});

describe("mutations derived for the controllers of pods", () => {
  const deployment = (template: JsonObject): JsonObject => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d", namespace: "n" },
    spec: { template },
  });
  test("an apply configuration moves into the template", () => {
    const apart = apply(`Object{spec: Object.spec{hostNetwork: size(object.spec.containers) > 5}}`);
    const { object } = run(policy({ mutations: [apart] }), deployment({ spec: podSpec }));
    expect(object["spec"]).toEqual({ template: { spec: { ...podSpec, hostNetwork: false } } });
  });
  test("labels are read from the template; an Object.metadata literal does not move, and errs as in the reference", () => {
    const read = apply(`Object{spec: Object.spec{hostNetwork: "b" in object.metadata.labels}}`);
    const template = { metadata: { labels: { b: "2" } }, spec: podSpec };
    expect(run(policy({ mutations: [read] }), deployment(template)).object["spec"]).toEqual({
      template: { ...template, spec: { ...podSpec, hostNetwork: true } },
    });
    const { results } = run(policy({ mutations: [labelled] }), deployment(template));
    expect(results[0]?.[2]).toContain('unexpected type name "Object.metadata"');
  });
  test("a CronJob's is deeper", () => {
    const cron: JsonObject = {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: "c", namespace: "n" },
      spec: { schedule: "* * * * *", jobTemplate: { spec: { template: { spec: podSpec } } } },
    };
    const { object } = run(
      policy({ mutations: [apply(`Object{spec: Object.spec{hostPID: false}}`)] }),
      cron,
    );
    expect(object["spec"]).toMatchObject({
      jobTemplate: { spec: { template: { spec: { hostPID: false } } } },
    });
  });
});

describe("mutation of existing objects", () => {
  const secret = (name: string): JsonObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "n" },
  });
  const targeting = (more: JsonObject = {}): JsonObject =>
    policy({
      evaluation: { mutateExisting: { enabled: true } },
      targetMatchConstraints: rules(["secrets"]),
      mutations: [apply(`Object{metadata: Object.metadata{labels: {"by": "p"}}}`)],
      ...more,
    });
  const listing = (items: readonly Json[]): World => ({
    ...emptyWorld(0),
    list: ({ resource }) =>
      resource === "secrets" ? { kind: "found", value: { items } } : { kind: "absent" },
  });

  test("changes the targets that the World holds, and not its trigger", () => {
    const { object, targets } = run(targeting(), pod, listing([secret("a"), secret("b")]));
    expect(object).toBe(pod);
    expect(targets?.map(({ before, after }) => [before["metadata"], after["metadata"]])).toEqual([
      [
        { name: "a", namespace: "n" },
        { name: "a", namespace: "n", labels: { by: "p" } },
      ],
      [
        { name: "b", namespace: "n" },
        { name: "b", namespace: "n", labels: { by: "p" } },
      ],
    ]);
  });
  test("target conditions choose among them", () => {
    const targetMatchConditions = [{ name: "c", expression: "object.metadata.name == 'b'" }];
    const { targets } = run(
      targeting({ targetMatchConditions }),
      pod,
      listing([secret("a"), secret("b")]),
    );
    expect(targets?.map(({ before, after }) => before === after)).toEqual([true, false]);
  });
  test("an expression may name the target", () => {
    const targetMatchConstraints = {
      expression: "resource.Get('v1', 'secrets', object.metadata.namespace, 'a')",
    };
    const world: World = { ...emptyWorld(0), get: () => ({ kind: "found", value: secret("a") }) };
    const { targets } = run(targeting({ targetMatchConstraints }), pod, world);
    expect(targets).toHaveLength(1);
  });
  test("a World that cannot list is unsupported, not nothing to do", () => {
    const { set } = compile([targeting()]);
    const { results } = mutate(set, reviewOf(pod), emptyWorld(0));
    expect(results.map(({ result, unsupported }) => [result, typeof unsupported])).toEqual([
      ["error", "string"],
    ]);
  });
  test("without targets of its own the trigger is what it changes", () => {
    const { targetMatchConstraints: _, ...spec } = {
      evaluation: { mutateExisting: { enabled: true } },
      targetMatchConstraints: {},
      mutations: [labelled],
    };
    expect(run(policy(spec)).object["metadata"]).toMatchObject({ labels: { b: "2" } });
  });
});
