// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert";
import { RunFunctionRequest, RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { makeHandler } from "#function/handler";
import type { LogFields } from "#function/log";
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { makeRandom, type Random } from "#test/conformance/cel-spec-generate";

/** A request as tests write it; the generated codec of Crossplane's SDK makes the bytes. */
export type TestRequest = {
  readonly input?: JsonObject | undefined;
  readonly composite?: JsonObject;
  readonly observed?: Readonly<Record<string, JsonObject>>;
  readonly desired?: Readonly<Record<string, JsonObject>>;
  /** Readiness that the step before gave, by resource name. */
  readonly ready?: Readonly<Record<string, number>>;
  readonly desiredStatus?: JsonObject;
  readonly required?: Readonly<Record<string, readonly JsonObject[]>>;
  readonly context?: JsonObject;
  /** What Crossplane says that it can do; everything that v2.4 does when left out. */
  readonly capabilities?: readonly number[];
  /** The answers of a Crossplane before v2.0. */
  readonly extra?: Readonly<Record<string, readonly JsonObject[]>>;
};

export type TestCall = {
  readonly response: RunFunctionResponse;
  readonly bytes: Buffer;
  readonly log: readonly string[];
};

export const nowMs = Date.parse("2026-06-01T00:00:00Z");

/**
 * Calls the function as its server does: bytes in, bytes out. Go writes maps in any order and Crossplane's cache lists
 * objects in any, so each request is asked once more in another order, of a function that lived through the same: were
 * the answers not the same, two replicas would write objects anew in turns.
 */
export function makeCaller(approvalNamespace = ""): (request: TestRequest) => TestCall {
  const log: string[] = [];
  const now = () => nowMs;
  const handler = makeHandler({
    now,
    log: (level, message, fields: LogFields = {}) => {
      log.push(`${level} ${message} ${JSON.stringify(fields)}`);
    },
    approvalNamespace,
  });
  const replica = makeHandler({ now, log: () => undefined, approvalNamespace });
  const random = makeRandom(20);
  return (request) => {
    const bytes = handler(encodeRequest(request));
    const response = RunFunctionResponse.decode(bytes);
    const same = RunFunctionResponse.decode(replica(encodeRequest(request, random)));
    assert.deepStrictEqual(same, response);
    return { response, bytes, log };
  };
}

/** The bytes of a request; with a source of chance, keys of objects and objects of lookups come in any order. */
export function encodeRequest(request: TestRequest, random?: Random): Buffer {
  const inOrder = <T>(items: readonly T[]): T[] =>
    random === undefined ? [...items] : shuffled(items, random);
  const keys = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(inOrder(Object.entries(record)));
  const ordered = (value: Json): Json => {
    if (isArray(value)) return value.map(ordered);
    return isObject(value) ? orderedObject(value) : value;
  };
  const orderedObject = (object: JsonObject): JsonObject =>
    keys(Object.fromEntries(Object.entries(object).map(([key, value]) => [key, ordered(value)])));
  const optional = (object: JsonObject | undefined) => object && orderedObject(object);
  const resources = (objects: Readonly<Record<string, JsonObject>> = {}, ready = request.ready) =>
    Object.fromEntries(
      inOrder(Object.entries(objects)).map(([name, resource]) => [
        name,
        { resource: orderedObject(resource), ready: ready?.[name] ?? 0 },
      ]),
    );
  const lookups = (required: TestRequest["required"] = {}) =>
    Object.fromEntries(
      inOrder(Object.entries(required)).map(([name, items]) => [
        name,
        { items: inOrder(items).map((resource) => ({ resource: orderedObject(resource) })) },
      ]),
    );
  const status = optional(request.desiredStatus);
  const context = optional(request.context);
  const message = RunFunctionRequest.fromPartial({
    meta: { tag: "tag", capabilities: [...(request.capabilities ?? [1, 2, 3, 4, 5])] },
    input: optional(request.input),
    observed: {
      composite: { resource: orderedObject(request.composite ?? composite()) },
      resources: resources(request.observed, {}),
    },
    desired: {
      ...(status === undefined ? {} : { composite: { resource: { status } } }),
      resources: resources(request.desired),
    },
    requiredResources: lookups(request.required),
    extraResources: lookups(request.extra),
    ...(context === undefined ? {} : { context }),
  });
  return Buffer.from(RunFunctionRequest.encode(message).finish());
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

export const composite = (conditions: readonly JsonObject[] = [], metadata: JsonObject = {}) => ({
  apiVersion: "example.org/v1",
  kind: "XStore",
  metadata: {
    name: "store",
    namespace: "team-a",
    uid: "11111111-1111-1111-1111-111111111111",
    labels: { "crossplane.io/composite": "store" },
    ...metadata,
  },
  spec: {},
  status: { conditions },
});

export const guardrails = (
  inline: readonly JsonObject[],
  more: JsonObject = {},
  policies: JsonObject = {},
): JsonObject => ({
  apiVersion: "parapet.fn.crossplane.io/v1beta1",
  kind: "Guardrails",
  policies: { inline, ...policies },
  ...more,
});

export const bucket = (forProvider: JsonObject = {}, metadata?: JsonObject): JsonObject => ({
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "Bucket",
  ...(metadata === undefined ? {} : { metadata }),
  spec: { forProvider: { region: "eu-west-1", ...forProvider } },
});

const buckets: JsonObject = {
  resourceRules: [
    {
      apiGroups: ["s3.aws.m.upbound.io"],
      apiVersions: ["*"],
      resources: ["buckets"],
      operations: ["CREATE", "UPDATE"],
    },
  ],
};

const policy = (kind: string, name: string, spec: JsonObject, metadata: JsonObject = {}) => ({
  apiVersion: "policies.kyverno.io/v1",
  kind,
  metadata: { name, ...metadata },
  spec: { matchConstraints: buckets, ...spec },
});

/** A ValidatingPolicy over buckets. */
export const validating = (
  name: string,
  expression: string,
  options: { message?: string; action?: string; annotations?: JsonObject; spec?: JsonObject } = {},
): JsonObject =>
  policy(
    "ValidatingPolicy",
    name,
    {
      validationActions: [options.action ?? "Deny"],
      validations: [{ expression, message: options.message ?? `${name} is violated` }],
      ...options.spec,
    },
    options.annotations === undefined ? {} : { annotations: options.annotations },
  );

export const mutating = (name: string, expression: string, spec: JsonObject = {}): JsonObject =>
  policy("MutatingPolicy", name, {
    mutations: [{ patchType: "ApplyConfiguration", applyConfiguration: { expression } }],
    ...spec,
  });

export const generating = (name: string, generate: readonly Json[], spec: JsonObject = {}) =>
  policy("GeneratingPolicy", name, { generate, ...spec });

export const noPublic = validating(
  "no-public",
  "object.spec.forProvider.?acl.orValue('private') != 'public'",
  { message: "public buckets are not allowed" },
);
