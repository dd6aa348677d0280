// SPDX-License-Identifier: Apache-2.0
import { typeNameOf } from "./compare.ts";
import { setOwn } from "./convert.ts";
import { keyText } from "./operators.ts";
import {
  CelError,
  CelMap,
  isInt,
  isMapKey,
  isPlainMap,
  mapKeyName,
  Uint,
  type CelResult,
  type CelValue,
  type MapKey,
} from "./values.ts";

/** Whether a value may be a key of a map by the language definition: not null, doubles, lists and the like. */
const isStrictKey = (value: CelValue): boolean =>
  typeof value === "string" || typeof value === "boolean" || value instanceof Uint || isInt(value);

type Entries = readonly (readonly [CelValue, CelValue])[];

/** A map of some entries: a plain object when all keys are strings. The last of repeated keys wins. */
export function makeMap(entries: Entries): CelResult {
  if (entries.every(([key]) => typeof key === "string")) return makePlainMap(entries);
  const known = new Map<string, readonly [MapKey, CelValue]>();
  for (const [key, value] of entries) {
    const name = mapKeyName(key);
    if (name === undefined || !isMapKey(key)) return unsupportedKey(key);
    known.set(name, [key, value]);
  }
  return new CelMap(known);
}

function makePlainMap(entries: Entries): CelResult {
  const object: Record<string, CelValue> = {};
  for (const [key, value] of entries) {
    if (typeof key === "string") setOwn(object, key, value);
  }
  return object;
}

const unsupportedKey = (key: CelValue): CelError =>
  new CelError(`unsupported key type: ${typeNameOf(key)}`);

/** The same, but repeated keys and keys of other types than bool, int, uint and string are errors. */
export function makeStrictMap(entries: Entries): CelResult {
  const bad = entries.find(([key]) => !isStrictKey(key));
  return bad === undefined
    ? makeUniqueMap(entries, "Failed with repeated key")
    : unsupportedKey(bad[0]);
}

/** The same, but repeated keys are an error with the words given. */
export function makeUniqueMap(entries: Entries, words: string): CelResult {
  const seen = new Set<string>();
  for (const [key] of entries) {
    const name = mapKeyName(key);
    if (name === undefined) return unsupportedKey(key);
    if (seen.has(name)) return new CelError(`${words}: ${keyText(key)}`);
    seen.add(name);
  }
  return makeMap(entries);
}

/** Keys and values of a map, in the order of insertion (JS puts whole-number keys of plain objects first). */
export function entriesOf(value: CelResult): readonly (readonly [MapKey, CelValue])[] | undefined {
  if (value instanceof CelMap) return [...value.entries()];
  return isPlainMap(value) ? Object.entries(value) : undefined;
}

export function keysOf(value: CelResult): readonly MapKey[] | undefined {
  if (value instanceof CelMap) return Array.from(value.entries(), ([key]) => key);
  return isPlainMap(value) ? Object.keys(value) : undefined;
}
