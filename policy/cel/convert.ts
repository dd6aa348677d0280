// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { typeNameOf } from "./compare.ts";
import { durationText, timestampText } from "./time.ts";
import {
  CelError,
  CelMap,
  CelObject,
  Double,
  Duration,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  isList,
  type CelValue,
  type MapKey,
  type PlainMap,
} from "./values.ts";

/** Nesting at which a value is refused rather than followed: no JSON of a cluster is as deep, and the stack is finite. */
const depthMax = 1000;

/**
 * The JSON of a value, as cel-go converts it for Kubernetes: bytes as base64, timestamps as RFC 3339, durations in seconds
 * with `s`, absent optionals as null. JSON parts are passed on as they are, not copied.
 */
export function toJson(value: CelValue, depth = 0): Json | CelError {
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") {
    return value;
  }
  if (value === null) return null;
  if (depth > depthMax) return new CelError("value is nested too deeply");
  if (isList(value)) return listToJson(value, depth);
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Double) return value.value;
  if (value instanceof Uint) return Number(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Timestamp) return timestampText(value.nanos);
  if (value instanceof Duration) return durationText(value.nanos);
  if (value instanceof Optional) {
    return value.value === undefined ? null : toJson(value.value, depth + 1);
  }
  if (value instanceof TypeValue) return value.name;
  if (value instanceof CelMap) return keyedMapToJson(value, depth);
  if (!(value instanceof CelObject)) return mapToJson(value, depth);
  const json = value.toJson();
  if (json !== undefined) return toJson(json, depth + 1);
  return new CelError(`type conversion error from '${typeNameOf(value)}' to JSON`);
}

function listToJson(list: readonly CelValue[], depth: number): Json | CelError {
  const out: Json[] = [];
  for (const item of list) {
    const json = toJson(item, depth + 1);
    if (json instanceof CelError) return json;
    out.push(json);
  }
  return out;
}

function mapToJson(map: PlainMap, depth: number): Json | CelError {
  const out: Record<string, Json> = {};
  for (const [key, item] of Object.entries(map)) {
    const json = toJson(item, depth + 1);
    if (json instanceof CelError) return json;
    setOwn(out, key, json);
  }
  return out;
}

function keyedMapToJson(map: CelMap, depth: number): Json | CelError {
  const out: Record<string, Json> = {};
  for (const [key, item] of map.entries()) {
    const json = toJson(item, depth + 1);
    if (json instanceof CelError) return json;
    setOwn(out, keyText(key), json);
  }
  return out;
}

const keyText = (key: MapKey): string =>
  String(key instanceof Uint || key instanceof Double ? key.value : key);

/** Sets an own property whatever its name: plain assignment of `__proto__` would change the prototype. */
export function setOwn<T>(object: Record<string, T>, key: string, value: T): void {
  if (key !== "__proto__") {
    object[key] = value;
    return;
  }
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}
