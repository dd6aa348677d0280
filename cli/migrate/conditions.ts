// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json } from "#policy/json";
import { parseDuration } from "#policy/kubernetes/duration";
import { parseQuantity } from "#policy/kubernetes/quantity";
import { allOf, anyOf, isIdentifier, member, not, quote, quoteAll } from "./cel-text.ts";
import { Refusal } from "./refusal.ts";

/**
 * Preconditions or deny conditions as one condition in CEL.
 * @throws Refusal for keys that are more than a path, and for operators whose coercions CEL does not have
 */
export function rewriteConditions(document: Json, path: string): string {
  if (isArray(document)) {
    return allOf(document.map((one, index) => rewriteBlock(one, `${path}[${index}]`)));
  }
  return rewriteBlock(document, path);
}

function rewriteBlock(block: Json, path: string): string {
  if (!isObject(block)) throw new Refusal(path, "is no condition");
  if (!Object.hasOwn(block, "any") && !Object.hasOwn(block, "all")) {
    return rewriteCondition(block, path);
  }
  const terms = (["any", "all"] as const).flatMap((key): readonly string[] => {
    const list = field(block, key);
    if (list === undefined) return [];
    if (!isArray(list)) throw new Refusal(`${path}.${key}`, "is no list");
    const inner = list.map((one, index) => rewriteCondition(one, `${path}.${key}[${index}]`));
    return [key === "any" ? anyOf(inner) : allOf(inner)];
  });
  return allOf(terms);
}

function rewriteCondition(condition: Json, path: string): string {
  const operator = textAt(condition, ["operator"]).toLowerCase();
  const key = field(condition, "key");
  const value = field(condition, "value") ?? null;
  if (typeof key !== "string") throw new Refusal(`${path}.key`, "is no text with one variable");
  const source = variableIn(key);
  if (source === undefined) {
    throw new Refusal(`${path}.key`, `${JSON.stringify(key)} is more than one variable`);
  }
  const counted = countIn(source);
  if (counted !== undefined) return rewriteCount(counted, operator, value, path);
  const text = textIn(source, path);
  return rewriteTexts(text, operator, value, path);
}

const variableIn = (key: string): string | undefined =>
  /^\s*\{\{-?\s*((?:(?!\{\{|\}\}).)+?)\s*\}\}\s*$/.exec(key)?.[1];

const pathPattern = String.raw`request\.(?:object|oldObject)(?:\.(?:[A-Za-z_]\w*|"[^"]+"))+`;
const countPattern = new RegExp(
  String.raw`^(?:(${pathPattern})(?:\[\])?\s*\|\s*length\(@\)|length\((${pathPattern})(?:\[\])?\))$`,
);

const countIn = (source: string): string | undefined => {
  const found = countPattern.exec(source);
  return found?.[1] ?? found?.[2];
};

const textPattern = new RegExp(
  String.raw`^(request\.operation|request\.namespace|request\.name|${pathPattern})(?:\s*\|\|\s*'([^']*)')?$`,
);

/** A variable that is a text: a path with an optional default. */
function textIn(source: string, path: string): string {
  const found = textPattern.exec(source);
  if (found === null) {
    throw new Refusal(
      `${path}.key`,
      `{{ ${source} }} is an expression of JMESPath with its own rules for missing keys and types`,
    );
  }
  const [, variable = "", standIn] = found;
  if (variable === "request.operation") return variable;
  const steps = variable.split(/\.(?=(?:[^"]*"[^"]*")*[^"]*$)/).slice(1);
  const keys = steps.map((step) => step.replaceAll('"', ""));
  if (!["object", "oldObject"].includes(keys[0] ?? "")) return variable;
  const root = keys[0] ?? "object";
  const below = keys.slice(1);
  if (standIn === undefined) return below.reduce((cel, key) => member(cel, key), root);
  const optional = below.reduce(
    (cel, key) => (isIdentifier(key) ? `${cel}.?${key}` : `${cel}[?${quote(key)}]`),
    root,
  );
  return `${optional}.orValue(${quote(standIn)})`;
}

const orders: Readonly<Record<string, string>> = {
  equals: "==",
  equal: "==",
  notequals: "!=",
  notequal: "!=",
  greaterthan: ">",
  greaterthanorequals: ">=",
  lessthan: "<",
  lessthanorequals: "<=",
};

function rewriteCount(source: string, operator: string, value: Json, path: string): string {
  const sign = Object.hasOwn(orders, operator) ? orders[operator] : undefined;
  const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (sign === undefined || typeof number !== "number" || !Number.isSafeInteger(number)) {
    throw new Refusal(`${path}.operator`, `${operator} of a length with ${JSON.stringify(value)}`);
  }
  return `size(${textIn(source, path)}) ${sign} ${number}`;
}

function rewriteTexts(text: string, operator: string, value: Json, path: string): string {
  const values = isArray(value) ? value : [value];
  const plain = values.filter((one) => typeof one === "string" && isPlainText(one));
  if (plain.length !== values.length) {
    throw new Refusal(
      `${path}.value`,
      `${JSON.stringify(value)} is compared as a pattern, an amount or a variable`,
    );
  }
  const names = values.map(String);
  switch (operator) {
    case "equals":
    case "equal":
      return equals(text, value, path);
    case "notequals":
    case "notequal":
      return not(equals(text, value, path));
    case "in":
    case "anyin":
    case "allin":
      return `${text} in ${quoteAll(names)}`;
    case "notin":
    case "anynotin":
    case "allnotin":
      return not(`${text} in ${quoteAll(names)}`);
    default:
      throw new Refusal(`${path}.operator`, `${operator} with texts`);
  }
}

function equals(text: string, value: Json, path: string): string {
  // A list is never equal to a text, which is hardly what its author meant.
  if (typeof value !== "string") throw new Refusal(`${path}.value`, "Equals with a list");
  return `${text} == ${quote(value)}`;
}

/** Text that Kyverno compares as it is: no wildcard, range, amount, list or variable. */
const isPlainText = (text: string): boolean =>
  !/[*?{}[\]]/.test(text) &&
  !/^\d.*-.*\d/.test(text) &&
  !parseQuantity(text).ok &&
  !parseDuration(text).ok;

/** A text of a rule with variables, as a CEL expression; undefined when it has none. */
export function rewriteMessage(message: string, path: string): string | undefined {
  if (!message.includes("{{")) return undefined;
  const parts = message.split(/(\{\{.*?\}\})/s).filter((part) => part !== "");
  const terms = parts.map((part) => {
    if (!part.startsWith("{{")) return quote(part);
    const source = variableIn(part);
    if (source === undefined) throw new Refusal(path, `the variable ${part}`);
    return `string(${textIn(source, path)})`;
  });
  return terms.join(" + ");
}

/** Whether a condition needs the object at all: one that only asks for the operation holds on DELETE too. */
export const needsObject = (expression: string): boolean =>
  /\b(object|oldObject)\b/.test(expression);
