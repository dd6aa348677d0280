// SPDX-License-Identifier: Apache-2.0
import { compare, equals } from "#policy/cel/compare";
import type { Library, Overload } from "#policy/cel/library";
import {
  boolType,
  doubleType,
  durationType,
  intType,
  listOf,
  parameter,
  stringType,
  uintType,
  bytesType,
  timestampType,
  type CelType,
} from "#policy/cel/types";
import { makeDuration } from "#policy/cel/time";
import {
  CelError,
  checkedInt,
  checkedUint,
  Double,
  doubleOf,
  doubleValue,
  Duration,
  isInt,
  isList,
  Uint,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";
import { declare, memberOverload } from "./declare.ts";

type List = readonly CelValue[];

/** Names as the ids of the overloads have them, in the reference's order. */
const comparable: readonly (readonly [string, CelType])[] = [
  ["int", intType],
  ["uint", uintType],
  ["double", doubleType],
  ["bool", boolType],
  ["duration", durationType],
  ["timestamp", timestampType],
  ["string", stringType],
  ["bytes", bytesType],
];

const cost = (list: CelResult): number => (isList(list) ? list.length : 0);

const noOverload = (): CelError => new CelError("no such overload");

/** Neighbours whose types have no order between them count as sorted; elements that have none at all do not. */
function isSorted(list: List): CelResult {
  for (const [index, item] of list.entries()) {
    if (compare(item, item) === undefined) return noOverload();
    const previous = list[index - 1];
    const order = previous === undefined ? 0 : compare(previous, item);
    if (order !== undefined && order > 0) return false;
  }
  return true;
}

/** `worse` is the order at which the later element replaces the earlier one. */
const extreme =
  (name: string, worse: 1 | -1) =>
  (list: List): CelResult => {
    let [best] = list;
    if (best === undefined) return new CelError(`${name} called on empty list`);
    for (const item of list) {
      if (compare(item, item) === undefined) return noOverload();
      const order = compare(best, item);
      if (order !== undefined && Math.sign(order) === worse) best = item;
    }
    return best;
  };

const sumOverload = (name: string, type: CelType, sum: (list: List) => CelResult): Overload =>
  memberOverload(`list_${name}_sum_${name}`, [listOf(type)], type, sum, { cost });

function sumInts(list: List): CelResult {
  let total: CelResult = 0;
  for (const item of list) {
    if (!isInt(item)) return noOverload();
    total = checkedInt(BigInt(total) + BigInt(item));
    if (total instanceof CelError) return total;
  }
  return total;
}

function sumUints(list: List): CelResult {
  let total = new Uint(0n);
  for (const item of list) {
    if (!(item instanceof Uint)) return noOverload();
    const next = checkedUint(total.value + item.value);
    if (next instanceof CelError) return next;
    total = next;
  }
  return total;
}

function sumDoubles(list: List): CelResult {
  let total = 0;
  for (const item of list) {
    const number = item instanceof Double ? item.value : doubleOf(item);
    if (number === undefined) return noOverload();
    total += number;
  }
  return doubleValue(total);
}

function sumDurations(list: List): CelResult {
  let total = new Duration(0n);
  for (const item of list) {
    if (!(item instanceof Duration)) return noOverload();
    const next = makeDuration(total.nanos + item.nanos);
    if (next instanceof CelError) return next;
    total = next;
  }
  return total;
}

const a = parameter("A");

/** Kubernetes' lists library as of 1.36, without `includes`. */
export const listsLibrary: Library = {
  name: "kubernetes.lists",
  functions: [
    declare(
      "isSorted",
      ...comparable.map(([name, type]) =>
        memberOverload(`list_${name}_is_sorted_bool`, [listOf(type)], boolType, isSorted, { cost }),
      ),
    ),
    declare(
      "sum",
      sumOverload("int", intType, sumInts),
      sumOverload("uint", uintType, sumUints),
      sumOverload("double", doubleType, sumDoubles),
      sumOverload("duration", durationType, sumDurations),
    ),
    ...[extremeFunction("max", -1), extremeFunction("min", 1)],
    declare(
      "indexOf",
      memberOverload(
        "list_a_index_of_int",
        [listOf(a), a],
        intType,
        (list: List, value: CelValue) => list.findIndex((item) => equals(item, value)),
        { cost },
      ),
    ),
    declare(
      "lastIndexOf",
      memberOverload(
        "list_a_last_index_of_int",
        [listOf(a), a],
        intType,
        (list: List, value: CelValue) => list.findLastIndex((item) => equals(item, value)),
        { cost },
      ),
    ),
  ],
};

function extremeFunction(name: string, worse: 1 | -1) {
  const pick = extreme(name, worse);
  return declare(
    name,
    ...comparable.map(([kind, type]) =>
      memberOverload(`list_${kind}_${name}_${kind}`, [listOf(type)], type, pick, { cost }),
    ),
  );
}
