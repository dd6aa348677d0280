// SPDX-License-Identifier: Apache-2.0
import type { Cursor } from "./reader.ts";
import { endOf, tagEntryValue, tagKey } from "./struct.ts";

/** Keys whose presence fits the bits of a number; larger objects are rare. */
export const markedMax = 31;

/**
 * Which of the keys that are not marked an entry has, -1 for none of them or for an entry that no encoder writes like
 * this; the cursor is at the value then. Few keys of an object have the same length and the same last letter.
 */
export function keyAt(
  keys: readonly string[],
  marks: number,
  cursor: Cursor,
  entryEnd: number,
): number {
  const { bytes } = cursor;
  if (bytes[cursor.pos] !== tagKey) return -1;
  cursor.pos++;
  const keyEnd = endOf(cursor, entryEnd);
  const keyStart = cursor.pos;
  if (keyEnd >= entryEnd || bytes[keyEnd] !== tagEntryValue) return -1;
  cursor.pos = keyEnd + 1;
  if (endOf(cursor, entryEnd) !== entryEnd) return -1;
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
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return bytes.toString("utf8", start, end) === text;
    if (code !== bytes[start + i]) return false;
  }
  return length === end - start;
}
