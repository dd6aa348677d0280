// SPDX-License-Identifier: Apache-2.0
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import type { Json, JsonObject } from "#policy/json";
import type { AuthorizationRequest } from "#policy/policy-set";
import { emptyWorld } from "#policy/world";

const nowMs = Date.parse("2026-01-01T00:00:00Z");
const now = nowMs / 1_000;

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString("base64url");
function sign(
  claims: JsonObject,
  header: JsonObject = { alg: "HS256" },
  digest = "sha256",
): string {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac(digest, "secret").update(signed).digest("base64url")}`;
}

const http: JsonObject = {
  attributes: {
    // Go's decoder takes names in any case, and passes over what it does not know.
    METHOD: "GET",
    path: "/api/v1",
    contentLength: 5,
    body: "aGVsbG8=",
    header: { "X-Role": ["admin", "dev"], Authorization: [sign({ role: "guest", exp: now + 60 })] },
    query: { q: ["w"] },
    other: 1,
  },
};
const envoy: JsonObject = {
  attributes: {
    source: { address: { socketAddress: { address: "10.0.0.1", portValue: 80 } } },
    request: {
      time: "2026-01-02T03:04:05Z",
      http: { method: "GET", path: "/x", size: "12", rawBody: "aGVsbG8=", headers: { a: "b" } },
    },
    context_extensions: { x: "y" },
    metadataContext: { filterMetadata: { f: { k: "v", n: 3 } } },
  },
};

type Mode = AuthorizationRequest["mode"];
const policyOf = (
  mode: Mode,
  expressions: readonly string[],
  spec: JsonObject = {},
): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "gate" },
  spec: {
    evaluation: { mode },
    validations: expressions.map((expression) => ({ expression })),
    ...spec,
  },
});

function ask(policy: JsonObject, request: AuthorizationRequest): string {
  const { set, problems, unsupported } = compile([policy]);
  expect([problems, unsupported]).toEqual([[], []]);
  const [result] = set.policies[0]?.authorize?.(request, emptyWorld(nowMs)) ?? [];
  return `${result?.result}: ${result?.message}`;
}
const askHttp = (expressions: readonly string[], spec: JsonObject = {}): string =>
  ask(policyOf("HTTP", expressions, spec), { mode: "HTTP", payload: http });
const askEnvoy = (expressions: readonly string[], spec: JsonObject = {}): string =>
  ask(policyOf("Envoy", expressions, spec), { mode: "Envoy", payload: envoy });

/** What a text expression gives over HTTP. */
const said = (expression: string): string =>
  askHttp([`http.Denied(${expression}).Response()`]).replace("fail: request denied, reason: ", "");

describe("a policy over requests", () => {
  it.each<readonly [reason: string, got: () => string, want: string]>([
    ["allows", () => askHttp(["http.Allowed().Response()"]), "pass: request allowed"],
    [
      "denies with a reason",
      () => askHttp(["http.Denied('no').Response()"]),
      "fail: request denied, reason: no",
    ],
    ["leaves to others", () => askHttp(["null"]), "skip: request does not match"],
    [
      "asks the next after null, and nobody after an answer",
      () => askHttp(["null", "http.Denied('a').Response()", "http.Denied('b').Response()"]),
      "fail: request denied, reason: a",
    ],
    [
      "does not judge what does not match, whatever other conditions say",
      () =>
        askHttp(["http.Allowed().Response()"], {
          matchConditions: [
            { name: "a", expression: "object.attributes.Header('none')[0] == 'x'" },
            { name: "b", expression: "false" },
          ],
        }),
      "skip: request does not match",
    ],
    [
      "has an error where one fails",
      () => askHttp(["http.Denied(object.attributes.Header('none')[0]).Response()"]),
      "error: index out of bounds: 0",
    ],
    [
      "unless failures are to be ignored",
      () =>
        askHttp(["http.Denied(object.attributes.Header('none')[0]).Response()"], {
          failurePolicy: "Ignore",
        }),
      "skip: request does not match",
    ],
    ["allows over Envoy", () => askEnvoy(["envoy.Allowed().Response()"]), "pass: request allowed"],
    [
      "denies over Envoy with a status",
      () => askEnvoy(["envoy.Denied(403).WithBody('no').WithHeader('a', 'b').Response()"]),
      "fail: request denied with status code 403",
    ],
    [
      "reads variables when they are named",
      () =>
        askEnvoy(["variables.port == 80 ? envoy.Denied(401).Response() : null"], {
          variables: [
            {
              name: "port",
              expression: "object.attributes.source.address.socket_address.port_value",
            },
            { name: "bad", expression: "object.attributes.request.http.headers.none" },
          ],
        }),
      "fail: request denied with status code 401",
    ],
  ])("%s", (_reason, got, want) => {
    expect(got()).toBe(want);
  });

  it.each<readonly [expression: string, want: string]>([
    ["object.attributes.method", "GET"],
    ["object.attributes.Header('x-role')[1]", "dev"],
    ["string(size(object.attributes.Header('none')))", "0"],
    ["object.attributes.QueryParam('q')[0]", "w"],
    ["string(object.attributes.body)", "hello"],
    ["string(object.attributes.contentLength + 1)", "6"],
    ["object.attributes.scheme + '.'", "."],
    ["string(has(object.attributes.scheme))", "false"],
    ["object.attributes.?method.orValue('none')", "GET"],
    // A quirk of cel-go's Go structs.
    ["object.attributes.?scheme.orValue('none')", "error: no such field: scheme"],
    ["string(json.Unmarshal('{\"a\": 1}').a)", "1"],
    ["'abc'.reverse()", "cba"],
    ["http.Denied('abc').Response().denied.reason", "abc"],
    ["string(object.attributes == object.attributes)", "true"],
  ])("sees an HTTP request: %s", (expression, want) => {
    expect(said(expression)).toBe(want);
  });

  it.each([
    "object.attributes.request.http.headers[?'a'].orValue('') == 'b'",
    "object.attributes.request.http.headers[?'none'].orValue('x') == 'x'",
    "object.attributes.request.http.size == 12",
    "object.attributes.request.http.raw_body == b'hello'",
    "object.attributes.request.time == timestamp('2026-01-02T03:04:05Z')",
    "object.attributes.source.address.socket_address.address == '10.0.0.1'",
    "object.attributes.destination.principal == ''",
    "has(object.attributes.source) && !has(object.attributes.destination)",
    "!has(object.attributes.request.http.body)",
    "object.attributes.context_extensions.x == 'y'",
    "object.attributes.metadata_context.filter_metadata['f'].n == 3.0",
    "envoy.Denied(401).Response().WithMessage('m').status.message == 'm'",
    "envoy.Allowed().Response().WithMetadata({'a': 1}).dynamic_metadata.a == 1",
    "envoy.Header('k', 'v').KeepEmptyValue().keep_empty_value",
    "envoy.Allowed().WithHeader('a', 'b').WithHeader(envoy.Header('c', 'd')).headers[1].header.key == 'c'",
    "envoy.Allowed().WithoutQueryParam('q').query_parameters_to_remove == ['q']",
    "envoy.Denied(403) == envoy.Denied(403) && envoy.Denied(403) != envoy.Denied(404)",
  ])("sees Envoy's request: %s", (expression) => {
    expect(askEnvoy([`${expression} ? envoy.Allowed().Response() : null`])).toBe(
      "pass: request allowed",
    );
  });

  it.each<readonly [reason: string, token: string, want: string]>([
    ["a good one", sign({ role: "admin", exp: now + 1, nbf: now, iat: now }), "true admin"],
    ["signed otherwise", sign({ role: "admin" }, { alg: "HS512" }, "sha512"), "true admin"],
    ["expired", sign({ role: "admin", exp: now }), "false admin"],
    ["not valid yet", sign({ role: "admin", nbf: now + 1 }), "false admin"],
    ["from the future", sign({ role: "admin", iat: now + 1 }), "false admin"],
    ["with a time as text", sign({ role: "a", exp: "2026-01-01T00:00:01Z" }), "true a"],
  ])("reads a token, %s", (_reason, token, want) => {
    const decoded = `jwt.Decode('${token}', 'secret')`;
    expect(said(`string(${decoded}.Valid) + ' ' + ${decoded}.Claims.role`)).toBe(want);
  });

  it.each<readonly [reason: string, token: string]>([
    ["of another algorithm than the key's", sign({}, { alg: "RS256" })],
    ["that claims to need no signature", `${encode({ alg: "none" })}.${encode({})}.`],
    ["with a signature of another digest", sign({}, { alg: "HS256" }, "sha512")],
    ["of a key that the set does not have", sign({}, { alg: "HS256", kid: "one" })],
    ["that somebody changed", `${sign({ role: "guest" }).slice(0, -2)}xx`],
    ["that is none", "a.b"],
  ])("takes no token %s", (_reason, token) => {
    expect(said(`string(jwt.Decode('${token}', 'secret').Valid)`)).toMatch(/^error: jwt\.Parse: /);
  });

  it("fetches no keys", () => {
    const policy = policyOf("HTTP", [
      "jwt.Decode('a', jwks.Fetch('https://x.example')).Valid ? null : null",
    ]);
    const [result] =
      compile([policy]).set.policies[0]?.authorize?.(
        { mode: "HTTP", payload: http },
        emptyWorld(0),
      ) ?? [];
    expect([result?.result, result?.unsupported]).toEqual([
      "error",
      "jwks.Fetch: key sets are not fetched here",
    ]);
  });

  it.each<readonly [mode: Mode, payload: JsonObject, message: string]>([
    ["Envoy", { attribute: {} }, "attribute: unknown field; known here are attributes"],
    [
      "Envoy",
      { attributes: { request: { http: { method: 1 } } } },
      "attributes.request.http.method: must be a string",
    ],
    ["HTTP", { attributes: { body: "?" } }, "attributes.body: must be base64"],
    ["HTTP", { attributes: [] }, "attributes: must be an object"],
  ])("says what is wrong with a payload (%s)", (mode, payload, message) => {
    const policy = policyOf(mode, ["null"]);
    expect(ask(policy, { mode, payload })).toContain(message);
  });

  it("answers the requests of its mode, and judges no resource", () => {
    const [policy] = compile([policyOf("HTTP", ["null"])]).set.policies;
    expect(policy?.authorize?.({ mode: "Envoy", payload: envoy }, emptyWorld(0))).toEqual([]);
    expect(policy?.validate).toBe(undefined);
  });

  it.each<readonly [reason: string, policy: JsonObject, message: string]>([
    [
      "an answer that is no response",
      policyOf("HTTP", ["http.Allowed()"]),
      "must evaluate to http.CheckResponse or null but gives http.CheckResponseOk",
    ],
    [
      "a field that requests do not have",
      policyOf("HTTP", ["object.attributes.nope == '' ? null : null"]),
      "undefined field 'nope'",
    ],
    [
      "the builders of the other mode",
      policyOf("HTTP", ["envoy.Allowed().Response()"]),
      "undeclared reference to 'envoy'",
    ],
  ])("is refused with %s", (_reason, policy, message) => {
    expect(compile([policy]).problems[0]?.message).toContain(message);
  });

  it("is refused in a mode that nobody knows", () => {
    const policy = policyOf("HTTP", ["true"], {
      evaluation: { mode: "envoy" },
      matchConstraints: {},
    });
    expect(compile([policy]).problems).toEqual([
      {
        document: "ValidatingPolicy/gate",
        path: "spec.evaluation.mode",
        message: 'must be Kubernetes, JSON, HTTP or Envoy, got "envoy"',
      },
    ]);
  });
});
