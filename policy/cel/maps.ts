// SPDX-License-Identifier: Apache-2.0
import { typeNameOf } from "./compare.ts";
import { setOwn } from "./convert.ts";
import { keyText } from "./operators.ts";
import {
  CelError,
  CelMap,
  doubleOf,
  isPlainMap,
  mapKeyName,
  Uint,
  type CelResult,
  type CelValue,
  type MapKey,
} from "./values.ts";

/** Whether a value may be a key of a map literal: not null, doubles, lists and the like. */
const isKey = (value: CelValue): value is MapKey =>
  typeof value === "string" ||
  typeof value === "boolean" ||
  typeof value === "bigint" ||
  value instanceof Uint ||
  (typeof value === "number" && doubleOf(value) === undefined);

type Entries = readonly (readonly [CelValue, CelValue])[];

/** A map of some entries: a plain object when all keys are strings. Repeated keys are an error with the words given. */
export function makeMap(entries: Entries, words = "Failed with repeated key"): CelResult {
  return entries.every(([key]) => typeof key === "string")
    ? makePlainMap(entries, words)
    : makeKeyedMap(entries, words);
}

function makePlainMap(entries: Entries, words: string): CelResult {
  const object: Record<string, CelValue> = {};
  for (const [key, value] of entries) {
    if (typeof key !== "string") continue;
    if (Object.hasOwn(object, key)) return repeated(key, words);
    setOwn(object, key, value);
  }
  return object;
}

function makeKeyedMap(entries: Entries, words: string): CelResult {
  const known = new Map<string, readonly [MapKey, CelValue]>();
  for (const [key, value] of entries) {
    const name = isKey(key) ? mapKeyName(key) : undefined;
    if (name === undefined || !isKey(key)) {
      return new CelError(`unsupported key type: ${typeNameOf(key)}`);
    }
    if (known.has(name)) return repeated(key, words);
    known.set(name, [key, value]);
  }
  return new CelMap(known);
}

const repeated = (key: CelValue, words: string): CelError =>
  new CelError(`${words}: ${keyText(key)}`);

/** Keys and values of a map, in the order of insertion (JS puts whole-number keys of plain objects first). */
export function entriesOf(value: CelResult): readonly (readonly [MapKey, CelValue])[] | undefined {
  if (value instanceof CelMap) return [...value.entries()];
  return isPlainMap(value) ? Object.entries(value) : undefined;
}

export function keysOf(value: CelResult): readonly MapKey[] | undefined {
  if (value instanceof CelMap) return Array.from(value.entries(), ([key]) => key);
  return isPlainMap(value) ? Object.keys(value) : undefined;
}
