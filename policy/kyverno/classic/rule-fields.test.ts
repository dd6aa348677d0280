// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import { isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

const selector = { matchLabels: { a: "b" }, matchExpressions: [{ key: "a", operator: "Exists" }] };
const resources = {
  kinds: ["Pod"],
  names: ["a*"],
  namespaces: ["b"],
  operations: ["CREATE"],
  annotations: { a: "b" },
  selector,
  namespaceSelector: selector,
};
const context = [
  { name: "a", variable: { value: 1, jmesPath: "@", default: 2 } },
  { name: "b", configMap: { name: "c", namespace: "d" } },
  { name: "e", apiCall: { urlPath: "/api/v1/pods", method: "GET", jmesPath: "@" } },
];
const match = {
  any: [{ resources, subjects: [{ kind: "User", name: "u" }], roles: ["r"], clusterRoles: ["c"] }],
};
const conditions = { all: [{ key: "a", operator: "Equals", value: "a" }] };

/** Rules that together have most fields. */
const rules: readonly JsonObject[] = [
  {
    name: "deny",
    match,
    exclude: { all: [{ resources }] },
    context,
    preconditions: conditions,
    validate: { message: "m", failureAction: "Audit", deny: { conditions } },
  },
  {
    name: "loop",
    match,
    validate: {
      foreach: [{ list: "a", context, preconditions: conditions, deny: { conditions } }],
    },
  },
  {
    name: "cel",
    match,
    validate: {
      cel: {
        variables: [{ name: "v", expression: "1" }],
        expressions: [{ expression: "variables.v == 1", message: "m" }],
      },
    },
  },
  {
    name: "security",
    match,
    validate: {
      podSecurity: {
        level: "baseline",
        version: "latest",
        exclude: [{ controlName: "Capabilities", images: ["*"] }],
      },
    },
  },
  {
    name: "existing",
    match,
    mutate: {
      targets: [{ apiVersion: "v1", kind: "Secret", name: "a", namespace: "b", selector }],
      patchStrategicMerge: { a: 1 },
    },
  },
  {
    name: "clone",
    match,
    generate: {
      apiVersion: "v1",
      kind: "Secret",
      name: "a",
      namespace: "b",
      synchronize: true,
      clone: { name: "a", namespace: "c" },
    },
  },
];

/** What may hold any key. */
const free = ["matchLabels", "annotations", "patchStrategicMerge", "preconditions", "conditions"];

/** Every copy of the value in which one key has one letter more, with the path of that key. */
function misspelt(value: Json, path: string): readonly (readonly [path: string, copy: Json])[] {
  if (isArray(value)) {
    return value.flatMap((item, index) =>
      misspelt(item, `${path}[${index}]`).map(
        ([at, copy]) => [at, value.with(index, copy)] as const,
      ),
    );
  }
  if (!isObject(value)) return [];
  return Object.keys(value).flatMap((key) => {
    const { [key]: item = null, ...others } = value;
    const below = path === "" ? key : `${path}.${key}`;
    const inside = free.includes(key) ? [] : misspelt(item, below);
    return [
      [`${below}x`, { ...others, [`${key}x`]: item }] as const,
      ...inside.map(([at, copy]) => [at, { ...value, [key]: copy }] as const),
    ];
  });
}

const policyOf = (rule: Json): JsonObject => ({
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "p" },
  spec: { background: false, rules: [rule] },
});

describe("the fields of a rule", () => {
  it.each(rules.map((rule) => [textAt(rule, ["name"]), rule] as const))(
    "are known: %s compiles as it is",
    (_name, rule) => {
      expect(compile([policyOf(rule)]).problems).toEqual([]);
    },
  );

  it.each(rules.map((rule) => [textAt(rule, ["name"]), rule] as const))(
    "are known: any of %s that is misspelt is named, with those that are meant",
    (_name, rule) => {
      const copies = misspelt(rule, "");
      expect(copies.length).toBeGreaterThan(20);
      for (const [path, copy] of copies) {
        const found = compile([policyOf(copy)]).problems.find(
          (problem) => problem.path === `spec.rules[0].${path}`,
        );
        expect(found?.message ?? path).toMatch(/^unknown field; known here are /);
      }
    },
  );

  it("are known in exceptions too", () => {
    const exception = (spec: JsonObject): JsonObject => ({
      apiVersion: "kyverno.io/v2",
      kind: "PolicyException",
      metadata: { name: "e", namespace: "n" },
      spec: {
        exceptions: [{ policyName: "p", ruleNames: ["r"] }],
        match: { any: [{ resources: { kinds: ["Pod"] } }] },
        ...spec,
      },
    });
    expect(compile([exception({})]).problems).toEqual([]);
    const wrong = exception({
      match: { any: [{ resources: { kinds: ["Pod"], name: "a", ns: 1 } }] },
    });
    expect(compile([wrong]).problems.map(({ path }) => path)).toEqual([
      "spec.match.any[0].resources.ns",
    ]);
  });
});
