// SPDX-License-Identifier: Apache-2.0
import { RunFunctionRequest, RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { makeHandler } from "#function/handler";
import type { LogFields } from "#function/log";
import type { Json, JsonObject } from "#policy/json";

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

/** Calls the function as its server does: bytes in, bytes out. */
export function makeCaller(approvalNamespace = ""): (request: TestRequest) => TestCall {
  const log: string[] = [];
  const handler = makeHandler({
    now: () => nowMs,
    log: (level, message, fields: LogFields = {}) => {
      log.push(`${level} ${message} ${JSON.stringify(fields)}`);
    },
    approvalNamespace,
  });
  return (request) => {
    const bytes = handler(encodeRequest(request));
    return { response: RunFunctionResponse.decode(bytes), bytes, log };
  };
}

export function encodeRequest(request: TestRequest): Buffer {
  const resources = (objects: Readonly<Record<string, JsonObject>> = {}, ready = request.ready) =>
    Object.fromEntries(
      Object.entries(objects).map(([name, resource]) => [
        name,
        { resource, ready: ready?.[name] ?? 0 },
      ]),
    );
  const message = RunFunctionRequest.fromPartial({
    meta: { tag: "tag", capabilities: [...(request.capabilities ?? [1, 2, 3, 4, 5])] },
    input: request.input,
    observed: {
      composite: { resource: request.composite ?? composite() },
      resources: resources(request.observed, {}),
    },
    desired: {
      ...(request.desiredStatus === undefined
        ? {}
        : { composite: { resource: { status: request.desiredStatus } } }),
      resources: resources(request.desired),
    },
    requiredResources: itemsOf(request.required),
    extraResources: itemsOf(request.extra),
    ...(request.context === undefined ? {} : { context: request.context }),
  });
  return Buffer.from(RunFunctionRequest.encode(message).finish());
}

const itemsOf = (required: TestRequest["required"] = {}) =>
  Object.fromEntries(
    Object.entries(required).map(([name, items]) => [
      name,
      { items: items.map((resource) => ({ resource })) },
    ]),
  );

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
