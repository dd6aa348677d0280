// SPDX-License-Identifier: Apache-2.0
import type { RE2JS } from "re2js";
import { compileRegex, unfoldedSize } from "#policy/text/regex";
import type { Parsed } from "#policy/kubernetes/parsed";
import type { CelResult } from "./values.ts";

/** Pattern sizes kept, as many as compiled patterns are. */
const keptMax = 1_000;

const kept = new Map<string, number>();

/**
 * A compiled RE2 pattern, or Go's message. Linear in the text whatever the pattern. Kept for the next call, which no
 * answer depends on. Never throws.
 */
export const compilePattern = (pattern: string): Parsed<RE2JS> => compileRegex(pattern);

/**
 * Steps of one search: a tenth of the text by a quarter of the pattern, which is cel-go's cost, but of the pattern as
 * its counted repetitions unfold; and for compiling it, because patterns may be made anew for every element of a list.
 */
export function regexCost(text: CelResult, pattern: CelResult): number {
  if (typeof text !== "string" || typeof pattern !== "string") return 1;
  const size = sizeOf(pattern);
  return Math.ceil((text.length + 1) / 10) * Math.ceil(size / 4) + compileCost(size);
}

/** Compiling takes up to 10 microseconds a state; what policies write by hand is small and cheap. */
const compileCost = (size: number): number => 2 * size + 8 * Math.max(0, size - 100);

function sizeOf(pattern: string): number {
  const known = kept.get(pattern);
  if (known !== undefined) return known;
  if (kept.size >= keptMax) kept.clear();
  const size = Math.max(pattern.length, unfoldedSize(pattern));
  kept.set(pattern, size);
  return size;
}
