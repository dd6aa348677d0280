// SPDX-License-Identifier: Apache-2.0
import {
  CelMap,
  doubleOf,
  Duration,
  isInt,
  isList,
  isPlainMap,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type CelValue,
} from "./values.ts";

/** The Go type of a value, which some messages of cel-go show. */
export function goTypeName(value: CelValue): string {
  if (value === null) return "types.Null";
  if (typeof value === "string") return "types.String";
  if (typeof value === "boolean") return "types.Bool";
  if (isInt(value)) return "types.Int";
  if (doubleOf(value) !== undefined) return "types.Double";
  if (value instanceof Uint) return "types.Uint";
  if (value instanceof Uint8Array) return "types.Bytes";
  if (value instanceof Timestamp) return "types.Timestamp";
  if (value instanceof Duration) return "types.Duration";
  if (value instanceof Optional) return "*types.Optional";
  if (value instanceof TypeValue) return "*types.Type";
  if (isList(value)) return "*types.baseList";
  return isPlainMap(value) || value instanceof CelMap ? "*types.baseMap" : "ref.Val";
}
