// SPDX-License-Identifier: Apache-2.0
import { readVarint, WireError, type Cursor } from "./reader.ts";

// The entries of a google.protobuf.Struct, which most of the bytes of a request are: what is done for each of them counts.

/** Tags of google.protobuf.Struct's map entries (google/protobuf/struct.proto). */
export const tagEntry = 0x0a;
export const tagKey = 0x0a;
export const tagEntryValue = 0x12;

/** Keys whose presence fits the bits of a number; larger objects are rare. */
export const markedMax = 31;

/**
 * Moves into the next entry if it has key and value in this order and nothing else, as every encoder writes it: the cursor
 * is at the value then, and knows where the key is and where the entry ends. False, with the cursor unmoved, for all else.
 */
export function nextEntry(cursor: Cursor, end: number): boolean {
  const { bytes, pos } = cursor;
  if (bytes[pos] === tagEntry) {
    cursor.pos = pos + 1;
    const entryEnd = endOf(cursor, end);
    if (bytes[cursor.pos] === tagKey && cursor.pos < entryEnd) {
      cursor.pos++;
      const keyEnd = endOf(cursor, entryEnd);
      const keyStart = cursor.pos;
      if (bytes[keyEnd] === tagEntryValue && keyEnd < entryEnd) {
        cursor.pos = keyEnd + 1;
        if (endOf(cursor, entryEnd) === entryEnd) {
          cursor.keyStart = keyStart;
          cursor.keyEnd = keyEnd;
          cursor.entryEnd = entryEnd;
          return true;
        }
      }
    }
  }
  cursor.pos = pos;
  return false;
}

/**
 * Which of the keys that are not marked the entry has that the cursor is in, -1 for none of them. Few keys of an object have
 * the same length and the same last letter.
 */
export function keyIndex(keys: readonly string[], marks: number, cursor: Cursor): number {
  const { bytes, keyStart, keyEnd } = cursor;
  const length = keyEnd - keyStart;
  const last = bytes[keyEnd - 1];
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index];
    if (key?.length !== length || (marks & (1 << index)) !== 0) continue;
    if (length > 0 && key.charCodeAt(length - 1) !== last) continue;
    if (sameText(key, bytes, keyStart, keyEnd)) return index;
  }
  return -1;
}

/** Whether the bytes are this text in UTF-8. */
export function sameText(text: string, bytes: Buffer, start: number, end: number): boolean {
  const { length } = text;
  if (length > end - start) return false;
  let seen = 0;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    seen |= code;
    if (code === bytes[start + i]) continue;
    if (seen < 0x80) return false;
    break;
  }
  if (seen < 0x80) return length === end - start;
  return bytes.toString("utf8", start, end) === text;
}

/** Moves behind a length, and gives where that ends which it measures. Throws a WireError when that is beyond `end`. */
export function endOf(cursor: Cursor, end: number): number {
  const start = cursor.pos + 1;
  const length = cursor.bytes[start - 1] ?? 0x80;
  // Nearly all lengths have one byte.
  if (length >= 0x80 || start + length > end) return longEnd(cursor, end);
  cursor.pos = start;
  return start + length;
}

function longEnd(cursor: Cursor, end: number): number {
  const length = readVarint(cursor, end);
  if (length > end - cursor.pos) throw new WireError("a field is longer than its message");
  return cursor.pos + length;
}
