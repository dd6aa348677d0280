// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { valueAt, withPath, type Path } from "./json-edit.ts";

/** The annotation that the guard keeps its own record in; it is never a part of what was asked for. */
export const heldAnnotation = "parapet.dev/held";
export const annotationPath: Path = ["metadata", "annotations", heldAnnotation];

/** What no person decides: other parts of the system write it, or it changes from call to call. */
const volatilePaths: readonly Path[] = [
  ["metadata", "ownerReferences"],
  ["metadata", "generateName"],
  ["metadata", "managedFields"],
  annotationPath,
  ["status"],
];

/** Containers that are empty once it is gone count as absent: whether the guard keeps a record must not show. */
export function withoutVolatile(object: JsonObject): JsonObject {
  const kept = volatilePaths.reduce((left, path) => withPath(left, path, undefined), object);
  return [["metadata", "annotations"], ["metadata"]].reduce((left, path) => {
    const container = valueAt(left, path);
    const isEmpty = isObject(container) && Object.keys(container).length === 0;
    return isEmpty ? withPath(left, path, undefined) : left;
  }, kept);
}

/** JSON text that is the same for equal values: keys sorted by code unit, no white space. */
export function canonicalJson(value: Json): string {
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const entries = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`);
  return `{${entries.join(",")}}`;
}

/** `sha256:` and the hash of the canonical JSON in hexadecimal digits. */
export const sha256Of = (value: Json): string =>
  `sha256:${createHash("sha256").update(canonicalJson(value)).digest("hex")}`;
