// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";

/** A step into an object by key, or into a keyed list by the keys that identify an element. */
export type Step = string | JsonObject;
export type Path = readonly Step[];

/** A copy of the object with own property `key`, which may be any text, set; undefined removes it. */
export function withKey(object: JsonObject, key: string, value: Json | undefined): JsonObject {
  const copy: { [key: string]: Json } = {};
  let done = false;
  for (const each of Object.keys(object)) {
    const kept = each === key ? value : object[each];
    done ||= each === key;
    if (kept !== undefined) define(copy, each, kept);
  }
  if (!done && value !== undefined) define(copy, key, value);
  return copy;
}

/** Assignment to an object under construction that also holds for a key named `__proto__`. */
export function define(object: { [key: string]: Json }, key: string, value: Json): void {
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

/** The value at a path, undefined when any step is missing. */
export function valueAt(value: Json | undefined, path: Path): Json | undefined {
  let here = value;
  for (const step of path) {
    if (typeof step === "string") {
      here = isObject(here) && Object.hasOwn(here, step) ? here[step] : undefined;
      continue;
    }
    here = isArray(here) ? here.find((item) => hasKeys(item, step)) : undefined;
  }
  return here;
}

/** A copy with the value at a path set, or removed when undefined; missing parts on the way are made. */
export function withPath(object: JsonObject, path: Path, value: Json | undefined): JsonObject {
  const changed = change(object, path, 0, value);
  return isObject(changed) ? changed : object;
}

function change(
  here: Json | undefined,
  path: Path,
  index: number,
  value: Json | undefined,
): Json | undefined {
  const step = path[index];
  if (step === undefined) return value;
  if (typeof step === "string") {
    const object = isObject(here) ? here : undefined;
    if (object === undefined && value === undefined) return here;
    const known = object !== undefined && Object.hasOwn(object, step) ? object[step] : undefined;
    return withKey(object ?? {}, step, change(known, path, index + 1, value));
  }
  const items = isArray(here) ? here : [];
  const found = items.findIndex((item) => hasKeys(item, step));
  if (found < 0) {
    const made = change(step, path, index + 1, value);
    return value === undefined || made === undefined ? here : [...items, made];
  }
  const changed = change(items[found], path, index + 1, value);
  return changed === undefined
    ? items.filter((_, position) => position !== found)
    : items.map((item, position) => (position === found ? changed : item));
}

/** Whether an element of a keyed list is the one that the keys name. */
export const hasKeys = (item: Json | undefined, keys: JsonObject): boolean =>
  isObject(item) &&
  Object.keys(keys).every((key) => Object.hasOwn(item, key) && sameJson(item[key], keys[key]));

/** Equality of JSON values; the order of keys does not count. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object") return false;
  if (isArray(a)) {
    return (
      isArray(b) && a.length === b.length && a.every((item, index) => sameJson(item, b[index]))
    );
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}

/** `spec.ports[port=80].name`: how a path is shown to people. */
export function formatPath(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step !== "string") {
        const keys = Object.keys(step).map((key) => `${key}=${JSON.stringify(step[key])}`);
        return `[${keys.join(",").replaceAll('"', "")}]`;
      }
      if (!/^[A-Za-z0-9_-]+$/.test(step)) return `[${JSON.stringify(step)}]`;
      return index === 0 ? step : `.${step}`;
    })
    .join("");
}
