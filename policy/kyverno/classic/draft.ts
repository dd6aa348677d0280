// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

/** JSON that is still being written. */
export type Draft = null | boolean | number | string | Draft[] | DraftObject;
export type DraftObject = { [key: string]: Draft };

export const isDraftObject = (value: Draft | undefined): value is DraftObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A copy that may be written to; objects have no prototype, so that no key is special. */
export function toDraft(value: Json): Draft {
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map((item) => toDraft(item));
  const copy = emptyDraft();
  for (const [key, item] of Object.entries(value)) copy[key] = toDraft(item);
  return copy;
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

export function emptyDraft(): DraftObject {
  const made: DraftObject = {};
  Object.setPrototypeOf(made, null);
  return made;
}

/** Renames a key in its place; a key of that name that is there already is replaced. */
export function renameKey(object: DraftObject, from: string, to: string): void {
  const entries = Object.entries(object);
  for (const [key] of entries) delete object[key];
  for (const [key, value] of entries) {
    if (key === to) continue;
    object[key === from ? to : key] = value;
  }
}
