// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { compileLeaf } from "#policy/kyverno/classic/pattern-leaf";
import { allOf, anyOf, elementName, hasMember, member, not } from "./cel-text.ts";
import { matchesText, rewriteLeaf } from "./leaf.ts";
import { Refusal } from "./refusal.ts";
import type { Assumptions } from "./refusal.ts";

type Scope = {
  readonly taken: ReadonlySet<string>;
  readonly assumptions: Assumptions;
  /** No map on the way here has another key: nothing else can be skipped, or fail first. */
  readonly alone: boolean;
};

/**
 * A pattern of a classic rule as a condition over `object`, exact for objects that an API server accepts.
 * @throws Refusal for what depends on the order of evaluation (conditional, global and existence anchors) or compares in
 * a way that CEL does not have.
 */
export function rewritePattern(pattern: Json, assumptions: Assumptions): string {
  if (!isObject(pattern)) throw new Refusal("pattern", "is no map");
  assumptions.add("values have the types of the kind's schema, and no field is null");
  const scope = { taken: new Set(["object"]), assumptions, alone: true };
  return rewriteMap("object", pattern, "pattern", scope);
}

/** One of several patterns has to hold. */
export function rewriteAnyPattern(patterns: readonly Json[], assumptions: Assumptions): string {
  return anyOf(patterns.map((pattern) => rewritePattern(pattern, assumptions)));
}

function rewriteMap(cel: string, pattern: JsonObject, path: string, scope: Scope): string {
  const keys = Object.keys(pattern);
  if (keys.length === 0) throw new Refusal(path, "an empty map in a pattern");
  const isCondition = (key: string): boolean => key.startsWith("(");
  const below = { ...scope, alone: scope.alone && keys.length === 1 };
  const rewrite = (key: string): string =>
    rewriteKey(cel, key, pattern[key] ?? null, `${path}.${key}`, below);
  const conditions = keys.filter(isCondition);
  if (conditions.length === 0) return allOf(keys.map(rewrite));
  const rest = keys.filter((key) => !isCondition(key));
  if (!scope.alone || rest.some((key) => anchored.test(key))) {
    throw new Refusal(`${path}.${conditions[0]}`, `the anchor (...): ${anchorReasons[""]}`);
  }
  // Alone on its way, a condition that is not met lets the object, or this item of a list, through.
  const met = conditions.map((key) =>
    rewritePlain(cel, key.slice(1, -1), pattern[key] ?? null, `${path}.${key}`, below),
  );
  return anyOf([not(allOf(met)), allOf(rest.map(rewrite))]);
}

const anchored = /^([+<=X^]?)\((.+)\)$/;

function rewriteKey(cel: string, raw: string, value: Json, path: string, scope: Scope): string {
  const found = anchored.exec(raw);
  const [, sign, inner = ""] = found ?? [];
  const key = found === null ? raw : inner;
  if (key.includes("{{")) throw new Refusal(path, "a key with a variable");
  if (sign === "X") return rewriteNegation(cel, key, path);
  if (/[*?]/.test(key)) {
    throw new Refusal(
      path,
      "a wildcard key takes the first key that fits, which CEL maps do not have",
    );
  }
  if (sign === "=") {
    const below = rewriteValue(member(cel, key), key, value, path, scope);
    return anyOf([not(hasMember(cel, key)), below]);
  }
  if (sign !== undefined)
    throw new Refusal(
      path,
      `the anchor ${sign}(...): ${anchorReasons[sign] ?? "has no equivalent"}`,
    );
  return rewritePlain(cel, key, value, path, scope);
}

const anchorReasons: Readonly<Record<string, string>> = {
  "": "a condition that is not met turns the verdict into a skip, depending on what else the pattern asks and in which order",
  "<": "a global condition skips the whole rule from anywhere inside the pattern",
  "^": "each pattern element has to match at least one item, and mismatches become errors",
  "+": "only means something in mutations",
};

/** `X(key)`: the key must not be there, not even with null. */
function rewriteNegation(cel: string, key: string, path: string): string {
  if (!/[*?]/.test(key)) return not(hasMember(cel, key));
  if (!/\.(=\()?(labels|annotations)\)?\.X\(/.test(path)) {
    throw new Refusal(path, "wildcards in keys only count among labels and annotations");
  }
  return not(`${cel}.exists(key, ${matchesText("key", key, path)})`);
}

/** A plain key has to be there, but for the amounts that an absent value, taken for 0, satisfies. */
function rewritePlain(cel: string, key: string, value: Json, path: string, scope: Scope): string {
  const here = member(cel, key);
  const present = hasMember(cel, key);
  if (value === "*") return present;
  const below = rewriteValue(here, key, value, path, scope);
  const absentHolds = !isObject(value) && !isArray(value) && compileLeaf(value)(undefined);
  return absentHolds ? anyOf([not(present), below]) : allOf([present, below]);
}

function rewriteValue(cel: string, key: string, value: Json, path: string, scope: Scope): string {
  if (isObject(value)) return rewriteMap(cel, value, path, scope);
  if (isArray(value)) return rewriteList(cel, key, value, path, scope);
  if (!scalarLists.has(key)) return rewriteLeaf(cel, value, path, scope.assumptions);
  const name = elementName(key, scope.taken);
  return `${cel}.all(${name}, ${rewriteLeaf(name, value, path, scope.assumptions)})`;
}

/** Fields that are lists of scalars: a scalar pattern asks each of them. */
export const scalarLists = new Set([
  "accessModes",
  "args",
  "command",
  "dnsNames",
  "finalizers",
  "hosts",
  "supplementalGroups",
]);

/** A list pattern of one element applies to every item; an empty list passes. */
function rewriteList(
  cel: string,
  key: string,
  list: readonly Json[],
  path: string,
  scope: Scope,
): string {
  const [element] = list;
  if (element === undefined || list.length > 1) {
    throw new Refusal(
      path,
      "a list pattern of more or less than one element compares item by item",
    );
  }
  const name = elementName(key, scope.taken);
  const inner = { ...scope, taken: new Set([...scope.taken, name]) };
  return `${cel}.all(${name}, ${rewriteValue(name, "", element, `${path}[0]`, inner)})`;
}
