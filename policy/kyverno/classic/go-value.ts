// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";

/** Longest text that one value takes in a message; the rest of it is cut off. */
export const goValueLengthMax = 16_384;

/** A value as Go's `%v` prints it, which the reference's messages do: `[a b]`, `map[k:v]`, `<nil>`. */
export function goValue(value: Json | undefined): string {
  const text = print(value, 0);
  return text.length > goValueLengthMax ? text.slice(0, goValueLengthMax) : text;
}

const depthMax = 100;

function print(value: Json | undefined, depth: number): string {
  if (value === null || value === undefined) return "<nil>";
  if (typeof value === "string") return value;
  if (typeof value === "number") return goNumber(value);
  if (typeof value === "boolean") return String(value);
  if (depth > depthMax) return "...";
  if (isArray(value)) return `[${value.map((item) => print(item, depth + 1)).join(" ")}]`;
  const entries = Object.keys(value)
    .sort()
    .map((key) => `${key}:${print(value[key], depth + 1)}`);
  return `map[${entries.join(" ")}]`;
}

/** Whole numbers are int64 in Kubernetes' untyped objects, others float64 with `%g` and the shortest digits. */
export function goNumber(value: number): string {
  if (Number.isInteger(value))
    return Math.abs(value) < 2 ** 63 ? BigInt(value).toString() : exponent(value, "e");
  const magnitude = Math.abs(value);
  return magnitude < 1e-4 || magnitude >= 1e21 ? exponent(value, "e") : String(value);
}

/** strconv.FormatFloat(value, 'E', -1, 64): shortest digits, at least two of the exponent. */
export const exponentText = (value: number): string => exponent(value, "E");

function exponent(value: number, letter: "e" | "E"): string {
  const [digits = "", power = "+0"] = value.toExponential().split("e");
  const sign = power.startsWith("-") ? "-" : "+";
  return `${digits}${letter}${sign}${power.replace(/^[+-]/, "").padStart(2, "0")}`;
}

/** The type of a value as Go's `%T` prints it. */
export function goType(value: Json | undefined): string {
  if (value === null || value === undefined) return "<nil>";
  if (isArray(value)) return "[]interface {}";
  if (isObject(value)) return "map[string]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : "string";
}
