// SPDX-License-Identifier: Apache-2.0
import { isObject, type Json, type JsonObject } from "#policy/json";

/** Deepest name that is set. */
const partsMax = 100;

/**
 * A copy of an object with the value at a dotted name of a Values file, e.g. `request.object.metadata.name` or
 * `labels."a.b"`; objects are merged into what is there, as the reference merges variables into its context.
 */
export function setDotted(object: JsonObject, name: string, value: Json): JsonObject {
  return setAt(object, splitDotted(name).slice(0, partsMax), value);
}

function setAt(object: JsonObject, parts: readonly string[], value: Json): JsonObject {
  const [first = "", ...rest] = parts;
  const before = Object.hasOwn(object, first) ? object[first] : undefined;
  const after =
    rest.length === 0 ? merged(before, value) : setAt(isObject(before) ? before : {}, rest, value);
  return Object.fromEntries([...Object.entries(object), [first, after]]);
}

function merged(before: Json | undefined, value: Json): Json {
  if (!isObject(before) || !isObject(value)) return value;
  return Object.entries(value).reduce((object, [key, item]) => setAt(object, [key], item), before);
}

/** Splits at dots as encoding/csv does: a part in double quotes may hold dots, `""` in it is one quote. */
export function splitDotted(name: string): readonly string[] {
  return [...`${name}.`.matchAll(/(?:"((?:[^"]|"")*)"|([^.]*))\./g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
  );
}
