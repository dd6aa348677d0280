// SPDX-License-Identifier: Apache-2.0
import { compare, equals, typeNameOf, type Meter } from "./compare.ts";
import { goTypeName } from "./go-types.ts";
import { goDouble } from "./text.ts";
import { makeDuration, makeTimestamp } from "./time.ts";
import {
  CelError,
  CelMap,
  CelObject,
  checkedInt,
  checkedUint,
  Double,
  doubleOf,
  doubleValue,
  int64Max,
  Duration,
  intValue,
  isInt,
  isIntNumber,
  isList,
  isPlainMap,
  Optional,
  optionalNone,
  Timestamp,
  Uint,
  type CelResult,
  type CelValue,
} from "./values.ts";

/** What operators give for operands of types they are not for: cel-go's text where both sides were looked at. */
export const noSuchOverload = new CelError("no such overload");

type Arithmetic = {
  /** The function's name, for the message when the left side knows no such operation at all. */
  readonly name: string;
  readonly int: (a: bigint, b: bigint) => number | bigint | CelError;
  readonly uint: (a: bigint, b: bigint) => Uint | CelError;
  readonly double: ((a: number, b: number) => number) | undefined;
};

/** Arithmetic on two numbers of one type; undefined when the operands are not that. */
function onNumbers(operation: Arithmetic, a: CelValue, b: CelValue): CelResult | undefined {
  if (isInt(a)) return isInt(b) ? operation.int(BigInt(a), BigInt(b)) : undefined;
  if (a instanceof Uint) return b instanceof Uint ? operation.uint(a.value, b.value) : undefined;
  const x = doubleOf(a);
  const y = doubleOf(b);
  if (x === undefined || y === undefined || operation.double === undefined) return undefined;
  return doubleValue(operation.double(x, y));
}

const addition: Arithmetic = {
  name: "_+_",
  int: (a, b) => checkedInt(a + b),
  uint: (a, b) => checkedUint(a + b),
  double: (a, b) => a + b,
};
const subtraction: Arithmetic = {
  name: "_-_",
  int: (a, b) => checkedInt(a - b),
  uint: (a, b) => checkedUint(a - b),
  double: (a, b) => a - b,
};
const multiplication: Arithmetic = {
  name: "_*_",
  int: (a, b) => checkedInt(a * b),
  uint: (a, b) => checkedUint(a * b),
  double: (a, b) => a * b,
};
const division: Arithmetic = {
  name: "_/_",
  int: (a, b) => (b === 0n ? new CelError("division by zero") : checkedInt(a / b)),
  uint: (a, b) => (b === 0n ? new CelError("division by zero") : checkedUint(a / b)),
  double: (a, b) => a / b,
};
const remainder: Arithmetic = {
  name: "_%_",
  // -2^63 % -1 is the one remainder whose division overflows, which cel-go reports
  int: (a, b) => {
    if (b === 0n) return new CelError("modulus by zero");
    return b === -1n && a === -(2n ** 63n) ? checkedInt(2n ** 63n) : intValue(a % b);
  },
  uint: (a, b) => (b === 0n ? new CelError("modulus by zero") : new Uint(a % b)),
  double: undefined,
};

/** Values that know neither arithmetic nor methods: for others cel-go's message does not name the operator. */
const knowsArithmetic = (value: CelValue): boolean =>
  typeof value === "string" ||
  typeof value === "number" ||
  typeof value === "bigint" ||
  value instanceof Double ||
  value instanceof Uint ||
  value instanceof Duration ||
  value instanceof Timestamp;

const noOperation = (operation: Arithmetic, a: CelValue): CelError =>
  knowsArithmetic(a) && (operation.double !== undefined || doubleOf(a) === undefined)
    ? noSuchOverload
    : new CelError(`no such overload: ${operation.name}`);

/** Whether two numbers are ints small enough that their sum is certainly exact. */
const bothSafe = (a: CelValue, b: CelValue): a is number =>
  typeof a === "number" &&
  typeof b === "number" &&
  Number.isSafeInteger(a) &&
  Number.isSafeInteger(b);

export function add(a: CelValue, b: CelValue): CelResult {
  if (bothSafe(a, b) && typeof b === "number") {
    const sum = a + b;
    return Number.isSafeInteger(sum) ? sum : BigInt(a) + BigInt(b);
  }
  if (typeof a === "string") return typeof b === "string" ? a + b : noSuchOverload;
  if (isList(a)) return isList(b) ? [...a, ...b] : noSuchOverload;
  const sum = onNumbers(addition, a, b);
  if (sum !== undefined) return sum;
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array ? new Uint8Array([...a, ...b]) : noSuchOverload;
  }
  if (a instanceof Duration) {
    if (b instanceof Duration) return makeDuration(a.nanos + b.nanos);
    if (b instanceof Timestamp) return makeTimestamp(a.nanos + b.nanos, b.offset);
  }
  if (a instanceof Timestamp && b instanceof Duration) {
    return makeTimestamp(a.nanos + b.nanos, a.offset);
  }
  return noOperation(addition, a);
}

export function subtract(a: CelValue, b: CelValue): CelResult {
  if (bothSafe(a, b) && typeof b === "number") {
    const difference = a - b;
    return Number.isSafeInteger(difference) ? difference : BigInt(a) - BigInt(b);
  }
  const difference = onNumbers(subtraction, a, b);
  if (difference !== undefined) return difference;
  if (b instanceof Duration) {
    if (a instanceof Duration) return makeDuration(a.nanos - b.nanos);
    if (a instanceof Timestamp) return makeTimestamp(a.nanos - b.nanos, a.offset);
  }
  if (a instanceof Timestamp && b instanceof Timestamp) return makeDuration(a.nanos - b.nanos);
  return noOperation(subtraction, a);
}

export const multiply = (a: CelValue, b: CelValue): CelResult =>
  onNumbers(multiplication, a, b) ?? noOperation(multiplication, a);
export const divide = (a: CelValue, b: CelValue): CelResult =>
  onNumbers(division, a, b) ?? noOperation(division, a);
export const modulo = (a: CelValue, b: CelValue): CelResult =>
  onNumbers(remainder, a, b) ?? noOperation(remainder, a);

/** Types that take part in other operations or have methods give the short text, as in cel-go. */
const noNegation = (value: CelValue): CelError =>
  typeof value === "string" || typeof value === "boolean" || value instanceof Timestamp
    ? noSuchOverload
    : new CelError("no such overload: -_");

export function negate(value: CelValue): CelResult {
  if (isInt(value)) return checkedInt(-BigInt(value));
  const number = doubleOf(value);
  if (number !== undefined) return doubleValue(-number);
  return value instanceof Duration ? makeDuration(-value.nanos) : noNegation(value);
}

/** The four comparisons. A NaN operand makes all of them false, as in cel-go. */
export type Comparison = (order: number) => boolean;
export const comparisons: Readonly<Record<string, Comparison>> = {
  "_<_": (order) => order < 0,
  "_<=_": (order) => order <= 0,
  "_>_": (order) => order > 0,
  "_>=_": (order) => order >= 0,
};

export function compareBy(name: string, test: Comparison, a: CelValue, b: CelValue): CelResult {
  const order = compare(a, b);
  if (order !== undefined) return test(order);
  const ordered = compare(a, a) !== undefined;
  return ordered ? noSuchOverload : new CelError(`no such overload: ${name}`);
}

/** `element in container`. */
export function isIn(element: CelValue, container: CelValue, meter?: Meter): CelResult {
  if (isList(container)) return container.some((item) => equals(item, element, meter));
  if (isPlainMap(container)) {
    return typeof element === "string" && Object.hasOwn(container, element);
  }
  if (container instanceof CelMap) return container.get(element) !== undefined;
  return noSuchOverload;
}

/** A key as `no such key: ...` and the like show it. */
export function keyText(key: CelValue): string {
  if (typeof key === "string") return key;
  if (key instanceof Uint) return String(key.value);
  const double = doubleOf(key);
  if (double !== undefined) return goDouble(double);
  return key === null || typeof key !== "object" ? String(key) : typeNameOf(key);
}

export const noSuchKey = (key: CelValue): CelError => new CelError(`no such key: ${keyText(key)}`);

/** What stands at a key or index: undefined when nothing does. */
export function lookUp(container: CelValue, key: CelValue): CelResult | undefined {
  if (isList(container)) {
    const place = listIndex(key);
    return typeof place === "number" ? container[place] : place;
  }
  if (isPlainMap(container)) {
    return typeof key === "string" && Object.hasOwn(container, key) ? container[key] : undefined;
  }
  if (container instanceof CelMap) return container.get(key);
  if (container instanceof CelObject && typeof key === "string") return container.getField(key);
  return undefined;
}

/** A list index of any number type, -1 for what is out of every list. */
function listIndex(key: CelValue): number | CelError {
  if (typeof key === "number" && isIntNumber(key)) return key;
  if (typeof key === "bigint") return -1;
  if (key instanceof Uint) {
    return key.value <= int64Max
      ? Number(key.value)
      : new CelError(`unsupported index value ${key.value} in list`);
  }
  const double = doubleOf(key);
  if (double === undefined) {
    return new CelError(`unsupported index type '${typeNameOf(key)}' in list`);
  }
  if (Number.isInteger(double) && isIntNumber(double)) return double;
  return new CelError(`unsupported index value ${goDouble(double)} in list`);
}

/** The Go type of what cannot be a key or index at all, as it is in JSON; undefined for what can. */
function badQualifier(key: CelValue): string | undefined {
  if (key === null) return "<nil>";
  if (typeof key !== "object" || key instanceof Uint || key instanceof Double) return undefined;
  if (isList(key)) return "[]interface {}";
  return isPlainMap(key) ? "map[string]interface {}" : goTypeName(key);
}

/** `container[key]`; on an optional an optional of what its value has there. */
export function index(container: CelValue, key: CelValue): CelResult {
  if (container instanceof Optional) return optionalIndex(container, key);
  const bad = badQualifier(key);
  if (bad !== undefined) return new CelError(`invalid qualifier type: ${bad}`);
  const found = lookUp(container, key);
  if (found !== undefined) return found;
  if (isList(container)) return new CelError(`index out of bounds: ${keyText(key)}`);
  return noSuchKey(key);
}

/** `container[?key]`: none instead of the error for a missing key or index. */
export function optionalIndex(container: CelValue, key: CelValue): CelResult {
  const inner = container instanceof Optional ? container.value : container;
  const bad = badQualifier(key);
  if (bad !== undefined) return new CelError(`invalid qualifier type: ${bad}`);
  const found = inner === undefined ? undefined : lookUp(inner, key);
  if (found instanceof CelError) return found;
  return found === undefined ? optionalNone : new Optional(found);
}
