// SPDX-License-Identifier: Apache-2.0
import { describe } from "#policy/document";
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

/** What a part of a document may hold: its fields by name, or the words of a text. Other values are their readers' matter. */
export type Fields =
  | { readonly is: "anything" }
  | { readonly is: "object"; readonly fields: Readonly<Record<string, Fields>> }
  | { readonly is: "list"; readonly of: Fields }
  | { readonly is: "words"; readonly words: readonly string[] };

export type FieldProblem = { readonly path: string; readonly message: string };

export const anything: Fields = { is: "anything" };
export const objectWith = (fields: Readonly<Record<string, Fields>>): Fields => ({
  is: "object",
  fields,
});
/** An object whose fields hold anything. */
export const named = (...names: readonly string[]): Fields =>
  objectWith(Object.fromEntries(names.map((name) => [name, anything])));
export const listOf = (of: Fields): Fields => ({ is: "list", of });
export const oneOf = (...words: readonly string[]): Fields => ({ is: "words", words });

/** A Kubernetes object of which the spec is described. */
export const documentWith = (spec: Readonly<Record<string, Fields>>): Fields =>
  objectWith({
    apiVersion: anything,
    kind: anything,
    metadata: anything,
    spec: objectWith(spec),
    status: anything,
  });

/** Most problems of one document that are named; more tell nobody more. */
const problemsMax = 20;

/**
 * Fields that a document has and its kind does not, and words that mean nothing: what the API server's strict decoding
 * and the kind's definition refuse. Passed over, a misspelt `validationActions` would be a policy that never denies.
 */
export function fieldProblems(document: JsonObject, fields: Fields): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  inspect(document, fields, "", problems);
  return problems.slice(0, problemsMax);
}

function inspect(value: Json, expected: Fields, path: string, problems: FieldProblem[]): void {
  // A null is a field that is not stated.
  if (value === null || problems.length > problemsMax) return;
  switch (expected.is) {
    case "anything":
      return;
    case "words":
      if (typeof value === "string" && expected.words.includes(value)) return;
      problems.push({
        path,
        message: `must be ${expected.words.join(" or ")}, got ${typeof value === "string" ? `"${value}"` : describe(value)}`,
      });
      return;
    case "list":
      if (!isArray(value)) return;
      value.forEach((item, index) => inspect(item, expected.of, `${path}[${index}]`, problems));
      return;
    case "object":
      if (isObject(value)) inspectObject(value, expected.fields, path, problems);
      return;
    default:
      expected satisfies never;
  }
}

function inspectObject(
  object: JsonObject,
  fields: Readonly<Record<string, Fields>>,
  path: string,
  problems: FieldProblem[],
): void {
  for (const key of Object.keys(object).toSorted()) {
    const below = path === "" ? key : `${path}.${key}`;
    const known = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (known !== undefined) inspect(object[key] ?? null, known, below, problems);
    else {
      const message = `unknown field; known here are ${Object.keys(fields).toSorted().join(", ")}`;
      problems.push({ path: below, message });
    }
  }
}
