// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import { formatValue } from "#policy/jmespath/go-format";
import { QueryFailure } from "#policy/jmespath/query";
import { matchesWildcard } from "#policy/kubernetes/wildcard";
import { listedTexts } from "#policy/kyverno/classic/condition-values";
import { compileLeaf } from "#policy/kyverno/classic/pattern-leaf";

/** Whether the condition holds, or that this takes too long to find out. */
export type Compare = (key: Json, value: Json) => boolean | QueryFailure;

/** Most comparisons of one condition: a list of keys against a list of values. */
export const comparisonsMax = 4_000_000;

/** How a set operator judges a list of keys; each key is in the values or not. */
type Judge = (keys: readonly string[], isIn: (key: string) => boolean) => boolean;

const judges = {
  anyIn: (keys, isIn) => keys.some(isIn),
  allIn: (keys, isIn) => keys.every(isIn),
  anyNotIn: (keys, isIn) => keys.some((key) => !isIn(key)),
  allNotIn: (keys, isIn) => !keys.some(isIn),
} satisfies Record<string, Judge>;

export const anyIn: Compare = makeSetOperator(judges.anyIn, false);
export const allIn: Compare = makeSetOperator(judges.allIn, false);
export const anyNotIn: Compare = makeSetOperator(judges.anyNotIn, true);
export const allNotIn: Compare = makeSetOperator(judges.allNotIn, true);

/** The operators of two words (pkg/engine/variables/operator/{anyin,allin,anynotin,allnotin}.go). */
function makeSetOperator(judge: Judge, isNegated: boolean): Compare {
  return (key, value) => {
    if (isArray(key)) return judgeList(key.map(formatValue), value, judge, isNegated);
    if (typeof key === "object") return false;
    const found = findText(formatValue(key), value);
    return found !== undefined && found !== isNegated;
  };
}

/** Whether one text is among the values; undefined when these are nothing to compare with. */
function findText(key: string, value: Json): boolean | undefined {
  if (isArray(value)) return value.some((item) => areAlike(key, formatValue(item)));
  if (typeof value !== "string") return undefined;
  if (matchesWildcard(value, key)) return true;
  if (isRange(value)) return compileLeaf(value)(key);
  return listedTexts(value)?.includes(key);
}

function judgeList(
  keys: readonly string[],
  value: Json,
  judge: Judge,
  isNegated: boolean,
): boolean | QueryFailure {
  if (isArray(value)) return judgeValues(keys, value.map(formatValue), judge);
  if (typeof value !== "string") return false;
  if (keys.length === 1 && keys[0] === value) return !isNegated;
  if (isRange(value)) return judge(keys, makeRangeLookup(value, isNegated));
  const listed = listedTexts(value);
  return listed !== undefined && judgeValues(keys, listed, judge);
}

function judgeValues(
  keys: readonly string[],
  values: readonly string[],
  judge: Judge,
): boolean | QueryFailure {
  const patterns = values.filter(hasWildcard);
  const wild = keys.filter(hasWildcard);
  if (keys.length * patterns.length + wild.length * values.length > comparisonsMax) {
    return new QueryFailure(
      "failed",
      `comparing ${keys.length} keys with ${values.length} values by wildcards takes more than ${comparisonsMax} comparisons`,
    );
  }
  return judge(keys, makeLookup(values, patterns));
}

/** The negated operators look for keys outside a range, `1!-10`; a text that is no amount is neither inside nor outside. */
function makeRangeLookup(range: string, isNegated: boolean): (key: string) => boolean {
  if (!isNegated) return compileLeaf(range);
  const outside = compileLeaf(range.replace("-", "!-"));
  return (key) => !outside(key);
}

/** Exact members are found at once; wildcards on either side are tried one by one. */
function makeLookup(
  values: readonly string[],
  patterns: readonly string[],
): (key: string) => boolean {
  const exact = new Set(values);
  return (key) =>
    exact.has(key) ||
    patterns.some((pattern) => matchesWildcard(pattern, key)) ||
    (hasWildcard(key) && values.some((value) => matchesWildcard(key, value)));
}

const hasWildcard = (text: string): boolean => text.includes("*") || text.includes("?");

const areAlike = (a: string, b: string): boolean => matchesWildcard(a, b) || matchesWildcard(b, a);

/** `1-10`, `1Mi-2Gi` (pkg/engine/operator, InRange); not where the text starts with an operator. */
const isRange = (text: string): boolean =>
  /^[-|+]?\d+(?:\.\d+)?[A-Za-z]*-[-|+]?\d+(?:\.\d+)?[A-Za-z]*$/.test(text);

/** The deprecated In: all keys, compared exactly; a value that is no list of texts never holds. */
export const legacyIn: Compare = (key, value) =>
  isArray(key)
    ? legacyList(key.map(formatValue), value, (keys, isIn) => keys.every(isIn))
    : legacyText(key, value, true);

/** The deprecated NotIn: some key is missing. */
export const legacyNotIn: Compare = (key, value) =>
  isArray(key)
    ? legacyList(key.map(formatValue), value, (keys, isIn) => keys.some((one) => !isIn(one)))
    : legacyText(key, value, false);

function legacyText(key: Json, value: Json, wanted: boolean): boolean {
  if (typeof key === "object" || typeof key === "boolean") return false;
  const text = formatValue(key);
  if (isArray(value)) return value.some((item) => areAlike(text, formatValue(item))) === wanted;
  if (typeof value !== "string") return false;
  if (matchesWildcard(value, text)) return wanted;
  const listed = jsonTexts(value);
  return listed !== undefined && listed.includes(text) === wanted;
}

function legacyList(keys: readonly string[], value: Json, judge: Judge): boolean {
  if (isArray(value)) {
    const texts = value.filter((item) => typeof item === "string");
    if (texts.length !== value.length) return false;
    const exact = new Set(texts);
    return judge(keys, (key) => exact.has(key));
  }
  if (typeof value !== "string") return false;
  if (keys.length === 1 && keys[0] === value) return true;
  const listed = jsonTexts(value);
  return listed !== undefined && judge(keys, (key) => listed.includes(key));
}

/** A JSON list of texts; here a text that is no JSON is no list. */
function jsonTexts(text: string): readonly string[] | undefined {
  return /^\s*(?:\[|null\s*$)/.test(text) ? listedTexts(text) : undefined;
}
