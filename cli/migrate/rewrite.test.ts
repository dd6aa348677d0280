// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { at } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { emptyWorld } from "#policy/world";
import { proveRewrite } from "./prove.ts";
import { rewritePolicy } from "./rewrite.ts";

const world = emptyWorld(1_750_000_000_000);

const policyOf = (rule: JsonObject, spec: JsonObject = {}): JsonObject => ({
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "p" },
  spec: {
    ...spec,
    rules: [{ name: "r", match: { any: [{ resources: { kinds: ["Service"] } }] }, ...rule }],
  },
});

const patternPolicy = (spec: Json): JsonObject =>
  policyOf({ validate: { message: "m", pattern: { spec } } });

const rewriteOf = (policy: JsonObject) => {
  const [rewrite] = rewritePolicy(policy);
  if (rewrite === undefined) throw new Error("no rule");
  return rewrite;
};

const expressionOf = (policy: JsonObject): Json | undefined => {
  const rewrite = rewriteOf(policy);
  if (!rewrite.ok) throw new Error(`${rewrite.path}: ${rewrite.reason}`);
  return at(rewrite.documents[0], ["spec", "validations", 0, "expression"]);
};

const patterns: readonly (readonly [reason: string, spec: Json, want: string])[] = [
  [
    "a text is compared",
    { type: "ClusterIP" },
    'has(object.spec.type) && object.spec.type == "ClusterIP"',
  ],
  ["a truth as text", { a: "true" }, 'has(object.spec.a) && string(object.spec.a) == "true"'],
  ["a truth", { a: false }, "has(object.spec.a) && object.spec.a == false"],
  ["a star asks for presence", { a: "*" }, "has(object.spec.a)"],
  [
    "and with a question mark for a text",
    { a: "?*" },
    'has(object.spec.a) && string(object.spec.a) != ""',
  ],
  ["a beginning", { a: "x/*" }, 'has(object.spec.a) && string(object.spec.a).startsWith("x/")'],
  [
    "an end, denied",
    { a: "!*.io" },
    'has(object.spec.a) && !string(object.spec.a).endsWith(".io")',
  ],
  [
    "alternatives",
    { a: "x | y" },
    'has(object.spec.a) && (object.spec.a == "x" || object.spec.a == "y")',
  ],
  [
    "both",
    { a: "!x & !y" },
    'has(object.spec.a) && !(object.spec.a == "x") && !(object.spec.a == "y")',
  ],
  [
    "amounts compare as quantities",
    { a: ">10" },
    'has(object.spec.a) && ((isQuantity(string(object.spec.a)) && quantity(string(object.spec.a)).compareTo(quantity("10")) > 0) || object.spec.a == ">10")',
  ],
  [
    "what is absent counts as 0 among amounts",
    { a: "<10" },
    '!has(object.spec.a) || (isQuantity(string(object.spec.a)) && quantity(string(object.spec.a)).compareTo(quantity("10")) < 0) || object.spec.a == "<10"',
  ],
  [
    "an equality anchor lets the absent pass",
    { "=(a)": "x" },
    '!has(object.spec.a) || object.spec.a == "x"',
  ],
  ["a negation anchor asks for absence", { "X(a)": "null" }, "!has(object.spec.a)"],
  [
    "a condition that stands alone lets through what does not meet it",
    { "(type)": "ExternalName", a: "!localhost" },
    '!(has(object.spec.type) && object.spec.type == "ExternalName") || (has(object.spec.a) && !(object.spec.a == "localhost"))',
  ],
  [
    "and so in the items of a list",
    { ports: [{ "(name)": "web", port: 80 }] },
    'has(object.spec.ports) && object.spec.ports.all(port, !(has(port.name) && port.name == "web") || (has(port.port) && (port.port == 80 || port.port == "80")))',
  ],
  [
    "a list is asked item by item",
    { ports: [{ name: "web" }] },
    'has(object.spec.ports) && object.spec.ports.all(port, has(port.name) && port.name == "web")',
  ],
];

test("a limit of memory is proven, its own text included", () => {
  const limit = { containers: [{ resources: { limits: { memory: "<=1Gi" } } }] };
  const policy = policyOf({
    match: { any: [{ resources: { kinds: ["Pod"] } }] },
    validate: { message: "m", pattern: { spec: limit } },
  });
  const rewrite = rewriteOf(policy);
  if (!rewrite.ok) throw new Error(rewrite.reason);
  expect(proveRewrite(policy, "r", rewrite.documents, [], world)).toMatchObject({ ok: true });
});

describe("patterns", () => {
  test.each(patterns)("%s", (_reason, spec, want) => {
    const term = / \|\| (?![^(]*\))/.test(want) && !want.startsWith("has") ? `(${want})` : want;
    expect(expressionOf(patternPolicy(spec))).toBe(`has(object.spec) && ${term}`);
  });

  test.each(patterns)("%s: proven against the rule itself", (_reason, spec) => {
    const policy = patternPolicy(spec);
    const rewrite = rewriteOf(policy);
    const proof = rewrite.ok && proveRewrite(policy, "r", rewrite.documents, [], world);
    expect(proof).toMatchObject({ ok: true });
  });
});

const refused: readonly (readonly [reason: string, rule: JsonObject, want: RegExp])[] = [
  [
    "a conditional anchor depends on order",
    { validate: { pattern: { spec: { "(a)": "x", b: "y" }, status: { c: "z" } } } },
    /pattern\.spec\.\(a\): the anchor/,
  ],
  [
    "a global anchor too",
    { validate: { pattern: { spec: { "<(a)": "x" } } } },
    /skips the whole rule/,
  ],
  [
    "durations compare with texts too",
    { validate: { pattern: { spec: { a: ">10s" } } } },
    /duration/,
  ],
  ["variables are JMESPath", { validate: { pattern: { spec: { a: "{{ x }}" } } } }, /JMESPath/],
  ["foreach", { validate: { foreach: [] } }, /validate\.foreach/],
  ["pod security", { validate: { podSecurity: { level: "baseline" } } }, /validate\.podSecurity/],
  [
    "context",
    { context: [{ name: "a" }], validate: { pattern: { spec: { a: "x" } } } },
    /^context/,
  ],
  [
    "users and roles",
    {
      match: { any: [{ resources: { kinds: ["Pod"] }, clusterRoles: ["x"] }] },
      validate: { pattern: { spec: { a: "x" } } },
    },
    /match\.clusterRoles/,
  ],
  [
    "kinds by wildcard",
    {
      match: { any: [{ resources: { kinds: ["*"] } }] },
      validate: { pattern: { spec: { a: "x" } } },
    },
    /wildcard/,
  ],
  [
    "a JMESPath pipeline",
    {
      validate: {
        deny: {
          conditions: {
            any: [{ key: "{{ request.object.spec.keys(@) }}", operator: "AnyIn", value: ["x"] }],
          },
        },
      },
    },
    /validate\.deny\.conditions\.any\[0\]\.key/,
  ],
  [
    "lists in patches",
    { mutate: { patchStrategicMerge: { spec: { ports: [{ name: "x" }] } } } },
    /lists are merged/,
  ],
  [
    "deletion in patches",
    { mutate: { patchStrategicMerge: { spec: { a: null } } } },
    /null deletes/,
  ],
  ["JSON patches", { mutate: { patchesJson6902: "[]" } }, /patchesJson6902/],
  ["generation", { generate: { kind: "ConfigMap" } }, /only validate and mutate/],
];

describe("refused, with the path and the reason", () => {
  test.each(refused)("%s", (_reason, rule, want) => {
    const rewrite = rewriteOf(policyOf(rule));
    expect(rewrite.ok ? "rewritten" : `${rewrite.path}: ${rewrite.reason}`).toMatch(want);
  });
});

describe("whole rules", () => {
  test("deny conditions on the request become their negation", () => {
    const rule = {
      match: { any: [{ resources: { kinds: ["Service"], operations: ["CREATE", "UPDATE"] } }] },
      validate: {
        message: "no {{ request.object.metadata.name }}",
        deny: {
          conditions: {
            all: [
              { key: "{{ request.operation }}", operator: "AnyIn", value: ["CREATE"] },
              {
                key: "{{ request.object.spec.type || 'ClusterIP' }}",
                operator: "Equals",
                value: "NodePort",
              },
            ],
          },
        },
      },
    };
    const rewrite = rewriteOf(policyOf(rule));
    expect(rewrite.ok && at(rewrite.documents[0], ["spec", "validations", 0])).toEqual({
      expression:
        '!(request.operation in ["CREATE"] && object.?spec.?type.orValue("ClusterIP") == "NodePort")',
      messageExpression: '"no " + string(object.metadata.name)',
    });
  });

  test("an enforced rule lets updates be that were refused before; the rewrite says so too", () => {
    const policy = policyOf(
      { validate: { message: "m", pattern: { spec: { type: "ClusterIP" } } } },
      { validationFailureAction: "Enforce" },
    );
    const rewrite = rewriteOf(policy);
    if (!rewrite.ok) throw new Error(rewrite.reason);
    expect(at(rewrite.documents[0], ["spec", "variables", 0, "expression"])).toBe(
      'request.operation == "UPDATE" && !(has(oldObject.spec) && has(oldObject.spec.type) && oldObject.spec.type == "ClusterIP")',
    );
    expect(proveRewrite(policy, "r", rewrite.documents, [], world)).toMatchObject({ ok: true });
  });

  test("rules for pod controllers are generated by the CEL kind, but for ReplicationControllers", () => {
    const policy = policyOf({
      match: { any: [{ resources: { kinds: ["Pod"] } }] },
      validate: { message: "m", pattern: { spec: { "=(hostNetwork)": "false" } } },
    });
    const rewrite = rewriteOf(policy);
    if (!rewrite.ok) throw new Error(rewrite.reason);
    expect(rewrite.documents.map((one) => at(one, ["metadata", "name"]))).toEqual([
      "p",
      "p-replicationcontrollers",
    ]);
    expect(
      at(rewrite.documents[0], ["spec", "autogen", "podControllers", "controllers"]),
    ).toHaveLength(6);
    expect(proveRewrite(policy, "r", rewrite.documents, [], world)).toMatchObject({ ok: true });
  });

  test("a mutation of maps is an apply configuration, an addition only where nothing is", () => {
    const policy = policyOf({
      mutate: { patchStrategicMerge: { metadata: { labels: { a: "x", "+(b/c)": "y" } } } },
    });
    const rewrite = rewriteOf(policy);
    if (!rewrite.ok) throw new Error(rewrite.reason);
    expect(
      at(rewrite.documents[0], ["spec", "mutations", 0, "applyConfiguration", "expression"]),
    ).toBe('Object{metadata: Object.metadata{labels: {"a": "x"}}}');
    expect(proveRewrite(policy, "r", rewrite.documents, [], world)).toMatchObject({ ok: true });
  });
});

test("a rewrite that is wrong anywhere is found, with the object that shows it", () => {
  const policy = patternPolicy({ type: "ClusterIP | NodePort" });
  const wrong = rewriteOf(patternPolicy({ type: "ClusterIP" }));
  const proof = wrong.ok && proveRewrite(policy, "r", wrong.documents, [], world);
  expect(proof).toMatchObject({ ok: false });
  expect(proof && !proof.ok && proof.reason).toMatch(
    /the rule gives pass and the rewrite fail: .*NodePort/,
  );
});

test("a rewrite that forgets the names a rule matches is found", () => {
  const policy = policyOf({
    match: { any: [{ resources: { kinds: ["Service"], names: ["*-x"] } }] },
    validate: { pattern: { spec: { a: "x" } } },
  });
  const rewrite = rewriteOf(patternPolicy({ a: "x" }));
  const proof = rewrite.ok && proveRewrite(policy, "r", rewrite.documents, [], world);
  expect(proof).toMatchObject({ ok: false });
});
