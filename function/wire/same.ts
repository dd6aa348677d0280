// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { sameJson } from "../json-edit.ts";
import { endOf, keyIndex, markedMax, nextEntry, sameText, tagEntry } from "./entries.ts";
import { cursorAt, readField, WireError, type Cursor, type Slice } from "./reader.ts";
import {
  depthMax,
  findKey,
  readStruct,
  readValue,
  tagItem,
  tagList,
  tagStruct,
  tagText,
} from "./struct.ts";

/**
 * Whether a Struct holds exactly this object, without decoding it. Crossplane writes the entries of a map in another
 * order each time, so equal inputs have different bytes; this is what finds compiled policies again. Malformed bytes are
 * not the same as anything: whoever decodes them says what is wrong with them, whatever was known before.
 */
export function sameStruct(object: JsonObject, slice: Slice): boolean {
  return wellFormed(() => same(object, cursorAt(slice.bytes, slice.start), slice.end, 0));
}

/** The same for the value of one key, undefined for a key that must not be there. */
export function sameKey(value: Json | undefined, slice: Slice, key: string): boolean {
  return wellFormed(() => {
    const found = findKey(slice, key);
    if (found === undefined || value === undefined) return found === value;
    return sameValue(value, cursorAt(slice.bytes, found.start), found.end, 0);
  });
}

function wellFormed(compare: () => boolean): boolean {
  try {
    return compare();
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

function same(object: JsonObject, cursor: Cursor, end: number, depth: number): boolean {
  const { bytes, pos: start } = cursor;
  const keys = Object.keys(object);
  if (keys.length > markedMax) return sameDecoded(object, cursor, start, end, depth);
  let marks = 0;
  let count = 0;
  while (cursor.pos < end) {
    if (bytes[cursor.pos] !== tagEntry) {
      readField(cursor, end);
      continue;
    }
    const index = nextEntry(cursor, end) ? keyIndex(keys, marks, cursor) : -1;
    const value = index < 0 ? undefined : object[keys[index] ?? ""];
    if (value === undefined) return sameDecoded(object, cursor, start, end, depth);
    const { entryEnd } = cursor;
    if (!sameValue(value, cursor, entryEnd, depth)) return false;
    cursor.pos = entryEnd;
    marks |= 1 << index;
    count++;
  }
  return count === keys.length;
}

/** The slow way: for large objects, and for keys beyond ASCII or that come twice. */
function sameDecoded(
  object: JsonObject,
  cursor: Cursor,
  start: number,
  end: number,
  depth: number,
): boolean {
  cursor.pos = start;
  return sameJson(object, readStruct(cursor, end, depth));
}

function sameValue(value: Json, cursor: Cursor, end: number, depth: number): boolean {
  const { bytes } = cursor;
  const tag = bytes[cursor.pos];
  if (typeof value === "string") {
    if (tag !== tagText) return false;
    cursor.pos++;
    const textEnd = endOf(cursor, end);
    return textEnd === end && sameText(value, bytes, cursor.pos, textEnd);
  }
  if (isObject(value)) {
    if (tag !== tagStruct || depth >= depthMax) return false;
    cursor.pos++;
    const structEnd = endOf(cursor, end);
    return structEnd === end && same(value, cursor, structEnd, depth + 1);
  }
  if (isArray(value)) {
    if (tag !== tagList || depth >= depthMax) return false;
    cursor.pos++;
    const listEnd = endOf(cursor, end);
    return listEnd === end && sameList(value, cursor, listEnd, depth + 1);
  }
  return readValue(cursor, end, depth) === value;
}

function sameList(items: readonly Json[], cursor: Cursor, end: number, depth: number): boolean {
  for (const item of items) {
    if (cursor.bytes[cursor.pos] !== tagItem || cursor.pos >= end) return false;
    cursor.pos++;
    const itemEnd = endOf(cursor, end);
    if (!sameValue(item, cursor, itemEnd, depth)) return false;
    cursor.pos = itemEnd;
  }
  return cursor.pos === end;
}
