// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import { mutate } from "#policy/evaluate";
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";

const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "n", labels: { a: "1" } },
  spec: { containers: [{ name: "c", image: "i", args: ["x"] }] },
};
const map = (spec: JsonObject, name = "m"): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingAdmissionPolicy",
  metadata: { name },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] },
      ],
    },
    ...spec,
  },
});
const patch = (expression: string): JsonObject => ({
  patchType: "JSONPatch",
  jsonPatch: { expression },
});
const apply = (expression: string): JsonObject => ({
  patchType: "ApplyConfiguration",
  applyConfiguration: { expression },
});
const label = (name: string, value: string): JsonObject =>
  patch(`[JSONPatch{op: "add", path: "/metadata/labels/${name}", value: ${value}}]`);
const run = (...policies: readonly JsonObject[]) => {
  const { set, problems } = compile(policies);
  expect(problems).toEqual([]);
  return mutate(set, reviewOf(pod), emptyWorld(0));
};

type Row = {
  readonly reason: string;
  readonly spec: JsonObject;
  /** The pod with these parts on top; undefined for the very same pod. */
  readonly changed?: JsonObject;
  readonly results: readonly (readonly string[])[];
};
const rows: Readonly<Record<string, Row>> = {
  "JSON patch": {
    reason: "Values may be maps, lists and Object literals.",
    spec: { mutations: [label("b", "'2'")] },
    changed: { metadata: { name: "p", namespace: "n", labels: { a: "1", b: "2" } } },
    results: [["pass", ""]],
  },
  "escaped key": {
    reason: "jsonpatch.escapeKey is offered to mutations.",
    spec: {
      mutations: [
        patch(
          `[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("x/y"), value: "z"}]`,
        ),
      ],
    },
    changed: { metadata: { name: "p", namespace: "n", labels: { a: "1", "x/y": "z" } } },
    results: [["pass", ""]],
  },
  "failed test": {
    reason: "The whole patch is left out in silence.",
    spec: {
      mutations: [
        patch(
          `[JSONPatch{op: "add", path: "/metadata/labels/b", value: "2"}, JSONPatch{op: "test", path: "/metadata/name", value: "other"}]`,
        ),
      ],
    },
    results: [["skip", "mutation had no effect"]],
  },
  "invalid patch": {
    reason: "Other failures are errors and change nothing.",
    spec: { mutations: [patch(`[JSONPatch{op: "remove", path: "/metadata/annotations"}]`)] },
    results: [
      [
        "error",
        "JSON Patch: error in remove for path: '/metadata/annotations': Unable to remove nonexistent key: annotations: missing value",
      ],
    ],
  },
  "second mutation sees the first": {
    reason:
      "Mutations of a policy run in order on what the one before left; variables are computed anew.",
    spec: {
      variables: [{ name: "labels", expression: "size(object.metadata.labels)" }],
      mutations: [label("b", "'2'"), label("n", "string(variables.labels)")],
    },
    changed: { metadata: { name: "p", namespace: "n", labels: { a: "1", b: "2", n: "2" } } },
    results: [
      ["pass", ""],
      ["pass", ""],
    ],
  },
  "apply configuration": {
    reason: "Containers merge by name.",
    spec: {
      mutations: [
        apply(
          `Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, imagePullPolicy: "Always"})}}`,
        ),
      ],
    },
    changed: {
      spec: { containers: [{ name: "c", image: "i", args: ["x"], imagePullPolicy: "Always" }] },
    },
    results: [["pass", ""]],
  },
  "atomic list": {
    reason: "args would be replaced as a whole, which the API server refuses.",
    spec: {
      mutations: [
        apply(
          `Object{spec: Object.spec{containers: [Object.spec.containers{name: "c", args: ["y"]}]}}`,
        ),
      ],
    },
    results: [
      [
        "error",
        "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args",
      ],
    ],
  },
  "wrong type name": {
    reason: "The name of a literal must say where it stands.",
    spec: { mutations: [apply(`Object{spec: Object.wrong{hostNetwork: false}}`)] },
    results: [
      [
        "error",
        'type mismatch: unexpected type name "Object.wrong", expected "Object.spec", which matches field name path from root Object type',
      ],
    ],
  },
  "part as a value": {
    reason: "A literal of a part of the object may be a patch's value.",
    spec: {
      mutations: [
        patch(
          `[JSONPatch{op: "add", path: "/spec", value: Object.spec{hostNetwork: true, priority: 0}}]`,
        ),
      ],
    },
    changed: { spec: { hostNetwork: true, priority: 0 } },
    results: [["pass", ""]],
  },
  "unknown field": {
    reason: "The API server could not read the pod; it says only that and tries no other mutation.",
    spec: {
      failurePolicy: "Ignore",
      mutations: [
        label("b", "object.spec.nothing"),
        patch(`[JSONPatch{op: "add", path: "/spec/zone", value: "x"}]`),
        label("c", "'3'"),
      ],
    },
    results: [
      ["error", 'Internal error occurred: strict decoding error: unknown field "spec.zone"'],
    ],
  },
  "error in an expression": {
    reason: "It is named; the next mutation still runs.",
    spec: { mutations: [label("b", "object.spec.nothing"), label("c", "'3'")] },
    changed: { metadata: { name: "p", namespace: "n", labels: { a: "1", c: "3" } } },
    results: [
      ["error", expect.stringContaining("resulted in error: no such key: nothing")],
      ["pass", ""],
    ],
  },
  "match condition": {
    reason: "False: nothing happens.",
    spec: {
      matchConditions: [{ name: "c", expression: "object.metadata.name == 'x'" }],
      mutations: [label("b", "'2'")],
    },
    results: [["skip", "match conditions not met"]],
  },
};

describe("MutatingAdmissionPolicy", () => {
  for (const [name, row] of Object.entries(rows)) {
    test(`${name}: ${row.reason}`, () => {
      const before = structuredClone(pod);
      const { object, results } = run(map(row.spec));
      expect(results.map(({ result, message }) => [result, message])).toEqual(row.results);
      expect(object).toEqual({ ...pod, ...row.changed });
      expect(object === pod, "the same object where nothing changed").toBe(
        row.changed === undefined,
      );
      expect(pod).toEqual(before);
    });
  }

  test("patches may not appear where values are judged", () => {
    const spec = {
      matchConstraints: {},
      validations: [{ expression: "JSONPatch{op: 'add'}.op == 'add'" }],
    };
    const document = { ...map(spec), kind: "ValidatingAdmissionPolicy" };
    expect(compile([document]).problems[0]?.message).toContain("JSONPatch");
  });

  test("a policy is invoked again after later ones changed the object, when it asks for it", () => {
    const count = label("count", "string(size(object.metadata.labels))");
    const again = map({ reinvocationPolicy: "IfNeeded", mutations: [count] }, "count");
    const once = map({ reinvocationPolicy: "Never", mutations: [count] }, "count");
    const later = map({ mutations: [label("late", "'x'")] }, "later");
    const labels = (first: JsonObject) => run(first, later).object["metadata"];
    expect(labels(once)).toMatchObject({ labels: { count: "1", late: "x" } });
    expect(labels(again)).toMatchObject({ labels: { count: "3", late: "x" } });
  });

  test("reinvocationPolicy IfNeeded repeats a policy after its own change, not where it did not match", () => {
    const append = patch(
      `[JSONPatch{op: "add", path: "/metadata/labels/n" + string(object.metadata.labels.size()), value: "x"}]`,
    );
    const again = { reinvocationPolicy: "IfNeeded", mutations: [append] };
    const alone = run(map(again, "alone")).object["metadata"];
    expect(alone).toMatchObject({ labels: { n1: "x", n2: "x" } });
    const never = { name: "never", expression: "'late' in object.metadata.labels" };
    const late = map({ mutations: [label("late", "'x'")] }, "late");
    const idle = run(map({ ...again, matchConditions: [never] }, "idle"), late).object["metadata"];
    expect(idle).toEqual({ name: "p", namespace: "n", labels: { a: "1", late: "x" } });
  });

  test("steps tell which policy changed what", () => {
    const { steps } = run(
      map({ mutations: [label("b", "'2'")] }, "one"),
      map({ mutations: [label("b", "'2'")] }, "two"),
    );
    expect(steps.map(({ policy }) => policy.ref.name)).toEqual(["one"]);
  });

  test("a deletion mutates nothing", () => {
    const { set } = compile([map({ matchConstraints: {}, mutations: [label("b", "'2'")] })]);
    expect(mutate(set, reviewOf(pod, { operation: "DELETE" }), emptyWorld(0)).results).toEqual([]);
  });
});
