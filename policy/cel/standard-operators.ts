// SPDX-License-Identifier: Apache-2.0
import { equals } from "./compare.ts";
import type { FunctionDeclaration, Overload } from "./library.ts";
import {
  add,
  compareBy,
  comparisons,
  divide,
  index,
  isIn,
  modulo,
  multiply,
  negate,
  subtract,
} from "./operators.ts";
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  intType,
  listOf,
  mapOf,
  parameter,
  stringType,
  timestampType,
  uintType,
  type CelType,
} from "./types.ts";
import { CelError, type CelResult, type CelValue } from "./values.ts";

const A = parameter("A");
const B = parameter("B");

/** The logical operators are planned, not called: they do not evaluate all arguments. */
const planned = (): CelError => new CelError("a logical operator was called as a function");

const overload = (
  id: string,
  types: readonly CelType[],
  result: CelType,
  call: (...args: readonly CelValue[]) => CelResult,
): Overload => ({ id, member: false, arguments: types, result, call });

type Binary = (a: CelValue, b: CelValue) => CelResult;

/** One operation on pairs of types: `[left, right, result]`. */
const binary = (
  name: string,
  id: string,
  rows: readonly (readonly [CelType, CelType, CelType])[],
  call: Binary,
): FunctionDeclaration => ({
  name,
  overloads: rows.map(([left, right, result], row) =>
    overload(`${id}_${left.kind}_${right.kind}_${row}`, [left, right], result, call),
  ),
});

const same = (type: CelType): readonly [CelType, CelType, CelType] => [type, type, type];
const listA = listOf(A);

const arithmetic: readonly FunctionDeclaration[] = [
  binary(
    "_+_",
    "add",
    [
      same(bytesType),
      same(doubleType),
      same(durationType),
      [durationType, timestampType, timestampType],
      [timestampType, durationType, timestampType],
      same(intType),
      [listA, listA, listA],
      same(stringType),
      same(uintType),
    ],
    add,
  ),
  binary(
    "_-_",
    "subtract",
    [
      same(doubleType),
      same(durationType),
      same(intType),
      [timestampType, durationType, timestampType],
      [timestampType, timestampType, durationType],
      same(uintType),
    ],
    subtract,
  ),
  binary("_*_", "multiply", [same(doubleType), same(intType), same(uintType)], multiply),
  binary("_/_", "divide", [same(doubleType), same(intType), same(uintType)], divide),
  binary("_%_", "modulo", [same(intType), same(uintType)], modulo),
  {
    name: "-_",
    overloads: [doubleType, intType].map((type) => ({
      ...overload(`negate_${type.kind}`, [type], type, (a = null) => negate(a)),
      unguarded: true,
    })),
  },
];

const numbers = [intType, uintType, doubleType];
const ordered: readonly (readonly [CelType, CelType, CelType])[] = [
  ...[boolType, stringType, bytesType, timestampType, durationType].map(
    (type) => [type, type, boolType] as const,
  ),
  ...numbers.flatMap((a) => numbers.map((b) => [a, b, boolType] as const)),
];

const comparing: readonly FunctionDeclaration[] = Object.entries(comparisons).map(([name, test]) =>
  binary(name, `compare${name}`, ordered, (a, b) => compareBy(name, test, a, b)),
);

export const operatorFunctions: readonly FunctionDeclaration[] = [
  {
    name: "_?_:_",
    overloads: [overload("conditional", [boolType, A, A], A, planned)],
  },
  { name: "_&&_", overloads: [overload("logical_and", [boolType, boolType], boolType, planned)] },
  { name: "_||_", overloads: [overload("logical_or", [boolType, boolType], boolType, planned)] },
  { name: "!_", overloads: [overload("logical_not", [boolType], boolType, planned)] },
  {
    name: "@not_strictly_false",
    overloads: [overload("not_strictly_false", [boolType], boolType, planned)],
  },
  binary("_==_", "equals", [[A, A, boolType]], (a, b) => equals(a, b)),
  binary("_!=_", "not_equals", [[A, A, boolType]], (a, b) => !equals(a, b)),
  ...arithmetic,
  ...comparing,
  binary(
    "@in",
    "in",
    [
      [A, listA, boolType],
      [A, mapOf(A, B), boolType],
    ],
    (a, b) => isIn(a, b),
  ),
  binary(
    "_[_]",
    "index",
    [
      [listA, intType, A],
      [mapOf(A, B), A, B],
    ],
    index,
  ),
];
