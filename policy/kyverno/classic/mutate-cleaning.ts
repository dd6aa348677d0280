// SPDX-License-Identifier: Apache-2.0
import { isAnchorOf, plainKey } from "#policy/kyverno/classic/anchors";
import { isDraftObject, renameKey } from "#policy/kyverno/classic/draft";
import type { Draft, DraftObject } from "#policy/kyverno/classic/draft";

const isCondition = (key: string): boolean => isAnchorOf(key, "condition", "global");
const isAnchored = (key: string): boolean =>
  isAnchorOf(key, "condition", "global", "addIfNotPresent");

/** Removes what only stated conditions from a patch whose conditions hold, in place. */
export function cleanPatch(patch: DraftObject): void {
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value !== undefined && clean(value, isCondition(key))) delete patch[key];
  }
}

/** A patch item without its conditions; undefined when nothing else is in it. */
export function withoutConditions(item: Draft): Draft | undefined {
  return clean(item, true) ? undefined : item;
}

/** Cleans below; whether the value itself is to go because only conditions were in it. */
function clean(value: Draft, scalarGoes: boolean): boolean {
  if (Array.isArray(value)) return cleanList(value);
  return isDraftObject(value) ? cleanMap(value) : scalarGoes;
}

function cleanMap(map: DraftObject): boolean {
  let kept = false;
  for (const key of Object.keys(map).filter(isCondition)) {
    const value = map[key];
    if (value === undefined) continue;
    if (clean(value, true)) delete map[key];
    else kept = true;
  }
  if (kept) {
    for (const key of Object.keys(map).filter(isCondition)) renameKey(map, key, plainKey(key));
  }
  let empty = true;
  for (const key of Object.keys(map)) {
    const value = map[key];
    if (value === undefined) continue;
    if (clean(value, false)) delete map[key];
    else empty = false;
  }
  return empty;
}

/** Items with anchors were repeated for the items that they fit, so they go. */
function cleanList(list: Draft[]): boolean {
  const wasEmpty = list.length === 0;
  const left = list.filter((item) => !hasAnchored(item) && !clean(item, false));
  list.splice(0, list.length, ...left);
  return list.length === 0 && !wasEmpty;
}

function hasAnchored(value: Draft): boolean {
  if (Array.isArray(value)) return value.some(hasAnchored);
  if (isDraftObject(value)) {
    return Object.entries(value).some(([key, item]) => isAnchored(key) || hasAnchored(item));
  }
  return typeof value === "string" && isCondition(value);
}
