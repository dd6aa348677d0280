// SPDX-License-Identifier: Apache-2.0
import { changesOf } from "#function/changes";
import { digestOf } from "#function/approvals";
import type { Composite } from "#function/composite";
import { formatPath } from "#function/json-edit";
import { readRecord } from "#function/held-record";
import { ownershipOf } from "#function/ownership";
import { at, field, isArray, isObject, type Json, type JsonObject, textAt } from "#policy/json";
import { type Cluster, failure, type Reply } from "#responder/cluster";

const resourceName = "crossplane.io/composition-resource-name";

/** Most composed resources that are read to find one; a composite has some dozens. */
const referencesMax = 500;

/** The live object behind a resource name; undefined in `value` where it does not exist yet. */
export async function findComposed(
  cluster: Cluster,
  composite: Composite,
  resource: string,
): Promise<Reply<JsonObject | undefined>> {
  for (const reference of references(composite.object).slice(0, referencesMax)) {
    const apiVersion = textAt(reference, ["apiVersion"]);
    const type = await cluster.typeOf(apiVersion, textAt(reference, ["kind"]));
    if (!type.ok && type.code !== "NotFound") return type;
    if (!type.ok) continue;
    const named = textAt(reference, ["namespace"]) || composite.namespace;
    const namespace = type.value.namespaced ? named : "";
    const name = textAt(reference, ["name"]);
    if (name === "") continue;
    const live = await cluster.get(type.value, { namespace, name });
    if (!live.ok && live.code !== "NotFound") return live;
    if (live.ok && textAt(live.value, ["metadata", "annotations", resourceName]) === resource) {
      return live;
    }
  }
  return { ok: true, value: undefined };
}

/** Where Crossplane lists what it composed: below spec.crossplane, in older composites below spec. */
function references(composite: JsonObject): readonly Json[] {
  const listed =
    at(composite, ["spec", "crossplane", "resourceRefs"]) ??
    at(composite, ["spec", "resourceRefs"]);
  return isArray(listed) ? listed : [];
}

/** One line of a diff: `path: before -> after`. */
export type DiffLine = {
  readonly path: string;
  readonly before: Json | undefined;
  readonly after: Json | undefined;
};

/**
 * The values that are kept while a change is held, from the record on the live object. What the change would make of them
 * is kept nowhere in the cluster; {@link diffOf} knows it from the desired object.
 */
export function keptValues(live: JsonObject, composite: Composite): readonly DiffLine[] {
  const record = readRecord(live, ownershipOf(live, composite.fieldManager));
  return record.entries.map(({ path, value }) => ({
    path: formatPath(path),
    before: shown(live, value),
    after: undefined,
  }));
}

/** A terminal is no place for what a Secret holds; which of its keys change is told. */
function shown(object: JsonObject, value: Json | undefined): Json | undefined {
  return value === undefined || textAt(object, ["kind"]) !== "Secret" ? value : "(not shown)";
}

/**
 * The change that approving would let through, from the desired object that somebody rendered. Only an object whose digest is
 * the one that waits is believed; `Invalid` otherwise.
 */
export function diffOf(
  desired: JsonObject,
  live: JsonObject | undefined,
  question: { readonly composite: Composite; readonly resource: string; readonly digest: string },
): Reply<readonly DiffLine[]> {
  const { composite, resource, digest } = question;
  const match = [desired, withoutCrossplanes(desired)].find(
    (one) => digestOf(composite, resource, one) === digest,
  );
  if (match === undefined) {
    const found = digestOf(composite, resource, withoutCrossplanes(desired));
    return failure(
      "Invalid",
      `the desired object is another change: its digest is ${found}, waiting is ${digest}. Render it with the policies' injections, and for this very composite`,
    );
  }
  const lines = changesOf(match, live ?? {}, ownershipOf(live ?? {}, composite.fieldManager));
  return {
    ok: true,
    value: lines
      .map(({ path, live: before, wanted }) => ({
        path: formatPath(path),
        before: shown(match, before),
        after: shown(match, wanted),
      }))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

/** Labels and annotations that Crossplane adds when it renders, which no function states. */
function withoutCrossplanes(object: JsonObject): JsonObject {
  const metadata = field(object, "metadata");
  if (!isObject(metadata)) return object;
  const kept: Record<string, Json> = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (key === "ownerReferences") continue;
    if ((key !== "labels" && key !== "annotations") || !isObject(value)) {
      kept[key] = value;
      continue;
    }
    const entries = Object.entries(value).filter(([name]) => !name.startsWith("crossplane.io/"));
    if (entries.length > 0) kept[key] = Object.fromEntries(entries);
  }
  return { ...object, metadata: kept };
}
