// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { parseDuration } from "#policy/kubernetes/duration";
import { compareQuantities, parseQuantity } from "#policy/kubernetes/quantity";
import type { Quantity } from "#policy/kubernetes/quantity";
import { compileWildcard } from "#policy/kubernetes/wildcard";
import { exponentText } from "#policy/kyverno/classic/go-value";

/** Whether one value satisfies one scalar of a pattern; undefined stands for an absent key. */
export type Leaf = (value: Json | undefined) => boolean;

/** Plans a scalar of a pattern (Kyverno, pkg/engine/pattern). A map at a leaf means "is a map", a list never matches. */
export function compileLeaf(pattern: Json): Leaf {
  if (typeof pattern === "string") return compileText(pattern);
  if (typeof pattern === "boolean") return (value) => value === pattern;
  if (pattern === null) return isEmptyValue;
  if (typeof pattern === "number") return compileNumber(pattern);
  return isArray(pattern) ? () => false : isObject;
}

const isEmptyValue: Leaf = (value) =>
  value === null || value === undefined || value === 0 || value === "" || value === false;

function compileNumber(pattern: number): Leaf {
  const parse = Number.isInteger(pattern) ? parseInteger : parseFloatText;
  return (value) => {
    if (typeof value === "number") return value === pattern;
    return typeof value === "string" && parse(value) === pattern;
  };
}

/** strconv.ParseInt(text, 10, 64), as far as doubles hold it. */
const parseInteger = (text: string): number | undefined =>
  /^[+-]?[0-9]{1,19}$/.test(text) ? Number(text) : undefined;

const parseFloatText = (text: string): number | undefined =>
  /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text) ? Number(text) : undefined;

/** `a | b & c`: alternatives of conjunctions, each with an operator; the very text of the pattern always matches. */
function compileText(pattern: string): Leaf {
  const alternatives = pattern.split("|").map((part) => compileConjunction(trimSpaces(part)));
  const [only] = alternatives;
  if (only !== undefined && alternatives.length === 1) {
    return (value) => value === pattern || only(value);
  }
  return (value) => value === pattern || alternatives.some((matches) => matches(value));
}

function compileConjunction(pattern: string): Leaf {
  const parts = pattern.split("&").map((part) => compileComparison(trimSpaces(part)));
  const [only] = parts;
  return only !== undefined && parts.length === 1
    ? only
    : (value) => parts.every((matches) => matches(value));
}

type Operator = "" | ">=" | "<=" | ">" | "<" | "!";

const rangePattern = /^([-|+]?\d+(?:\.\d+)?[A-Za-z]*)-([-|+]?\d+(?:\.\d+)?[A-Za-z]*)$/;
const outsidePattern = /^([-|+]?\d+(?:\.\d+)?[A-Za-z]*)!-([-|+]?\d+(?:\.\d+)?[A-Za-z]*)$/;
const operators: readonly Operator[] = [">=", "<=", ">", "<", "!"];

function compileComparison(pattern: string): Leaf {
  // A text of one character has no operator, not even `!` (pkg/engine/operator).
  if (byteLengthBelowTwo(pattern)) return compileOperation("", pattern.trim());
  const operator = operators.find((candidate) => pattern.startsWith(candidate));
  if (operator !== undefined) {
    return compileOperation(operator, pattern.slice(operator.length).trim());
  }
  const outside = outsidePattern.exec(pattern);
  if (outside !== null) {
    const below = compileOperation("<", outside[1] ?? "");
    const above = compileOperation(">", outside[2] ?? "");
    return (value) => below(value) || above(value);
  }
  const inside = rangePattern.exec(pattern);
  if (inside !== null) {
    const from = compileOperation(">=", inside[1] ?? "");
    const to = compileOperation("<=", inside[2] ?? "");
    return (value) => from(value) && to(value);
  }
  return compileOperation("", pattern.trim());
}

const byteLengthBelowTwo = (text: string): boolean =>
  text.length < 2 && (text === "" || text.charCodeAt(0) < 0x80);

/** Durations compare first, then quantities, then texts; each only when both sides are such. */
function compileOperation(operator: Operator, operand: string): Leaf {
  const decide = decisions[operator];
  const duration = parseDuration(operand);
  const quantity = parseQuantity(operand);
  const text = compileTextOperation(operator, operand);
  if (!duration.ok && !quantity.ok) return text;
  return (value) => {
    const given = numberText(value);
    if (given !== undefined && given !== "") {
      if (duration.ok && durationHolds(duration.value, given, decide)) return true;
      if (quantity.ok && quantityHolds(quantity.value, given, decide)) return true;
    }
    return text(value);
  };
}

const decisions: Readonly<Record<Operator, (order: number) => boolean>> = {
  "": (order) => order === 0,
  "!": (order) => order !== 0,
  ">": (order) => order > 0,
  "<": (order) => order < 0,
  ">=": (order) => order >= 0,
  "<=": (order) => order <= 0,
};

/** What both kinds of amounts start with; spares parsing of the many texts that are none. */
const amountStart = /^[-+.0-9]/;

function durationHolds(
  operand: bigint,
  given: string,
  decide: (order: number) => boolean,
): boolean {
  if (!amountStart.test(given)) return false;
  const value = parseDuration(given);
  if (!value.ok) return false;
  return decide(value.value === operand ? 0 : value.value < operand ? -1 : 1);
}

function quantityHolds(
  operand: Quantity,
  given: string,
  decide: (order: number) => boolean,
): boolean {
  if (!amountStart.test(given)) return false;
  const value = parseQuantity(given);
  return value.ok && decide(compareQuantities(value.value, operand));
}

function compileTextOperation(operator: Operator, operand: string): Leaf {
  if (operator !== "" && operator !== "!") return () => false;
  const matches = compileWildcard(operand);
  const wanted = operator === "";
  return (value) => {
    const text = scalarText(value);
    return text !== undefined && matches(text) === wanted;
  };
}

/** How the reference writes a value before it compares texts: fractions with an exponent, nothing for null. */
function scalarText(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "number") return undefined;
  return Number.isInteger(value) ? wholeText(value) : exponentText(value);
}

/** How the reference writes a value before it reads an amount from it: an absent one is 0, fractions have six places. */
function numberText(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "0";
  if (typeof value !== "number") return undefined;
  return Number.isInteger(value) ? wholeText(value) : value.toFixed(6);
}

const wholeText = (value: number): string => BigInt(value).toString();

const trimSpaces = (text: string): string => text.replace(/^ +/, "").replace(/ +$/, "");
