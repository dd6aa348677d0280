// SPDX-License-Identifier: Apache-2.0
import { compareStrings } from "#policy/cel/compare";
import { goDouble } from "#policy/cel/text";
import { durationText, timestampText } from "#policy/cel/time";
import {
  CelError,
  CelMap,
  Duration,
  isList,
  isPlainMap,
  Timestamp,
  TypeValue,
  type CelValue,
} from "#policy/cel/values";
import {
  fixedText,
  groupedFixedText,
  raisedScientificText,
  scientificText,
  shortestText,
} from "./decimal-text.ts";
import {
  numberOf,
  quoted,
  refused,
  textRefused,
  wholeOf,
  type FormatStyle,
} from "./string-format.ts";

/** Digits after the point where a clause names none. */
const defaultPrecision = 6;

/** Nesting that a formatted value may have. */
const depthMax = 1_000;

/**
 * The style of strings versions 1 to 3, which Kubernetes and Kyverno have: lists and maps look like CEL literals, `%f`
 * groups digits and `%e` raises the exponent as en_US does. Source: cel-go ext/formatting.go.
 */
export const localizedStyle: FormatStyle = {
  rules: {
    binary: "only integers and bools can be formatted as binary",
    octal: "octal clause can only be used on integers",
    hex: "only integers, byte buffers, and strings can be formatted as hex",
  },
  text: (value) => literalText(value, false, 0),
  decimal: (value) =>
    wholeOf(value)?.toString() ?? refused("decimal clause can only be used on integers", value),
  fixed: (value, precision = defaultPrecision) => {
    const number = doubleOrName(value);
    if (number === undefined) {
      return refused("fixed-point clause can only be used on doubles", value);
    }
    return Number.isFinite(number) ? groupedFixedText(number, precision) : infinitySign(number, 0);
  },
  scientific: (value, precision = defaultPrecision) => {
    const number = doubleOrName(value);
    if (number === undefined) {
      return refused("scientific clause can only be used on doubles", value);
    }
    // cel-go passes the precision on as a width; the number always has six decimals.
    return Number.isFinite(number)
      ? raisedScientificText(number).padStart(precision)
      : infinitySign(number, precision);
  },
};

/** The style of strings version 4 and later, which cel-spec tests. Source: cel-go ext/formatting_v2.go. */
export const plainStyle: FormatStyle = {
  rules: {
    binary: "only ints, uints, and bools can be formatted as binary",
    octal: "octal clause can only be used on ints and uints",
    hex: "only ints, uints, bytes, and strings can be formatted as hex",
  },
  text: (value) => plainText(value, 0),
  decimal: (value) =>
    wholeOf(value)?.toString() ??
    plainNumber(value, shortestText) ??
    refused("decimal clause can only be used on ints, uints, and doubles", value),
  fixed: (value, precision = defaultPrecision) =>
    plainNumber(value, (number) => fixedText(number, precision)) ??
    refused("fixed-point clause can only be used on ints, uints, and doubles", value),
  scientific: (value, precision = defaultPrecision) =>
    plainNumber(value, (number) => scientificText(number, precision)) ??
    refused("scientific clause can only be used on ints, uints, and doubles", value),
};

function plainNumber(value: CelValue, print: (number: number) => string): string | undefined {
  const whole = wholeOf(value);
  const number = whole === undefined ? numberOf(value) : Number(whole);
  if (number === undefined) return undefined;
  return Number.isFinite(number) ? print(number) : String(number);
}

/** `NaN` and infinities may also come as strings. */
function doubleOrName(value: CelValue): number | undefined {
  if (value === "NaN") return Number.NaN;
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  return numberOf(value);
}

function infinitySign(number: number, width: number): string {
  if (Number.isNaN(number)) return "NaN".padStart(width);
  return (number > 0 ? "\u221e" : "-\u221e").padStart(width);
}

const bytesText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

function scalarText(value: CelValue): string | undefined {
  if (typeof value === "string") return value;
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (value instanceof Uint8Array) return bytesText(value);
  if (value instanceof Timestamp) return timestampText(value.nanos);
  if (value instanceof Duration) return durationText(value.nanos);
  if (value instanceof TypeValue) return value.name;
  return wholeOf(value)?.toString();
}

function plainText(value: CelValue, depth: number): string | CelError {
  const scalar = scalarText(value) ?? plainNumber(value, shortestText);
  if (scalar !== undefined) return scalar;
  if (depth > depthMax) return new CelError("value is nested too deeply");
  if (isList(value)) {
    const parts = collect(value, (item) => plainText(item, depth + 1));
    return parts instanceof CelError ? parts : `[${parts.join(", ")}]`;
  }
  const entries = entriesOf(value);
  if (entries === undefined) return textRefused(value);
  return mapText(entries, ": ", (key, item) => [
    plainText(key, depth + 1),
    plainText(item, depth + 1),
  ]);
}

/** `inside` a list or map texts are quoted, doubles have six decimals, and times look like their constructors. */
function literalText(value: CelValue, inside: boolean, depth: number): string | CelError {
  const number = numberOf(value);
  if (number !== undefined) return inside ? literalNumber(number) : goDouble(number);
  if (inside && typeof value === "string") return quoted(value);
  if (inside && value instanceof Uint8Array) return `b${quoted(bytesText(value))}`;
  if (value instanceof Timestamp) {
    const text = timestampText(value.nanos, value.offset);
    return inside ? `timestamp(${quoted(text)})` : text;
  }
  if (inside && value instanceof Duration) return `duration(${quoted(durationText(value.nanos))})`;
  const scalar = scalarText(value);
  if (scalar !== undefined) return scalar;
  if (depth > depthMax) return new CelError("value is nested too deeply");
  if (isList(value)) {
    const parts = collect(value, (item) => literalText(item, true, depth + 1));
    return parts instanceof CelError ? parts : `[${parts.join(", ")}]`;
  }
  const entries = entriesOf(value);
  if (entries === undefined) return textRefused(value);
  return mapText(entries, ":", (key, item) => [
    literalText(key, true, depth + 1),
    literalText(item, true, depth + 1),
  ]);
}

function literalNumber(number: number): string {
  return Number.isFinite(number) ? fixedText(number, defaultPrecision) : quoted(goDouble(number));
}

function entriesOf(value: CelValue): readonly (readonly [CelValue, CelValue])[] | undefined {
  if (value instanceof CelMap) return [...value.entries()];
  return isPlainMap(value) ? Object.entries(value) : undefined;
}

function mapText(
  entries: readonly (readonly [CelValue, CelValue])[],
  separator: string,
  print: (key: CelValue, value: CelValue) => readonly [string | CelError, string | CelError],
): string | CelError {
  const lines: { readonly key: string; readonly value: string }[] = [];
  for (const entry of entries) {
    const [key, value] = print(...entry);
    if (key instanceof CelError) return key;
    if (value instanceof CelError) return value;
    lines.push({ key, value });
  }
  lines.sort((a, b) => compareStrings(a.key, b.key));
  return `{${lines.map((line) => `${line.key}${separator}${line.value}`).join(", ")}}`;
}

function collect(
  items: readonly CelValue[],
  print: (item: CelValue) => string | CelError,
): readonly string[] | CelError {
  const texts: string[] = [];
  for (const item of items) {
    const text = print(item);
    if (text instanceof CelError) return text;
    texts.push(text);
  }
  return texts;
}
