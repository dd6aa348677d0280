// SPDX-License-Identifier: Apache-2.0
import { RunFunctionRequest } from "@crossplane-org/function-sdk-typescript";
import { composedFieldManager } from "#function/ownership";
import { field, isObject, type Json, type JsonObject } from "#policy/json";

// What the function is asked in measurements: composites of 2 KB resources, and policies of which five match each.

export const matchingEach = 5;
/** Crossplane writes map entries in another order each time, so the same state has many encodings. */
const encodings = 8;

/**
 * What differs from one call to the next: nothing but the order of keys, the version of every observed resource, or values
 * in every observed and every desired resource.
 */
export type Change = (typeof changes)[number];
export const changes = ["nothing", "observed", "everything"] as const;

export type RequestsSpec = {
  readonly resources: number;
  readonly policies: number;
  readonly change: Change;
  /** Whether observed resources have the API server's record of who owns what. */
  readonly managedFields: boolean;
  /** Another function's, instead of Guardrails of so many policies. */
  readonly input?: JsonObject;
};

/**
 * Requests of one composite in several encodings, observed and desired resources of about 2 KB each. Every map has its
 * entries in another order each time, as Go writes them.
 */
export function makeRequests(spec: RequestsSpec): readonly Buffer[] {
  const { resources, policies, change } = spec;
  const kinds = Math.max(1, policies / matchingEach);
  const indices = Array.from({ length: resources }, (_, index) => index);
  const shuffle = makeShuffle(resources * 1000 + policies);
  return Array.from({ length: encodings }, (_, encoding) => {
    const version = change === "nothing" ? 0 : encoding;
    const value = change === "everything" ? encoding : 0;
    const observed: Record<string, { resource: JsonObject }> = {};
    const desired: Record<string, { resource: JsonObject; ready: number }> = {};
    for (const i of shuffle(indices)) {
      desired[`resource-${i}`] = {
        resource: shuffled(desiredResource(i, kinds, value), shuffle),
        ready: 1,
      };
    }
    for (const i of shuffle(indices)) {
      const known = observedResource(i, kinds, version, value);
      const live = spec.managedFields ? withManagedFields(known) : known;
      observed[`resource-${i}`] = { resource: shuffled(live, shuffle) };
    }
    const input = spec.input ?? {
      apiVersion: "parapet.fn.crossplane.io/v1beta1",
      kind: "Guardrails",
      policies: { inline: policies === 0 ? [policy(0, "elsewhere")] : makePolicies(policies) },
    };
    const message = RunFunctionRequest.fromPartial({
      meta: { tag: "bench" },
      input: shuffled(input, shuffle),
      observed: { composite: { resource: shuffled(composite, shuffle) }, resources: observed },
      desired: { resources: desired },
    });
    return Buffer.from(RunFunctionRequest.encode(message).finish());
  });
}

/** What other functions are asked to do with the same resources. */
export const otherInputs = {
  /** One CEL filter that keeps everything. */
  celFilter: {
    apiVersion: "cel.fn.crossplane.io/v1beta1",
    kind: "Filters",
    filters: [
      { name: "resource-.*", expression: "observed.composite.resource.kind == 'Platform'" },
    ],
  },
  autoReady: { apiVersion: "autoready.fn.crossplane.io/v1beta1", kind: "Input" },
  /** The same resources out of bases, each with one patch. */
  patchAndTransform: (resources: number): JsonObject => ({
    apiVersion: "pt.fn.crossplane.io/v1beta1",
    kind: "Resources",
    resources: Array.from({ length: resources }, (_, i) => ({
      name: `resource-${i}`,
      base: desiredResource(i, 10, 0),
      patches: [
        {
          type: "FromCompositeFieldPath",
          fromFieldPath: "metadata.name",
          toFieldPath: "spec.forProvider.name",
        },
      ],
    })),
  }),
};

const composite: JsonObject = {
  apiVersion: "example.org/v1",
  kind: "Platform",
  metadata: {
    name: "bench",
    namespace: "team",
    uid: "u",
    labels: { "crossplane.io/composite": "bench" },
  },
  status: {
    conditions: [{ type: "PolicyCompliant", status: "True", reason: "Compliant", message: "" }],
  },
};

const kindName = (index: number): string => `Kind${String.fromCharCode(65 + index)}`;

function desiredResource(index: number, kinds: number, value: number): JsonObject {
  return {
    apiVersion: "cloud.example.org/v1beta1",
    kind: kindName(index % kinds),
    metadata: {
      labels: { team: "platform", tier: "gold" },
      annotations: { note: "a note of some length for humans" },
    },
    spec: {
      forProvider: {
        region: "eu-west-1",
        name: `resource-number-${index}`,
        tags: Object.fromEntries(
          Array.from({ length: 12 }, (_, i) => [
            `tag-${i}`,
            `value ${i < 2 ? value : 0} of tag ${i} of ${index}`,
          ]),
        ),
        rules: Array.from({ length: 6 }, (_, i) => ({
          id: `rule-${i}`,
          enabled: true,
          port: 8000 + i,
          cidrBlocks: ["10.0.0.0/8", "192.168.0.0/16"],
          description: "lets the internal network in and nobody else",
        })),
        encryption: { enabled: true, keyRef: { name: "main-key" }, algorithm: "aws:kms" },
        versioning: { status: "Enabled" },
      },
      providerConfigRef: { kind: "ClusterProviderConfig", name: "default" },
    },
  };
}

function observedResource(
  index: number,
  kinds: number,
  version: number,
  value: number,
): JsonObject {
  const desired = desiredResource(index, kinds, value);
  return {
    ...desired,
    metadata: {
      name: `bench-${index}`,
      namespace: "team",
      uid: `00000000-0000-0000-0000-${String(index).padStart(12, "0")}`,
      resourceVersion: String(100_000 + 1000 * version + index),
      generation: 3,
      labels: { team: "platform", tier: "gold", "crossplane.io/composite": "bench" },
      annotations: {
        note: "a note of some length for humans",
        "crossplane.io/external-name": `ext-${index}`,
      },
    },
    status: {
      atProvider: { arn: `arn:aws:thing:::resource-number-${index}`, state: "available" },
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "Available",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
        {
          type: "Synced",
          status: "True",
          reason: "ReconcileSuccess",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    },
  };
}

/** As Crossplane's apply of the desired state and a provider's update of the status leave it. */
function withManagedFields(live: JsonObject): JsonObject {
  const { metadata, spec, status } = live;
  const entry = (manager: string, operation: string, fields: JsonObject, subresource?: string) => ({
    manager,
    operation,
    apiVersion: live["apiVersion"] ?? "",
    time: "2026-01-01T00:00:00Z",
    fieldsType: "FieldsV1",
    fieldsV1: fields,
    ...(subresource === undefined ? {} : { subresource }),
  });
  const owned = { "f:labels": ownedFields(field(metadata, "labels") ?? {}) };
  const applied = { "f:metadata": owned, "f:spec": ownedFields(spec ?? {}) };
  return {
    ...live,
    metadata: {
      ...(isObject(metadata) ? metadata : {}),
      managedFields: [
        entry(composedFieldManager(composite), "Apply", applied),
        entry("provider", "Update", { "f:status": ownedFields(status ?? {}) }, "status"),
      ],
    },
  };
}

/** Lists are owned as a whole, as those of most provider CRDs are. */
const ownedFields = (value: Json): JsonObject =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value).map(([key, item]) => [`f:${key}`, ownedFields(item)]),
      )
    : {};

const expressions = [
  "object.spec.forProvider.region in ['eu-west-1', 'eu-central-1']",
  "has(object.spec.forProvider.encryption) && object.spec.forProvider.encryption.enabled",
  "object.spec.forProvider.rules.all(r, !r.cidrBlocks.exists(c, c == '0.0.0.0/0'))",
  "object.metadata.?labels.team.orValue('') != '' && 'tag-3' in object.spec.forProvider.tags",
  "object.spec.forProvider.name.matches('^[a-z0-9-]+$') && object.spec.forProvider.?versioning.?status.orValue('') == 'Enabled'",
];

const makePolicies = (count: number): readonly JsonObject[] =>
  Array.from({ length: count }, (_, i) =>
    policy(i, `${kindName(Math.floor(i / matchingEach)).toLowerCase()}s`),
  );

const policy = (index: number, plural: string): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: `policy-${index}`, annotations: { "policies.kyverno.io/severity": "high" } },
  spec: {
    validationActions: ["Deny"],
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: ["cloud.example.org"],
          apiVersions: ["*"],
          resources: [plural],
          operations: ["CREATE", "UPDATE"],
        },
      ],
    },
    validations: [
      {
        expression: expressions[index % expressions.length] ?? "true",
        message: `policy ${index} says what is allowed here`,
      },
    ],
  },
});

/** A small seeded generator, so that two runs shuffle alike. */
function makeShuffle(seed: number): <T>(items: readonly T[]) => T[] {
  let state = seed + 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state % below;
  };
  return (items) => {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = random(i + 1);
      const [a, b] = [copy[i], copy[j]];
      if (a !== undefined && b !== undefined) [copy[i], copy[j]] = [b, a];
    }
    return copy;
  };
}

function shuffled<T extends Json>(value: T, shuffle: <E>(items: readonly E[]) => E[]): T;
function shuffled(value: Json, shuffle: <E>(items: readonly E[]) => E[]): Json {
  if (Array.isArray(value)) return value.map((item: Json) => shuffled(item, shuffle));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    shuffle(Object.entries(value)).map(([key, item]) => [key, shuffled(item, shuffle)]),
  );
}
