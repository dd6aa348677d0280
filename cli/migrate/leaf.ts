// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { parseDuration } from "#policy/kubernetes/duration";
import { parseQuantity } from "#policy/kubernetes/quantity";
import { allOf, anyOf, not, quote } from "./cel-text.ts";
import { Refusal } from "./refusal.ts";
import type { Assumptions } from "./refusal.ts";

const operators = [">=", "<=", ">", "<", "!"] as const;
type Operator = (typeof operators)[number] | "";

const range = /^([-|+]?\d+(?:\.\d+)?[A-Za-z]*)(!?)-([-|+]?\d+(?:\.\d+)?[A-Za-z]*)$/;

/** A condition in CEL that holds of the value `cel` exactly when it satisfies a scalar of a pattern. */
export function rewriteLeaf(
  cel: string,
  pattern: Json,
  path: string,
  assumptions: Assumptions,
): string {
  if (typeof pattern === "boolean") return `${cel} == ${pattern}`;
  if (typeof pattern === "number" && Number.isSafeInteger(pattern)) {
    return `${cel} == ${pattern} || ${cel} == ${quote(String(pattern))}`;
  }
  if (typeof pattern !== "string") {
    throw new Refusal(
      path,
      `a pattern of ${JSON.stringify(pattern)} compares in a way that CEL has no word for`,
    );
  }
  if (pattern.includes("{{") || pattern.includes("$(")) {
    throw new Refusal(path, `the variable in ${JSON.stringify(pattern)} is computed by JMESPath`);
  }
  const alternatives = pattern.split("|").map((alternative) => {
    const parts = alternative
      .split("&")
      .map((part) => rewriteComparison(cel, part.trim(), path, assumptions));
    return allOf(parts);
  });
  // The very text of a pattern always matches, also where it is no amount.
  const itself = ordered.test(pattern) ? [`${cel} == ${quote(pattern)}`] : [];
  return anyOf([...alternatives, ...itself]);
}

/** A pattern that orders amounts. */
const ordered = /[<>]/;

function rewriteComparison(
  cel: string,
  text: string,
  path: string,
  assumptions: Assumptions,
): string {
  if (text.length < 2) return rewriteOperation(cel, "", text, path, assumptions);
  const operator = operators.find((candidate) => text.startsWith(candidate));
  if (operator !== undefined) {
    return rewriteOperation(cel, operator, text.slice(operator.length).trim(), path, assumptions);
  }
  const found = range.exec(text);
  if (found === null) return rewriteOperation(cel, "", text, path, assumptions);
  const [, low = "", outside, high = ""] = found;
  const compare = (sign: Operator, bound: string): string =>
    rewriteOperation(cel, sign, bound, path, assumptions);
  return outside === "!"
    ? anyOf([compare("<", low), compare(">", high)])
    : allOf([compare(">=", low), compare("<=", high)]);
}

function rewriteOperation(
  cel: string,
  operator: Operator,
  operand: string,
  path: string,
  assumptions: Assumptions,
): string {
  const isAmount = parseQuantity(operand).ok;
  const isDuration = parseDuration(operand).ok;
  if (isDuration && !isAmount) {
    throw new Refusal(
      path,
      `${operand} is compared as a duration and as text, which CEL cannot do in one`,
    );
  }
  if (isDuration) assumptions.add(`no value compared with ${operand} is a duration such as 5s`);
  if (operator === "")
    return isAmount ? equalsAmount(cel, operand) : matchesText(cel, operand, path);
  if (operator === "!") {
    // Another text is unequal even when it is the same amount, as in Kyverno.
    return isAmount ? `string(${cel}) != ${quote(operand)}` : not(matchesText(cel, operand, path));
  }
  if (!isAmount) {
    throw new Refusal(
      path,
      `${operator}${operand} orders by something that is no number or quantity`,
    );
  }
  return `isQuantity(string(${cel})) && quantity(string(${cel})).compareTo(quantity(${quote(operand)})) ${operator} 0`;
}

const equalsAmount = (cel: string, operand: string): string =>
  `isQuantity(string(${cel})) && quantity(string(${cel})).compareTo(quantity(${quote(operand)})) == 0`;

/** A text pattern with `*` for anything and `?` for one character. */
export function matchesText(cel: string, pattern: string, path: string): string {
  const text = `string(${cel})`;
  if (!/[*?]/.test(pattern)) {
    return /^(true|false)$/.test(pattern)
      ? `${text} == ${quote(pattern)}`
      : `${cel} == ${quote(pattern)}`;
  }
  if (/^\*+$/.test(pattern)) return "true";
  if (/^\*?\?\*?$/.test(pattern) && pattern.length > 1) return `${text} != ""`;
  const inner = pattern.replace(/^\*+/, "").replace(/\*+$/, "");
  if (/[*?]/.test(inner)) return `${text}.matches(${quote(regexOf(pattern, path))})`;
  const starts = pattern.startsWith("*");
  const ends = pattern.endsWith("*");
  if (starts && ends) return `${text}.contains(${quote(inner)})`;
  return starts ? `${text}.endsWith(${quote(inner)})` : `${text}.startsWith(${quote(inner)})`;
}

function regexOf(pattern: string, path: string): string {
  if (pattern.length > 1_000) throw new Refusal(path, "the wildcard pattern is too long");
  const body = pattern
    .replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replace(/\*+/g, ".*")
    .replaceAll("?", ".");
  return `(?s)^${body}$`;
}
