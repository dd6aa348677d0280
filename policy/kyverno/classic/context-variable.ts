// SPDX-License-Identifier: Apache-2.0
import { field, type Json, type JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { formatForMessage } from "#policy/jmespath/go-format";
import { QueryFailure } from "#policy/jmespath/query";
import type { EntryLoader } from "#policy/kyverno/classic/context";
import type { Scope } from "#policy/kyverno/classic/scope";
import { compileTemplate, type Template } from "#policy/kyverno/classic/variables";

/** `variable: {value | jmesPath, default}` (pkg/engine/context/loaders/variable.go). */
export function compileVariable(name: string, document: JsonObject): EntryLoader {
  const path = compilePart(name, document, "jmesPath");
  const fallback = compilePart(name, document, "default");
  const given = compilePart(name, document, "value");
  return (scope) => {
    const jmesPath = path(scope);
    if (jmesPath instanceof QueryFailure) return jmesPath;
    const otherwise = fallback(scope);
    if (otherwise instanceof QueryFailure) return otherwise;
    const value = given(scope);
    if (value instanceof QueryFailure) return value;
    const output = evaluate(jmesPath, value, otherwise, scope);
    if (output !== null) return output;
    return new QueryFailure(
      "failed",
      `failed to add context entry for variable ${name} since it evaluated to nil`,
    );
  };
}

type Part = (scope: Scope) => Json | QueryFailure;

/** A part of an entry with its variables; null when it is absent. */
export function compilePart(name: string, document: JsonObject, key: string): Part {
  const part = field(document, key) ?? null;
  if (part === null || part === "") return () => null;
  const template: Template = compileTemplate(part);
  return (scope) => {
    const substituted = template.substitute(scope);
    return substituted.ok
      ? substituted.value
      : wrapped(
          substituted.failure,
          `failed to substitute variables in context entry ${name} ${formatForMessage(part)}`,
        );
  };
}

/** A failure inside another: only that something could not be known survives as its kind. */
export function wrapped(failure: QueryFailure, around: string): QueryFailure {
  const kind = failure.kind === "unavailable" ? "unavailable" : "failed";
  return new QueryFailure(kind, `${around}: ${failure.message}`);
}

function evaluate(jmesPath: Json, value: Json, otherwise: Json, scope: Scope): Json | QueryFailure {
  if (jmesPath === null) return value ?? otherwise;
  const query = compileQuery(typeof jmesPath === "string" ? jmesPath.trim() : "");
  const found = value === null ? scope.query(query) : query.evaluate(value, scope.world);
  if (found instanceof QueryFailure) {
    if (otherwise !== null && found.kind !== "unavailable") return otherwise;
    return wrapped(
      found,
      `failed to apply jmespath ${query.source} to variable ${formatForMessage(value)}`,
    );
  }
  // With a value of its own the reference lets null stand, without one the default.
  return value === null ? (found ?? otherwise) : found;
}
