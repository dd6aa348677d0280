// SPDX-License-Identifier: Apache-2.0

/** Any JSON value. Whole numbers are integers to every language of the engine, as in Kubernetes' untyped objects. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object. Read keys with {@link field} when they come from outside: `constructor` and the like are inherited. */
export interface JsonObject {
  readonly [key: string]: Json;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isArray = (value: unknown): value is readonly Json[] => Array.isArray(value);

/** The own property `key` of an object, undefined when `value` is no object or lacks it. */
export function field(value: Json | undefined, key: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** The value at a path of object keys and list indices, undefined when any step is missing. */
export function at(value: Json | undefined, path: readonly (string | number)[]): Json | undefined {
  let here = value;
  for (const step of path) {
    here = typeof step === "number" ? (isArray(here) ? here[step] : undefined) : field(here, step);
  }
  return here;
}

/** The string at a path, '' when absent or not a string. */
export function textAt(value: Json | undefined, path: readonly (string | number)[]): string {
  const found = at(value, path);
  return typeof found === "string" ? found : "";
}

/**
 * Parses JSON text.
 * @throws SyntaxError when the text is not JSON; numbers beyond 2^53 lose digits as in every JavaScript number.
 */
export const parseJson: (text: string) => Json = JSON.parse;
