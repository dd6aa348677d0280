// SPDX-License-Identifier: Apache-2.0
import { field, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { MergeFailure } from "#policy/kubernetes/merge-failure";
import type { Merged } from "#policy/kubernetes/merge-failure";

/** Most items of two lists together whose keys repeat or are incomplete: each of those is held against all others. */
const irregularItemsMax = 1_000;

/**
 * Merges two lists whose items are told apart by keys (kyaml/yaml/walk/associative_sequence.go): the items of the patch
 * come first, each merged into its counterpart, the others of the object behind them. `[""]` is for scalar items.
 */
export function mergeKeyedLists(
  object: readonly Json[],
  patch: readonly Json[],
  keys: readonly string[],
  mergeItem: (object: Json | undefined, patch: Json | undefined) => Merged,
): Merged {
  const regular = mergeRegularLists(object, patch, keys, mergeItem);
  if (regular !== undefined) return regular;
  if (object.length + patch.length > irregularItemsMax) {
    const message = `more than ${irregularItemsMax} items in a list whose keys repeat or are incomplete`;
    return new MergeFailure(message);
  }
  const stated = distinct([...patch, ...object].map((item) => keyValues(item, keys)));
  const values = keys.length > 1 ? completeValues(stated) : stated;
  if (values.length === 0) return object;
  let rest: readonly Json[] = object;
  let items: Json[] = [];
  let known = keys;
  for (const one of values) {
    const [validKeys, validValues] = validPairs(values, one, keys);
    known = validKeys;
    const before = findItem(rest, validKeys, validValues);
    const merged = mergeItem(before, findItem(patch, validKeys, validValues));
    if (merged instanceof MergeFailure) return merged;
    if (merged === undefined || merged === null || isEmptyMap(merged)) {
      rest = setItem(rest, validKeys, validValues, undefined);
      continue;
    }
    const whole = keys[0] === "" ? merged : withKeys(merged, validKeys, validValues);
    // The reference merges in place: the item of the object is the merged one from here on.
    if (before !== undefined && whole !== before) {
      rest = rest.map((item) => (item === before ? whole : item));
    }
    items = setItem(items, validKeys, validValues, whole);
  }
  for (const item of rest) {
    const longer = appendItem(items, item, known);
    if (longer === undefined)
      return new MergeFailure("wrong node kind: expected map in a keyed list");
    items = longer;
  }
  return sameItems(items, object) ? object : items;
}

/**
 * The same in linear time where no key repeats within a list, as in nearly all; undefined where one does. With several
 * keys an item may leave some out and mean another item's, so then only a list that the patch leaves alone is regular.
 */
function mergeRegularLists(
  object: readonly Json[],
  patch: readonly Json[],
  keys: readonly string[],
  mergeItem: (object: Json | undefined, patch: Json | undefined) => Merged,
): Merged {
  if (keys.length > 1 && patch.length > 0) return undefined;
  const present = indexItems(object, keys);
  const stated = indexItems(patch, keys);
  if (present === undefined || stated === undefined) return undefined;
  const items: Json[] = [];
  for (const text of new Set([...stated.keys(), ...present.keys()])) {
    const before = present.get(text);
    const merged = mergeItem(before, stated.get(text));
    if (merged instanceof MergeFailure) return merged;
    if (merged === undefined || merged === null || isEmptyMap(merged)) continue;
    items.push(keys[0] === "" ? merged : withKeys(merged, keys.slice(0, 1), [text]));
  }
  return sameItems(items, object) ? object : items;
}

/** The items by their first key; undefined when one has none, or two have the same, or a key is no scalar. */
function indexItems(
  list: readonly Json[],
  keys: readonly string[],
): ReadonlyMap<string, Json> | undefined {
  const items = new Map<string, Json>();
  for (const item of list) {
    const values = keys.map((key) => (key === "" ? item : field(item, key)));
    const text = textOf(values[0]);
    const isRegular = values.every((value) => value !== null && typeof value !== "object");
    if (!isRegular || text === "" || items.has(text)) return undefined;
    items.set(text, item);
  }
  return items;
}

const isEmptyMap = (value: Json): boolean => isObject(value) && Object.keys(value).length === 0;

/** The text of a scalar, as YAML has it; '' for what is absent or empty. */
function textOf(value: Json | undefined): string {
  if (value === undefined || value === null || typeof value === "object") return "";
  return String(value);
}

const keyValues = (item: Json, keys: readonly string[]): readonly string[] =>
  keys.map((key) => (key === "" ? textOf(item) : textOf(field(item, key))));

function distinct(values: readonly (readonly string[])[]): (readonly string[])[] {
  const seen = new Set<string>();
  return values.filter((one) => {
    const key = JSON.stringify(one);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** Items that differ only in keys that one of them leaves out are the same item. */
function completeValues(values: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const completed = [...values];
  for (let i = 0; i < completed.length; i += 1) {
    for (let j = 0; j < completed.length; j += 1) {
      const both = unite(completed[i] ?? [], completed[j] ?? []);
      if (both === undefined) continue;
      completed[i] = both;
      completed[j] = both;
    }
  }
  return completed;
}

function unite(one: readonly string[], other: readonly string[]): readonly string[] | undefined {
  if (one.length !== other.length) return undefined;
  let common = false;
  const both: string[] = [];
  for (const [index, value] of one.entries()) {
    const counterpart = other[index] ?? "";
    if (value === counterpart) common = true;
    if (value !== counterpart && value !== "" && counterpart !== "") return undefined;
    both.push(value === "" ? counterpart : value);
  }
  return common ? both : undefined;
}

type Pairs = readonly [keys: readonly string[], values: readonly string[]];

/** Only the keys that some item has count; when none has any, all do. */
function validPairs(
  all: readonly (readonly string[])[],
  values: readonly string[],
  keys: readonly string[],
): Pairs {
  const valid = keys.filter((_, index) => all.some((one) => (one[index] ?? "") !== ""));
  if (valid.length === 0) return [keys, values];
  return [
    valid,
    values.filter((value, index) => value !== "" || valid.includes(keys[index] ?? "")),
  ];
}

/** The first item with these values; keys with an empty value do not count, unless all are. */
function findItem(
  list: readonly Json[],
  keys: readonly string[],
  values: readonly string[],
): Json | undefined {
  if (keys[0] === "") return list.find((item) => textOf(item) === values[0]);
  const [validKeys, validValues] = validPairs([values], values, keys);
  return list.find(
    (item) =>
      isObject(item) &&
      validKeys.every(
        (key, index) =>
          Object.hasOwn(item, key) && scalarText(item[key]) === (validValues[index] ?? ""),
      ),
  );
}

/** Of maps and lists YAML has no text: they compare as ''. */
const scalarText = (value: Json | undefined): string => (value === null ? "null" : textOf(value));

/** The keys that a merged item lost are put back. */
function withKeys(item: Json, keys: readonly string[], values: readonly string[]): Json {
  if (!isObject(item)) return item;
  const missing = keys.flatMap((key, index): readonly [string, Json][] => {
    const value = values[index] ?? "";
    return Object.hasOwn(item, key) || value === "" ? [] : [[key, value]];
  });
  return missing.length === 0 ? item : { ...item, ...Object.fromEntries(missing) };
}

/** Replaces the items with these values, removes them when `item` is undefined, else appends (kyaml ElementSetter). */
function setItem(
  list: readonly Json[],
  keys: readonly string[],
  values: readonly string[],
  item: Json | undefined,
): Json[] {
  const mapsOnly = keys[0] !== "" && (values[0] ?? "") !== "";
  const changed: Json[] = [];
  let found = false;
  for (const present of list) {
    if (present === null || isEmptyMap(present)) continue;
    if (!isObject(present) && mapsOnly) {
      changed.push(present);
      continue;
    }
    if (!hasValues(present, keys, values)) {
      // Without values nothing is kept: so it is in the reference.
      if (values.length > 0) changed.push(present);
      continue;
    }
    found = true;
    if (item !== undefined) changed.push(item);
  }
  if (item !== undefined && !found) changed.push(item);
  return changed;
}

function hasValues(item: Json, keys: readonly string[], values: readonly string[]): boolean {
  if (keys[0] === "") return textOf(item) === values[0];
  return keys.every((key, index) => {
    if (index >= values.length) return index > 0;
    const value = values[index] ?? "";
    if (!isObject(item) || !Object.hasOwn(item, key)) return false;
    return value === "" || scalarText(item[key]) === value;
  });
}

/** Puts an item of the object behind those of the patch, or in place of its counterpart (appendListNode). */
function appendItem(
  list: readonly Json[],
  item: Json,
  keys: readonly string[],
): Json[] | undefined {
  if (keys[0] === "") return setItem(list, keys, [textOf(item)], item);
  if (!isObject(item)) return undefined;
  const values: string[] = [];
  let longer: Json[] = [...list];
  for (const key of keys) {
    const value = field(item, key);
    if (value === undefined) longer.push(item);
    if (value !== undefined) values.push(scalarText(value));
  }
  if (keys.length > 1) longer = setItem(longer, keys, values, undefined);
  return setItem(longer, keys, values, item);
}

const sameItems = (one: readonly Json[], other: readonly Json[]): boolean =>
  one.length === other.length && one.every((item, index) => item === other[index]);
