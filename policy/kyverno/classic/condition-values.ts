// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import { mayBeAmount, mayBeDuration } from "#policy/jmespath/amount-text";
import { parseJson } from "#policy/text/go-json";
import { parseDuration } from "#policy/kubernetes/duration";
import { parseQuantity, type Quantity } from "#policy/kubernetes/quantity";

/** strconv.ParseFloat for what policies write: decimals, and infinities; undefined for everything else. */
export function parseFloat64(text: string): number | undefined {
  if (/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  if (!/^[+-]?inf(inity)?$/i.test(text)) return undefined;
  return text.startsWith("-") ? -Infinity : Infinity;
}

/** Nanoseconds that a value is, where a text must be written as a duration and `0` counts as a number. */
export type DurationSide = {
  readonly written: bigint | undefined;
  /** What the value is worth once the other side is a duration: a number is whole seconds. */
  readonly worth: bigint | undefined;
};

/** One side of a comparison that may be one of durations (pkg/engine/variables/operator, parseDuration). */
export function durationSide(value: Json): DurationSide {
  if (typeof value === "number") return { written: undefined, worth: secondsOf(value) };
  const written = typeof value === "string" && value !== "0" ? durationOf(value) : undefined;
  return written === undefined ? noDuration : { written, worth: written };
}

const noDuration: DurationSide = { written: undefined, worth: undefined };

/** Whether both sides are to be compared as durations: at least one is written as one, and the other is worth one. */
export const areDurations = (
  a: DurationSide,
  b: DurationSide,
): a is { readonly written: bigint | undefined; readonly worth: bigint } =>
  (a.written !== undefined || b.written !== undefined) &&
  a.worth !== undefined &&
  b.worth !== undefined;

/** A duration that a value states, `0` included; a number is seconds. */
export function durationOf(value: Json): bigint | undefined {
  if (typeof value === "number") return secondsOf(value);
  if (typeof value !== "string" || !mayBeDuration(value)) return undefined;
  const duration = parseDuration(value);
  return duration.ok ? duration.value : undefined;
}

/** A quantity that a text states. */
export function quantityOf(value: Json): Quantity | undefined {
  if (typeof value !== "string" || !mayBeAmount(value)) return undefined;
  const quantity = parseQuantity(value);
  return quantity.ok ? quantity.value : undefined;
}

function secondsOf(value: Json): bigint | undefined {
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  return BigInt.asIntN(64, BigInt(Math.trunc(value)) * 1_000_000_000n);
}

/** The texts that a text stands for as a list: a JSON list of texts, or itself when it is no JSON; undefined for other JSON. */
export function listedTexts(text: string): readonly string[] | undefined {
  const trimmed = text.trim();
  if (trimmed === "null") return [];
  if (trimmed === "true" || trimmed === "false" || jsonNumber.test(trimmed)) return undefined;
  // Only what may be JSON is worth the cost of a failed parse.
  if (!/^["[{]/.test(trimmed)) return [text];
  const parsed = parseJson(text);
  if (!parsed.ok) return [text];
  return isTexts(parsed.value) ? parsed.value : undefined;
}

const jsonNumber = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

const isTexts = (value: Json): value is readonly string[] =>
  isArray(value) && value.every((item) => typeof item === "string");
