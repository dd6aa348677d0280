// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import { generate } from "#policy/evaluate";
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { scanPlaceholders } from "#policy/kyverno/cel/template-scanner";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

const bucket: JsonObject = {
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "Bucket",
  metadata: { name: "data", namespace: "team" },
  spec: { forProvider: { region: "eu-west-1" } },
};
const policy = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "GeneratingPolicy",
  metadata: { name: "companion", ...metadata },
  spec: {
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: ["s3.aws.m.upbound.io"],
          apiVersions: ["v1beta1"],
          resources: ["buckets"],
          operations: ["CREATE"],
        },
      ],
    },
    ...spec,
  },
});
const run = (document: JsonObject, world: World = emptyWorld(0)) => {
  const { set, problems } = compile([document]);
  expect(problems).toEqual([]);
  const { resources, results } = generate(set, reviewOf(bucket), world);
  return {
    resources,
    results: results.map(({ rule, result, message }) => [rule, result, message]),
  };
};
const block = {
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "BucketPublicAccessBlock",
  metadata: { name: "data-block", namespace: "team" },
  spec: { forProvider: { blockPublicAcls: true, region: "eu-west-1" } },
};

describe("GeneratingPolicy", () => {
  test("by expression: literals may mix types, variables help", () => {
    const { resources, results } = run(
      policy({
        variables: [{ name: "region", expression: "object.spec.forProvider.region" }],
        generate: [
          {
            expression: `generator.Apply(object.metadata.namespace, [{
              "apiVersion": "s3.aws.m.upbound.io/v1beta1",
              "kind": "BucketPublicAccessBlock",
              "metadata": {"name": object.metadata.name + "-block"},
              "spec": {"forProvider": {"blockPublicAcls": true, "region": variables.region}},
            }])`,
          },
        ],
      }),
    );
    expect(resources).toEqual([block]);
    expect(results).toEqual([["companion", "pass", "policy evaluated successfully"]]);
  });

  test("by template: whole values of any type, text with values in it, several documents", () => {
    const value = [
      "apiVersion: s3.aws.m.upbound.io/v1beta1",
      "kind: BucketPublicAccessBlock",
      "metadata:",
      "  name: (( object.metadata.name ))-block",
      "  namespace: (( object.metadata.namespace ))",
      "spec:",
      "  forProvider: >-",
      '    (( {"blockPublicAcls": true, "region": object.spec.forProvider.region} ))',
      "---",
      "kind: Other",
      "metadata: {name: plain}",
      "text: a \\(( literal",
    ].join("\n");
    const { resources } = run(policy({ generate: [{ template: { interpolate: "cel", value } }] }));
    expect(resources).toEqual([
      block,
      { kind: "Other", metadata: { name: "plain" }, text: "a (( literal" },
    ]);
  });

  test("a template without interpolation is what it says", () => {
    const value = "kind: X\nmetadata: {name: x}\ntext: (( object.metadata.name ))";
    const { resources } = run(policy({ generate: [{ template: { value } }] }));
    expect(resources).toEqual([
      { kind: "X", metadata: { name: "x" }, text: "(( object.metadata.name ))" },
    ]);
  });

  test("a structure inside text is an error, with the place", () => {
    const value = "kind: X\nmetadata:\n  name: a-(( object.spec ))";
    const { resources, results } = run(
      policy({ generate: [{ template: { interpolate: "cel", value } }] }),
    );
    expect(resources).toEqual([]);
    expect(results[0]?.[2]).toContain(
      'document 1: field "metadata": field "name": placeholder "object.spec"',
    );
  });

  test("an error generates nothing, not half of it", () => {
    const { resources, results } = run(
      policy({
        generate: [
          { expression: `generator.Apply("a", [{"kind": "X", "metadata": {"name": "x"}}])` },
          { expression: `generator.Apply(object.spec.nothing, [{"kind": "Y"}])` },
        ],
      }),
    );
    expect(resources).toEqual([]);
    expect(results).toEqual([
      ["companion", "error", "failed to evaluate policy: no such key: nothing"],
    ]);
  });

  test("lists are unpacked; a copy goes where it is sent and loses its version", () => {
    const world: World = {
      ...emptyWorld(0),
      get: () => ({
        kind: "found",
        value: { kind: "Secret", metadata: { name: "s", namespace: "from", resourceVersion: "7" } },
      }),
    };
    const expression = `generator.Apply("to", [{"kind": "List", "items": [resource.Get("v1", "secrets", "from", "s")]}])`;
    expect(run(policy({ generate: [{ expression }] }), world).resources).toEqual([
      { kind: "Secret", metadata: { name: "s", namespace: "to" } },
    ]);
  });

  test("a false condition gives no result at all", () => {
    const spec = {
      matchConditions: [{ name: "c", expression: "false" }],
      generate: [{ expression: `generator.Apply("a", [])` }],
    };
    expect(run(policy(spec))).toEqual({ resources: [], results: [] });
  });

  test("a namespaced policy generates into its own namespace", () => {
    const document = {
      ...policy(
        {
          generate: [{ expression: `generator.Apply([{"kind": "X", "metadata": {"name": "x"}}])` }],
        },
        { namespace: "team" },
      ),
      kind: "NamespacedGeneratingPolicy",
    };
    expect(run(document).resources).toEqual([
      { kind: "X", metadata: { name: "x", namespace: "team" } },
    ]);
  });

  test("what is wrong with a template is named when it is compiled", () => {
    const message = (value: string): string => {
      const template = { interpolate: "cel", value };
      return compile([policy({ generate: [{ template }] })]).problems[0]?.message ?? "";
    };
    expect(message("a: [")).toContain("is no YAML");
    expect(message("")).toContain("at least one YAML document");
    expect(message("(( object.x )): 1")).toContain("mapping keys");
    expect(message("a: (( nobody ))")).toContain("undeclared reference");
    expect(message("a: (( object.x")).toContain("missing closing");
  });
});

describe("placeholders", () => {
  const texts = (text: string) => {
    const scanned = scanPlaceholders(text);
    return scanned.ok ? scanned.segments.map((part) => `${part.is}:${part.text}`) : scanned.message;
  };
  const rows = {
    "(( a ))": [["expression:a"], "a whole value"],
    "x-(( a ))-(( b ))": [
      ["text:x-", "expression:a", "text:-", "expression:b"],
      "several in one text",
    ],
    "(( f(g(x)) ))": [["expression:f(g(x))"], "parentheses nest"],
    '(( "))".size() ))': [['expression:"))".size()'], "strings are not looked into"],
    "\\((a))": [["text:((a))"], "escaped"],
    "(( ))": ["empty placeholder at offset 0", "nothing to evaluate"],
    "(( a": ["unterminated placeholder starting at offset 0: missing closing '))'", "no end"],
    "(( 'a ))": [
      "unterminated string literal in placeholder starting at offset 0",
      "a quote too few",
    ],
  };
  for (const [text, [want, reason]] of Object.entries(rows)) {
    test(`${text}: ${String(reason)}`, () => expect(texts(text)).toEqual(want));
  }
});
