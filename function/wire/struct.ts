// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { endOf, nextEntry, sameText, tagEntry, tagEntryValue, tagKey } from "./entries.ts";
import { internText } from "./intern.ts";
import { cursorAt, readField, readVarint, WireError, type Cursor, type Slice } from "./reader.ts";

/**
 * How deep JSON may be nested. Kubernetes itself takes more, but nothing real does: CRD schemas end far above this, and
 * every walk over the value is recursive.
 */
export const depthMax = 256;

/** Tags of google.protobuf.Value and ListValue (google/protobuf/struct.proto). */
export const tagItem = 0x0a;
const tagNull = 0x08;
const tagNumber = 0x11;
export const tagText = 0x1a;
const tagBool = 0x20;
export const tagStruct = 0x2a;
export const tagList = 0x32;

export type Building = { [key: string]: Json };

/**
 * The JSON object in a google.protobuf.Struct. Keys are kept as they are, `__proto__` too; a Value of no kind is null,
 * as Go reads it. Throws a WireError on malformed bytes, on numbers that JSON lacks and on nesting above `depthMax`.
 */
export function decodeStruct(slice: Slice): JsonObject {
  return readStruct(cursorAt(slice.bytes, slice.start), slice.end, 0);
}

/** The value of one key of a Struct without reading the others, undefined when the key is not there. */
export function decodeKey(slice: Slice, key: string): Json | undefined {
  const found = findKey(slice, key);
  return found && readValue(cursorAt(slice.bytes, found.start), found.end, 0);
}

/** Where the Struct that is the value of a key has its bytes; undefined when it is no object. */
export function structAt(slice: Slice, key: string): Slice | undefined {
  const found = findKey(slice, key);
  if (found === undefined || found.bytes[found.start] !== tagStruct) return undefined;
  const cursor = cursorAt(slice.bytes, found.start + 1);
  const end = endOf(cursor, found.end);
  return { bytes: slice.bytes, start: cursor.pos, end };
}

/** Where the Value of a key has its bytes. */
export function findKey(slice: Slice, key: string): Slice | undefined {
  const { bytes, start, end } = slice;
  const cursor = cursorAt(bytes, start);
  let found: Slice | undefined;
  while (cursor.pos < end) {
    if (nextEntry(cursor, end)) {
      const isIt = sameText(key, bytes, cursor.keyStart, cursor.keyEnd);
      if (isIt) found = { bytes, start: cursor.pos, end: cursor.entryEnd };
      cursor.pos = cursor.entryEnd;
      continue;
    }
    const entry = readField(cursor, end);
    if (entry.number !== 1 || entry.wireType !== 2) continue;
    const parts = entryParts(cursorAt(bytes, entry.start), entry.end);
    if (parts.key === key) found = { bytes, start: parts.start, end: parts.end };
  }
  return found;
}

/**
 * Reads entries up to `end`. `read` reads a value that ends there, and is left out for the usual way. Go writes the entries
 * of a map in another order each time; an object has its keys sorted, so that nothing that walks over it gives another
 * result for the same request.
 */
export function readStruct(
  cursor: Cursor,
  end: number,
  depth: number,
  read?: (key: string, valueEnd: number) => Json,
): JsonObject {
  const keys: string[] = [];
  const values: Json[] = [];
  const { bytes } = cursor;
  while (cursor.pos < end) {
    if (nextEntry(cursor, end)) {
      const { keyStart, keyEnd, entryEnd } = cursor;
      const key = internText(bytes, keyStart, keyEnd);
      const value = read === undefined ? readValue(cursor, entryEnd, depth) : read(key, entryEnd);
      insert(keys, values, key, value);
      cursor.pos = entryEnd;
    } else if (bytes[cursor.pos] === tagEntry) insertUnusual(keys, values, cursor, end, depth);
    else readField(cursor, end);
  }
  return built(keys, values);
}

/** Most keys that are sorted while they are read; larger objects are rare and would take too many moves. */
const insertedMax = 64;

/** Puts an entry behind all whose keys are not greater. */
function insert(keys: string[], values: Json[], key: string, value: Json): void {
  let index = keys.length;
  if (index < insertedMax) {
    for (; index > 0; index--) {
      const before = keys[index - 1];
      const valueBefore = values[index - 1];
      if (before === undefined || valueBefore === undefined || before <= key) break;
      keys[index] = before;
      values[index] = valueBefore;
    }
  }
  keys[index] = key;
  values[index] = value;
}

/** The object; of equal keys the last counts, as in every map of protobuf. */
function built(keys: readonly string[], values: readonly Json[]): JsonObject {
  const object: Building = {};
  for (let i = 0; i < keys.length; i++) put(object, keys[i] ?? "", values[i] ?? null);
  return keys.length <= insertedMax ? object : sortedObject(object);
}

function sortedObject(object: JsonObject): JsonObject {
  const sorted: Building = {};
  for (const key of Object.keys(object).sort()) put(sorted, key, object[key] ?? null);
  return sorted;
}

function insertUnusual(
  keys: string[],
  values: Json[],
  cursor: Cursor,
  end: number,
  depth: number,
): void {
  cursor.pos++;
  const entryEnd = endOf(cursor, end);
  const entry = entryParts(cursor, entryEnd);
  cursor.pos = entry.start;
  insert(keys, values, entry.key, readValue(cursor, entry.end, depth));
  cursor.pos = entryEnd;
}

/** Assignment that also holds for the one key that objects treat as their prototype. */
export function put(object: Building, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return;
  }
  object[key] = value;
}

/** Key and place of the value of one map entry; either may be missing or come in any order. */
export function entryParts(
  cursor: Cursor,
  end: number,
): { key: string; start: number; end: number } {
  const { bytes } = cursor;
  const parts = { key: "", start: end, end };
  while (cursor.pos < end) {
    const tag = bytes[cursor.pos];
    if (tag !== tagKey && tag !== tagEntryValue) {
      readField(cursor, end);
      continue;
    }
    cursor.pos++;
    const partEnd = endOf(cursor, end);
    if (tag === tagKey) parts.key = internText(bytes, cursor.pos, partEnd);
    if (tag === tagEntryValue) {
      parts.start = cursor.pos;
      parts.end = partEnd;
    }
    cursor.pos = partEnd;
  }
  return parts;
}

/** Reads a Value that fills the bytes up to `end`: of several kinds the last counts, as in every oneof. */
export function readValue(cursor: Cursor, end: number, depth: number): Json {
  let value: Json = null;
  while (cursor.pos < end) value = readKind(cursor, end, depth);
  return value;
}

function readKind(cursor: Cursor, end: number, depth: number): Json {
  const { bytes } = cursor;
  const tag: number = bytes[cursor.pos++] ?? -1;
  switch (tag) {
    case tagText: {
      const textEnd = endOf(cursor, end);
      const text = internText(bytes, cursor.pos, textEnd);
      cursor.pos = textEnd;
      return text;
    }
    case tagStruct: {
      const structEnd = endOf(cursor, end);
      return readStruct(cursor, structEnd, deeper(depth));
    }
    case tagList: {
      const listEnd = endOf(cursor, end);
      return readList(cursor, listEnd, deeper(depth));
    }
    case tagBool:
      return readVarint(cursor, end) !== 0;
    case tagNumber:
      return readNumber(cursor, end);
    case tagNull:
      readVarint(cursor, end);
      return null;
    default:
      throw new WireError(`a value has the unknown tag ${tag}`);
  }
}

function readList(cursor: Cursor, end: number, depth: number): Json {
  const items: Json[] = [];
  while (cursor.pos < end) {
    if (cursor.bytes[cursor.pos] !== tagItem) {
      readField(cursor, end);
      continue;
    }
    cursor.pos++;
    const itemEnd = endOf(cursor, end);
    items.push(readValue(cursor, itemEnd, depth));
  }
  return items;
}

function readNumber(cursor: Cursor, end: number): number {
  if (end - cursor.pos < 8) throw new WireError("the message ends inside a number");
  const value = cursor.bytes.readDoubleLE(cursor.pos);
  cursor.pos += 8;
  if (!Number.isFinite(value)) throw new WireError("a number is not finite, which JSON cannot say");
  return value;
}

function deeper(depth: number): number {
  if (depth >= depthMax) {
    throw new WireError(`the object is nested deeper than ${depthMax} levels`);
  }
  return depth + 1;
}
