// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { endOf, keyIndex, markedMax, nextEntry, sameText } from "./entries.ts";
import { cursorAt, readField, type Cursor, type Slice } from "./reader.ts";
import {
  depthMax,
  put,
  readStruct,
  readValue,
  tagItem,
  tagList,
  tagStruct,
  tagText,
  type Building,
} from "./struct.ts";

/**
 * The object in a Struct, like decodeStruct, made out of an earlier one where they are the same: that very object when
 * nothing differs, else a new one that shares every part that does not. Comparing costs a fraction of decoding, and
 * Crossplane asks again and again about objects of which little changed. Throws a WireError on malformed bytes.
 */
export function decodeLike(known: JsonObject, slice: Slice): JsonObject {
  return structLike(known, cursorAt(slice.bytes, slice.start), slice.end, 0);
}

function structLike(known: JsonObject, cursor: Cursor, end: number, depth: number): JsonObject {
  const { pos: start } = cursor;
  const keys = Object.keys(known);
  if (keys.length > markedMax) return structFrom(known, cursor, end, depth);
  let changed: Building | undefined;
  let marks = 0;
  let count = 0;
  while (cursor.pos < end) {
    const index = nextEntry(cursor, end) ? keyIndex(keys, marks, cursor) : -1;
    if (index < 0) {
      cursor.pos = start;
      return structFrom(known, cursor, end, depth);
    }
    const key = keys[index] ?? "";
    const before = known[key] ?? null;
    marks |= 1 << index;
    count++;
    const { entryEnd } = cursor;
    const value = valueLike(before, cursor, entryEnd, depth);
    cursor.pos = entryEnd;
    if (value === before) continue;
    changed ??= { ...known };
    put(changed, key, value);
  }
  if (count === keys.length) return changed ?? known;
  cursor.pos = start;
  return structFrom(known, cursor, end, depth);
}

/** With other keys than the known object: entry by entry, as decodeStruct reads it. */
function structFrom(known: JsonObject, cursor: Cursor, end: number, depth: number): JsonObject {
  const object = readStruct(cursor, end, depth, (key, valueEnd) => {
    const before = Object.hasOwn(known, key) ? known[key] : undefined;
    return before === undefined
      ? readValue(cursor, valueEnd, depth)
      : valueLike(before, cursor, valueEnd, depth);
  });
  const keys = Object.keys(object);
  const isSame =
    keys.length === Object.keys(known).length && keys.every((key) => object[key] === known[key]);
  return isSame ? known : object;
}

/** A Value that fills the bytes up to `end`; what is written in an unusual way is decoded as it is. */
function valueLike(known: Json, cursor: Cursor, end: number, depth: number): Json {
  const { bytes, pos: start } = cursor;
  const tag = bytes[start];
  if (tag === tagText && typeof known === "string") {
    cursor.pos = start + 1;
    if (endOf(cursor, end) === end && sameText(known, bytes, cursor.pos, end)) return known;
  } else if (tag === tagStruct && isObject(known)) {
    cursor.pos = start + 1;
    if (endOf(cursor, end) === end && depth < depthMax) {
      return structLike(known, cursor, end, depth + 1);
    }
  } else if (tag === tagList && isArray(known)) {
    cursor.pos = start + 1;
    if (endOf(cursor, end) === end && depth < depthMax) {
      return listLike(known, cursor, end, depth + 1);
    }
  }
  cursor.pos = start;
  return readValue(cursor, end, depth);
}

function listLike(known: readonly Json[], cursor: Cursor, end: number, depth: number): Json {
  const { bytes } = cursor;
  let changed: Json[] | undefined;
  let index = 0;
  while (cursor.pos < end) {
    if (bytes[cursor.pos] !== tagItem) {
      readField(cursor, end);
      continue;
    }
    cursor.pos++;
    const itemEnd = endOf(cursor, end);
    const before = known[index];
    const value =
      before === undefined
        ? readValue(cursor, itemEnd, depth)
        : valueLike(before, cursor, itemEnd, depth);
    cursor.pos = itemEnd;
    if (changed === undefined && value !== before) changed = known.slice(0, index);
    changed?.push(value);
    index++;
  }
  return changed ?? (index === known.length ? known : known.slice(0, index));
}
