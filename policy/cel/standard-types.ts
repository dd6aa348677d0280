// SPDX-License-Identifier: Apache-2.0
import type { Constant } from "./library.ts";
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  dynType,
  intType,
  listOf,
  mapOf,
  nullType,
  stringType,
  timestampType,
  typeName,
  typeOfType,
  uintType,
  type CelType,
} from "./types.ts";
import { TypeValue } from "./values.ts";

const constant = (type: CelType): Constant => ({
  name: typeName(type),
  type: typeOfType(type),
  value: new TypeValue(type),
});

/** The names of types, which are values: `type(1) == int`. */
export const typeConstants: readonly Constant[] = [
  boolType,
  intType,
  uintType,
  doubleType,
  stringType,
  bytesType,
  nullType,
  timestampType,
  durationType,
  listOf(dynType),
  mapOf(dynType, dynType),
  typeOfType(dynType),
].map(constant);
