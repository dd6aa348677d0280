// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import { parseJson } from "#policy/jmespath/go-json";
import { parseDuration } from "#policy/kubernetes/duration";

/** strconv.ParseFloat for what policies write: decimals, and infinities; undefined for everything else. */
export function parseFloat64(text: string): number | undefined {
  if (/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  if (!/^[+-]?inf(inity)?$/i.test(text)) return undefined;
  return text.startsWith("-") ? -Infinity : Infinity;
}

/** Two durations in nanoseconds. */
export type Durations = { readonly key: bigint; readonly value: bigint };

/**
 * Both sides as durations, where at least one is written as one (not `0`); a number on the other side is whole
 * seconds (pkg/engine/variables/operator, parseDuration). undefined when they are not to be compared as durations.
 */
export function readDurations(key: Json, value: Json): Durations | undefined {
  const keyDuration = writtenDuration(key);
  const valueDuration = writtenDuration(value);
  if (keyDuration === undefined && valueDuration === undefined) return undefined;
  const left = keyDuration ?? secondsOf(key);
  const right = valueDuration ?? secondsOf(value);
  return left === undefined || right === undefined ? undefined : { key: left, value: right };
}

/** A duration that a text states, `0` included. */
export function durationOf(value: Json): bigint | undefined {
  if (typeof value === "number") return secondsOf(value);
  if (typeof value !== "string") return undefined;
  const duration = parseDuration(value);
  return duration.ok ? duration.value : undefined;
}

const writtenDuration = (value: Json): bigint | undefined =>
  typeof value === "string" && value !== "0" ? durationOf(value) : undefined;

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
