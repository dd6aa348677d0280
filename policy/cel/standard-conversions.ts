// SPDX-License-Identifier: Apache-2.0
import { typeNameOf, typeOf } from "./compare.ts";
import type { FunctionDeclaration, Overload } from "./library.ts";
import { goDouble } from "./text.ts";
import {
  durationText,
  makeDuration,
  makeTimestamp,
  offsetOf,
  parseDuration,
  parseTimestamp,
  splitNanos,
  timestampText,
} from "./time.ts";
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  dynType,
  intType,
  parameter,
  stringType,
  timestampType,
  typeName,
  typeOfType,
  uintType,
  type CelType,
} from "./types.ts";
import {
  CelError,
  checkedInt,
  checkedUint,
  doubleOf,
  doubleValue,
  Duration,
  intValue,
  isInt,
  Timestamp,
  TypeValue,
  Uint,
  type CelResult,
  type CelValue,
} from "./values.ts";

const failed = (value: CelValue, to: CelType): CelError =>
  new CelError(`type conversion error from '${typeNameOf(value)}' to '${typeName(to)}'`);

const overload = (
  name: string,
  from: CelType,
  to: CelType,
  call: (value: CelValue) => CelResult,
): Overload => ({
  id: `${from.kind}_to_${name}`,
  member: false,
  arguments: [from],
  result: to,
  call: (value: CelValue) => call(value),
});

/** A conversion to one type from some others. */
const conversion = (
  name: string,
  to: CelType,
  from: readonly CelType[],
  call: (value: CelValue) => CelResult,
): FunctionDeclaration => ({
  name,
  overloads: from.map((type) => overload(name, type, to, call)),
});

function toInt(value: CelValue): CelResult {
  if (isInt(value)) return intValue(value);
  if (value instanceof Uint) return checkedInt(value.value);
  if (value instanceof Timestamp) return splitNanos(value.nanos).seconds;
  if (value instanceof Duration) return checkedInt(value.nanos);
  const double = doubleOf(value);
  if (double !== undefined) {
    // Both bounds are excluded, as in cel-go: 2^63-1 is not a double.
    return double > -(2 ** 63) && double < 2 ** 63
      ? intValue(BigInt(Math.trunc(double)))
      : new CelError("integer overflow");
  }
  if (typeof value === "string" && /^[+-]?[0-9]+$/.test(value)) {
    const number = BigInt(value.replace(/^\+/, ""));
    const int = checkedInt(number);
    if (!(int instanceof CelError)) return int;
  }
  return failed(value, intType);
}

function toUint(value: CelValue): CelResult {
  if (value instanceof Uint) return value;
  if (isInt(value)) return checkedUint(BigInt(value));
  const double = doubleOf(value);
  if (double !== undefined) {
    return double >= 0 && double < 2 ** 64
      ? new Uint(BigInt(Math.trunc(double)))
      : new CelError("unsigned integer overflow");
  }
  if (typeof value === "string" && /^[0-9]+$/.test(value)) {
    const uint = checkedUint(BigInt(value));
    if (!(uint instanceof CelError)) return uint;
  }
  return failed(value, uintType);
}

/** What Go's ParseFloat takes for a decimal number: single underscores may stand between digits. */
const decimal =
  /^[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?$/;
const special = /^([+-]?)(?:(inf(?:inity)?)|nan)$/i;

function toDouble(value: CelValue): CelResult {
  const double = doubleOf(value);
  if (double !== undefined) return doubleValue(double);
  if (isInt(value)) return doubleValue(Number(value));
  if (value instanceof Uint) return doubleValue(Number(value.value));
  if (typeof value !== "string") return failed(value, doubleType);
  if (decimal.test(value)) {
    const number = Number(value.replaceAll("_", ""));
    return Number.isFinite(number) ? doubleValue(number) : failed(value, doubleType);
  }
  const found = special.exec(value);
  if (found === null) return failed(value, doubleType);
  if (found[2] === undefined) return found[1] === "" ? Number.NaN : failed(value, doubleType);
  return found[1] === "-" ? -Infinity : Infinity;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function toText(value: CelValue): CelResult {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || isInt(value)) return String(intOrBool(value));
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return timestampText(value.nanos, value.offset);
  if (value instanceof Duration) return durationText(value.nanos);
  const double = doubleOf(value);
  if (double !== undefined) return goDouble(double);
  if (!(value instanceof Uint8Array)) return failed(value, stringType);
  try {
    return utf8.decode(value);
  } catch {
    return new CelError("invalid UTF-8 in bytes, cannot convert to string");
  }
}

const intOrBool = (value: boolean | number | bigint): boolean | number | bigint =>
  typeof value === "number" ? intValue(BigInt(value)) : value;

const boolTexts: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  T: true,
  TRUE: true,
  true: true,
  True: true,
  "0": false,
  f: false,
  F: false,
  FALSE: false,
  false: false,
  False: false,
};

function toBool(value: CelValue): CelResult {
  if (typeof value === "boolean") return value;
  const known = typeof value === "string" && Object.hasOwn(boolTexts, value);
  return known ? (boolTexts[value] ?? false) : failed(value, boolType);
}

function toBytes(value: CelValue): CelResult {
  if (value instanceof Uint8Array) return value;
  return typeof value === "string"
    ? new Uint8Array(Buffer.from(value, "utf8"))
    : failed(value, bytesType);
}

function toTimestamp(value: CelValue): CelResult {
  if (value instanceof Timestamp) return value;
  if (isInt(value)) return makeTimestamp(BigInt(value) * 1_000_000_000n);
  if (typeof value !== "string") return failed(value, timestampType);
  const nanos = parseTimestamp(value);
  return nanos === undefined ? failed(value, timestampType) : makeTimestamp(nanos, offsetOf(value));
}

function toDuration(value: CelValue): CelResult {
  if (value instanceof Duration) return value;
  const nanos = typeof value === "string" ? parseDuration(value) : undefined;
  return nanos === undefined ? failed(value, durationType) : makeDuration(nanos);
}

/** Kubernetes refuses a literal that can never convert: cel-go's validators for durations and timestamps. */
const withLiteralCheck = (declaration: FunctionDeclaration): FunctionDeclaration => ({
  name: declaration.name,
  overloads: declaration.overloads.map((one) => ({
    ...one,
    checkLiterals: (value?: CelValue) =>
      value !== undefined && one.call(value) instanceof CelError
        ? `invalid ${declaration.name} argument`
        : undefined,
  })),
});

const A = parameter("A");

export const conversionFunctions: readonly FunctionDeclaration[] = [
  conversion("bool", boolType, [boolType, stringType], toBool),
  conversion("bytes", bytesType, [bytesType, stringType], toBytes),
  conversion("double", doubleType, [doubleType, intType, stringType, uintType], toDouble),
  conversion(
    "int",
    intType,
    [intType, doubleType, durationType, stringType, timestampType, uintType],
    toInt,
  ),
  conversion("uint", uintType, [uintType, doubleType, intType, stringType], toUint),
  conversion(
    "string",
    stringType,
    [stringType, boolType, bytesType, doubleType, durationType, intType, timestampType, uintType],
    toText,
  ),
  withLiteralCheck(
    conversion("timestamp", timestampType, [timestampType, intType, stringType], toTimestamp),
  ),
  withLiteralCheck(
    conversion("duration", durationType, [durationType, intType, stringType], toDuration),
  ),
  { name: "dyn", overloads: [overload("dyn", A, dynType, (value) => value)] },
  {
    name: "type",
    overloads: [overload("type", A, typeOfType(A), (value) => new TypeValue(typeOf(value)))],
  },
];
