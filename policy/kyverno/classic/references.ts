// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json } from "#policy/json";
import { formatValue } from "#policy/jmespath/go-format";
import { QueryFailure } from "#policy/jmespath/query";
import { plainKey } from "#policy/kyverno/classic/anchors";
import { childPath, mapTexts } from "#policy/kyverno/classic/traverse";

/** `$(...)` at the start of a text, or after a character that is no backslash (Kyverno, variables/regex). */
const reference = /^\$\(.[^ ]*\)|[^\\]\$\(.[^ ]*\)/g;
const escapedReference = /\\\$\(.[^ )]*\)/g;

const mayHold = (text: string): boolean => text.includes("$(") && text.includes(")");

/** Whether a document holds a reference or an escaped one anywhere, keys included. */
export function hasReferences(document: Json): boolean {
  if (typeof document === "string") return mayHold(document);
  if (isArray(document)) return document.some(hasReferences);
  return (
    isObject(document) &&
    Object.entries(document).some(([key, value]) => mayHold(key) || hasReferences(value))
  );
}

/**
 * Replaces the references of a document by the values of `whole` that they name. They are part of the policy, so this
 * is done once, when it is compiled. A failure is what every evaluation of the rule answers in the reference.
 */
export function resolveReferences(document: Json, path: string, whole: Json): Json | QueryFailure {
  const leaves = new Map<string, Json>();
  collectLeaves(whole, "", leaves);
  return mapTexts(document, path, (text, at) =>
    mayHold(text) ? resolveText(text, at, leaves) : text,
  );
}

/** Every leaf by its path without anchors; a key stands at the path of the map that has it, as in the reference. */
function collectLeaves(value: Json, path: string, leaves: Map<string, Json>): void {
  if (isArray(value)) {
    for (const [index, item] of value.entries()) {
      collectLeaves(item, `${path}/${index}`, leaves);
    }
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      leaves.set(path, key);
      collectLeaves(item, childPath(path, plainKey(key)), leaves);
    }
  } else {
    leaves.set(path, value);
  }
}

function resolveText(
  text: string,
  path: string,
  leaves: ReadonlyMap<string, Json>,
): string | QueryFailure {
  let resolved = text;
  for (const found of text.match(reference) ?? []) {
    const prefix = found.startsWith("$(") ? "" : found.slice(0, 1);
    const name = found.slice(prefix.length);
    const value = lookUp(name, path, leaves);
    if (value instanceof QueryFailure) return value;
    resolved = resolved.replace(found, () => prefix + value);
  }
  return resolved.replaceAll(escapedReference, (escaped) => escaped.slice(1));
}

function lookUp(
  name: string,
  path: string,
  leaves: ReadonlyMap<string, Json>,
): string | QueryFailure {
  const body = name.replaceAll(/^[$()]+|[$()]+$/g, "");
  const operator = /^(?:>=|<=|>|<|!)/.exec(body.length < 2 ? "" : body)?.[0] ?? "";
  const target = body.slice(operator.length);
  const fail = (why: string) =>
    new QueryFailure("failed", `failed to resolve ${name} at path ${path}: ${why}`);
  if (target === "") return fail("expected path, found empty reference");
  const value = leaves.get(joinPath(path, target)) ?? null;
  if (value === null && operator === "") {
    return new QueryFailure("failed", `got nil resolved variable ${name} at path ${path}: <nil>`);
  }
  if (typeof value === "string") return operator + value;
  if (operator === "") {
    return new QueryFailure(
      "failed",
      `NotResolvedReferenceErr,reference ${name} not resolved at path ${path}`,
    );
  }
  if (typeof value === "number") return operator + value.toFixed(6);
  return fail(
    `incorrect expression: operator ${operator} does not match with value ${formatValue(value)}`,
  );
}

/** path.Join of Go, unless the reference is absolute. */
function joinPath(base: string, target: string): string {
  if (target.startsWith("/")) return target;
  const parts: string[] = [];
  for (const part of `${base}/${target}`.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `${base.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}
