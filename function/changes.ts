// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { keysOf, listKindOf, placeOf, rootPlace, type Place } from "./effective.ts";
import { annotationPath } from "./canonical.ts";
import { formatPath, sameJson, valueAt, type Path } from "./json-edit.ts";
import { fieldNode, isLeaf, itemNode, parseKeys, project, type Ownership } from "./ownership.ts";

/**
 * How a path of the desired state differs from the live object:
 * - `pending`: Crossplane owns the live value, so the desired state has changed since it was last applied
 * - `repair`: somebody else owns the live value, so it was written over
 * - `absent`: not live: a new field, or one that somebody removed
 * - `removal`: Crossplane owns it and the desired state no longer has it
 */
export type ChangeKind = "pending" | "repair" | "absent" | "removal";

export type Change = {
  readonly kind: ChangeKind;
  readonly path: Path;
  /** What the desired state says; undefined for a removal. */
  readonly wanted: Json | undefined;
  /** What was last applied, as far as the live object shows it; undefined when absent. */
  readonly live: Json | undefined;
};

/** What is Crossplane's or the guard's own and never a change to judge. */
const ignoredPaths = new Set([
  "apiVersion",
  "kind",
  "status",
  "metadata.name",
  "metadata.namespace",
  "metadata.generateName",
  formatPath(annotationPath),
]);

/** Every path in which the desired state and the live object differ, in the order of the objects. */
export function changesOf(
  wanted: JsonObject,
  live: JsonObject,
  ownership: Ownership,
): readonly Change[] {
  const changes: Change[] = [];
  const walk = { changes, recorded: ownership.recorded };
  compareObjects(walk, [], wanted, live, rootPlace(live, ownership));
  return changes.filter(({ path }) => !isOwnBusiness(path));
}

/** Labels and annotations that Crossplane adds and restores by itself, whatever a function says. */
const crossplaneKeys = new Set([
  "crossplane.io/composite",
  "crossplane.io/claim-name",
  "crossplane.io/claim-namespace",
  "crossplane.io/composition-resource-name",
]);

function isOwnBusiness(path: Path): boolean {
  const [first, second, third] = path;
  if (first === "metadata" && typeof third === "string" && crossplaneKeys.has(third)) return true;
  return (
    (first === "metadata" && second === "ownerReferences") || ignoredPaths.has(formatPath(path))
  );
}

/** Labels and annotations differ one by one, also where an object has none at all. */
const isKeyed = (path: Path, key: string): boolean =>
  path.length === 1 && path[0] === "metadata" && (key === "labels" || key === "annotations");

type Walk = { readonly changes: Change[]; readonly recorded: boolean };

function compare(walk: Walk, path: Path, wanted: Json, live: Json | undefined, place: Place): void {
  if (live === undefined) {
    walk.changes.push({ kind: "absent", path, wanted, live });
    return;
  }
  if (sameJson(wanted, live)) return;
  const isAtomic = place.schema?.is === "object" && place.schema.atomic;
  if (isObject(wanted) && isObject(live) && !isAtomic) {
    compareObjects(walk, path, wanted, live, place);
    return;
  }
  const kind = isArray(wanted) && isArray(live) ? listKindOf(place) : undefined;
  if (kind?.is === "keyed" && isArray(wanted) && isArray(live)) {
    compareLists(walk, path, { wanted, live }, place);
    return;
  }
  // A file without managedFields says nothing about owners: then all that differs is taken for a pending change.
  const isOurs = !walk.recorded || place.ours !== undefined;
  walk.changes.push({ kind: isOurs ? "pending" : "repair", path, wanted, live });
}

function compareObjects(
  walk: Walk,
  path: Path,
  wanted: JsonObject,
  live: JsonObject,
  place: Place,
): void {
  for (const key of Object.keys(wanted)) {
    const value = wanted[key];
    const known = Object.hasOwn(live, key) ? live[key] : isKeyed(path, key) ? {} : undefined;
    if (value !== undefined) compare(walk, [...path, key], value, known, placeOf(place, key));
  }
  for (const each of Object.keys(place.ours ?? {})) {
    const key = each.slice(2);
    const node = each.startsWith("f:") ? fieldNode(place.ours, key) : undefined;
    if (node === undefined || Object.hasOwn(wanted, key)) continue;
    const known = Object.hasOwn(live, key) ? live[key] : undefined;
    if (known === undefined) continue;
    const below = [...path, key];
    if (isObject(known) && !isLeaf(node) && Object.keys(known).length > 0) {
      compareObjects(walk, below, {}, known, placeOf(place, key));
      continue;
    }
    const applied = project(known, node);
    walk.changes.push({ kind: "removal", path: below, wanted: undefined, live: applied });
  }
}

function compareLists(
  walk: Walk,
  path: Path,
  lists: { readonly wanted: readonly Json[]; readonly live: readonly Json[] },
  place: Place,
): void {
  const kind = listKindOf(place);
  if (kind.is !== "keyed") return;
  for (const item of lists.wanted) {
    const keys = keysOf(item, kind);
    const known = lists.live.find((each) => sameJson(keysOf(each, kind), keys));
    compare(walk, [...path, keys], item, known, placeOf(place, keys));
  }
  for (const each of Object.keys(place.ours ?? {})) {
    if (!each.startsWith("k:")) continue;
    const keys = parseKeys(each);
    if (lists.wanted.some((item) => sameJson(keysOf(item, kind), keys))) continue;
    const known = lists.live.find((item) => sameJson(keysOf(item, kind), keys));
    const node = itemNode(place.ours, keys);
    if (known === undefined || node === undefined) continue;
    walk.changes.push({
      kind: "removal",
      path: [...path, keys],
      wanted: undefined,
      live: project(known, node),
    });
  }
}

/**
 * Fields that the desired state gives the very value that somebody else wrote: what Crossplane applied before is unknown, so
 * that nobody can tell a change from the state before it. None where nothing says who owns what.
 */
export function adoptedPaths(
  wanted: JsonObject,
  live: JsonObject,
  ownership: Ownership,
): readonly Path[] {
  if (!ownership.recorded) return [];
  const paths: Path[] = [];
  collectAdopted(paths, [], wanted, live, rootPlace(live, ownership));
  return paths.filter((path) => !isOwnBusiness(path));
}

function collectAdopted(
  paths: Path[],
  path: Path,
  wanted: JsonObject,
  live: JsonObject,
  place: Place,
): void {
  for (const [key, value] of Object.entries(wanted)) {
    const known = Object.hasOwn(live, key) ? live[key] : undefined;
    const below = placeOf(place, key);
    const here = [...path, key];
    if (isObject(value) && isObject(known) && Object.keys(value).length > 0) {
      collectAdopted(paths, here, value, known, below);
      continue;
    }
    // A list that others merge into is compared item by item elsewhere; its items are no single fields.
    if (below.ours === undefined && !isArray(value) && sameJson(value, known)) paths.push(here);
  }
}

/** Whether the desired state has the same value at a path as a record of it. */
export const sameAt = (object: JsonObject, path: Path, value: Json | undefined): boolean =>
  sameJson(valueAt(object, path), value);
