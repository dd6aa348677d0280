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
import { annotationPath, heldAnnotation, sha256Of, withoutVolatile } from "./canonical.ts";
import { withPath, type Path, type Step } from "./json-edit.ts";
import { fieldNode, type Ownership } from "./ownership.ts";

/**
 * What the guard keeps in an annotation of an object that it holds, or whose old violation it knows of. It is owned by
 * Crossplane's field manager like all that the function states, and believed only while it is: whoever edits it becomes
 * its owner.
 */
export type HeldRecord = {
  /** Digest of the state that was sent with the record: sending the very same again changes nothing. '' for none. */
  readonly applied: string;
  /** What was applied last at the paths that are held. */
  readonly entries: readonly HeldEntry[];
};

/** `value` undefined: there was nothing at this path when the hold began. */
export type HeldEntry = { readonly path: Path; readonly value: Json | undefined };

/** Longest record in characters; annotations of an object may have 256 KiB together. */
const recordLengthMax = 64 * 1024;
const entriesMax = 1000;
const noRecord: HeldRecord = { applied: "", entries: [] };

/** The record of the live object; empty when there is none, or when it can no longer be believed. */
export function readRecord(live: JsonObject, ownership: Ownership): HeldRecord {
  const annotations = field(field(live, "metadata"), "annotations");
  const text = textAt(annotations, [heldAnnotation]);
  if (text === "" || text.length > recordLengthMax) return noRecord;
  const metadata = fieldNode(ownership.ours, "metadata");
  const owned = fieldNode(fieldNode(metadata, "annotations"), heldAnnotation) !== undefined;
  return ownership.recorded && !owned ? noRecord : parseRecord(parseJsonText(text));
}

function parseRecord(record: Json): HeldRecord {
  const held = field(record, "held");
  const entries = (isArray(held) ? held.slice(0, entriesMax) : []).flatMap(
    (entry): readonly HeldEntry[] => {
      const path = field(entry, "path");
      if (!isArray(path) || path.length === 0 || !path.every(isStep)) return [];
      return [{ path, value: field(entry, "value") }];
    },
  );
  return { applied: textAt(record, ["applied"]), entries };
}

const isStep = (step: Json): step is Step => typeof step === "string" || isObject(step);

function parseJsonText(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}

/** The object with the record stated; without it when it would be too long to be kept. */
export function withRecord(object: JsonObject, entries: readonly HeldEntry[]): JsonObject {
  const held = entries.map(({ path, value }) => (value === undefined ? { path } : { path, value }));
  const text = JSON.stringify({ applied: stateDigest(object), held });
  if (text.length > recordLengthMax || entries.length > entriesMax) return object;
  return withPath(object, annotationPath, text);
}

/** Identifies a state that is sent, whatever its record says. */
export const stateDigest = (object: JsonObject): string => sha256Of(withoutVolatile(object));
