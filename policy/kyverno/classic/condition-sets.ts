// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import { formatValue } from "#policy/jmespath/go-format";
import { QueryFailure } from "#policy/jmespath/query";
import { compileWildcard, matchesWildcard } from "#policy/kubernetes/wildcard";
import { parseJson } from "#policy/text/go-json";
import { listedTexts } from "#policy/kyverno/classic/condition-values";
import { compileLeaf } from "#policy/kyverno/classic/pattern-leaf";

/** An operator with its value planned; constant values are planned once per policy. */
export type Operator = (value: Json) => Holds;

/** Whether the condition holds for a key, or that this takes too long to find out. */
export type Holds = (key: Json) => boolean | QueryFailure;

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

export const anyIn: Operator = makeSetOperator(judges.anyIn, { isNegated: false, isAny: true });
export const allIn: Operator = makeSetOperator(judges.allIn, { isNegated: false, isAny: false });
export const anyNotIn: Operator = makeSetOperator(judges.anyNotIn, {
  isNegated: true,
  isAny: true,
});
export const allNotIn: Operator = makeSetOperator(judges.allNotIn, {
  isNegated: true,
  isAny: false,
});

type Form = { readonly isNegated: boolean; readonly isAny: boolean };

/** The operators of two words (pkg/engine/variables/operator/{anyin,allin,anynotin,allnotin}.go). */
function makeSetOperator(judge: Judge, form: Form): Operator {
  const { isNegated } = form;
  return (value) => {
    const planned = planValue(value, judge, form);
    if (planned === undefined) return () => false;
    return (key) => {
      if (isArray(key)) return planned.list(key.map(formatValue));
      if (typeof key === "object") return false;
      const found = planned.text(formatValue(key));
      return found !== undefined && found !== isNegated;
    };
  };
}

type PlannedValue = {
  /** Whether one text is among the values; undefined when these are nothing to compare with. */
  readonly text: (key: string) => boolean | undefined;
  readonly list: (keys: readonly string[]) => boolean | QueryFailure;
};

function planValue(
  value: Json,
  judge: Judge,
  { isNegated, isAny }: Form,
): PlannedValue | undefined {
  if (isAny && (typeof value === "number" || typeof value === "boolean")) {
    // Only the operators of any take a single value, and only for a list of keys.
    const values = planValues([formatValue(value)]);
    return { text: () => undefined, list: (keys) => judgeValues(keys, values, judge) };
  }
  if (isArray(value)) {
    const values = planValues(value.map(formatValue));
    return { text: values.isIn, list: (keys) => judgeValues(keys, values, judge) };
  }
  if (typeof value !== "string") return undefined;
  const alone = (keys: readonly string[]): boolean => keys.length === 1 && keys[0] === value;
  if (isRange(value)) {
    const inside = compileLeaf(value);
    const isIn = isNegated && isAny ? makeOutside(value) : inside;
    return {
      text: (key) => matchesWildcard(value, key) || inside(key),
      list: (keys) => (alone(keys) ? !isNegated : judge(keys, isIn)),
    };
  }
  const listed = listedTexts(value);
  const values = planValues(listed ?? []);
  const matches = compileWildcard(value);
  return {
    text: (key) => (matches(key) ? true : listed?.includes(key)),
    list: (keys) => {
      if (alone(keys)) return !isNegated;
      return listed !== undefined && judgeValues(keys, values, judge);
    },
  };
}

/** AnyNotIn looks for keys outside a range, `1!-10`; a text that is no amount is neither inside nor outside. */
function makeOutside(range: string): (key: string) => boolean {
  const outside = compileLeaf(range.replace("-", "!-"));
  return (key) => !outside(key);
}

type Values = {
  readonly texts: readonly string[];
  readonly patterns: number;
  readonly isIn: (key: string) => boolean;
};

/** From how many values on a set is worth its making. */
const setFrom = 16;

/** Exact members are found first; then wildcards on either side are tried one by one. */
function planValues(texts: readonly string[]): Values {
  const patterns = texts.filter(hasWildcard);
  const exact = texts.length < setFrom ? undefined : new Set(texts);
  const isMember = (key: string): boolean => exact?.has(key) ?? texts.includes(key);
  return {
    texts,
    patterns: patterns.length,
    isIn: (key) =>
      isMember(key) ||
      patterns.some((pattern) => matchesWildcard(pattern, key)) ||
      (hasWildcard(key) && texts.some((text) => matchesWildcard(key, text))),
  };
}

function judgeValues(
  keys: readonly string[],
  { texts, patterns, isIn }: Values,
  judge: Judge,
): boolean | QueryFailure {
  const wild = keys.filter(hasWildcard);
  if (keys.length * patterns + wild.length * texts.length > comparisonsMax) {
    return new QueryFailure(
      "failed",
      `comparing ${keys.length} keys with ${texts.length} values by wildcards takes more than ${comparisonsMax} comparisons`,
    );
  }
  return judge(keys, isIn);
}

const hasWildcard = (text: string): boolean => text.includes("*") || text.includes("?");

const areAlike = (a: string, b: string): boolean => matchesWildcard(a, b) || matchesWildcard(b, a);

/** `1-10`, `1Mi-2Gi` (pkg/engine/operator, InRange); not where the text starts with an operator. */
const isRange = (text: string): boolean =>
  /^[-|+]?\d+(?:\.\d+)?[A-Za-z]*-[-|+]?\d+(?:\.\d+)?[A-Za-z]*$/.test(text);

/** The deprecated In: all keys, compared exactly; a value that is no list of texts never holds. */
export const legacyIn: Operator = makeLegacyOperator((keys, isIn) => keys.every(isIn), true);

/** The deprecated NotIn: some key is missing. */
export const legacyNotIn: Operator = makeLegacyOperator(
  (keys, isIn) => keys.some((key) => !isIn(key)),
  false,
);

function makeLegacyOperator(judge: Judge, wanted: boolean): Operator {
  return (value) => (key) =>
    isArray(key) ? legacyList(key.map(formatValue), value, judge) : legacyText(key, value, wanted);
}

function legacyText(key: Json, value: Json, wanted: boolean): boolean {
  if (typeof key === "object") return false;
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
  if (!/^\s*(?:\[|null\s*$)/.test(text) || !parseJson(text).ok) return undefined;
  return listedTexts(text);
}
