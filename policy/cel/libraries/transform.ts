// SPDX-License-Identifier: Apache-2.0
import { setOwn } from "#policy/cel/convert";
import type { Library } from "#policy/cel/library";
import { dynType, listOf, mapOf, stringType } from "#policy/cel/types";
import { CelError, isList, isPlainMap, type CelResult, type CelValue } from "#policy/cel/values";
import { alias, declare, globalOverload } from "./declare.ts";

type List = readonly CelValue[];

/** A map with, for each index, one list's field as key and the other list's field as value. */
function listObjToMap(keys: List, values: List, keyName: string, valueName: string): CelResult {
  if (keys.length !== values.length) {
    return new CelError(
      `listObjToMap must take lists of equal length. list1: ${keys.length}, list2: ${values.length}`,
    );
  }
  const map: Record<string, CelValue> = {};
  for (const [index, entry] of keys.entries()) {
    const value = values[index];
    if (!isPlainMap(entry)) return new CelError("object cannot be handled as a map");
    const key = Object.hasOwn(entry, keyName) ? entry[keyName] : undefined;
    if (typeof key !== "string") {
      return new CelError(
        "the passed key name cannot be handled as a string in the key object list",
      );
    }
    if (!isPlainMap(value)) {
      return new CelError(
        "object cannot be handled as a map string to any in the value object list",
      );
    }
    setOwn(map, key, Object.hasOwn(value, valueName) ? (value[valueName] ?? null) : null);
  }
  return map;
}

/** Kyverno's transform library. */
export const transformLibrary: Library = {
  name: "kyverno.transform",
  functions: alias(
    declare(
      "listObjToMap",
      globalOverload(
        "list_of_object_to_map",
        [listOf(dynType), listOf(dynType), stringType, stringType],
        mapOf(dynType, dynType),
        listObjToMap,
        { cost: (list) => (isList(list) ? list.length : 0) },
      ),
    ),
    "transform.listObjToMap",
  ),
};
