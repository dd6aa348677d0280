// SPDX-License-Identifier: Apache-2.0
import { isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { CompiledPolicy } from "#policy/policy-set";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";
import { heldAnnotation, sha256Of, withoutVolatile } from "./canonical.ts";
import { withRenderedMetadata, withoutRenderedMetadata, type Composite } from "./composite.ts";
import { effective } from "./effective.ts";
import { readRecord, withState } from "./held-record.ts";
import type { Applied } from "./hold.ts";
import type { Pin } from "./input.ts";
import { valueAt, withPath } from "./json-edit.ts";
import { ownershipOf } from "./ownership.ts";

/** One composed resource on its way through the guard. */
export type Composed = {
  readonly name: string;
  /** The desired object as it came. */
  readonly given: JsonObject;
  /** The same with the metadata that Crossplane adds. */
  readonly rendered: JsonObject;
  /** After injection; the very object `rendered` when nothing was injected. */
  readonly injected: JsonObject;
  /** The object that exists; undefined for one that is to be created. */
  readonly live: JsonObject | undefined;
  readonly policies: readonly CompiledPolicy[];
  /** Results of the mutating and generating policies. */
  readonly results: readonly RuleResult[];
  /** What was applied last, where that is recorded. */
  readonly last: Applied | undefined;
  /** For a companion the composed resource that it belongs to, '' for all others. */
  readonly subject: string;
};

export type Injection = {
  readonly composite: Composite;
  readonly policies: readonly CompiledPolicy[];
  readonly pins: readonly Pin[];
  /** What a policy may look at. */
  readonly worldOf: (policy: CompiledPolicy) => World;
  readonly subject: string;
  /** Whether to record with the object all that is applied. */
  readonly records: boolean;
};

/** Prepares a desired object: metadata as Crossplane adds it, mutating policies in their order, pins. */
export function inject(
  name: string,
  given: JsonObject,
  live: JsonObject | undefined,
  { composite, policies, pins, worldOf, subject, records }: Injection,
): Composed {
  const rendered = withRenderedMetadata(given, name, composite, live);
  const results: RuleResult[] = [];
  let injected = rendered;
  let inTurn: InTurn | undefined;
  for (const policy of policies) {
    if (policy.mutate === undefined) continue;
    const world = worldOf(policy);
    inTurn ??= createThenUpdate(injected, live, world);
    const done = inTurn((review) => {
      const mutation = policy.mutate?.(review, world);
      return mutation !== undefined && mutation.results.length > 0 ? mutation : undefined;
    });
    if (done === undefined) continue;
    results.push(...done.results);
    if (done.object === injected) continue;
    injected = done.object;
    inTurn = undefined;
  }
  injected = withPins(injected, pins, () => connectionSecretName(composite, name));
  // Of a Secret nothing is recorded: it would stand in clear text in an annotation.
  if (records && textAt(given, ["kind"]) !== "Secret") {
    const state = withoutVolatile(withoutRenderedMetadata(injected, rendered, given));
    injected = withState(injected, state, []);
  }
  const last = live === undefined ? undefined : lastOf(live, name, composite);
  return { name, given, rendered, injected, live, last, policies, results, subject };
}

/** What the record on the live object says, if there is one that can be believed. */
function lastOf(live: JsonObject, name: string, composite: Composite): Applied | undefined {
  if (textAt(live, ["metadata", "annotations", heldAnnotation]) === "") return undefined;
  const { state } = readRecord(live, ownershipOf(live, composite.fieldManager));
  if (state === undefined) return undefined;
  return { state, object: withRenderedMetadata(state, name, composite, live) };
}

export type InTurn = <T>(ask: (review: Review) => T | undefined) => T | undefined;

/**
 * What is injected must not depend on whether the resource exists already, else Crossplane would take it back on the
 * second call: so a policy is asked about a creation first, and about an update only when that is all it speaks about.
 * `world` only tells the plural of the kind: the reviews are the same for all policies.
 */
export function createThenUpdate(
  object: JsonObject,
  live: JsonObject | undefined,
  world: World,
): InTurn {
  const creation = reviewOf(object, { world });
  let update: Review | undefined;
  return (ask) => {
    const created = ask(creation);
    if (created !== undefined || live === undefined) return created;
    update ??= reviewOf(object, { operation: "UPDATE", oldObject: live, world });
    return ask(update);
  };
}

const forProvider = ["spec", "forProvider"];
const pausedAnnotation = ["metadata", "annotations", "crossplane.io/paused"];

/** States what a managed resource left open, so that nobody else can become its owner. */
function withPins(object: JsonObject, pins: readonly Pin[], secretName: () => string): JsonObject {
  if (pins.length === 0 || !isObject(valueAt(object, forProvider))) return object;
  return pins.reduce((pinned, pin) => {
    const path = pin === "paused" ? pausedAnnotation : ["spec", pin];
    const value = pinnedValue(pin, pinned, secretName);
    if (value === undefined || valueAt(pinned, path) !== undefined) return pinned;
    return withPath(pinned, path, value);
  }, object);
}

/**
 * The same in every call and another for every resource, also before Crossplane has made up the resource's name.
 */
function connectionSecretName({ apiVersion, kind, namespace, name, uid }: Composite, own: string) {
  const hash = sha256Of([apiVersion, kind, namespace, name, uid, own]);
  return `parapet-${hash.slice("sha256:".length).slice(0, 24)}`;
}

/** Where classic compositions put connection secrets of cluster-scoped managed resources. */
const secretNamespace = "crossplane-system";

function pinnedValue(pin: Pin, object: JsonObject, secretName: () => string): Json | undefined {
  // Groups of namespaced managed resources have an `m` in their name: s3.aws.m.upbound.io.
  const isNamespaced = /\.m\.[^/]+\//.test(textAt(object, ["apiVersion"]));
  switch (pin) {
    case "managementPolicies":
      return ["*"];
    case "paused":
      return "false";
    case "deletionPolicy":
      return isNamespaced ? undefined : "Delete";
    case "providerConfigRef":
      return isNamespaced
        ? { kind: "ClusterProviderConfig", name: "default" }
        : { name: "default" };
    case "writeConnectionSecretToRef":
      return { name: secretName(), ...(isNamespaced ? {} : { namespace: secretNamespace }) };
    default:
      return pin satisfies never;
  }
}

/** The object as admission would see it if `candidate` were applied now. */
export function admitted(
  candidate: JsonObject,
  live: JsonObject | undefined,
  fieldManager: string,
): JsonObject {
  return live === undefined
    ? candidate
    : effective(live, candidate, ownershipOf(live, fieldManager));
}

/** What is sent back to Crossplane for a candidate. */
export const toDesired = (resource: Composed, candidate: JsonObject): JsonObject =>
  withoutRenderedMetadata(candidate, resource.rendered, resource.given);
