// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { generate, pod } from "#policy/kyverno/classic/testing";
import type { RunOptions } from "#policy/kyverno/classic/testing";
import type { Answer, ListQuery, ObjectQuery } from "#policy/world";

const rule = (block: JsonObject): JsonObject => ({
  name: "r",
  match: { any: [{ resources: { kinds: ["Pod"] } }] },
  generate: block,
});

const target = { apiVersion: "v1", kind: "ConfigMap", name: "made", namespace: "default" };

const source = (name: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name,
    namespace: "ops",
    labels,
    uid: "1",
    resourceVersion: "2",
    ownerReferences: [],
    creationTimestamp: "x",
  },
  data: { a: "b" },
  status: {},
});

const knows = {
  get: ({ resource, namespace, name }: ObjectQuery): Answer =>
    resource === "secrets" && namespace === "ops" && name === "key"
      ? { kind: "found", value: source("key") }
      : { kind: "absent" },
  list: ({ resource, namespace }: ListQuery): Answer => ({
    kind: "found",
    value: {
      items:
        resource === "secrets" && namespace === "ops"
          ? [source("key"), source("other", { copy: "yes" })]
          : [],
    },
  }),
};

const copy = (name: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "default", labels },
  data: { a: "b" },
});

const clone = {
  apiVersion: "v1",
  kind: "Secret",
  name: "made",
  namespace: "default",
  clone: { namespace: "ops", name: "key" },
};

const cloneList = { namespace: "ops", kinds: ["v1/Secret"] };

describe("what is generated", () => {
  const rows: readonly {
    readonly reason: string;
    readonly block: JsonObject;
    readonly spec?: JsonObject;
    readonly want: readonly JsonObject[];
    readonly message: string;
  }[] = [
    {
      reason: "data, with variables",
      block: { ...target, data: { data: { of: "{{request.object.metadata.name}}" } } },
      want: [
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "made", namespace: "default" },
          data: { of: "pod" },
        },
      ],
      message: "generated ConfigMap/made in namespace default",
    },
    {
      reason: "the rule's name and namespace count before those of data",
      block: {
        ...target,
        data: { metadata: { name: "x", namespace: "y", labels: { a: "b" } } },
      },
      want: [
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "made", namespace: "default", labels: { a: "b" } },
        },
      ],
      message: "generated ConfigMap/made in namespace default",
    },
    {
      reason: "a clone, without what the server gave its source",
      block: clone,
      want: [copy("made")],
      message: "generated Secret/made in namespace default",
    },
    {
      reason: "clones of a list keep their names",
      block: { namespace: "default", cloneList },
      want: [copy("key"), copy("other", { copy: "yes" })],
      message: "generated Secret/key in namespace default, Secret/other in namespace default",
    },
    {
      reason: "clones of a list by label",
      block: {
        namespace: "default",
        cloneList: { ...cloneList, selector: { matchLabels: { copy: "yes" } } },
      },
      want: [copy("other", { copy: "yes" })],
      message: "generated Secret/other in namespace default",
    },
    {
      reason: "one per element, but for those that preconditions leave out",
      block: {
        foreach: [
          {
            list: "request.object.spec.l",
            preconditions: { all: [{ key: "{{element}}", operator: "NotEquals", value: "b" }] },
            apiVersion: "v1",
            kind: "Namespace",
            name: "{{element}}-{{elementIndex}}",
            data: {},
          },
        ],
      },
      spec: { l: ["a", "b", "c"] },
      want: ["a-0", "c-2"].map((name) => ({
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name },
      })),
      message: "generated Namespace/a-0, Namespace/c-2",
    },
  ];
  test.each(rows)("$reason", ({ block, spec, want, message }) => {
    const { resources, results } = generate([rule(block)], pod(spec), { knows });
    expect(resources).toEqual(want);
    expect(results).toMatchObject([{ result: "pass", message, type: "Generation" }]);
  });
});

describe("what is not", () => {
  const none = { namespace: "default", cloneList: { namespace: "dev", kinds: ["v1/Secret"] } };
  const rows: readonly {
    readonly reason: string;
    readonly block: JsonObject;
    readonly options?: RunOptions;
    readonly want: string;
  }[] = [
    {
      reason: "a list without items: nothing to generate",
      block: none,
      options: { knows },
      want: "skip: nothing to generate",
    },
    {
      reason: "a source that is not there: error",
      block: { ...clone, clone: { namespace: "ops", name: "x" } },
      options: { knows },
      want: "error: source resource Secret ops/x not found",
    },
    {
      reason: "a source that cannot be known: another error",
      block: clone,
      want: "error: failed to get Secret ops/key: nothing outside the object is known here",
    },
    {
      reason: "a variable that cannot be resolved",
      block: { ...target, name: "{{request.object.spec.x}}", data: {} },
      want: 'error: variable substitution failed: failed to resolve request.object.spec.x at path /generate/name: JMESPath query failed: Unknown key "x" in path',
    },
    {
      reason: "too many elements",
      block: { foreach: [{ list: "request.object.spec.many", ...target, data: {} }] },
      want: "error: the foreach loops of this rule would visit more than 20000 elements, or fewer in a larger object",
    },
  ];
  test.each(rows)("$reason", ({ block, options, want }) => {
    const many = Array.from({ length: 20_001 }, () => 1);
    const { resources, results } = generate([rule(block)], pod({ many }), options);
    expect(resources).toEqual([]);
    expect(results.map(({ result, message }) => `${result}: ${message}`)).toEqual([want]);
  });

  test("what would need the cluster is named as unsupported", () => {
    const [result] = generate([rule(clone)], pod()).results;
    expect(result?.unsupported).toContain("Secret ops/key");
  });
});
