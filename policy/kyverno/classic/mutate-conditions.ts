// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { isAnchorOf, plainKey } from "#policy/kyverno/classic/anchors";
import { isDraftObject, renameKey, toDraft } from "#policy/kyverno/classic/draft";
import type { Draft, DraftObject } from "#policy/kyverno/classic/draft";
import { cleanPatch, withoutConditions } from "#policy/kyverno/classic/mutate-cleaning";
import { compilePattern } from "#policy/kyverno/classic/pattern";

/** Why a patch does not apply: a condition, a global condition (`<()`), or something wrong with it. */
type Obstacle = {
  readonly kind: "condition" | "global" | "invalid";
  readonly message: string;
};

export type PreparedPatch =
  | { readonly kind: "patch"; readonly patch: JsonObject }
  /** A condition of it does not hold: nothing is patched. */
  | { readonly kind: "unmet" }
  | { readonly kind: "invalid"; readonly message: string };

/**
 * Takes the anchors out of a strategic merge patch for one resource (Kyverno, pkg/engine/mutate/patch): conditions are
 * checked, `+()` is kept where the resource lacks the key, and a list item with anchors is repeated for every item of
 * the resource that it fits, by name.
 */
export function preparePatch(document: Json, resource: JsonObject): PreparedPatch {
  const draft = toDraft(document);
  if (!isDraftObject(draft)) return { kind: "invalid", message: "the patch must be an object" };
  const obstacle = walk(draft, resource);
  if (obstacle !== undefined) {
    if (obstacle.kind === "invalid") return { kind: "invalid", message: obstacle.message };
    return { kind: "unmet" };
  }
  cleanPatch(draft);
  return { kind: "patch", patch: draft };
}

function walk(pattern: Draft, resource: Json | undefined): Obstacle | undefined {
  if (Array.isArray(pattern)) return walkList(pattern, resource);
  return isDraftObject(pattern) ? walkMap(pattern, resource) : undefined;
}

function walkMap(pattern: DraftObject, resource: Json | undefined): Obstacle | undefined {
  addIfNotPresent(pattern, resource);
  const obstacle =
    checkConditions(pattern, resource, "global") ?? checkConditions(pattern, resource, "condition");
  if (obstacle !== undefined) return obstacle;
  for (const key of Object.keys(pattern).sort()) {
    const below = pattern[key];
    if (below === undefined || hasAnchor(key)) continue;
    const found = walk(below, field(resource, key));
    if (found !== undefined) return found;
  }
  return undefined;
}

const isCondition = (key: string): boolean => isAnchorOf(key, "condition", "global");
const hasAnchor = (key: string): boolean =>
  isAnchorOf(key, "condition", "global", "addIfNotPresent");

/** Drops `+(key)` where the resource has the key and unwraps it where not; how many there were. */
function addIfNotPresent(pattern: Draft, resource: Json | undefined): number {
  if (!isDraftObject(pattern)) return 0;
  const anchors = Object.keys(pattern).filter((key) => isAnchorOf(key, "addIfNotPresent"));
  for (const anchor of anchors) {
    const key = plainKey(anchor);
    if (field(resource, key) === undefined) renameKey(pattern, anchor, key);
    else delete pattern[anchor];
  }
  return anchors.length;
}

function checkConditions(
  pattern: DraftObject,
  resource: Json | undefined,
  kind: "condition" | "global",
): Obstacle | undefined {
  for (const anchor of Object.keys(pattern).sort()) {
    if (!isAnchorOf(anchor, kind)) continue;
    const key = plainKey(anchor);
    const value = field(resource, key);
    if (value === undefined) {
      return { kind, message: `could not found "${key}" key in the resource` };
    }
    const wanted = pattern[anchor] ?? null;
    if (addIfNotPresent(wanted, value) > 0) continue;
    const outcome = compilePattern(asText(wanted))(asText(value));
    if (outcome.kind !== "pass") return { kind, message: outcome.message };
  }
  return undefined;
}

/** Scalars are compared as their texts here. */
const asText = (value: Json): Json =>
  typeof value === "object" && value !== null ? value : value === null ? "null" : String(value);

function walkList(pattern: Draft[], resource: Json | undefined): Obstacle | undefined {
  if (!isDraftObject(pattern[0])) return undefined;
  if (resource !== undefined && resource !== null && !isArray(resource)) {
    return {
      kind: "invalid",
      message: "failed to preProcess rule: wrong node kind: expected list",
    };
  }
  const items = isArray(resource) ? resource : [];
  for (const element of [...pattern]) {
    if (!hasAnchors(element, hasAnchor)) continue;
    const obstacle = walkElement(pattern, element, items, resource === undefined);
    if (obstacle !== undefined) return obstacle;
  }
  return undefined;
}

/** One item of a patch list against all items of the resource's list; what it keeps of one, it keeps for the next. */
function walkElement(
  pattern: Draft[],
  element: Draft,
  items: readonly Json[],
  absent: boolean,
): Obstacle | undefined {
  const isGlobal = hasAnchors(element, (key) => isAnchorOf(key, "global"));
  const copy = toDraft(element);
  let passed = false;
  let unmet: Obstacle | undefined;
  for (const item of items) {
    const obstacle = walk(copy, item);
    if (obstacle?.kind === "condition") continue;
    if (obstacle?.kind === "global") {
      unmet = obstacle;
      continue;
    }
    if (obstacle !== undefined) return obstacle;
    if (isGlobal) passed = true;
    else repeatFor(pattern, copy, item);
  }
  if (absent) {
    const obstacle = walk(copy, undefined);
    if (obstacle !== undefined && obstacle.kind !== "condition") return obstacle;
    if (obstacle === undefined && isGlobal) passed = true;
  }
  return passed ? undefined : unmet;
}

/** Without a name the list would not merge by it, so an item without one is left out. */
function repeatFor(pattern: Draft[], copy: Draft, item: Json): void {
  const name = field(item, "name");
  if (name === undefined || name === null) return;
  if (isObject(name) || isArray(name)) return;
  const clean = withoutConditions(toDraft(copy));
  if (!isDraftObject(clean)) return;
  clean["name"] = name;
  pattern.push(clean);
}

/** Whether a pattern has such an anchor in a key, or a text that looks like a condition. */
export function hasAnchors(pattern: Draft, isWanted: (key: string) => boolean): boolean {
  if (Array.isArray(pattern)) return pattern.some((item) => hasAnchors(item, isWanted));
  if (isDraftObject(pattern)) {
    return Object.entries(pattern).some(
      ([key, value]) => isWanted(key) || (!isEmpty(value) && hasAnchors(value, isWanted)),
    );
  }
  return typeof pattern === "string" && isCondition(pattern);
}

const isEmpty = (value: Draft): boolean => {
  if (value === null) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
};
