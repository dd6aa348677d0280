// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { kindOf } from "#policy/kubernetes/kinds";
import { schemaOf, type Schema } from "#policy/kubernetes/schemas";
import { define, hasKeys, sameJson, type Step } from "./json-edit.ts";
import {
  anyOwns,
  fieldNode,
  isLeaf,
  itemNode,
  listKeys,
  type FieldsNode,
  type Ownership,
} from "./ownership.ts";

/** A place in an object seen from all sides: its schema and what the managers recorded about it. */
export type Place = {
  readonly schema: Schema | undefined;
  readonly ours: FieldsNode | undefined;
  readonly others: readonly (FieldsNode | undefined)[];
};

export const rootPlace = (object: JsonObject, ownership: Ownership): Place => ({
  schema: schemaOf(kindOf(object)),
  ours: ownership.ours,
  others: ownership.others,
});

export function placeOf(place: Place, step: Step): Place {
  // Where nothing is known nothing is known below.
  if (place.schema === undefined && place.ours === undefined && place.others.length === 0) {
    return place;
  }
  if (typeof step === "string") {
    return {
      schema: fieldSchema(place.schema, step),
      ours: fieldNode(place.ours, step),
      others: place.others.map((node) => fieldNode(node, step)),
    };
  }
  return {
    schema: place.schema?.is === "list" ? place.schema.element() : undefined,
    ours: itemNode(place.ours, step),
    others: place.others.map((node) => itemNode(node, step)),
  };
}

function fieldSchema(schema: Schema | undefined, name: string): Schema | undefined {
  return schema?.is === "object" ? (schema.field(name) ?? schema.others?.()) : undefined;
}

/** How a list behaves when somebody applies a part of it. */
export type ListKind =
  | { readonly is: "atomic" }
  | { readonly is: "set" }
  | { readonly is: "keyed"; readonly keys: readonly string[]; readonly defaults: JsonObject };

const atomic: ListKind = { is: "atomic" };

/** By schema for Kubernetes' own kinds; for others as the API server recorded it, which knows the CRD; else atomic. */
export function listKindOf(place: Place): ListKind {
  const { schema } = place;
  if (schema?.is === "list") {
    if (schema.relation.is === "set") return { is: "set" };
    if (schema.relation.is === "atomic") return atomic;
    const defaults = schema.relation.keys.filter(([, value]) => value !== null);
    return {
      is: "keyed",
      keys: schema.relation.keys.map(([key]) => key),
      defaults: Object.fromEntries(defaults),
    };
  }
  const nodes = [place.ours, ...place.others];
  const keys = listKeys(nodes);
  if (keys !== undefined) return { is: "keyed", keys, defaults: {} };
  const isSet = nodes.some((node) => Object.keys(node ?? {}).some((key) => key.startsWith("v:")));
  return isSet ? { is: "set" } : atomic;
}

/** The keys that name an element of a keyed list. */
export function keysOf(item: Json, kind: Extract<ListKind, { is: "keyed" }>): JsonObject {
  const keys: { [key: string]: Json } = {};
  for (const key of kind.keys) {
    const value = field(item, key) ?? field(kind.defaults, key);
    if (value !== undefined) keys[key] = value;
  }
  return keys;
}

/**
 * The object as admission would see it when Crossplane applies `wanted` over `live`: what Crossplane owned and no longer
 * states goes, all else of the live object stays, and what is stated wins.
 */
export function effective(live: JsonObject, wanted: JsonObject, ownership: Ownership): JsonObject {
  return overlayObject(live, wanted, rootPlace(live, ownership));
}

/** Gives back the live object itself where nothing differs: most of a composite most of the time. */
function overlayObject(live: JsonObject, wanted: JsonObject, place: Place): JsonObject {
  let result: { [key: string]: Json } | undefined;
  for (const key of Object.keys(wanted)) {
    const stated = wanted[key];
    if (stated === undefined) continue;
    const value = Object.hasOwn(live, key) ? live[key] : undefined;
    if (value === stated) continue;
    const kept = value === undefined ? stated : overlay(value, stated, placeOf(place, key));
    if (kept === value) continue;
    result ??= { ...live };
    define(result, key, kept);
  }
  for (const each of place.ours === undefined ? [] : Object.keys(place.ours)) {
    const key = each.slice(2);
    if (!each.startsWith("f:") || Object.hasOwn(wanted, key) || !Object.hasOwn(live, key)) continue;
    const value = live[key];
    const left = value === undefined ? undefined : withoutOwned(value, placeOf(place, key));
    if (left === value) continue;
    result ??= { ...live };
    if (left === undefined) delete result[key];
    else define(result, key, left);
  }
  return result ?? live;
}

function overlay(live: Json, wanted: Json, place: Place): Json {
  if (isObject(live) && isObject(wanted)) {
    const isAtomic = place.schema?.is === "object" && place.schema.atomic;
    return isAtomic ? wanted : overlayObject(live, wanted, place);
  }
  if (isArray(live) && isArray(wanted)) {
    return sameJson(live, wanted) ? live : overlayList(live, wanted, place);
  }
  return wanted;
}

function overlayList(live: readonly Json[], wanted: readonly Json[], place: Place): Json {
  const kind = listKindOf(place);
  if (kind.is === "atomic") return wanted;
  if (kind.is === "set") {
    const missing = live.filter(
      (item) => !wanted.some((each) => sameJson(each, item)) && !onlyOursValue(item, place),
    );
    return [...missing, ...wanted];
  }
  const kept = live.flatMap((item): readonly Json[] => {
    const keys = keysOf(item, kind);
    const stated = wanted.find((each) => sameJson(keysOf(each, kind), keys));
    const below = placeOf(place, keys);
    if (stated !== undefined) return [overlay(item, stated, below)];
    const left = withoutOwned(item, below);
    return left === undefined ? [] : [left];
  });
  const added = wanted.filter(
    (each) =>
      !live.some(
        (item) =>
          hasKeys(item, keysOf(each, kind)) || sameJson(keysOf(item, kind), keysOf(each, kind)),
      ),
  );
  return [...kept, ...added];
}

const onlyOursValue = (item: Json, place: Place): boolean => {
  const name = `v:${JSON.stringify(item)}`;
  const has = (node: FieldsNode | undefined) => node !== undefined && Object.hasOwn(node, name);
  return has(place.ours) && !place.others.some(has);
};

/** What is left of a live value that is no longer stated: all that somebody else owns or nobody does. */
function withoutOwned(value: Json, place: Place): Json | undefined {
  const { ours } = place;
  if (ours === undefined) return value;
  if (isLeaf(ours) || !(isObject(value) || isArray(value))) {
    return anyOwns(place.others) ? value : undefined;
  }
  if (isArray(value)) {
    const left = overlayList(value, [], place);
    return isArray(left) && left.length === 0 && !anyOwns(place.others) ? undefined : left;
  }
  const left = overlayObject(value, {}, place);
  return Object.keys(left).length === 0 && !anyOwns(place.others) ? undefined : left;
}
