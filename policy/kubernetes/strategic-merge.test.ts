// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { at, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import { mergeTypeNamed, mergeTypeOf } from "#policy/kubernetes/merge-keys";
import { strategicMerge } from "#policy/kubernetes/strategic-merge";
import { workedMs } from "#test/support/cpu-time";

const pod = (spec: JsonObject, more: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  ...more,
  spec,
});

const merged = (object: JsonObject, patch: JsonObject): Json => {
  const outcome = strategicMerge(object, patch);
  return outcome.ok ? outcome.value : outcome.message;
};

type Row = {
  readonly reason: string;
  readonly object: JsonObject;
  readonly patch: JsonObject;
  readonly want: Json;
};

const custom = (more: JsonObject): JsonObject => ({
  apiVersion: "x.io/v1",
  kind: "Thing",
  ...more,
});

const ownProto: JsonObject = Object.fromEntries([["__proto__", 1]]);

const rows: readonly Row[] = [
  {
    reason: "maps merge",
    object: custom({ a: { b: 1 } }),
    patch: { a: { c: 2 } },
    want: custom({ a: { b: 1, c: 2 } }),
  },
  {
    reason: "null deletes",
    object: custom({ a: { b: 1, c: 2 } }),
    patch: { a: { b: null } },
    want: custom({ a: { c: 2 } }),
  },
  {
    reason: "null deletes a map and a list",
    object: custom({ a: {}, b: [] }),
    patch: { a: null, b: null },
    want: custom({}),
  },
  {
    reason: "nulls of what is new are left out",
    object: custom({}),
    patch: { a: { b: null, c: 1 } },
    want: custom({ a: { c: 1 } }),
  },
  {
    reason: "a null that the object states stays",
    object: custom({ a: null }),
    patch: { b: 1 },
    want: custom({ a: null, b: 1 }),
  },
  {
    reason: "lists of custom kinds are replaced",
    object: custom({ l: [{ name: "a" }] }),
    patch: { l: [{ name: "b" }] },
    want: custom({ l: [{ name: "b" }] }),
  },
  {
    reason: "lists without merge keys are replaced",
    object: pod({ tolerations: [{ key: "a" }] }),
    patch: { spec: { tolerations: [{ key: "b" }] } },
    want: pod({ tolerations: [{ key: "b" }] }),
  },
  {
    reason: "keyed lists merge, what is new comes first",
    object: pod({ containers: [{ name: "a", image: "x" }] }),
    patch: { spec: { containers: [{ name: "b", image: "y" }] } },
    want: pod({
      containers: [
        { name: "b", image: "y" },
        { name: "a", image: "x" },
      ],
    }),
  },
  {
    reason: "items with the same key merge and come in the order of the patch",
    object: pod({ containers: [{ name: "a" }, { name: "b", image: "x" }] }),
    patch: { spec: { containers: [{ name: "b", tty: true }] } },
    want: pod({ containers: [{ name: "b", image: "x", tty: true }, { name: "a" }] }),
  },
  {
    reason: "keyed lists in items of keyed lists",
    object: pod({ containers: [{ name: "a", env: [{ name: "X", value: "1" }] }] }),
    patch: { spec: { containers: [{ name: "a", env: [{ name: "Y", value: "2" }] }] } },
    want: pod({
      containers: [
        {
          name: "a",
          env: [
            { name: "Y", value: "2" },
            { name: "X", value: "1" },
          ],
        },
      ],
    }),
  },
  {
    reason: "lists of scalars that merge are unions",
    object: pod({}, { metadata: { finalizers: ["a", "b"] } }),
    patch: { metadata: { finalizers: ["c", "a"] } },
    want: pod({}, { metadata: { finalizers: ["c", "a", "b"] } }),
  },
  {
    reason: "two keys, one left out everywhere",
    object: pod({ containers: [{ name: "a", ports: [{ containerPort: 80 }] }] }),
    patch: { spec: { containers: [{ name: "a", ports: [{ containerPort: 80, name: "http" }] }] } },
    want: pod({ containers: [{ name: "a", ports: [{ containerPort: 80, name: "http" }] }] }),
  },
  {
    reason: "two keys tell items apart",
    object: pod({ containers: [{ name: "a", ports: [{ containerPort: 53, protocol: "UDP" }] }] }),
    patch: {
      spec: { containers: [{ name: "a", ports: [{ containerPort: 53, protocol: "TCP" }] }] },
    },
    want: pod({
      containers: [
        {
          name: "a",
          ports: [
            { containerPort: 53, protocol: "TCP" },
            { containerPort: 53, protocol: "UDP" },
          ],
        },
      ],
    }),
  },
  {
    reason: "$patch: delete removes an item",
    object: pod({ containers: [{ name: "a" }, { name: "b" }] }),
    patch: { spec: { containers: [{ name: "a", $patch: "delete" }] } },
    want: pod({ containers: [{ name: "b" }] }),
  },
  {
    reason: "$patch: replace replaces a map",
    object: custom({ a: { b: 1 } }),
    patch: { a: { $patch: "replace", c: 2 } },
    want: custom({ a: { c: 2 } }),
  },
  {
    reason: "$patch: delete removes a map",
    object: custom({ a: { b: 1 } }),
    patch: { a: { $patch: "delete" } },
    want: custom({}),
  },
  {
    reason: "$patch: replace replaces a keyed list",
    object: pod({ containers: [{ name: "a" }] }),
    patch: { spec: { containers: [{ $patch: "replace" }, { name: "b" }] } },
    want: pod({ containers: [{ name: "b" }] }),
  },
  {
    reason: "an unknown directive is an error",
    object: custom({ a: {} }),
    patch: { a: { $patch: "x" } },
    want: "unknown patch strategy 'x'",
  },
  {
    reason: "a map for a scalar is an error",
    object: custom({ a: 1 }),
    patch: { a: { b: 1 } },
    want: "wrong node kind at /a: expected scalar but got map",
  },
  {
    reason: "a list for a map is an error",
    object: custom({ a: {} }),
    patch: { a: [] },
    want: "wrong node kind at /a: expected map but got list",
  },
  {
    reason: "__proto__ is a key like others",
    object: custom({}),
    patch: { a: ownProto },
    want: custom({ a: ownProto }),
  },
  {
    reason: "a template in a workload",
    object: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      spec: { template: { spec: { volumes: [{ name: "a" }] } } },
    },
    patch: { spec: { template: { spec: { volumes: [{ name: "b", emptyDir: {} }] } } } },
    want: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      spec: { template: { spec: { volumes: [{ name: "b", emptyDir: {} }, { name: "a" }] } } },
    },
  },
  {
    reason: "duplicates of the object are one item in the end, even unpatched",
    object: pod({
      containers: [
        {
          name: "a",
          env: [
            { name: "X", value: "1" },
            { name: "X", value: "2" },
          ],
        },
      ],
    }),
    patch: { spec: { hostNetwork: true } },
    want: pod({ hostNetwork: true, containers: [{ name: "a", env: [{ name: "X", value: "2" }] }] }),
  },
  {
    reason: "a kind inside a custom resource merges by its own keys",
    object: custom({ manifest: pod({ containers: [{ name: "a" }] }) }),
    patch: { manifest: pod({ containers: [{ name: "b" }] }) },
    want: custom({ manifest: pod({ containers: [{ name: "b" }, { name: "a" }] }) }),
  },
];

describe("strategic merge", () => {
  test.each(rows)("$reason", ({ object, patch, want }) => {
    const before = JSON.stringify([object, patch]);
    expect(merged(object, patch)).toEqual(want);
    expect(JSON.stringify([object, patch])).toBe(before);
  });

  test("a patch that changes nothing gives the very object", () => {
    const object = pod({ containers: [{ name: "a", image: "x" }] }, { metadata: { name: "p" } });
    for (const patch of [{}, { spec: { containers: [{ name: "a", image: "x" }] } }]) {
      const outcome = strategicMerge(object, patch);
      expect(outcome.ok && sameJson(outcome.value, object)).toBe(true);
    }
  });
});

/** What kubernetes.io documents as patchMergeKey of the core kinds' lists. */
const documented: readonly (readonly [type: string, list: string, keys: readonly string[]])[] = [
  ["PodSpec", "containers", ["name"]],
  ["PodSpec", "initContainers", ["name"]],
  ["PodSpec", "ephemeralContainers", ["name"]],
  ["PodSpec", "volumes", ["name"]],
  ["PodSpec", "imagePullSecrets", ["name"]],
  ["PodSpec", "hostAliases", ["ip"]],
  ["PodSpec", "topologySpreadConstraints", ["topologyKey", "whenUnsatisfiable"]],
  ["Container", "env", ["name"]],
  ["Container", "ports", ["containerPort", "protocol"]],
  ["Container", "volumeMounts", ["mountPath"]],
  ["Container", "volumeDevices", ["devicePath"]],
  ["ServiceSpec", "ports", ["port", "protocol"]],
  ["ObjectMeta", "ownerReferences", ["uid"]],
  ["ObjectMeta", "finalizers", [""]],
  ["ServiceAccount", "secrets", ["name"]],
];

describe("merge keys of core kinds", () => {
  test.each(documented)("%s.%s", (type, list, keys) => {
    expect(mergeTypeNamed(type)?.[list]?.keys).toEqual(keys);
  });

  test("lists that are documented to be replaced have none", () => {
    for (const list of ["tolerations", "readinessGates", "schedulingGates"]) {
      expect(mergeTypeNamed("PodSpec")?.[list]).toBeUndefined();
    }
    expect(mergeTypeOf("networking.k8s.io/v1", "NetworkPolicy")?.["spec"]).toBeUndefined();
    expect(mergeTypeOf("x.io/v1", "Thing")).toBeUndefined();
    expect(mergeTypeOf("v1", "constructor")).toBeUndefined();
  });

  test("merging an item twice is merging it once, for every keyed list of a Pod's containers", () => {
    for (const [type, list, keys] of documented) {
      if (type !== "Container") continue;
      const item = Object.fromEntries(keys.map((key) => [key, `${key}-1`]));
      const object = pod({ containers: [{ name: "a", [list]: [{ ...item, x: 1 }] }] });
      const patch = { spec: { containers: [{ name: "a", [list]: [{ ...item, y: 2 }] }] } };
      const once = merged(object, patch);
      expect(once).toEqual(pod({ containers: [{ name: "a", [list]: [{ ...item, x: 1, y: 2 }] }] }));
      expect(merged(isObject(once) ? once : {}, patch)).toEqual(once);
    }
  });
});

describe("long lists", () => {
  const named = (count: number, name: (index: number) => string): readonly JsonObject[] =>
    Array.from({ length: count }, (_, index) => ({ name: name(index) }));
  const patch = { spec: { containers: [{ name: "c7", tty: true }] } };

  test("items with keys of their own merge in linear time", () => {
    const count = 20_000;
    const started = workedMs();
    const outcome = merged(pod({ containers: named(count, (index) => `c${index}`) }), patch);
    expect(workedMs() - started).toBeLessThan(5_000);
    const containers = at(outcome, ["spec", "containers"]);
    expect(isArray(containers) ? containers.length : 0).toBe(count);
  });

  test("items with the same keys are held against each other, so there may not be too many", () => {
    const containers = named(1_001, () => "c");
    expect(merged(pod({ containers }), patch)).toBe(
      "more than 1000 items in a list whose keys repeat or are incomplete",
    );
  });
});
