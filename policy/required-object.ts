// SPDX-License-Identifier: Apache-2.0
import { at, isObject } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { documentName } from "#policy/document";
import type { Problem } from "#policy/problem";

/** The object at a place of a document that must have one there, e.g. `spec.matchConstraints`; named when it does not. */
export function requiredObject(
  document: JsonObject,
  place: string,
  problems: Problem[],
): JsonObject | undefined {
  const found = at(document, place.split("."));
  if (isObject(found)) return found;
  problems.push({ document: documentName(document), path: place, message: "must be an object" });
  return undefined;
}
