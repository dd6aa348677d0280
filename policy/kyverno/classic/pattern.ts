// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { hasNestedAnchors, parseAnchor } from "#policy/kyverno/classic/anchors";
import type { Anchor } from "#policy/kyverno/classic/anchors";
import { goType, goValue } from "#policy/kyverno/classic/go-value";
import { expandsMetadata, makeExpansion } from "#policy/kyverno/classic/metadata-wildcards";
import { anchorFailure, combine, isSkip } from "#policy/kyverno/classic/pattern-failure";
import type { Failure } from "#policy/kyverno/classic/pattern-failure";
import { markedAnchors, noteAnchor, outcomeOf } from "#policy/kyverno/classic/pattern-run";
import type { PatternOutcome, PatternRun } from "#policy/kyverno/classic/pattern-run";
import { compileLeaf } from "#policy/kyverno/classic/pattern-leaf";

/** A planned pattern; never throws, whatever the resource is. */
export type Pattern = (resource: Json | undefined) => PatternOutcome;

/** Plans a pattern without variables: the overlay language of validate rules (Kyverno, pkg/engine/validate). */
export function compilePattern(pattern: Json): Pattern {
  const match = compileElement(pattern, "/");
  return (resource) => {
    const run: PatternRun = { anchors: undefined };
    return outcomeOf(match(resource, "", run), run);
  };
}

/** `prefix` is the path up to the innermost list item; the rest of the path is known when the pattern is planned. */
type Match = (value: Json | undefined, prefix: string, run: PatternRun) => Failure | undefined;
type MatchMap = (object: JsonObject, prefix: string, run: PatternRun) => Failure | undefined;

function compileElement(pattern: Json, at: string): Match {
  if (isArray(pattern)) return compileList(pattern, at);
  return isObject(pattern) ? compileMap(pattern, at) : compileScalar(pattern, at);
}

function compileScalar(pattern: Json, at: string): Match {
  const leaf = compileLeaf(pattern);
  return (value, prefix) => {
    const matches = isArray(value) ? value.every((item) => leaf(item)) : leaf(value);
    if (matches) return undefined;
    const path = prefix + at;
    const message = `resource value '${goValue(value)}' does not match '${goValue(pattern)}' at path ${path}`;
    return { message, path };
  };
}

function compileMap(pattern: JsonObject, at: string): Match {
  const marks = markedAnchors(pattern);
  const entries = expandsMetadata(pattern)
    ? makeExpansion(pattern, (expanded) => compileEntries(expanded, at))
    : compileEntries(pattern, at);
  const nullIsEmpty = /(^|\/)metadata\/(labels|annotations)\/$/.test(at);
  return (given, prefix, run) => {
    // Kyverno 1.19.1 takes labels and annotations that are stated as null for empty ones.
    const value = given === null && nullIsEmpty ? noEntries : given;
    if (!isObject(value)) {
      const path = prefix + at;
      const message = `pattern and resource have different structures. Path: ${path}. Expected ${goType({})}, found ${goType(value)}`;
      return { message, path };
    }
    for (const mark of marks) noteAnchor(run, mark.text, Object.hasOwn(value, mark.key));
    return entries(value, prefix, run);
  };
}

const noEntries: JsonObject = {};

/** Anchors first, in the order of their texts; then the rest, those with anchors inside first and in reverse order. */
function compileEntries(pattern: JsonObject, at: string): MatchMap {
  const texts = Object.keys(pattern).sort();
  const isFirst = (text: string): boolean => {
    const anchor = parseAnchor(text);
    return anchor !== undefined && firstPhase[anchor.kind];
  };
  const anchors = texts.filter(isFirst);
  const others = texts.filter((text) => !isFirst(text));
  const isNested = (text: string): boolean =>
    parseAnchor(text)?.kind === "global" || hasNestedAnchors(pattern[text] ?? null);
  const nested = others.filter(isNested).reverse();
  const plain = others.filter((text) => !isNested(text));
  const compileAll = (list: readonly string[]): readonly MatchMap[] =>
    list.map((text) => compileEntry(text, pattern[text] ?? null, at));
  const conditions = compileAll(anchors);
  const rest = compileAll([...nested, ...plain]);
  if (conditions.length === 0)
    return (object, prefix, run) => firstFailure(rest, object, prefix, run);
  return (object, prefix, run) =>
    conditionFailure(conditions, at, object, prefix, run) ??
    firstFailure(rest, object, prefix, run);
}

const firstPhase: Readonly<Record<Anchor["kind"], boolean>> = {
  condition: true,
  existence: true,
  negation: true,
  equality: true,
  global: false,
  addIfNotPresent: false,
};

function firstFailure(
  entries: readonly MatchMap[],
  object: JsonObject,
  prefix: string,
  run: PatternRun,
): Failure | undefined {
  for (const entry of entries) {
    const failure = entry(object, prefix, run);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/**
 * All anchors are looked at. When none applied, the map is skipped; when some did, only by a sibling condition that
 * failed itself, not by a map or list below that was skipped. A failure after such a sibling does not count.
 */
function conditionFailure(
  conditions: readonly MatchMap[],
  at: string,
  object: JsonObject,
  prefix: string,
  run: PatternRun,
): Failure | undefined {
  let applied = 0;
  const skips: Failure[] = [];
  for (const condition of conditions) {
    const failure = condition(object, prefix, run);
    if (failure === undefined) {
      applied += 1;
      continue;
    }
    if (isSkip(failure)) {
      skips.push(failure);
      continue;
    }
    if (!skips.some(isOwn)) return failure;
  }
  if (skips.length === 0) return undefined;
  const skipped = applied === 0 || skips.some(isOwn);
  return skipped ? combine(skips, prefix + at) : undefined;
}

/** A sibling's own condition that failed, not the conditions of something below it. */
const isOwn = (skip: Failure): boolean => skip.below !== true;

function compileEntry(text: string, pattern: Json, at: string): MatchMap {
  const anchor = parseAnchor(text);
  if (anchor === undefined || anchor.kind === "addIfNotPresent") {
    return compilePlain(text, pattern, at);
  }
  const { key } = anchor;
  const below = `${at}${key}/`;
  if (anchor.kind === "negation") {
    return (object, prefix) =>
      Object.hasOwn(object, key)
        ? anchorFailure("negation", `${prefix}${below} is not allowed`, prefix + below)
        : undefined;
  }
  if (anchor.kind === "existence") return compileExistence(key, pattern, below);
  const match = compileElement(pattern, below);
  if (anchor.kind === "equality") {
    return (object, prefix, run) =>
      Object.hasOwn(object, key) ? match(object[key], prefix, run) : undefined;
  }
  const kind = anchor.kind;
  return (object, prefix, run) => {
    if (!Object.hasOwn(object, key)) {
      return kind === "global"
        ? undefined
        : anchorFailure("conditional", keyAbsent, prefix + below);
    }
    const failure = match(object[key], prefix, run);
    if (failure === undefined) return undefined;
    return anchorFailure(
      kind === "global" ? "global" : "conditional",
      failure.message,
      failure.path,
    );
  };
}

const keyAbsent = "conditional anchor key doesn't exist in the resource";

/** A plain key: `"*"` wants it present and not null, anything else is compared even with an absent value. */
function compilePlain(key: string, pattern: Json, at: string): MatchMap {
  if (pattern === "*") {
    return (object, prefix) => {
      const value = Object.hasOwn(object, key) ? object[key] : null;
      if (value !== null) return undefined;
      return { message: `${prefix}${at}/${key} not found`, path: prefix + at };
    };
  }
  const match = compileElement(pattern, `${at}${key}/`);
  return (object, prefix, run) =>
    match(Object.hasOwn(object, key) ? object[key] : undefined, prefix, run);
}

/** `^(key)`: each map of the pattern list must match at least one item of the resource list. */
function compileExistence(key: string, pattern: Json, at: string): MatchMap {
  const items = isArray(pattern)
    ? pattern.map((item) => (isObject(item) ? compileElement(item, "") : undefined))
    : undefined;
  return (object, prefix, run) => {
    if (!Object.hasOwn(object, key)) return undefined;
    const path = prefix + at;
    const list = object[key];
    if (!isArray(list)) {
      const message = `invalid resource type ${goType(list)}: Existence ^ () anchor can be used only on list/array type resource`;
      return { message, path };
    }
    if (items === undefined) {
      const message = `invalid pattern type ${goType(pattern)}: Pattern has to be of list to compare against resource`;
      return { message, path };
    }
    for (const item of items) {
      if (item === undefined) {
        const message = `invalid pattern type ${goType(pattern)}: Pattern has to be of type map to compare against items in resource`;
        return { message, path };
      }
      if (!list.some((value, index) => item(value, `${path}${index}/`, run) === undefined)) {
        return { message: `existence anchor validation failed at path ${path}`, path };
      }
    }
    return undefined;
  };
}

/** Only the first item of a pattern list counts, unless it is a list itself: it is held against every item. */
function compileList(pattern: readonly Json[], at: string): Match {
  const match = compileItems(pattern, at);
  return (value, prefix, run) => {
    if (isArray(value)) return match(value, prefix, run);
    const path = prefix + at;
    const message = `validation rule failed at path ${path}, resource does not satisfy the expected overlay pattern`;
    return { message, path };
  };
}

type MatchList = (list: readonly Json[], prefix: string, run: PatternRun) => Failure | undefined;

function compileItems(pattern: readonly Json[], at: string): MatchList {
  const [first] = pattern;
  if (first === undefined) {
    return (_, prefix) => ({ message: "pattern Array empty", path: prefix + at });
  }
  if (isObject(first)) {
    const item = compileElement(first, "");
    return (list, prefix, run) => listFailure(list, () => item, prefix + at, run);
  }
  if (!isArray(first)) return compileScalar(first, at);
  const items = pattern.map((entry) => compileElement(entry, ""));
  return (list, prefix, run) => {
    if (list.length >= items.length) {
      return listFailure(list.slice(0, items.length), (index) => items[index], prefix + at, run);
    }
    const message = `validate Array failed, array length mismatch, resource Array len is ${list.length} and pattern Array len is ${items.length}`;
    return { message, path: "" };
  };
}

/** Items that skip are passed over; a list of which every item skips is skipped; an empty list passes. */
function listFailure(
  list: readonly Json[],
  itemAt: (index: number) => Match | undefined,
  path: string,
  run: PatternRun,
): Failure | undefined {
  let applied = 0;
  let skips: Failure[] | undefined;
  for (let index = 0; index < list.length; index += 1) {
    const failure = itemAt(index)?.(list[index], `${path}${index}/`, run);
    if (failure === undefined) {
      applied += 1;
      continue;
    }
    if (!isSkip(failure)) return failure;
    skips ??= [];
    skips.push(failure);
  }
  return applied === 0 && skips !== undefined ? combine(skips, path) : undefined;
}
