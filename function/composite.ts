// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { field, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { sameJson, withKey } from "./json-edit.ts";
import { composedFieldManager } from "./ownership.ts";

/** The composite resource as far as its composed resources and messages need it. */
export type Composite = {
  readonly object: JsonObject;
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** '' for a cluster-scoped composite. */
  readonly namespace: string;
  readonly uid: string;
  /** The name under which Crossplane applies composed resources. */
  readonly fieldManager: string;
  /** Labels that Crossplane adds to every composed resource. */
  readonly labels: Readonly<Record<string, string>>;
  readonly namePrefix: string;
  /** All of the above but the object in one text: two composites of the same identity render resources alike. */
  readonly identity: string;
};

const labelComposite = "crossplane.io/composite";
const claimLabels = ["crossplane.io/claim-name", "crossplane.io/claim-namespace"] as const;
const annotationResourceName = "crossplane.io/composition-resource-name";

export function readComposite(object: JsonObject): Composite {
  const own = field(field(object, "metadata"), "labels");
  const namePrefix = textAt(own, [labelComposite]) || textAt(object, ["metadata", "name"]);
  const claim = claimLabels.map((label) => [label, textAt(own, [label])] as const);
  const labels = Object.fromEntries([
    [labelComposite, namePrefix],
    ...(claim.every(([, value]) => value !== "") ? claim : []),
  ]);
  const parts = {
    apiVersion: textAt(object, ["apiVersion"]),
    kind: textAt(object, ["kind"]),
    name: textAt(object, ["metadata", "name"]),
    namespace: textAt(object, ["metadata", "namespace"]),
    uid: textAt(object, ["metadata", "uid"]),
    labels,
    namePrefix,
  };
  const fieldManager = composedFieldManager(object);
  return { object, ...parts, fieldManager, identity: JSON.stringify(parts) };
}

/** Whether a claim stands behind the composite, so that its owner should see events and conditions too. */
export const hasClaim = (composite: Composite): boolean =>
  Object.hasOwn(composite.labels, claimLabels[0]);

/**
 * The desired object with the metadata that Crossplane adds before it applies it (core
 * internal/controller/apiextensions/composite/composition_render.go, RenderComposedResourceMetadata).
 */
export function withRenderedMetadata(
  desired: JsonObject,
  resourceName: string,
  composite: Composite,
  live: JsonObject | undefined,
): JsonObject {
  const given = field(desired, "metadata");
  const metadata: { [key: string]: Json } = { ...(isObject(given) ? given : {}) };
  const liveName = textAt(live, ["metadata", "name"]);
  if (liveName !== "") metadata["name"] = liveName;
  if (textAt(metadata, ["name"]) === "") {
    metadata["generateName"] = textAt(metadata, ["generateName"]) || `${composite.namePrefix}-`;
    metadata["name"] = generatedName(metadata["generateName"], composite.uid, resourceName);
  }
  const namespace = composite.namespace || textAt(live, ["metadata", "namespace"]);
  if (namespace !== "") metadata["namespace"] = namespace;
  metadata["labels"] = { ...objectAt(metadata, "labels"), ...composite.labels };
  metadata["annotations"] = {
    ...objectAt(metadata, "annotations"),
    [annotationResourceName]: resourceName,
  };
  const references = field(live, "metadata") && field(field(live, "metadata"), "ownerReferences");
  metadata["ownerReferences"] = references ?? [ownerReference(composite)];
  return withKey(desired, "metadata", metadata);
}

const nameLengthMax = 63;
const hashLength = 12;

/**
 * The name that Crossplane gives a composed resource that has none (core internal/names, ChildName; since v2.1, a random one
 * of the same shape before): policies on names must not fail only because it is given after the pipeline.
 */
export function generatedName(prefix: string, uid: string, resourceName: string): string {
  const hash = createHash("sha256").update(`${uid}${resourceName}`).digest("hex");
  const suffix = hash.slice(0, hashLength);
  const parent = prefix === "" || prefix.endsWith("-") ? prefix : `${prefix}-`;
  if (parent.length + hashLength <= nameLengthMax) return `${parent}${suffix}`;
  const room = nameLengthMax - hashLength;
  const cut = parent.slice(0, room);
  return `${cut.endsWith("-") ? cut : `${parent.slice(0, room - 1)}-`}${suffix}`;
}

/** The opposite: `rendered`, perhaps changed since, without what Crossplane adds and the desired object did not state. */
export function withoutRenderedMetadata(
  changed: JsonObject,
  rendered: JsonObject,
  desired: JsonObject,
): JsonObject {
  const before = objectAt(rendered, "metadata");
  const given = objectAt(desired, "metadata");
  const metadata = { ...objectAt(changed, "metadata") };
  for (const key of ["name", "generateName", "namespace", "ownerReferences"]) {
    if (!Object.hasOwn(given, key) && sameJson(metadata[key], before[key])) delete metadata[key];
  }
  for (const key of ["labels", "annotations"]) {
    const entries = withoutAdded(
      objectAt(metadata, key),
      objectAt(before, key),
      objectAt(given, key),
    );
    if (Object.keys(entries).length === 0 && !Object.hasOwn(given, key)) delete metadata[key];
    else metadata[key] = entries;
  }
  const isEmpty = Object.keys(metadata).length === 0 && !Object.hasOwn(desired, "metadata");
  return withKey(changed, "metadata", isEmpty ? undefined : metadata);
}

function withoutAdded(entries: JsonObject, before: JsonObject, given: JsonObject): JsonObject {
  const kept = Object.entries(entries).flatMap(([key, value]): readonly [string, Json][] => {
    if (Object.hasOwn(given, key)) return [[key, value]];
    return Object.hasOwn(before, key) ? [] : [[key, value]];
  });
  return Object.fromEntries(kept);
}

function objectAt(value: JsonObject, key: string): { [key: string]: Json } {
  const found = field(value, key);
  return isObject(found) ? { ...found } : {};
}

const ownerReference = (composite: Composite): JsonObject => ({
  apiVersion: composite.apiVersion,
  kind: composite.kind,
  name: composite.name,
  uid: composite.uid,
  controller: true,
  blockOwnerDeletion: true,
});
