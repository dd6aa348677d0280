// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";

/** Deepest nesting at which references are looked for; real ones sit near the top of a spec. */
const depthMax = 32;

/** An object of the composed set under its resource name. */
export type Named = { readonly name: string; readonly object: JsonObject };

/**
 * The resources that name one of the held objects in a field ending in `Ref` or `Refs`, as managed resources refer to each
 * other: they will not work until it exists. Selectors are not followed, as nobody knows yet what they will find.
 */
export function dependantsOf(held: JsonObject, others: readonly Named[]): readonly string[] {
  const name = textAt(held, ["metadata", "name"]);
  if (name === "") return [];
  return others
    .filter(({ object }) => refersTo(object["spec"], name, 0))
    .map((each) => each.name)
    .sort();
}

function refersTo(value: Json | undefined, name: string, depth: number): boolean {
  if (depth > depthMax) return false;
  if (isArray(value)) return value.some((item) => refersTo(item, name, depth + 1));
  if (!isObject(value)) return false;
  return Object.entries(value).some(([key, item]) =>
    /Refs?$/.test(key) && names(item, name) ? true : refersTo(item, name, depth + 1),
  );
}

const names = (reference: Json, name: string): boolean =>
  isArray(reference)
    ? reference.some((each) => textAt(each, ["name"]) === name)
    : textAt(reference, ["name"]) === name;
