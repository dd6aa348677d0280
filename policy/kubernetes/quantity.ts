// SPDX-License-Identifier: Apache-2.0
import {
  aligned,
  compareTo,
  fitsInt64,
  int64Max,
  powerOfTen,
  rescaledUp,
  withoutFactors,
} from "#policy/kubernetes/amount";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/**
 * An amount as Kubernetes' resource.Quantity holds it: `unscaled * 10^scale`, exactly.
 * `small` tells the reference's two representations apart, because `isInteger` and `asInteger` look at it.
 */
export type Quantity = {
  readonly unscaled: bigint;
  readonly scale: number;
  readonly format: QuantityFormat;
  readonly small: boolean;
  /** The text it was parsed from when that text is kept as canonical, else ''. */
  readonly text: string;
};

/** Longest text read as a quantity, in characters: far more than any real one, and big numbers stay cheap. */
export const quantityLengthMax = 1_024;

/**
 * Largest power of ten. The reference takes any 32-bit exponent and then computes 10^exponent for minutes when it
 * compares; here a larger one is no quantity.
 */
export const quantityExponentMax = 1_024;

const nano = -9;
/** Decimal digits that always fit into an int64. */
const int64Digits = 18;

const formatWrong =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const numberWrong = "unable to parse numeric part of quantity";
const suffixWrong = "unable to parse quantity's suffix";

const decimalSuffixes: Readonly<Record<string, number>> = {
  "": 0,
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const binarySuffixes: Readonly<Record<string, number>> = {
  Ki: 10,
  Mi: 20,
  Gi: 30,
  Ti: 40,
  Pi: 50,
  Ei: 60,
};
const decimalNames = new Map(Object.entries(decimalSuffixes).map(([name, power]) => [power, name]));
const binaryNames = new Map(Object.entries(binarySuffixes).map(([name, power]) => [power, name]));

/** Reads a quantity as apimachinery's resource.ParseQuantity does. Never throws; the message is the reference's. */
export function parseQuantity(text: string): Parsed<Quantity> {
  if (text === "") return unparsed(formatWrong);
  if (text === "0") return parsed(smallQuantity(0n, 0, "DecimalSI", "0"));
  if (text.length > quantityLengthMax) return unparsed(numberWrong);
  const parts = splitQuantity(text);
  if (parts === undefined) return unparsed(formatWrong);
  const suffix = readSuffix(parts.suffix);
  if (suffix === undefined) return unparsed(suffixWrong);
  const small = parseSmall(text, parts, suffix);
  if (small !== undefined) return parsed(small);
  return parts.hasDigits ? parsed(parseBig(parts, suffix)) : unparsed(numberWrong);
}

/** A quantity of `unscaled * 10^scale` that has no text of its own yet, as arithmetic yields it. */
export function makeQuantity(unscaled: bigint, scale: number, format: QuantityFormat): Quantity {
  return { unscaled, scale, format, small: false, text: "" };
}

/** The quantity of a whole number, as resource.NewQuantity makes it. */
export function quantityOfInteger(value: bigint, format: QuantityFormat): Quantity {
  return smallQuantity(value, 0, format, "");
}

export const isZeroQuantity = (quantity: Quantity): boolean => quantity.unscaled === 0n;

export function signOfQuantity(quantity: Quantity): -1 | 0 | 1 {
  if (quantity.unscaled === 0n) return 0;
  return quantity.unscaled > 0n ? 1 : -1;
}

/** -1, 0 or 1 as `a` is less than, equal to or greater than `b`; exact whatever the suffixes. */
export function compareQuantities(a: Quantity, b: Quantity): -1 | 0 | 1 {
  const [left, right] = aligned(a, b);
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** The sum; it takes `b`'s format when `a` is zero, as the reference does. */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return combine(a, b, b.unscaled);
}

/** The difference; it takes `b`'s format when `a` is zero. */
export function subtractQuantities(a: Quantity, b: Quantity): Quantity {
  return combine(a, b, -b.unscaled);
}

/** The value as an int64, undefined where the reference's AsInt64 refuses: fractions, overflow, and amounts held as big decimals. */
export function quantityAsInteger(quantity: Quantity): bigint | undefined {
  if (!quantity.small || quantity.scale < 0) return undefined;
  const value = quantity.unscaled * 10n ** BigInt(quantity.scale);
  return fitsInt64(value) ? value : undefined;
}

/** The value as a double with the rounding of AsApproximateFloat64. */
export function quantityAsFloat(quantity: Quantity): number {
  const base = Number(quantity.unscaled);
  return quantity.scale === 0 ? base : base * powerOfTen(quantity.scale);
}

/** The value divided by 10^scale, rounded away from zero; exact, where the reference's ScaledValue may overflow. */
export function quantityAsScaled(quantity: Quantity, scale: number): bigint {
  return rescaledUp(quantity.unscaled, quantity.scale, scale).unscaled;
}

/** The canonical text: no fraction, the largest suffix that loses nothing. */
export function formatQuantity(quantity: Quantity): string {
  if (quantity.text !== "") return quantity.text;
  if (quantity.unscaled === 0n) return "0";
  const format = formatFor(quantity);
  return format === "BinarySI" ? binaryText(quantity) : decimalText(quantity, format);
}

type QuantityParts = {
  readonly negative: boolean;
  readonly digits: string;
  readonly fraction: string;
  readonly suffix: string;
  /** The reference minds a number without digits (`.Ei`) only on its slow path. */
  readonly hasDigits: boolean;
};

type Suffix = { readonly base: 2 | 10; readonly power: number; readonly format: QuantityFormat };

const isDigit = (character: string): boolean => character >= "0" && character <= "9";

function skip(text: string, from: number, accepts: (character: string) => boolean): number {
  let position = from;
  while (position < text.length && accepts(text.charAt(position))) position += 1;
  return position;
}

function splitQuantity(text: string): QuantityParts | undefined {
  const negative = text.startsWith("-");
  const start = negative || text.startsWith("+") ? 1 : 0;
  const first = skip(text, start, (character) => character === "0");
  const digitsEnd = skip(text, first, isDigit);
  let position = digitsEnd;
  let fraction = "";
  if (text.charAt(position) === ".") {
    position = skip(text, position + 1, isDigit);
    fraction = text.slice(digitsEnd + 1, position);
  }
  const suffixStart = position;
  position = skip(text, position, (character) => "eEinumkKMGTP".includes(character));
  if (position < text.length && "+-".includes(text.charAt(position))) position += 1;
  if (skip(text, position, isDigit) < text.length) return undefined;
  const digits = text.slice(first, digitsEnd);
  return {
    negative,
    digits: digits || "0",
    fraction,
    suffix: text.slice(suffixStart),
    hasDigits: digitsEnd > start || fraction !== "",
  };
}

function readSuffix(text: string): Suffix | undefined {
  if (Object.hasOwn(decimalSuffixes, text)) {
    return { base: 10, power: decimalSuffixes[text] ?? 0, format: "DecimalSI" };
  }
  if (Object.hasOwn(binarySuffixes, text)) {
    return { base: 2, power: binarySuffixes[text] ?? 0, format: "BinarySI" };
  }
  if (!/^[eE][+-]?[0-9]+$/.test(text)) return undefined;
  const exponent = BigInt(text.slice(1).replace("+", ""));
  if (!fitsInt64(exponent)) return undefined;
  const power = Number(BigInt.asIntN(32, exponent));
  return power > quantityExponentMax ? undefined : { base: 10, power, format: "DecimalExponent" };
}

/** The reference's fast path: what fits into an int64 with a power of ten. */
function parseSmall(text: string, parts: QuantityParts, suffix: Suffix): Quantity | undefined {
  const { digits, fraction } = parts;
  const binary = suffix.base === 2;
  if (binary && fraction !== "") return undefined;
  const precision = binary
    ? 15 - digits.length - Math.trunc((suffix.power * 3) / 10) - 1
    : int64Digits - digits.length - fraction.length;
  const scale = (binary ? 0 : suffix.power) - fraction.length;
  if (precision < 0 || scale < nano) return undefined;
  const shifted = digits + fraction;
  const value = BigInt(shifted);
  const amount = binary ? value * 2n ** BigInt(suffix.power) : value;
  if (!fitsInt64(amount)) return undefined;
  const canonical = binary
    ? suffix.power % 10 === 0 && (value & 7n) !== 0n
    : scale % 3 === 0 && !shifted.endsWith("000") && !shifted.startsWith("0");
  const signed = parts.negative ? -amount : amount;
  return smallQuantity(signed, scale, suffix.format, canonical ? text : "");
}

function parseBig(parts: QuantityParts, suffix: Suffix): Quantity {
  const value = BigInt(parts.digits + parts.fraction);
  const unscaled = suffix.base === 2 ? value * 2n ** BigInt(suffix.power) : value;
  const scale = (suffix.base === 2 ? 0 : suffix.power) - parts.fraction.length;
  let amount = value === 0n ? { unscaled: 0n, scale: 0 } : rescaledUp(unscaled, scale, nano);
  let format = suffix.format;
  if (format === "BinarySI" && compareTo(amount, int64Max) > 0) {
    amount = { unscaled: int64Max, scale: 0 };
  }
  // Below one the reference changes to the decimal format, to avoid rounding.
  if (format === "BinarySI" && amount.unscaled > 0n && compareTo(amount, 1n) < 0) {
    format = "DecimalSI";
  }
  const signed = parts.negative ? -amount.unscaled : amount.unscaled;
  return makeQuantity(signed, amount.scale, format);
}

function smallQuantity(
  unscaled: bigint,
  scale: number,
  format: QuantityFormat,
  text: string,
): Quantity {
  return { unscaled, scale, format, small: true, text };
}

function combine(a: Quantity, b: Quantity, signedB: bigint): Quantity {
  const format = a.unscaled === 0n ? b.format : a.format;
  const bothSmall = a.small && b.small;
  if (bothSmall && b.unscaled === 0n) return { ...a, format, text: "" };
  if (bothSmall && a.unscaled === 0n) return smallQuantity(signedB, b.scale, format, "");
  const scale = Math.min(a.scale, b.scale);
  const [left, right] = aligned(a, { unscaled: signedB, scale: b.scale });
  const unscaled = left + right;
  const small = bothSmall && fitsInt64(left) && fitsInt64(right) && fitsInt64(unscaled);
  return { unscaled, scale, format, small, text: "" };
}

function formatFor(quantity: Quantity): QuantityFormat {
  if (quantity.format !== "BinarySI") return quantity.format;
  if (compareTo(quantity, -1024n) > 0 && compareTo(quantity, 1024n) < 0) return "DecimalSI";
  const whole = rescaledUp(quantity.unscaled, quantity.scale, 0);
  return compareTo(quantity, whole.unscaled) === 0 ? "BinarySI" : "DecimalSI";
}

function decimalText(quantity: Quantity, format: QuantityFormat): string {
  const reduced = withoutFactors(quantity.unscaled, 10n);
  const power = quantity.scale + reduced.times;
  const step = ((power % 3) + 3) % 3;
  const mantissa = reduced.value * 10n ** BigInt(step);
  const exponent = power - step;
  if (format === "DecimalExponent")
    return exponent === 0 ? `${mantissa}` : `${mantissa}e${exponent}`;
  return `${mantissa}${decimalNames.get(exponent) ?? ""}`;
}

function binaryText(quantity: Quantity): string {
  const whole = rescaledUp(quantity.unscaled, quantity.scale, 0);
  const reduced = withoutFactors(whole.unscaled, 1024n);
  return `${reduced.value}${binaryNames.get(reduced.times * 10) ?? ""}`;
}
