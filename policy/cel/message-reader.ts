// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { asGoNumbers } from "./libraries/world.ts";
import { MessageValue, type MessageSchemas } from "./messages.ts";
import { offsetOf, parseTimestamp } from "./time.ts";
import type { CelType } from "./types.ts";
import { intValue, Timestamp, type CelValue } from "./values.ts";

/**
 * How JSON is read into messages: as protobuf's JSON mapping has it (names in either case style, an unknown one is wrong,
 * 64-bit numbers as text too), or as Go's encoding/json reads structs (names in any case, unknown ones are passed over).
 */
export type MessageDialect = "protobuf" | "go";

export type ReadMessage =
  | { readonly ok: true; readonly value: MessageValue }
  | { readonly ok: false; readonly path: string; readonly message: string };

class ReadError extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** Deepest nesting of what is read. */
const depthMax = 100;

/** Reads JSON as the message of a name; says where it is something else. */
export function readMessage(
  schemas: MessageSchemas,
  name: string,
  json: Json,
  dialect: MessageDialect,
): ReadMessage {
  try {
    return { ok: true, value: readFields({ schemas, dialect }, name, json, "", 0) };
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
    return { ok: false, path: error.path, message: error.message };
  }
}

type Reader = { readonly schemas: MessageSchemas; readonly dialect: MessageDialect };

function readFields(
  reader: Reader,
  name: string,
  json: Json,
  path: string,
  depth: number,
): MessageValue {
  if (!isObject(json)) throw new ReadError(path, `must be an object (${name})`);
  if (depth > depthMax) throw new ReadError(path, `is nested deeper than ${depthMax}`);
  const fields = reader.schemas.get(name)?.fields ?? {};
  const values = new Map<string, CelValue>();
  for (const key of Object.keys(json)) {
    const below = path === "" ? key : `${path}.${key}`;
    const field = Object.keys(fields).find((one) => isNamed(one, key, reader.dialect));
    const type = field === undefined ? undefined : fields[field];
    const value = json[key] ?? null;
    if (field !== undefined && type !== undefined) {
      if (value !== null) values.set(field, readValue(reader, type, value, below, depth));
    } else if (reader.dialect === "protobuf") {
      const known = Object.keys(fields).toSorted().join(", ");
      throw new ReadError(below, `unknown field; known here are ${known}`);
    }
  }
  return new MessageValue(reader.schemas, name, values);
}

function isNamed(field: string, key: string, dialect: MessageDialect): boolean {
  if (dialect === "go") return field.toLowerCase() === key.toLowerCase();
  const camel = field.replaceAll(/_([a-z])/g, (_text, letter: string) => letter.toUpperCase());
  return key === field || key === camel;
}

function readValue(
  reader: Reader,
  type: CelType,
  json: Json,
  path: string,
  depth: number,
): CelValue {
  if (type.kind === "list") {
    if (!isArray(json)) throw new ReadError(path, "must be a list");
    return json.map((item, index) =>
      readValue(reader, type.element, item, `${path}[${index}]`, depth + 1),
    );
  }
  if (type.kind === "map") {
    if (!isObject(json)) throw new ReadError(path, "must be an object");
    return readMap(reader, type.value, json, path, depth);
  }
  if (type.kind === "object") return readFields(reader, type.name, json, path, depth + 1);
  return readScalar(reader, type, json, path);
}

function readScalar(reader: Reader, type: CelType, json: Json, path: string): CelValue {
  if (type.kind === "int") return readInt(reader, json, path);
  if (type.kind === "bytes") return readBytes(json, path);
  if (type.kind === "string") {
    if (typeof json === "string") return json;
    throw new ReadError(path, "must be a string");
  }
  if (type.kind === "bool") {
    if (typeof json === "boolean") return json;
    throw new ReadError(path, "must be true or false");
  }
  if (type.kind === "timestamp") {
    const nanos = typeof json === "string" ? parseTimestamp(json) : undefined;
    if (typeof json === "string" && nanos !== undefined) {
      return new Timestamp(nanos, offsetOf(json));
    }
    throw new ReadError(path, "must be an RFC 3339 time");
  }
  return asGoNumbers(json);
}

function readMap(
  reader: Reader,
  type: CelType,
  json: JsonObject,
  path: string,
  depth: number,
): CelValue {
  return Object.fromEntries(
    Object.keys(json).map((key) => [
      key,
      readValue(reader, type, json[key] ?? null, `${path}.${key}`, depth + 1),
    ]),
  );
}

function readInt(reader: Reader, json: Json, path: string): CelValue {
  const isText = typeof json === "string" && reader.dialect === "protobuf";
  if (typeof json === "number" && Number.isSafeInteger(json)) return json;
  if (isText && /^-?\d{1,19}$/.test(json)) return intValue(BigInt(json));
  throw new ReadError(path, "must be a whole number");
}

function readBytes(json: Json, path: string): Uint8Array {
  if (typeof json === "string" && /^[A-Za-z0-9+/_-]*={0,2}$/.test(json)) {
    return new Uint8Array(Buffer.from(json, "base64"));
  }
  throw new ReadError(path, "must be base64");
}
