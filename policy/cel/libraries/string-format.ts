// SPDX-License-Identifier: Apache-2.0
import { typeNameOf } from "#policy/cel/compare";
import { CelError, Double, doubleOf, isInt, Uint, type CelValue } from "#policy/cel/values";
import { quoteText } from "#policy/kubernetes/go-text";
import { textLengthMax, tooLarge } from "./declare.ts";

/** How values become text: cel-go has two ways, and which one an environment has is its strings library's version. */
export type FormatStyle = {
  /** How the two ways name the types that `%b`, `%o` and `%x` take. */
  readonly rules: { readonly binary: string; readonly octal: string; readonly hex: string };
  readonly text: (value: CelValue) => string | CelError;
  readonly decimal: (value: CelValue) => string | CelError;
  readonly fixed: (value: CelValue, precision: number | undefined) => string | CelError;
  readonly scientific: (value: CelValue, precision: number | undefined) => string | CelError;
};

/** Most digits after the point. cel-go bounds them at 100 in its newest version and not at all before. */
export const precisionMax = 1_000;

/**
 * The text of `format` with its clauses replaced by the arguments, or the error of cel-go: one clause takes one
 * argument, `%%` is a percent sign. Arguments too many are fine at run time.
 */
export function formatText(
  format: string,
  args: readonly CelValue[],
  style: FormatStyle,
): string | CelError {
  let built = "";
  let next = 0;
  let used = 0;
  while (next < format.length) {
    const percent = format.indexOf("%", next);
    if (percent === -1) return built + format.slice(next);
    built += format.slice(next, percent);
    if (format.charAt(percent + 1) === "%") {
      built += "%";
      next = percent + 2;
      continue;
    }
    const value = args[used];
    if (value === undefined) return new CelError(`index ${used} out of range`);
    if (percent + 1 >= format.length) return new CelError("unexpected end of string");
    const clause = parseClause(format, percent + 1);
    if (clause instanceof CelError) return clause;
    const text = formatClause(clause, value, style);
    if (text instanceof CelError) return new CelError(`error during formatting: ${text.message}`);
    built += text;
    if (built.length > textLengthMax) return tooLarge("format");
    next = clause.end;
    used += 1;
  }
  return built;
}

/** A clause such as `%.2f`: its letter, the digits it names, and where the text goes on. */
export type Clause = {
  readonly verb: string;
  readonly precision: number | undefined;
  readonly end: number;
};

/** Reads the clause whose percent sign stands before `start`. */
export function parseClause(format: string, start: number): Clause | CelError {
  const wrong = (why: string): CelError =>
    new CelError(`could not parse formatting clause: ${why}`);
  const precise = (why: string): CelError => wrong(`error while parsing precision: ${why}`);
  let place = start;
  let precision: number | undefined;
  if (format.charAt(place) === ".") {
    const digits = /^[0-9]*/.exec(format.slice(place + 1, place + 32))?.[0] ?? "";
    place += 1 + digits.length;
    if (place >= format.length) return precise("could not find end of precision specifier");
    if (digits === "") {
      return precise(
        'error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax',
      );
    }
    precision = Number(digits);
    if (precision > precisionMax) {
      return precise(`precision ${digits} exceeds maximum allowed precision ${precisionMax}`);
    }
  }
  const verb = String.fromCodePoint(format.codePointAt(place) ?? 0);
  if (!/^[sdfebxXo]$/.test(verb)) return wrong(`unrecognized formatting clause "${verb}"`);
  return { verb, precision, end: place + 1 };
}

/** The text of one argument for its clause. */
export function formatClause(
  clause: Clause,
  value: CelValue,
  style: FormatStyle,
): string | CelError {
  switch (clause.verb) {
    case "s":
      return style.text(value);
    case "d":
      return style.decimal(value);
    case "f":
      return style.fixed(value, clause.precision);
    case "e":
      return style.scientific(value, clause.precision);
    case "b":
      return binaryText(value, style);
    case "o":
      return octalText(value, style);
    default:
      return hexText(value, clause.verb === "X", style);
  }
}

/** The number of an int or uint, undefined for others. */
export function wholeOf(value: CelValue): bigint | undefined {
  if (value instanceof Uint) return value.value;
  return isInt(value) ? BigInt(value) : undefined;
}

/** The number of a double, boxed or not. */
export const numberOf = (value: CelValue): number | undefined =>
  value instanceof Double ? value.value : doubleOf(value);

export const refused = (rule: string, value: CelValue): CelError =>
  new CelError(`${rule}, was given ${typeNameOf(value)}`);

export const textRefused = (value: CelValue): CelError =>
  refused(
    "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
    value,
  );

/** A text in Go's quotes, as cel-go prints it inside a list. */
export const quoted = quoteText;

function binaryText(value: CelValue, style: FormatStyle): string | CelError {
  if (typeof value === "boolean") return value ? "1" : "0";
  const whole = wholeOf(value);
  if (whole !== undefined) return whole.toString(2);
  return refused(style.rules.binary, value);
}

function octalText(value: CelValue, style: FormatStyle): string | CelError {
  const whole = wholeOf(value);
  if (whole !== undefined) return whole.toString(8);
  return refused(style.rules.octal, value);
}

function hexText(value: CelValue, upper: boolean, style: FormatStyle): string | CelError {
  const text = hexDigits(value);
  if (text === undefined) {
    return refused(style.rules.hex, value);
  }
  return upper ? text.toUpperCase() : text;
}

function hexDigits(value: CelValue): string | undefined {
  if (typeof value === "string") return Buffer.from(value, "utf8").toString("hex");
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return wholeOf(value)?.toString(16);
}
