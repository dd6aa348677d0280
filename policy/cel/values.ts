// SPDX-License-Identifier: Apache-2.0
import { opaqueOf, typeName, type CelType } from "./types.ts";

/**
 * A value of an expression. JSON from outside is a value as it is, so nothing is converted before evaluation:
 * - int: a whole JS number of at most 2^53-1 in size, else a bigint; {@link intValue} makes the right one. A raw whole
 *   number from JSON up to 2^63 also counts as an int.
 * - double: {@link Double} where the number is whole, otherwise the plain JS number; {@link doubleValue} makes the right one.
 * - list: a JS array. Map: a plain object (string keys, own properties only) or a {@link CelMap} for other keys.
 */
export type CelValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly CelValue[]
  | PlainMap
  | Double
  | Uint
  | CelMap
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | CelObject;

export interface PlainMap {
  readonly [key: string]: CelValue;
}

export type CelResult = CelValue | CelError;

/** Everything that is an object to JS and is not plain JSON: one `instanceof` tells them apart. */
export abstract class Boxed {
  /** Only for the type checker: keeps plain objects from counting as this by their shape. */
  declare protected readonly brand: "boxed";
}

/** `unsupported`: a function that this engine knows but cannot answer. `budget`: the expression ran too long. */
export type CelErrorCode = "evaluation" | "unsupported" | "budget";

/** A failed evaluation. It is a value: `&&`, `||` and `? :` absorb it where the language says so. */
export class CelError extends Boxed {
  readonly message: string;
  readonly code: CelErrorCode;
  constructor(message: string, code: CelErrorCode = "evaluation") {
    super();
    this.message = message;
    this.code = code;
  }
}

/** A double whose number is whole, NaN excluded; others are plain JS numbers. Make with {@link doubleValue}. */
export class Double extends Boxed {
  readonly value: number;
  constructor(value: number) {
    super();
    this.value = value;
  }
}

export class Uint extends Boxed {
  /** 0 .. 2^64-1 */
  readonly value: bigint;
  constructor(value: bigint) {
    super();
    this.value = value;
  }
}

/** Nanoseconds since 1970, UTC; year 1 to 9999. Make with `makeTimestamp` where the range is not certain. */
export class Timestamp extends Boxed {
  readonly nanos: bigint;
  /** Minutes east of UTC with which the text that it was read from was written. Only `string()` and `format` show them. */
  readonly offset: number;
  constructor(nanos: bigint, offset = 0) {
    super();
    this.nanos = nanos;
    this.offset = offset;
  }
}

/** Nanoseconds, within int64. */
export class Duration extends Boxed {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    super();
    this.nanos = nanos;
  }
}

export class TypeValue extends Boxed {
  readonly type: CelType;
  constructor(type: CelType) {
    super();
    this.type = type;
  }
  get name(): string {
    return typeName(this.type);
  }
}

export class Optional extends Boxed {
  /** Undefined for none. */
  readonly value: CelValue | undefined;
  constructor(value: CelValue | undefined) {
    super();
    this.value = value;
  }
}

export const optionalNone = new Optional(undefined);

export type MapKey = null | boolean | number | bigint | string | Uint | Double;

export const isMapKey = (value: CelValue): value is MapKey =>
  value === null || typeof value !== "object" || value instanceof Uint || value instanceof Double;

/** A map with keys other than strings. Numeric keys that are equal are one key, whatever their type. */
export class CelMap extends Boxed {
  readonly #entries: ReadonlyMap<string, readonly [MapKey, CelValue]>;
  constructor(entries: ReadonlyMap<string, readonly [MapKey, CelValue]>) {
    super();
    this.#entries = entries;
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: CelValue): CelValue | undefined {
    const name = mapKeyName(key);
    return name === undefined ? undefined : this.#entries.get(name)?.[1];
  }
  /** In the order of insertion. */
  entries(): Iterable<readonly [MapKey, CelValue]> {
    return this.#entries.values();
  }
}

/**
 * A value of a type that a library brings: an opaque one (quantity, IP) or an object with fields (`Object{}` literals,
 * lazily computed `variables`). Subclasses override what their type supports.
 */
export abstract class CelObject extends Boxed {
  abstract readonly type: CelType;
  /** The field's value; undefined when there is no such field, which `has()` reports as false. */
  getField(_name: string): CelResult | undefined {
    return undefined;
  }
  /** What `has()` says of a field; fields that have a default when unset override it. */
  hasField(name: string): boolean {
    return this.getField(name) !== undefined;
  }
  /** What `x.?field` gives for a field that is not set. */
  absent(_name: string): CelResult {
    return optionalNone;
  }
  /** Whether the type has selectable fields at all. */
  get hasFields(): boolean {
    return false;
  }
  equals(other: CelObject): boolean {
    return this === other;
  }
  /** What `has()` and JSON output see; undefined when the value has no JSON form. */
  toJson(): CelValue | undefined {
    return undefined;
  }
  /** Whether `optional.ofNonZeroValue` takes it for empty. */
  get isZero(): boolean {
    return false;
  }
}

/** Fields computed when first read and then kept, e.g. `variables`. Errors are kept too. */
export class LazyObject extends CelObject {
  readonly type: CelType;
  readonly #resolve: (name: string) => CelResult | undefined;
  readonly #known = new Map<string, CelResult | undefined>();
  /** `resolve` answers undefined for a field that does not exist. */
  constructor(type: CelType, resolve: (name: string) => CelResult | undefined) {
    super();
    this.type = type;
    this.#resolve = resolve;
  }
  override get hasFields(): boolean {
    return true;
  }
  override getField(name: string): CelResult | undefined {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const value = this.#resolve(name);
    this.#known.set(name, value);
    return value;
  }
}

export const int64Max = 2n ** 63n - 1n;
export const int64Min = -(2n ** 63n);
export const uint64Max = 2n ** 64n - 1n;

/** The int for a number within int64; the caller checks the range with {@link checkedInt} where it can be left. */
export function intValue(value: bigint | number): number | bigint {
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : BigInt(value);
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/** The int, or cel-go's overflow error when it does not fit int64. */
export const checkedInt = (value: bigint): number | bigint | CelError =>
  value > int64Max || value < int64Min ? new CelError("integer overflow") : intValue(value);

export const checkedUint = (value: bigint): Uint | CelError =>
  value > uint64Max || value < 0n ? new CelError("unsigned integer overflow") : new Uint(value);

export const doubleValue = (value: number): number | Double =>
  Number.isInteger(value) ? new Double(value) : value;

/** Whether a raw JS number is an int to CEL: whole, and within int64. */
export const isIntNumber = (value: number): boolean =>
  Number.isSafeInteger(value) ||
  (Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63);

export const isInt = (value: CelResult): value is number | bigint =>
  typeof value === "bigint" || (typeof value === "number" && isIntNumber(value));

/** The number of a double, undefined for any other value. */
export function doubleOf(value: CelResult): number | undefined {
  if (value instanceof Double) return value.value;
  return typeof value === "number" && !isIntNumber(value) ? value : undefined;
}

export const isList = (value: CelResult | undefined): value is readonly CelValue[] =>
  Array.isArray(value);

export const isPlainMap = (value: CelResult | undefined): value is PlainMap =>
  typeof value === "object" &&
  value !== null &&
  !(value instanceof Boxed) &&
  !Array.isArray(value) &&
  !(value instanceof Uint8Array);

/** A name that equal map keys share: 1, 1u and 1.0 are one key. Undefined for what cannot be a key. */
export function mapKeyName(key: CelValue): string | undefined {
  if (typeof key === "string") return `s${key}`;
  if (typeof key === "boolean") return key ? "true" : "false";
  if (key === null) return "null";
  if (typeof key === "bigint") return `n${key}`;
  if (key instanceof Uint) return `n${key.value}`;
  const number = key instanceof Double ? key.value : key;
  if (typeof number !== "number" || Number.isNaN(number)) return undefined;
  return Number.isInteger(number) ? `n${BigInt(number)}` : `d${number}`;
}

/** The optional type, without saying of what: what a value shows at run time. */
export const optionalRuntimeType = opaqueOf("optional_type");
