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
  isPlainMap,
  type CelValue,
  type MapKey,
} from "./values.ts";

/** Nesting at which a value is refused rather than followed: no JSON of a cluster is as deep, and the stack is finite. */
const depthMax = 1000;

/** Parts of a value beyond which it has no JSON: a short expression can build one that shares parts without end. */
const partsMax = 2_000_000;

/**
 * The JSON of a value, as cel-go converts it for Kubernetes: bytes as base64, timestamps as RFC 3339, durations in seconds
 * with `s`, absent optionals as null. An error for values that are nested too deeply, have too many parts or no JSON.
 */
export const toJson = (value: CelValue): Json | CelError => convert(value, 0, { parts: 0 });

/** Shared by all parts of one value. */
type Progress = { parts: number };

function convert(value: CelValue, depth: number, progress: Progress): Json | CelError {
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") {
    return value;
  }
  if (value === null) return null;
  if (depth > depthMax) return new CelError("value is nested too deeply");
  if (isList(value)) return listToJson(value, depth, progress);
  if (isPlainMap(value)) return entriesToJson(Object.entries(value), depth, progress);
  if (value instanceof CelMap) return entriesToJson(value.entries(), depth, progress);
  return boxedToJson(value, depth, progress);
}

function boxedToJson(value: CelValue, depth: number, progress: Progress): Json | CelError {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Double) return value.value;
  if (value instanceof Uint) return Number(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Timestamp) return timestampText(value.nanos);
  if (value instanceof Duration) return durationText(value.nanos);
  if (value instanceof Optional) {
    return value.value === undefined ? null : convert(value.value, depth + 1, progress);
  }
  if (value instanceof TypeValue) return value.name;
  const json = value instanceof CelObject ? value.toJson() : undefined;
  if (json !== undefined) return convert(json, depth + 1, progress);
  return new CelError(`type conversion error from '${typeNameOf(value)}' to JSON`);
}

/** Counts one more part; the error when there are too many. */
function count(progress: Progress): CelError | undefined {
  progress.parts++;
  return progress.parts > partsMax ? new CelError("value has too many parts") : undefined;
}

function listToJson(list: readonly CelValue[], depth: number, progress: Progress): Json | CelError {
  const out: Json[] = [];
  for (const item of list) {
    const json = count(progress) ?? convert(item, depth + 1, progress);
    if (json instanceof CelError) return json;
    out.push(json);
  }
  return out;
}

function entriesToJson(
  entries: Iterable<readonly [MapKey, CelValue]>,
  depth: number,
  progress: Progress,
): Json | CelError {
  const out: Record<string, Json> = {};
  for (const [key, item] of entries) {
    const json = count(progress) ?? convert(item, depth + 1, progress);
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
