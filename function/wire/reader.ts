// SPDX-License-Identifier: Apache-2.0

/** The bytes are no valid message: the caller answers INVALID_ARGUMENT, or names the resource that holds them. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** A part of the request's bytes; nothing is copied until somebody asks for a value. */
export type Slice = { readonly bytes: Buffer; readonly start: number; readonly end: number };

/** A place in the bytes that moves on while they are read, and the entry of a map that it came into last. */
export type Cursor = {
  readonly bytes: Buffer;
  pos: number;
  keyStart: number;
  keyEnd: number;
  entryEnd: number;
};

/** All cursors are made here, as objects of one shape are read and written faster. */
export const cursorAt = (bytes: Buffer, pos: number): Cursor => ({
  bytes,
  pos,
  keyStart: pos,
  keyEnd: pos,
  entryEnd: pos,
});

/** One field of a message. `start`..`end` is the payload of a length-delimited field, `value` that of a varint. */
export type WireField = {
  readonly number: number;
  readonly wireType: number;
  readonly start: number;
  readonly end: number;
  readonly value: number;
};

export const wireVarint = 0;
export const wireFixed64 = 1;
export const wireBytes = 2;
const wireFixed32 = 5;

/** Calls `visit` for every field of a message, in the order of the bytes. Throws a WireError on malformed bytes. */
export function readFields(slice: Slice, visit: (field: WireField) => void): void {
  const cursor = cursorAt(slice.bytes, slice.start);
  while (cursor.pos < slice.end) visit(readField(cursor, slice.end));
}

/** The next field of a message that ends at `end`; the cursor is behind it afterwards. */
export function readField(cursor: Cursor, end: number): WireField {
  const tag = readVarint(cursor, end);
  const number = tag >>> 3;
  const wireType = tag & 7;
  if (number === 0) throw new WireError("a field has the number 0");
  if (wireType === wireVarint) {
    const start = cursor.pos;
    const value = readVarint(cursor, end);
    return { number, wireType, start, end: cursor.pos, value };
  }
  const length = wireType === wireBytes ? readVarint(cursor, end) : fixedLength(wireType);
  const start = cursor.pos;
  if (length > end - start) throw new WireError("a field is longer than its message");
  cursor.pos = start + length;
  return { number, wireType, start, end: cursor.pos, value: 0 };
}

function fixedLength(wireType: number): number {
  if (wireType === wireFixed64) return 8;
  if (wireType === wireFixed32) return 4;
  throw new WireError(`wire type ${wireType} is not known`);
}

/** A varint as a number: exact up to 2^53, which is far above every length and enum here; negative enums wrap. */
export function readVarint(cursor: Cursor, end: number): number {
  const { bytes } = cursor;
  let value = 0;
  let scale = 1;
  for (let count = 0; count < 10; count++) {
    if (cursor.pos >= end) throw new WireError("the message ends inside a number");
    const byte = bytes[cursor.pos++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 128;
  }
  throw new WireError("a number has more than ten bytes");
}

/** The text of a length-delimited field. */
export const textOf = (slice: Slice, field: WireField): string =>
  slice.bytes.toString("utf8", field.start, field.end);

export const sliceOf = (slice: Slice, field: WireField): Slice => ({
  bytes: slice.bytes,
  start: field.start,
  end: field.end,
});

/** A length-delimited field must be one; anything else under its number is a malformed message. */
export function expectBytes(field: WireField, name: string): void {
  if (field.wireType !== wireBytes) {
    throw new WireError(`${name} has the wire type ${field.wireType} instead of 2`);
  }
}
