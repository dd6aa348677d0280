// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { parseJson, type Json, type JsonObject } from "#policy/json";
import { makeScope, type Scope } from "#policy/kyverno/classic/scope";
import { compileTemplate, type TemplateOptions } from "#policy/kyverno/classic/variables";
import type { Review } from "#policy/review";
import { emptyWorld } from "#policy/world";
import { workedMs } from "#test/support/cpu-time";

const object: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", labels: { app: "front", "a.b/c": "odd" } },
  spec: { replicas: 3, ratio: 1.5, images: ["a", "b"], empty: "", nothing: null, on: true },
};

const review: Review = {
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subResource: "",
  name: "web",
  namespace: "shop",
  object,
  oldObject: null,
  userInfo: null,
  dryRun: false,
  options: null,
};

function scopeOf(change: Partial<Review> = {}, variables: JsonObject = {}): Scope {
  const scope = makeScope({ ...review, ...change }, emptyWorld(0), { policy: "p", rule: "r" });
  return scope.withVariables(variables);
}

/** The document with its variables, or `! text` for a failure. */
function substitute(document: Json, scope = scopeOf(), options: TemplateOptions = {}): Json {
  const result = compileTemplate(document, options).substitute(scope);
  return result.ok ? result.value : `! ${result.failure.message}`;
}

describe("variables", () => {
  test.each<{ reason: string; document: Json; want: Json }>([
    {
      reason: "a value that is one variable keeps its type",
      document: "{{ request.object.spec.replicas }}",
      want: 3,
    },
    { reason: "a list too", document: "{{request.object.spec.images}}", want: ["a", "b"] },
    { reason: "and null", document: "{{ request.object.spec.nothing }}", want: null },
    {
      reason: "inside a text other types are JSON",
      document: "x {{ request.object.spec.images }} {{ request.object.spec.on }}",
      want: 'x ["a","b"] true',
    },
    {
      reason: "null inside a text is JSON as well",
      document: "x={{ request.object.spec.nothing }}",
      want: "x=null",
    },
    {
      reason: "objects are JSON with sorted keys",
      document: "l: {{ request.object.metadata.labels }}",
      want: 'l: {"a.b/c":"odd","app":"front"}',
    },
    {
      reason: "spaces around one variable make it a text",
      document: " {{ request.object.spec.replicas }}",
      want: " 3",
    },
    { reason: "in keys", document: { "{{ request.object.metadata.name }}": 1 }, want: { web: 1 } },
    {
      reason: "a key that becomes null stays",
      document: { "{{ request.object.spec.nothing }}": 1 },
      want: { "{{ request.object.spec.nothing }}": 1 },
    },
    {
      reason: "a key must become a text",
      document: { "{{ request.object.spec.replicas }}": 1 },
      want: '! expected string after substituting variables in key "{{ request.object.spec.replicas }}"',
    },
    {
      reason: "deep inside",
      document: [{ a: ["{{ request.operation }}"] }],
      want: [{ a: ["CREATE"] }],
    },
    {
      reason: "a backslash keeps one, and goes",
      document: "\\{{ request.operation }}",
      want: "{{ request.operation }}",
    },
    {
      reason: "also beside one that is replaced",
      document: "{{ request.operation }} \\{{ x }}",
      want: "CREATE {{ x }}",
    },
    {
      reason: "a backslash goes wherever two braces open, closed or not",
      document: "{{ request.operation }} \\{{ x",
      want: "CREATE {{ x",
    },
    {
      reason: "even where nothing else is to be done",
      document: "\\{{ x",
      want: "{{ x",
    },
    {
      reason: "of several variables the last says whether what came in is looked at",
      document: "{{- request.operation }} {{ {{ 'request' }}.operation }}",
      want: "CREATE CREATE",
    },
    {
      reason: "escaped references lose their backslash each",
      document: "\\$(./a)-\\$(./b)",
      want: "$(./a)-$(./b)",
    },
    {
      reason: "an inner variable is replaced first",
      document: "{{ request.object.metadata.labels.{{ request.object.spec.empty || 'app' }} }}",
      want: "front",
    },
    {
      reason: "side by side",
      document: "{{ request.operation }}{{ request.object.metadata.name }}",
      want: "CREATEweb",
    },
    {
      reason: "what is left alone keeps its type: a reference quirk",
      document: "{{ request.object.spec.empty }}{{ request.object.spec.replicas }}",
      want: 3,
    },
    {
      reason: "braces of JMESPath inside",
      document: "{{ {a: request.operation} }}",
      want: { a: "CREATE" },
    },
    {
      reason: "quoted keys",
      document: '{{ request.object.metadata.labels."a.b/c" }}',
      want: "odd",
    },
    { reason: "no variable at all", document: "{ {x} } }} {{", want: "{ {x} } }} {{" },
    { reason: "a variable over two lines", document: "{{\n request.operation\n}}", want: "CREATE" },
  ])("$reason", ({ document, want }) => {
    expect(substitute(document)).toEqual(want);
  });

  test.each([
    {
      reason: "an unknown key names the variable and its place",
      document: { a: ["{{ request.object.spec.none }}"] },
      want: '! failed to resolve request.object.spec.none at path /a/0: JMESPath query failed: Unknown key "none" in path',
    },
    {
      reason: "slashes of keys are escaped in a path",
      document: { "a/b": "{{ none }}" },
      want: '! failed to resolve none at path /a\\/b: JMESPath query failed: Unknown key "none" in path',
    },
    {
      reason: "bad syntax",
      document: "{{ a..b }}",
      want: "! failed to resolve a..b at path : incorrect query a..b: SyntaxError: Expected identifier, lbracket, or lbrace",
    },
    {
      reason: "nothing inside",
      document: "{{ }}",
      want: "! failed to resolve  at path : invalid query (nil)",
    },
    {
      reason: "a function that fails",
      document: "{{ length(request.object.spec.replicas) }}",
      want: '! failed to resolve length(request.object.spec.replicas) at path : JMESPath query failed: Invalid type for: 3, expected: []jmespath.JpType{"string", "array", "object"}',
    },
    {
      reason: "no user is known",
      document: "{{ serviceAccountName }}",
      want: '! failed to resolve serviceAccountName at path : JMESPath query failed: Unknown key "serviceAccountName" in path',
    },
  ])("says why not: $reason", ({ document, want }) => {
    expect(substitute(document)).toBe(want);
  });

  test("a document without variables is handed on as it is", () => {
    const document = { a: ["b"], c: { d: null } };
    const template = compileTemplate(document);
    expect(template.constant).toBe(document);
    expect(substitute(document)).toBe(document);
  });

  test("values that hold variables are substituted too, unless the variable is shallow", () => {
    const scope = scopeOf({}, { inner: "{{ request.operation }}", text: "see {{ inner }}" });
    expect(substitute("> {{ text }}", scope)).toBe("> see CREATE");
    expect(substitute("> {{- text }}", scope)).toBe("> see {{ inner }}");
    expect(substitute("{{- text }}", scope)).toBe("see {{ inner }}");
    expect(substitute("{{ text }}", scope)).toBe("see {{ inner }}");
    // Its backslashes stay too.
    const escaped = scopeOf({}, { text: "see \\{{ inner }}" });
    expect(substitute("> {{- text }}", escaped)).toBe("> see \\{{ inner }}");
    expect(substitute("> {{ text }}", escaped)).toBe("> see {{ inner }}");
  });

  test("on DELETE request.object means request.oldObject", () => {
    const scope = scopeOf({ operation: "DELETE", object: null, oldObject: object });
    expect(substitute("{{ request.object.metadata.name }}", scope)).toBe("web");
    expect(substitute("{{ request.object.none }}", scope)).toBe(
      '! failed to resolve request.oldObject.none at path : JMESPath query failed: Unknown key "none" in path',
    );
  });

  test.each<{ reason: string; path: string; document: Json; want: Json }>([
    {
      reason: "the same place in the object",
      path: "/mutate/patchStrategicMerge",
      document: { metadata: { name: "x-{{@}}" } },
      want: { metadata: { name: "x-web" } },
    },
    {
      reason: "past a foreach",
      path: "/mutate/foreach/0/patchStrategicMerge",
      document: { metadata: { labels: { app: "{{ @ }}" } } },
      want: { metadata: { labels: { app: "front" } } },
    },
    {
      reason: "list items by index",
      path: "/mutate/patchStrategicMerge",
      document: { spec: { images: ["x", "{{@}}"] } },
      want: { spec: { images: ["x", "b"] } },
    },
    {
      reason: "keys that need quotes",
      path: "/mutate/patchStrategicMerge",
      document: { metadata: { labels: { "a.b/c": "{{@}}" } } },
      want: { metadata: { labels: { "a.b/c": "odd" } } },
    },
    {
      reason: "inside a function",
      path: "/mutate/patchStrategicMerge",
      document: { metadata: { name: "{{ to_upper('{{@}}') }}" } },
      want: { metadata: { name: "WEB" } },
    },
  ])("{{@}}: $reason", ({ path, document, want }) => {
    expect(substitute(document, scopeOf(), { path })).toEqual(want);
  });

  test("{{@}} of a rule with targets is a place in the target", () => {
    const scope = scopeOf({}, { target: { metadata: { name: "other" } } });
    const document = { metadata: { name: "{{@}}" } };
    const path = "/mutate/patchStrategicMerge";
    expect(substitute(document, scope, { path })).toEqual({ metadata: { name: "other" } });
  });
});

describe("references", () => {
  test.each<{ reason: string; document: Json; want: Json }>([
    {
      reason: "relative to the place of the text",
      document: { a: "x", b: "$(./../a)" },
      want: { a: "x", b: "x" },
    },
    {
      reason: "absolute",
      document: { a: { b: "x" }, c: "$(/a/b)" },
      want: { a: { b: "x" }, c: "x" },
    },
    {
      reason: "with an operator",
      document: { limit: "2Gi", request: "$(<=./../limit)" },
      want: { limit: "2Gi", request: "<=2Gi" },
    },
    {
      reason: "numbers with an operator as %f",
      document: { limit: 5, request: "$(<./../limit)" },
      want: { limit: 5, request: "<5.000000" },
    },
    {
      reason: "anchors do not count in paths",
      document: { "=(spec)": { "(a)": "x" }, b: "$(/spec/a)" },
      want: { "=(spec)": { "(a)": "x" }, b: "x" },
    },
    { reason: "inside a text", document: { a: "x", b: "is $(/a)!" }, want: { a: "x", b: "is x!" } },
    {
      reason: "list items by index",
      document: { a: ["x", "y"], b: "$(/a/1)" },
      want: { a: ["x", "y"], b: "y" },
    },
    {
      reason: "a backslash keeps it, and goes",
      document: { a: "x", b: "\\$(/a)" },
      want: { a: "x", b: "$(/a)" },
    },
    {
      reason: "a value with a variable, which is substituted after",
      document: { a: "{{ request.operation }}", b: "$(/a)" },
      want: { a: "CREATE", b: "CREATE" },
    },
    {
      reason: "to nothing",
      document: { b: "$(/none)" },
      want: "! got nil resolved variable $(/none) at path /b: <nil>",
    },
    { reason: "to itself", document: { b: "$(.)" }, want: { b: "$(.)" } },
    {
      reason: "to what is no text",
      document: { a: 1, b: "$(/a)" },
      want: "! NotResolvedReferenceErr,reference $(/a) not resolved at path /b",
    },
  ])("$reason", ({ document, want }) => {
    expect(substitute(document)).toEqual(want);
  });
});

describe("hostile input", () => {
  test.each<{ reason: string; variables: JsonObject; text: string; want: RegExp }>([
    {
      reason: "a variable that is itself",
      variables: { bomb: "a {{ bomb }}" },
      text: "{{ bomb }} b",
      want: /still not resolved after 64 rounds/,
    },
    {
      reason: "one that doubles",
      variables: { bomb: "{{ bomb }} {{ bomb }}" },
      text: "> {{ bomb }}",
      want: /more than 200 variables/,
    },
    {
      reason: "a long one many times",
      variables: { long: "x".repeat(50_000) },
      text: "{{ long }} ".repeat(100),
      want: /more than 2097152 characters/,
    },
    {
      reason: "a long one that grows",
      variables: { bomb: `${"x".repeat(100_000)}{{ bomb }} {{ bomb }}` },
      text: "> {{ bomb }}",
      want: /more than/,
    },
  ])("$reason ends with a clear error", ({ variables, text, want }) => {
    const started = workedMs();
    expect(substitute(text, scopeOf({}, variables))).toMatch(want);
    expect(workedMs() - started).toBeLessThan(2_000);
  });

  test("braces without end take linear time", () => {
    const started = workedMs();
    for (const text of ["{", "{{", "{{{", "{{a", "{{ {a} ", "\\{{", "$(", "$(a ", "x$("]) {
      substitute(text.repeat(Math.floor(20_000 / text.length)));
    }
    expect(workedMs() - started).toBeLessThan(3_000);
  });

  test("values nested without end are an error", () => {
    let deep: Json = "x";
    for (let level = 0; level < 50_000; level += 1) deep = [deep];
    const scope = scopeOf({}, { deep });
    expect(substitute("x {{ deep }}", scope)).toBe("! a value is nested too deeply");
    expect(substitute("{{ to_string(deep) }}", scope)).toMatch(/a value is nested too deeply$/);
    expect(substitute("{{ deep == deep }}", scope)).toBe(true);
    expect(substitute("{{ deep }}", scope)).toBe(deep);
  });

  test("names of inherited properties are data like any other", () => {
    const document = parseJson('{"__proto__": "{{ request.operation }}", "constructor": 1}');
    const result = substitute(document);
    expect(JSON.stringify(result)).toBe('{"__proto__":"CREATE","constructor":1}');
    expect(substitute("{{ constructor }}")).toMatch(/Unknown key "constructor"/);
  });

  test("no document and no scope makes it throw", () => {
    const random = makeRandom(7);
    const pieces = [
      "{{",
      "}}",
      "{",
      "}",
      "\\",
      "$(",
      ")",
      "./../a",
      "/a",
      "@",
      "-",
      " ",
      "a",
      "request.object",
      ".spec",
      "'x'",
      "||",
      "[0]",
    ];
    const text = (): string =>
      Array.from(
        { length: 1 + Math.floor(random() * 10) },
        () => pieces[Math.floor(random() * pieces.length)] ?? "",
      ).join("");
    const scopes = [
      scopeOf(),
      scopeOf({}, { a: "{{ a }}" }),
      scopeOf({ object: null, operation: "DELETE" }),
    ];
    for (let round = 0; round < 5_000; round += 1) {
      const document: Json = { a: text(), [text()]: [text(), { b: text() }] };
      const template = compileTemplate(document, { path: "/mutate/x" });
      for (const scope of scopes) template.substitute(scope);
    }
  });
});

function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
