// SPDX-License-Identifier: Apache-2.0
import { typeNameOf } from "./compare.ts";
import { noSuchKey } from "./operators.ts";
import {
  Boxed,
  CelError,
  CelMap,
  CelObject,
  isList,
  isPlainMap,
  Optional,
  optionalNone,
  type CelResult,
} from "./values.ts";

/**
 * Whether a plain `object[key]` can only find an own property of plain JSON: not for keys that objects, arrays or bytes
 * inherit or that arrays use as indices.
 */
export const isPlainKey = (key: string): boolean =>
  !(key in Object.prototype) &&
  !(key in Array.prototype) &&
  !(key in Uint8Array.prototype) &&
  !/^[0-9]/.test(key) &&
  key !== "__proto__";

/** The field of a value; undefined when the value has no such field or can have none. */
function fieldOf(value: CelResult, key: string): CelResult | undefined {
  if (isPlainMap(value)) return Object.hasOwn(value, key) ? value[key] : undefined;
  if (value instanceof CelMap) return value.get(key);
  if (value instanceof CelObject) return value.getField(key);
  if (isList(value)) {
    return new CelError(`unsupported index type '${typeNameOf(key)}' in list`);
  }
  return undefined;
}

/** `value.key` for any value: what the fast path of {@link select} left. */
function selectSlow(value: CelResult, key: string): CelResult {
  if (value instanceof CelError) return value;
  if (value instanceof Optional) return selectOptional(value, key);
  return fieldOf(value, key) ?? noSuchKey(key);
}

/** `value.key`, on an optional an optional; `plain` is {@link isPlainKey} of the key. */
export function select(value: CelResult, key: string, plain: boolean): CelResult {
  if (plain && typeof value === "object" && value !== null && !(value instanceof Boxed)) {
    const found = Object.hasOwn(value, key) ? fieldOf(value, key) : undefined;
    if (found !== undefined) return found;
  }
  return selectSlow(value, key);
}

/** `value.?key`: none where there is no such field. */
export function selectOptional(value: CelResult, key: string): CelResult {
  if (value instanceof CelError) return value;
  const inner = value instanceof Optional ? value.value : value;
  if (inner === undefined) return optionalNone;
  const found = fieldOf(inner, key);
  if (found instanceof CelError) return found;
  return found === undefined ? optionalNone : new Optional(found);
}

/** `has(value.key)`; false for values without fields, and for none. */
export function hasField(value: CelResult, key: string): boolean | CelError {
  if (value instanceof CelError) return value;
  const inner = value instanceof Optional ? value.value : value;
  if (inner === undefined) return false;
  const found = fieldOf(inner, key);
  return found instanceof CelError ? found : found !== undefined;
}
