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
import {
  annotationPath,
  canonicalJson,
  heldAnnotation,
  sha256Of,
  withoutVolatile,
} from "./canonical.ts";
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
  /** All that was applied last, where that is recorded. */
  readonly state: JsonObject | undefined;
};

/** `value` undefined: there was nothing at this path when the hold began. */
export type HeldEntry = { readonly path: Path; readonly value: Json | undefined };

/** Longest record in characters; annotations of an object may have 256 KiB together. */
const recordLengthMax = 64 * 1024;
const entriesMax = 1000;
const noRecord: HeldRecord = { applied: "", entries: [], state: undefined };

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
  const state = field(record, "state");
  return {
    applied: textAt(record, ["applied"]),
    entries,
    state: isObject(state) ? state : undefined,
  };
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
  return entries.length > entriesMax
    ? object
    : stated(object, { applied: stateDigest(object), held });
}

/** The object with a record of all that was applied last, and what of it is held. */
export function withState(
  object: JsonObject,
  state: JsonObject,
  entries: readonly HeldEntry[],
): JsonObject {
  const held = entries.map(({ path, value }) => (value === undefined ? { path } : { path, value }));
  return stated(object, held.length === 0 ? { state } : { held, state });
}

/** Equal records are equal texts, whatever order the keys came in: else each call would write the annotation anew. */
function stated(object: JsonObject, record: JsonObject): JsonObject {
  const text = canonicalJson(record);
  return text.length > recordLengthMax ? object : withPath(object, annotationPath, text);
}

/** Identifies a state that is sent, whatever its record says. */
export const stateDigest = (object: JsonObject): string => sha256Of(withoutVolatile(object));
