// SPDX-License-Identifier: Apache-2.0
import {
  field,
  isArray,
  isObject,
  parseJson,
  textAt,
  type Json,
  type JsonObject,
} from "#policy/json";
import { withPath, type Path, type Step } from "./json-edit.ts";
import { fieldNode, type Ownership } from "./ownership.ts";

/**
 * The annotation in which the guard keeps what was last applied at the paths that it holds. It is owned by Crossplane's
 * field manager like all that the function states, and believed only while it is: whoever edits it becomes its owner.
 */
export const heldAnnotation = "parapet.dev/held";

/** `value` undefined: there was nothing at this path when the hold began. */
export type HeldEntry = { readonly path: Path; readonly value: Json | undefined };

/** Longest record in characters; annotations of an object may have 256 KiB together. */
const recordLengthMax = 64 * 1024;
const entriesMax = 1000;

export const annotationPath: Path = ["metadata", "annotations", heldAnnotation];

/** The record of the live object; empty when there is none, or when it can no longer be believed. */
export function readRecord(live: JsonObject, ownership: Ownership): readonly HeldEntry[] {
  const annotations = field(field(live, "metadata"), "annotations");
  const text = textAt(annotations, [heldAnnotation]);
  if (text === "") return [];
  const metadata = fieldNode(ownership.ours, "metadata");
  const owned = fieldNode(fieldNode(metadata, "annotations"), heldAnnotation) !== undefined;
  if (ownership.recorded && !owned) return [];
  return parseRecord(text);
}

function parseRecord(text: string): readonly HeldEntry[] {
  if (text.length > recordLengthMax) return [];
  const parsed = parseJsonText(text);
  const entries = isArray(parsed) ? parsed.slice(0, entriesMax) : [];
  return entries.flatMap((entry): readonly HeldEntry[] => {
    const path = field(entry, "path");
    if (!isArray(path) || path.length === 0 || !path.every(isStep)) return [];
    return [{ path, value: field(entry, "value") }];
  });
}

const isStep = (step: Json): step is Step => typeof step === "string" || isObject(step);

function parseJsonText(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}

/** The object with the record stated; undefined when it would be too long to be kept. */
export function withRecord(
  object: JsonObject,
  entries: readonly HeldEntry[],
): JsonObject | undefined {
  const text = JSON.stringify(
    entries.map(({ path, value }) => (value === undefined ? { path } : { path, value })),
  );
  if (text.length > recordLengthMax || entries.length > entriesMax) return undefined;
  return withPath(object, annotationPath, text);
}
