// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject } from "#policy/json";
import { canonicalJson } from "./canonical.ts";

/**
 * What was told before, where it says the same as now but for the order of words, or for numbers where policies look at the
 * time. Crossplane's client sends the keys of an object in another order with every call, and a policy may put them, or the time,
 * into its message: a condition that differs in nothing else would be written again, and wake the composite again, without end.
 */
export function steadyText(now: string, before: string, isTimed: boolean): string {
  return now !== before && before !== "" && sketchOf(now, isTimed) === sketchOf(before, isTimed)
    ? before
    : now;
}

/** The same for the status. */
export function steadyStatus(now: JsonObject, before: unknown, isTimed: boolean): JsonObject {
  if (!isObject(before)) return now;
  const [text, known] = [canonicalJson(now), canonicalJson(before)];
  return steadyText(text, known, isTimed) === known ? before : now;
}

function sketchOf(text: string, isTimed: boolean): string {
  const timeless = isTimed ? text.replaceAll(/\d+/g, "0") : text;
  return timeless
    .split(/[^\p{L}\p{N}]+/u)
    .sort()
    .join(" ");
}
