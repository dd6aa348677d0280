// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json } from "#policy/json";
import { sortedKeys } from "#policy/text/order";
import { QueryFailure } from "#policy/jmespath/query";

/** The path of a child as the reference's traversal writes it. */
export const childPath = (path: string, key: string): string =>
  `${path}/${key.replaceAll("/", "\\/")}`;

/**
 * A copy of a document with every text mapped, keys included (pkg/engine/jsonutils, OnlyForLeafsAndKeys). A key is
 * mapped at the path of its map. Maps are walked in the order of their keys, where Go's order is random.
 */
export function mapTexts(
  value: Json,
  path: string,
  map: (text: string, path: string) => Json | QueryFailure,
): Json | QueryFailure {
  if (typeof value === "string") return map(value, path);
  if (isArray(value)) {
    const items: Json[] = [];
    for (const [index, item] of value.entries()) {
      const mapped = mapTexts(item, `${path}/${index}`, map);
      if (mapped instanceof QueryFailure) return mapped;
      items.push(mapped);
    }
    return items;
  }
  if (!isObject(value)) return value;
  const entries: [string, Json][] = [];
  for (const key of sortedKeys(value)) {
    const name = mappedKey(map(key, path), key);
    if (name instanceof QueryFailure) return name;
    const mapped = mapTexts(value[key] ?? null, childPath(path, key), map);
    if (mapped instanceof QueryFailure) return mapped;
    entries.push([name, mapped]);
  }
  return Object.fromEntries(entries);
}

/** A key that became null stays what it was; other values that are no text cannot be keys. */
export function mappedKey(mapped: Json | QueryFailure, key: string): string | QueryFailure {
  if (mapped instanceof QueryFailure || typeof mapped === "string") return mapped;
  if (mapped === null) return key;
  return new QueryFailure("failed", `expected string after substituting variables in key "${key}"`);
}
