// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { MergeFailure } from "#policy/kubernetes/merge-failure";
import type { Merged } from "#policy/kubernetes/merge-failure";
import { mergeTypeNamed, mergeTypeOf } from "#policy/kubernetes/merge-keys";
import type { MergeField, MergeType } from "#policy/kubernetes/merge-keys";
import { mergeKeyedLists } from "#policy/kubernetes/strategic-merge-lists";

export type MergeOutcome =
  | { readonly ok: true; readonly value: JsonObject }
  | { readonly ok: false; readonly message: string };

/** Deepest nesting that is merged; the documents of both sides are bounded far below it. */
const depthMax = 500;

/**
 * Merges a strategic merge patch into an object as kustomize's kyaml/merge2 does, with new list items first: maps merge,
 * null deletes, lists merge by the keys of the object's kind where it has such and are replaced elsewhere;
 * `$patch: delete | replace | merge` direct. Neither argument changes; what the patch does not touch is shared.
 */
export function strategicMerge(object: JsonObject, patch: JsonObject): MergeOutcome {
  const merged = merge(object, patch, undefined, { path: "", depth: 0 });
  if (merged instanceof MergeFailure) return { ok: false, message: merged.message };
  // A patch that deletes the whole object leaves nothing that could be a resource.
  if (!isObject(merged)) return { ok: false, message: "the patch deletes the object" };
  return { ok: true, value: merged };
}

type Place = { readonly path: string; readonly depth: number };

/** The merge type of a map, or what is known of a field: a list's keys and the type of its items. */
type Known = MergeField | undefined;

/** Merges one value; `own` is what the surrounding type says of it. Absent values are undefined. */
function merge(
  object: Json | undefined,
  patch: Json | undefined,
  own: Known,
  place: Place,
): Merged {
  if (place.depth > depthMax) return new MergeFailure(`${place.path} is nested too deep`);
  const kind = kindOf(object) ?? kindOf(patch);
  const wrong = [object, patch].find((value) => (kindOf(value) ?? kind) !== kind);
  if (wrong !== undefined) {
    return new MergeFailure(
      `wrong node kind at ${place.path}: expected ${kind} but got ${kindOf(wrong)}`,
    );
  }
  switch (kind) {
    case undefined:
      // Neither side has a value: a null that the object states stays, unless the patch states it too.
      return patch === undefined ? object : undefined;
    case "map":
      return mergeMaps(object, patch, own, place);
    case "list":
      return mergeLists(object, patch, own, place);
    case "scalar":
      return patch === undefined ? object : (patch ?? undefined);
    default:
      return kind satisfies never;
  }
}

type Kind = "map" | "list" | "scalar";

function kindOf(value: Json | undefined): Kind | undefined {
  if (value === undefined || value === null) return undefined;
  if (isArray(value)) return "list";
  return isObject(value) ? "map" : "scalar";
}

const directive = "$patch";

function mergeMaps(
  object: Json | undefined,
  patch: Json | undefined,
  own: Known,
  place: Place,
): Merged {
  const present = isObject(object) ? object : undefined;
  if (patch === null) return undefined;
  const type = typeOf(own, present, patch);
  if (!isObject(patch)) {
    return present === undefined ? object : mergeFields(present, nothing, type, place);
  }
  const stated = field(patch, directive);
  const clean = stated === undefined ? patch : without(patch, directive);
  if (stated === "delete") return undefined;
  if (stated !== undefined && stated !== "replace" && stated !== "merge") {
    return new MergeFailure(`unknown patch strategy '${goText(stated)}'`);
  }
  // What is new is merged with itself, which drops its nulls and applies the directives in it.
  const base = present === undefined || stated === "replace" ? clean : present;
  return mergeFields(base, clean, type, place);
}

const nothing: JsonObject = {};

function typeOf(
  own: Known,
  object: JsonObject | undefined,
  patch: Json | undefined,
): MergeType | undefined {
  if (own?.type !== undefined) return mergeTypeNamed(own.type);
  const named = [object, patch].find(
    (value) => textAt(value, ["kind"]) !== "" && textAt(value, ["apiVersion"]) !== "",
  );
  if (named === undefined) return undefined;
  return mergeTypeOf(textAt(named, ["apiVersion"]), textAt(named, ["kind"]));
}

function mergeFields(
  base: JsonObject,
  patch: JsonObject,
  type: MergeType | undefined,
  place: Place,
): JsonObject | MergeFailure {
  const isNew = base === patch;
  let changed: Record<string, Json> | undefined;
  // Keyed lists of the object lose duplicates even where the patch says nothing of them.
  const keys = new Set([...Object.keys(patch), ...Object.keys(type ?? {})]);
  for (const key of [...keys].sort()) {
    const before = field(base, key);
    const known = type !== undefined && Object.hasOwn(type, key) ? type[key] : undefined;
    const below = { path: `${place.path}/${key}`, depth: place.depth + 1 };
    const after = merge(before, isNew ? before : field(patch, key), known, below);
    if (after instanceof MergeFailure) return after;
    if (after === before) continue;
    changed ??= { ...base };
    if (after === undefined) delete changed[key];
    if (after !== undefined) setOwn(changed, key, after);
  }
  return changed ?? base;
}

/** Assigning `__proto__` would change the prototype instead. */
export function setOwn(object: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

export function without(object: JsonObject, key: string): JsonObject {
  const copy: Record<string, Json> = { ...object };
  delete copy[key];
  return copy;
}

function mergeLists(
  object: Json | undefined,
  patch: Json | undefined,
  own: Known,
  place: Place,
): Merged {
  if (own?.keys === undefined) return patch === undefined ? object : (patch ?? undefined);
  const present = isArray(object) ? object : undefined;
  if (patch === null) return undefined;
  const { stated, items } = listDirective(isArray(patch) ? patch : []);
  if (stated instanceof MergeFailure) return stated;
  if (stated === "delete" && present !== undefined) return undefined;
  const base = present === undefined || stated === "replace" ? items : present;
  const item = own.type === undefined ? {} : { type: own.type };
  const below = { path: `${place.path}[]`, depth: place.depth + 1 };
  return mergeKeyedLists(base, items, own.keys, (one, other) => merge(one, other, item, below));
}

const goText = (value: Json | undefined): string =>
  typeof value === "string" ? value : JSON.stringify(value);

/** An item `{$patch: ...}` alone speaks about the whole list. */
function listDirective(patch: readonly Json[]): {
  readonly stated: "delete" | "replace" | "merge" | MergeFailure;
  readonly items: readonly Json[];
} {
  const found = patch.find((item) => isObject(item) && Object.hasOwn(item, directive));
  if (!isObject(found) || Object.keys(found).length > 1) return { stated: "merge", items: patch };
  const stated = found[directive];
  if (stated !== "delete" && stated !== "replace" && stated !== "merge") {
    const failure = new MergeFailure(`unknown patch strategy '${goText(stated)}'`);
    return { stated: failure, items: patch };
  }
  return { stated, items: patch.filter((item) => item !== found) };
}
