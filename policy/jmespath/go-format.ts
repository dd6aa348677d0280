// SPDX-License-Identifier: Apache-2.0
import { isArray } from "#policy/json";
import { sortedKeys } from "#policy/text/order";
import { ExpressionReference, GoInteger, type Value } from "#policy/jmespath/values";

/** Longest text that one value takes in a message, in characters. */
const messageValueMax = 16_384;

/** A value as Go's `%v` prints it, all numbers being float64: `[a b]`, `map[k:v]`, `<nil>`, `1e+06`. */
export function formatValue(value: Value): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return formatFloat(value);
  if (typeof value === "boolean") return String(value);
  if (value === null) return "<nil>";
  if (value instanceof GoInteger) return String(value.value);
  if (value instanceof ExpressionReference) return "{}";
  if (isArray(value)) return `[${value.map(formatValue).join(" ")}]`;
  const keys = sortedKeys(value);
  return `map[${keys.map((key) => `${key}:${formatValue(value[key] ?? null)}`).join(" ")}]`;
}

/** The same for a message, where no value may take all the room. */
export function formatForMessage(value: Value): string {
  const text = formatValue(value);
  return text.length > messageValueMax ? `${text.slice(0, messageValueMax)}...` : text;
}

/** strconv.FormatFloat(value, 'g', -1, 64): the shortest digits, an exponent below 0.0001 and from a million on. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const [digits = "", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 6)) return withExponent(digits, exponent);
  return Object.is(value, -0) ? "-0" : plainDecimal(value);
}

function withExponent(digits: string, exponent: number): string {
  const size = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits}e${exponent < 0 ? "-" : "+"}${size}`;
}

/** The shortest decimal without an exponent. */
export function plainDecimal(value: number): string {
  const text = String(value);
  if (!text.includes("e")) return text;
  const [digits = "", power = "0"] = value.toExponential().split("e");
  const sign = digits.startsWith("-") ? "-" : "";
  const figures = digits.replaceAll(/[-.]/g, "");
  const point = Number(power) + 1;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${figures}`;
  return `${sign}${figures.padEnd(point, "0")}`;
}

/** strconv.FormatFloat(value, 'f', -1, 32): the shortest digits that give the same float32. */
export function formatFloat32(value: number): string {
  const single = Math.fround(value);
  if (!Number.isFinite(single)) return formatFloat(single);
  for (let digits = 1; digits < 10; digits += 1) {
    const shorter = Number(single.toPrecision(digits));
    if (Math.fround(shorter) === single) return plainDecimal(shorter);
  }
  return plainDecimal(single);
}
