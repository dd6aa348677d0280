// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { CelValue } from "#policy/cel/values";
import type { JsonObject } from "#policy/json";
import { emptyWorld, type Answer, type CallQuery, type World } from "#policy/world";
import { inShort, makeEvaluate, type Evaluate } from "./evaluate.fixture.ts";
import { kyvernoLibraries } from "./kyverno.ts";
import { WorldValue, worldKey, type Generate } from "./world.ts";

const found = (value: JsonObject): Answer => ({ kind: "found", value });
const absent: Answer = { kind: "absent" };

/** A World that answers with what it was asked, so that the questions are seen. */
const echo: World = {
  ...emptyWorld(Date.UTC(2024, 1, 29, 13, 7, 5)),
  random: () => 0,
  resourceOf: ({ kind }) => (kind === "Pod" ? { resource: "pods", namespaced: true } : undefined),
  get: (query) => (query.name === "gone" ? absent : found({ ...query })),
  list: (query) => (query.resource === "nothing" ? absent : found({ items: [{ ...query }] })),
  call: (query: CallQuery) =>
    query.url === "gone" ? absent : found({ ...query, body: query.body ?? null, statusCode: 200 }),
  globalContext: (name, projection) => (name === "gone" ? absent : found({ name, projection })),
  imageData: (reference) => (reference === "gone" ? absent : found({ reference })),
};

function evaluator(
  use: "validating" | "mutating" | "generating" = "validating",
  options: {
    readonly namespace?: string;
    readonly generate?: Generate;
    readonly world?: World;
  } = {},
): Evaluate {
  const value: CelValue = new WorldValue(options.world ?? echo, options);
  return makeEvaluate(kyvernoLibraries(use, options.namespace !== undefined), {
    [worldKey]: value,
  });
}

const evaluate = evaluator();
const namespaced = evaluator("validating", { namespace: "team" });
const digest = `sha256:${"a".repeat(64)}`;

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  [
    "resource.Get('apps/v1', 'deployments', 'ns', 'web')",
    { apiVersion: "apps/v1", resource: "deployments", namespace: "ns", name: "web" },
    "a question about one object",
  ],
  [
    "dyn(resource.get('v1', 'configmaps', 'ns', 'gone')) == null",
    true,
    "what is not there is null",
  ],
  [
    "resource.Get(resource.ToGVR('v1', 'Pod'), 'ns', 'p')",
    { apiVersion: "v1", resource: "pods", namespace: "ns", name: "p" },
    "by kind",
  ],
  ["resource.ToGVR('v1', 'Nope')", "error: failed to map kind to resource", "an unknown kind"],
  ["resource.Get('a/b/c', 'x', '', 'y')", "error: failed to get resource: unexpected Group", "bad"],
  [
    "resource.List('v1', 'pods', 'ns', {'app': 'x'}).items[0]",
    { apiVersion: "v1", resource: "pods", namespace: "ns", labels: { app: "x" } },
    "by labels",
  ],
  [
    "resource.list('x.io/v1', 'nothing', '')",
    "error: failed to list resource: nothing.x.io resource not found",
    "the text of the command line's fake cluster",
  ],
  [
    "resource.Post('authorization.k8s.io/v1', 'subjectaccessreviews', {'spec': {'a': 'b'}}).url",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    "a call to the API server",
  ],
  [
    "resource.post('v1', 'pods', 'ns', {'a': 'b'}).url",
    "/api/v1/namespaces/ns/pods",
    "in a namespace",
  ],
  ["http.Get('https://x', {'h': 'v'}).headers.h", "v", "a request"],
  ["http.post('https://x', {'a': 1}).body.a == 1", true, "with a body"],
  ["http.Client('pem').Get('https://x').method", "GET", "with a certificate"],
  ["type(http.Get('https://x').statusCode) == int", true, "the status is an int"],
  [
    "type(http.Post('https://x', {'a': 1}).body.a) == double",
    true,
    "numbers of a body are doubles",
  ],
  ["http.Get('gone')", "error: request failed: nothing is known of GET gone", "no answer"],
  ["globalContext.Get('x', 'p').projection", "p", "a projection"],
  ["globalContext.get('gone') == null", true, "no entry is null"],
  [
    "globalContext.Get('gone', 'p')",
    'error: failed to get global reference: projection "p"',
    "none",
  ],
  ["image.GetMetadata('nginx').reference", "nginx", "registry data"],
  [
    "image.getMetadata('gone')",
    "error: failed to get image data: image data for gone not found in the context",
    "the reference's text",
  ],
  [
    "image('nginx').registry() + '/' + image('nginx').repository()",
    "index.docker.io/library/nginx",
    "defaults",
  ],
  ["parseImageReference('ghcr.io/a/b:v1').tag()", "v1", "a tag"],
  [`parseImageReference('ghcr.io/a/b:v1@${digest}').identifier()`, `v1@${digest}`, "both"],
  [`image('ghcr.io/a/b@${digest}').containsDigest()`, true, "a digest"],
  ["isImage('UPPER/x') || isImage('nginx')", true, "isImage"],
  ["image('UPPER/x')", "error: could not parse reference: UPPER/x", "no image"],
  ["parseServiceAccount('system:serviceaccount:ns:sa').Namespace", "ns", "the namespace"],
  ["user.parseServiceAccount('system:serviceaccount:ns:sa').Name", "sa", "the name"],
  ["parseServiceAccount('jane').Name", "", "another user"],
  ["parseServiceAccount('x').Nope", "compile: undefined field 'Nope'", "no such field"],
  ["md5('a') == hash.md5('a')", true, "two names"],
  ["sha1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d", "FIPS 180's vector"],
  ["hash.sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "same"],
  ["math.round(3.14159, 2)", 3.14, "places"],
  ["math.round(-2.5) == -3.0", true, "cel-go's own"],
  ["random()", "00000000", "from the World's numbers"],
  ["random('[a-z]{3}-x')", "aaa-x", "by a pattern"],
  ["random.random('[')", "error: ", "no pattern"],
  ["time.now() == timestamp('2024-02-29T13:07:05Z')", true, "the World's time"],
  ["time.toCron(timestamp('2024-02-29T13:07:05Z'))", "7 13 29 2 4", "a Thursday"],
  ["time.toCron(timestamp('1969-12-31T23:59:59.5Z'))", "59 23 31 12 3", "before 1970"],
  [
    "time.truncate(timestamp('2024-02-29T13:07:05Z'), duration('1h')) == timestamp('2024-02-29T13:00:00Z')",
    true,
    "down to the hour",
  ],
  [
    "time.truncate(timestamp('2024-02-29T13:07:05Z'), duration('168h')) == timestamp('2024-02-26T00:00:00Z')",
    true,
    "weeks count from year 1, a Monday",
  ],
  ["listObjToMap([{'k': 'a'}], [{'v': 1}], 'k', 'v').a", 1, "two lists as a map"],
  [
    "transform.listObjToMap([{'k': 'a'}], [], 'k', 'v')",
    "error: listObjToMap must take lists",
    "lengths",
  ],
  [
    "listObjToMap([{'k': 1}], [{'v': 1}], 'k', 'v')",
    "error: the passed key name cannot",
    "no text",
  ],
  ["json.unmarshal('{\"a\": [1, 2.5]}').a[1]", 2.5, "JSON"],
  ["type(json.unmarshal('1')) == double", true, "all its numbers are doubles"],
  ["json.unmarshal('{')", "error: ", "no JSON"],
  ["json.marshal({'b': [1, 2], 'a': ['<']})", "compile", "literals may not mix"],
  [
    "json.marshal({'b': '1', 'a': '<'})",
    '{"a":"\\u003c","b":"1"}',
    "sorted and escaped as Go does",
  ],
  ["yaml.parse('a: [yes, 0x10]').a[0]", true, "YAML 1.1"],
  ["x509.decode('x')", "error: failed to decode PEM block", "no certificate"],
  ["gzip.decompress(gzip.compress('text'))", "text", "there and back"],
  ["gzip.decompress(b'x')", "error: ", "no archive"],
  ["d.a.orValue(2)", 1, "orValue takes what is no optional"],
  ["d.?a.orValue(2) + d.?b.orValue(2)", 3, "and optionals"],
  ["d.b.orValue(2)", "error: no such key: b", "but no errors"],
  ["d.?a.orValue(d.b)", "error: no such key: b", "not even where the alternative is not needed"],
  ["jsonpatch.escapeKey('a/b')", "compile: undeclared reference", "only for mutation"],
  ["generator.Apply('ns', [])", "compile: undeclared reference", "only for generation"],
  ["authorizer.group('').resource('pods')", "compile: undeclared reference", "Kyverno has none"],
];

test.each(rows)("%s is %j: %s", (source, want) => {
  const value = evaluate(source, { a: 1 });
  expect(inShort(value, want)).toEqual(want);
});

test("Namespaced kinds ask within their own namespace", () => {
  expect(namespaced("resource.Get('v1', 'configmaps', 'x').namespace")).toBe("team");
  expect(namespaced("resource.List('v1', 'pods').items[0].namespace")).toBe("team");
  expect(namespaced("resource.Post('v1', 'pods', {'a': 'b'}).url")).toBe(
    "/api/v1/namespaces/team/pods",
  );
  expect(namespaced("resource.Get('v1', 'configmaps', 'other', 'x')")).toContain(
    "no matching overload",
  );
});

test("a World that knows nothing makes errors, not absences", () => {
  const blind = evaluator("validating", { world: emptyWorld(0) });
  for (const source of [
    "resource.Get('v1', 'pods', 'a', 'b').kind == 'Pod'",
    "resource.List('v1', 'pods', 'a').items.size() == 0",
    "http.Get('https://x') == null",
    "globalContext.Get('x') == null",
    "image.GetMetadata('x') == null",
  ]) {
    expect(blind(source)).toContain("nothing outside the object is known here");
  }
  const without = makeEvaluate(kyvernoLibraries("validating", false));
  expect(without("time.now() == time.now()")).toContain("not available here");
});

test("generator.Apply hands the objects over", () => {
  const made: (readonly [string, readonly JsonObject[]])[] = [];
  const generate: Generate = (namespace, objects) => {
    made.push([namespace, objects]);
    return undefined;
  };
  const objects = "[{'kind': dyn('ConfigMap'), 'data': dyn({'a': 'b'})}]";
  expect(evaluator("generating", { generate })(`generator.Apply('ns', ${objects})`)).toBe(true);
  expect(
    evaluator("generating", { generate, namespace: "team" })(`generator.apply(${objects})`),
  ).toBe(true);
  const object = { kind: "ConfigMap", data: { a: "b" } };
  expect(made).toEqual([
    ["ns", [object]],
    ["team", [object]],
  ]);
  expect(evaluator("generating")(`generator.Apply('ns', ${objects})`)).toContain("cannot generate");
});

test("small archives that stand for large texts are refused", async () => {
  const { gzipSync } = await import("node:zlib");
  const bomb = new Uint8Array(gzipSync(Buffer.alloc(64 * 1024 * 1024)));
  expect(bomb.length).toBeLessThan(100_000);
  expect(evaluate("gzip.decompress(d)", bomb)).toContain("result is larger");
});

test("keys that objects inherit are keys like others", () => {
  const data: readonly JsonObject[] = [{ k: "__proto__" }, { k: "constructor" }];
  expect(evaluate("listObjToMap(d, d, 'k', 'k')['__proto__']", data)).toBe("__proto__");
  expect(evaluate("listObjToMap(d, d, 'toString', 'k')", data)).toContain("error: the passed key");
  expect(evaluate("json.unmarshal('{\"__proto__\": 1}')['__proto__'] == 1")).toBe(true);
  expect(Object.prototype).not.toHaveProperty("k");
});
