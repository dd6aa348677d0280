// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { QueryFailure, type QueryRuntime } from "#policy/jmespath/query";

/** A Go `int`: to the reference's language it is no number, only a value that prints as one (`compare` gives it). */
export class GoInteger {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** `&expression`: an argument that a function runs itself. */
export class ExpressionReference {
  readonly run: Step;
  constructor(run: Step) {
    this.run = run;
  }
}

/** What an expression may give while it is evaluated. */
export type Value = Json | GoInteger | ExpressionReference;

/** One planned node: from the current value to a value, or why there is none. Never throws. */
export type Step = (current: Value, runtime: QueryRuntime) => Value | QueryFailure;

export const failed = (message: string): QueryFailure => new QueryFailure("failed", message);

/** An unknown key counts as null in most places of the language. */
export function unlessUnknown(result: Value | QueryFailure): Value | QueryFailure {
  return result instanceof QueryFailure && result.kind === "unknown-key" ? null : result;
}

/** The language's falsehood: null, false, and empty texts, lists and objects. */
export function isFalse(value: Value): boolean {
  if (value === null || value === false || value === "") return true;
  if (isArray(value)) return value.length === 0;
  return isPlainObject(value) && !hasKeys(value);
}

export function isPlainObject(value: Value): value is JsonObject {
  return (
    isObject(value) && !(value instanceof GoInteger) && !(value instanceof ExpressionReference)
  );
}

function hasKeys(object: JsonObject): boolean {
  for (const _key in object) return true;
  return false;
}

/** Deep equality as reflect.DeepEqual sees decoded JSON. */
export function equalValues(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (a instanceof GoInteger || b instanceof GoInteger) {
    return a instanceof GoInteger && b instanceof GoInteger && a.value === b.value;
  }
  if (a instanceof ExpressionReference || b instanceof ExpressionReference) return false;
  return equalJson(a, b);
}

/** Deep equality of JSON. */
export function equalJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (isArray(a)) {
    return (
      isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => equalJson(item, b[index] ?? null))
    );
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equalJson(a[key] ?? null, b[key] ?? null))
  );
}

/**
 * Leaves the language, or enters a list or object inside it: an int is a number there, and an expression reference
 * the empty struct that it is in Go.
 */
export function toJson(value: Value): Json {
  if (value instanceof GoInteger) return value.value;
  return value instanceof ExpressionReference ? {} : value;
}
