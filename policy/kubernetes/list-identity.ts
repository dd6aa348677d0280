// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import type { ListRelation } from "#policy/kubernetes/schemas";

export type Identity =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly message: string };

/** The name of an element that was found to have one. */
export const nameOf = (item: Json, relation: ListRelation): string => {
  const identity = identify(item, relation);
  return identity.ok ? identity.name : "";
};

/** What makes two elements the same, in the reference's notation: `[name="nginx"]`, `[="value"]`. */
export function identify(item: Json, relation: ListRelation): Identity {
  if (relation.is === "map") return identifyByKeys(item, relation.keys);
  if (isObject(item)) return no("associative list without keys has an element that's a map type");
  if (isArray(item)) return no("not supported: associative list with lists as elements");
  if (item === null)
    return no("associative list without keys has an element that's an explicit null");
  return { ok: true, name: `[=${JSON.stringify(item)}]` };
}

function identifyByKeys(item: Json, keys: readonly (readonly [string, Json])[]): Identity {
  if (item === null) return no("associative list with keys may not have a null element");
  if (!isObject(item)) return no("associative list with keys may not have non-map elements");
  const parts = keys.flatMap(([key, byDefault]) => {
    const value = field(item, key) ?? byDefault;
    return value === null ? [] : [`${key}=${JSON.stringify(value)}`];
  });
  if (parts.length === 0) {
    const names = keys.map(([key]) => `"${key}"`).join(" ");
    return no(
      `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
    );
  }
  return { ok: true, name: `[${parts.sort().join(",")}]` };
}

const no = (message: string): Identity => ({ ok: false, message });
