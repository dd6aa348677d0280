// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";

/**
 * Writes a message from its end to its beginning: the length of each part is known when its head is due, so nothing is
 * measured twice. Callers put fields in reverse order.
 */
export type Writer = { bytes: Buffer; pos: number };

export const makeWriter = (sizeHint: number): Writer => {
  const size = Math.max(1024, Math.ceil(sizeHint));
  return { bytes: Buffer.allocUnsafeSlow(size), pos: size };
};

/** The bytes written so far; the writer must not be used afterwards. */
export const finish = (writer: Writer): Buffer => writer.bytes.subarray(writer.pos);

/** A mark to measure from: hand it to {@link putHead} when the part is written. */
export const mark = (writer: Writer): number => writer.bytes.length - writer.pos;

/** Tag and length of a length-delimited field whose payload was written since `since`. */
export function putHead(writer: Writer, field: number, since: number): void {
  putVarint(writer, mark(writer) - since);
  putVarint(writer, field * 8 + 2);
}

export function putText(writer: Writer, field: number, text: string): void {
  const since = mark(writer);
  putUtf8(writer, text);
  putHead(writer, field, since);
}

/** A text that proto3 leaves out when it is empty. */
export function putTextIf(writer: Writer, field: number, text: string): void {
  if (text !== "") putText(writer, field, text);
}

export function putNumberField(writer: Writer, field: number, value: number): void {
  putVarint(writer, value);
  putVarint(writer, field * 8);
}

export function putRaw(writer: Writer, bytes: Buffer, start: number, end: number): void {
  const length = end - start;
  reserve(writer, length);
  writer.pos -= length;
  bytes.copy(writer.bytes, writer.pos, start, end);
}

export function putVarint(writer: Writer, value: number): void {
  reserve(writer, 10);
  if (value < 0x80) {
    writer.bytes[--writer.pos] = value;
    return;
  }
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  writer.pos -= size;
  let rest = value;
  for (let i = 0; i < size; i++) {
    writer.bytes[writer.pos + i] = (rest % 128) + (i + 1 < size ? 0x80 : 0);
    rest = Math.floor(rest / 128);
  }
}

/**
 * The payload of a google.protobuf.Struct, keys sorted; undefined properties are left out. What was read has sorted keys,
 * what policies made has them in any order: the same request gets the same bytes whatever came before it.
 */
export function putStruct(writer: Writer, object: JsonObject): void {
  const keys = Object.keys(object).sort();
  for (let i = keys.length - 1; i >= 0; i--) {
    const key = keys[i] ?? "";
    const value = object[key];
    if (value === undefined) continue;
    const entry = mark(writer);
    putValue(writer, value);
    putHead(writer, 2, entry);
    putTextIf(writer, 1, key);
    putHead(writer, 1, entry);
  }
}

function putValue(writer: Writer, value: Json): void {
  if (typeof value === "string") return putText(writer, 3, value);
  if (typeof value === "number") return putDouble(writer, value);
  if (typeof value === "boolean") return putNumberField(writer, 4, value ? 1 : 0);
  if (value === null) return putNumberField(writer, 1, 0);
  const since = mark(writer);
  if (isArray(value)) {
    putList(writer, value);
    return putHead(writer, 6, since);
  }
  if (isObject(value)) putStruct(writer, value);
  return putHead(writer, 5, since);
}

function putList(writer: Writer, items: readonly Json[]): void {
  for (let i = items.length - 1; i >= 0; i--) {
    const since = mark(writer);
    putValue(writer, items[i] ?? null);
    putHead(writer, 1, since);
  }
}

function putDouble(writer: Writer, value: number): void {
  reserve(writer, 9);
  writer.pos -= 8;
  writer.bytes.writeDoubleLE(value, writer.pos);
  writer.bytes[--writer.pos] = 0x11;
}

function putUtf8(writer: Writer, text: string): void {
  const length = Buffer.byteLength(text);
  reserve(writer, length);
  writer.pos -= length;
  writer.bytes.write(text, writer.pos, length, "utf8");
}

function reserve(writer: Writer, length: number): void {
  if (writer.pos >= length) return;
  const used = mark(writer);
  const size = Math.max(writer.bytes.length * 2, used + length);
  const grown = Buffer.allocUnsafeSlow(size);
  writer.bytes.copy(grown, size - used, writer.pos);
  writer.bytes = grown;
  writer.pos = size - used;
}
