// SPDX-License-Identifier: Apache-2.0
import { typeNameOf } from "./compare.ts";
import { noSuchKey } from "./operators.ts";
import {
  CelError,
  CelMap,
  CelObject,
  isList,
  isPlainMap,
  Optional,
  optionalNone,
  type CelResult,
  type CelValue,
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

/** Whether a value is of a type whose values have fields or keys. */
const canHaveFields = (value: CelValue): boolean =>
  isPlainMap(value) || value instanceof CelMap || (value instanceof CelObject && value.hasFields);

/** `value.key`, on an optional an optional. `strict`: see `errorOnBadPresenceTest` of the environment. */
export function select(value: CelResult, key: string, strict: boolean): CelResult {
  if (value instanceof CelError) return value;
  if (value instanceof Optional) return selectOptional(value, key, strict);
  const found = fieldOf(value, key);
  return found === undefined ? noSuchKey(key) : found;
}

/** `value.?key`: none where there is no such field. */
export function selectOptional(value: CelResult, key: string, strict: boolean): CelResult {
  if (value instanceof CelError) return value;
  const inner = value instanceof Optional ? value.value : value;
  if (inner === undefined) return optionalNone;
  if (inner instanceof CelObject && !inner.hasField(key)) return inner.absent(key);
  const found = fieldOf(inner, key);
  if (found instanceof CelError) return found;
  if (found !== undefined) return new Optional(found);
  return strict && !canHaveFields(inner) ? noSuchKey(key) : optionalNone;
}

/** `has(value.key)`; false for values without fields, and for none. */
export function hasField(value: CelResult, key: string, strict: boolean): boolean | CelError {
  if (value instanceof CelError) return value;
  const inner = value instanceof Optional ? value.value : value;
  if (inner === undefined) return false;
  if (inner instanceof CelObject) return inner.hasField(key);
  const found = fieldOf(inner, key);
  if (found instanceof CelError) return found;
  return found === undefined && strict && !canHaveFields(inner)
    ? noSuchKey(key)
    : found !== undefined;
}
