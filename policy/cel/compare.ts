// SPDX-License-Identifier: Apache-2.0
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  dynType,
  errorType,
  intType,
  listOf,
  mapOf,
  nullType,
  stringType,
  timestampType,
  typeName,
  typeOfType,
  uintType,
  type CelType,
} from "./types.ts";
import {
  CelError,
  CelMap,
  CelObject,
  Double,
  doubleOf,
  Duration,
  isIntNumber,
  isList,
  isPlainMap,
  Optional,
  optionalRuntimeType,
  Timestamp,
  TypeValue,
  Uint,
  type CelResult,
  type CelValue,
  type PlainMap,
} from "./values.ts";

const dynList = listOf(dynType);
const dynMap = mapOf(dynType, dynType);
const dynTypeType = typeOfType(dynType);

/** The type that a value shows at run time; lists and maps are of `dyn`. */
export function typeOf(value: CelResult): CelType {
  if (typeof value === "string") return stringType;
  if (typeof value === "number") return isIntNumber(value) ? intType : doubleType;
  if (typeof value === "boolean") return boolType;
  if (value === null) return nullType;
  if (typeof value === "bigint") return intType;
  if (isList(value)) return dynList;
  if (value instanceof Double) return doubleType;
  if (value instanceof Uint) return uintType;
  if (value instanceof Uint8Array) return bytesType;
  if (value instanceof Timestamp) return timestampType;
  if (value instanceof Duration) return durationType;
  if (value instanceof Optional) return optionalRuntimeType;
  if (value instanceof TypeValue) return dynTypeType;
  if (value instanceof CelObject) return value.type;
  if (value instanceof CelError) return errorType;
  return dynMap;
}

/** The name of a value's type, as error messages and `type(x)` have it. */
export const typeNameOf = (value: CelResult): string => typeName(typeOf(value));

/** A number for comparison with numbers of other types: bigint or whole number for ints and uints, number for doubles. */
function numeric(value: CelValue): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (value instanceof Double || value instanceof Uint) return value.value;
  return undefined;
}

/** Whether one of two numbers is a double: then both are compared as doubles, as cel-go does even where that loses digits. */
const asDoubles = (a: CelValue, b: CelValue): boolean =>
  doubleOf(a) !== undefined || doubleOf(b) !== undefined;

function numbersEqual(a: CelValue, b: CelValue): boolean {
  const x = numeric(a);
  const y = numeric(b);
  if (x === undefined || y === undefined) return false;
  if (typeof x === typeof y) return x === y;
  // oxlint-disable-next-line eqeqeq -- a number and a bigint of one value are equal only by `==`
  return asDoubles(a, b) ? Number(x) === Number(y) : x == y;
}

/** Counts the parts of values that are compared; a budget is one. */
export type Meter = { used: number; readonly stop: number };

/**
 * Parts compared where no budget is given. Values can share parts, so that a short expression builds one whose parts
 * could not be counted in a lifetime; JSON of a cluster has a thousandth of this.
 */
const partsMax = 5_000_000;

/**
 * CEL equality: numbers by value whatever their types, lists and maps by content, NaN equal to nothing, and false (never
 * an error) for values of different types. Throws a RangeError beyond the meter's limit, which the program around turns
 * into an error.
 */
export function equals(a: CelValue, b: CelValue, meter?: Meter): boolean {
  if (typeof a !== typeof b || typeof a !== "object") {
    return a === b || numbersEqual(a, b);
  }
  if (a === null || b === null || typeof b !== "object") return a === b;
  const shared = meter ?? { used: 0, stop: partsMax };
  if (isList(a)) return isList(b) && listsEqual(a, b, shared);
  if (isPlainMap(a)) return mapsEqual(a, b, shared);
  return boxedEqual(a, b, shared);
}

function partsEqual(a: CelValue, b: CelValue, meter: Meter): boolean {
  meter.used++;
  if (meter.used > meter.stop) throw new RangeError("values have too many parts to compare");
  return equals(a, b, meter);
}

function listsEqual(a: readonly CelValue[], b: readonly CelValue[], meter: Meter): boolean {
  return (
    a.length === b.length && a.every((item, index) => partsEqual(item, b[index] ?? null, meter))
  );
}

function mapsEqual(a: PlainMap, b: CelValue, meter: Meter): boolean {
  if (b instanceof CelMap) return b.size === 0 && Object.keys(a).length === 0;
  if (!isPlainMap(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(
    (key) => Object.hasOwn(b, key) && partsEqual(a[key] ?? null, b[key] ?? null, meter),
  );
}

function boxedEqual(a: CelValue, b: CelValue, meter: Meter): boolean {
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
  }
  if (numeric(a) !== undefined) return numbersEqual(a, b);
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name;
  if (a instanceof Optional) return b instanceof Optional && optionalsEqual(a, b, meter);
  if (a instanceof CelMap) return keyedMapsEqual(a, b, meter);
  return a instanceof CelObject && b instanceof CelObject && a.equals(b);
}

function optionalsEqual(a: Optional, b: Optional, meter: Meter): boolean {
  if (a.value === undefined || b.value === undefined) return a.value === b.value;
  return partsEqual(a.value, b.value, meter);
}

function keyedMapsEqual(a: CelMap, b: CelValue, meter: Meter): boolean {
  if (!(b instanceof CelMap)) {
    return a.size === 0 && isPlainMap(b) && Object.keys(b).length === 0;
  }
  if (a.size !== b.size) return false;
  for (const [key, value] of a.entries()) {
    const other = b.get(key);
    if (other === undefined || !partsEqual(value, other, meter)) return false;
  }
  return true;
}

/**
 * Order of two values: negative, zero or positive; NaN when the order is undefined (a NaN operand); undefined when the
 * types have no order between them (`no such overload`). Numbers of all types compare with each other.
 */
export function compare(a: CelValue, b: CelValue): number | undefined {
  const x = numeric(a);
  const y = numeric(b);
  if (x !== undefined && y !== undefined) {
    return asDoubles(a, b) ? compareNumbers(Number(x), Number(y)) : compareNumbers(x, y);
  }
  if (typeof a === "string" && typeof b === "string") return compareStrings(a, b);
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Timestamp && b instanceof Timestamp) return compareNumbers(a.nanos, b.nanos);
  if (a instanceof Duration && b instanceof Duration) return compareNumbers(a.nanos, b.nanos);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compareBytes(a, b);
  return undefined;
}

function compareNumbers(a: number | bigint, b: number | bigint): number {
  if (a < b) return -1;
  if (a > b) return 1;
  // oxlint-disable-next-line eqeqeq -- a number and a bigint of one value are equal only by `==`
  return a == b ? 0 : Number.NaN;
}

/**
 * Order of strings by code point, which is that of their UTF-8 bytes and so Go's. JS compares UTF-16 units, where
 * surrogates sort before U+E000..U+FFFF.
 */
export function compareStrings(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

const codePointRank = (unit: number): number =>
  unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
