// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import { generate, mutate, validate } from "#policy/evaluate";
import { textAt, type Json, type JsonObject } from "#policy/json";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import { emptyWorld } from "#policy/world";

function policyOf(rule: JsonObject): JsonObject {
  const match = { any: [{ resources: { kinds: ["Pod"] } }] };
  return {
    apiVersion: "kyverno.io/v1",
    kind: "ClusterPolicy",
    metadata: { name: "p", annotations: { "pod-policies.kyverno.io/autogen-controllers": "none" } },
    spec: { rules: [{ name: "r", match, ...rule }] },
  };
}

const reviewOf = (object: JsonObject): Review => ({
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subResource: "",
  name: textAt(object, ["metadata", "name"]),
  namespace: "d",
  object,
  oldObject: null,
  userInfo: null,
  dryRun: false,
  options: null,
});

function run(rule: JsonObject, object: JsonObject): readonly RuleResult[] {
  const { set, problems } = compile([policyOf(rule)]);
  expect(problems).toEqual([]);
  const world = emptyWorld(0);
  const review = reviewOf(object);
  return [
    ...validate(set, review, world),
    ...mutate(set, review, world).results,
    ...generate(set, review, world).results,
  ];
}

function nested(depth: number): Json {
  let value: Json = "x";
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

const deny = (key: Json, value: Json): JsonObject => ({
  conditions: { any: [{ key, operator: "Equals", value }] },
});

const rules: readonly (readonly [name: string, rule: JsonObject])[] = [
  [
    "a message",
    { validate: { message: "{{ request.object }}", pattern: { spec: { deep: "?*" } } } },
  ],
  ["a pattern", { validate: { message: "x", pattern: { spec: { deep: { a: "b" } } } } }],
  [
    "a denial",
    {
      validate: {
        message: "{{ request.object.spec.deep }}",
        deny: deny("{{ request.object.spec.deep }}", "{{ request.object.spec.deep }}"),
      },
    },
  ],
  [
    "a loop",
    {
      validate: {
        message: "x",
        foreach: [{ list: "request.object.spec.deep", deny: deny("{{ element }}", ["x"]) }],
      },
    },
  ],
  [
    "a context",
    {
      context: [{ name: "v", variable: { jmesPath: "request.object.spec.deep" } }],
      validate: { message: "x", deny: deny("{{ v }}", "x") },
    },
  ],
  [
    "a strategic merge",
    {
      mutate: {
        patchStrategicMerge: { metadata: { labels: { "+(x)": "{{ request.object.spec.deep }}" } } },
      },
    },
  ],
  [
    "a JSON patch",
    {
      mutate: {
        patchesJson6902:
          "- op: add\n  path: /metadata/labels/x\n  value: '{{ request.object.spec.deep }}'",
      },
    },
  ],
  [
    "a mutating loop",
    {
      mutate: {
        foreach: [
          {
            list: "request.object.spec.deep",
            patchStrategicMerge: { spec: { x: "{{ element }}" } },
          },
        ],
      },
    },
  ],
  [
    "a generated resource",
    {
      generate: {
        apiVersion: "v1",
        kind: "ConfigMap",
        name: "x",
        namespace: "d",
        data: { data: { k: "{{ request.object.spec.deep }}" } },
      },
    },
  ],
  ["pod security", { validate: { podSecurity: { level: "restricted", version: "latest" } } }],
];

const objects: readonly (readonly [name: string, object: JsonObject])[] = [
  [
    "nested without end",
    { metadata: { name: "p", labels: {} }, spec: { containers: [], deep: nested(50_000) } },
  ],
  ["of wrong types", { metadata: { name: 7, labels: "x" }, spec: { containers: "x", deep: 1 } }],
  ["with nulls", { metadata: null, spec: null }],
  ["of nothing", {}],
];

describe("no resource makes a rule throw", () => {
  const pairs = rules.flatMap(([rule, document]) =>
    objects.map(([name, object]) => ({ rule, document, name, object })),
  );
  test.each(pairs)("$rule on a resource $name", ({ document, object }) => {
    const results = run(document, { apiVersion: "v1", kind: "Pod", ...object });
    for (const { message } of results) expect(message.length).toBeLessThan(20_000);
  });
});

test("what is nested too deeply to walk is an error, not a pass", () => {
  const [, object] = objects[0] ?? ["", {}];
  const [, rule] = rules.find(([name]) => name === "a strategic merge") ?? ["", {}];
  const [result] = run(rule, { apiVersion: "v1", kind: "Pod", ...object });
  expect(result?.result).toBe("error");
  expect(result?.message).toMatch(/nested too deeply/);
});

test("variables that make variables without end are an error with their place", () => {
  const bomb: JsonObject = {
    metadata: { name: "p", annotations: { a: "x {{ request.object.metadata.annotations.a }}" } },
  };
  const rule: JsonObject = {
    validate: { message: "m", deny: deny("> {{ request.object.metadata.annotations.a }}", "x") },
  };
  const [result] = run(rule, { apiVersion: "v1", kind: "Pod", ...bomb });
  expect(result?.result).toBe("error");
  expect(result?.message).toMatch(/still not resolved after 64 rounds/);
});
