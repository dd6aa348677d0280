// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { withPath, type Path } from "./json-edit.ts";

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

export const withoutVolatile = (object: JsonObject): JsonObject =>
  volatilePaths.reduce((kept, path) => withPath(kept, path, undefined), object);

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
