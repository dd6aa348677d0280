// SPDX-License-Identifier: Apache-2.0
import { equals, typeNameOf } from "#policy/cel/compare";
import type { Library } from "#policy/cel/library";
import { dynType, intType, listOf, optionalOf, parameter } from "#policy/cel/types";
import {
  CelError,
  isInt,
  isList,
  isPlainMap,
  mapKeyName,
  Optional,
  optionalNone,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";
import {
  declare,
  globalOverload,
  listLengthMax,
  memberOverload,
  tooLarge,
  type Int,
} from "./declare.ts";
import { sortByMacro, sortByOverloads, sortOverloads } from "./sorting.ts";

type List = readonly CelValue[];

const t = parameter("T");
const lengthCost = (list: CelResult): number => (isList(list) ? list.length : 0);
/**
 * Version 3 of cel-go's lists extension as Kubernetes 1.36 has it: slice, flatten, range, distinct, reverse, sort, sortBy.
 * `first` and `last` are in {@link listEndsLibrary}.
 */
export const extendedListsLibrary: Library = makeExtendedLists((size) =>
  size > listLengthMax ? tooLarge("lists.range") : numbersBelow(size),
);

/** The same as Kyverno's newer cel-go has it: `lists.range` refuses negative and large sizes. */
export const newestListsLibrary: Library = makeExtendedLists(checkedRange);

function makeExtendedLists(range: (size: Int) => CelResult): Library {
  return {
    name: "cel.lib.ext.lists",
    functions: [
      declare(
        "slice",
        memberOverload("list_slice", [listOf(t), intType, intType], listOf(t), slice, {
          cost: lengthCost,
        }),
      ),
      declare(
        "flatten",
        memberOverload("list_flatten", [listOf(listOf(t))], listOf(t), flatten, {
          cost: flatCost,
          unguarded: true,
        }),
        memberOverload("list_flatten_int", [listOf(dynType), intType], listOf(dynType), flatten, {
          cost: flatCost,
          unguarded: true,
        }),
      ),
      declare("sort", ...sortOverloads()),
      declare("@sortByAssociatedKeys", ...sortByOverloads()),
      declare(
        "lists.range",
        globalOverload("lists_range", [intType], listOf(intType), range, {
          cost: (size) =>
            typeof size === "number" && size > 0 && size <= listLengthMax ? size : 0,
        }),
      ),
      declare(
        "reverse",
        memberOverload("list_reverse", [listOf(t)], listOf(t), (list: List) => list.toReversed(), {
          cost: lengthCost,
        }),
      ),
      declare(
        "distinct",
        memberOverload("list_distinct", [listOf(t)], listOf(t), distinct, { cost: distinctCost }),
      ),
    ],
    macros: [sortByMacro()],
  };
}

/** `first()` and `last()` of lists, which cel-go's optional library has since its version 2. */
export const listEndsLibrary: Library = {
  name: "cel.lib.optional.lists",
  functions: [
    declare("first", memberOverload("list_first", [listOf(t)], optionalOf(t), firstOf)),
    declare("last", memberOverload("list_last", [listOf(t)], optionalOf(t), lastOf)),
  ],
};

function firstOf(list: List): CelResult {
  const item = list[0];
  return item === undefined ? optionalNone : new Optional(item);
}

function lastOf(list: List): CelResult {
  const item = list.at(-1);
  return item === undefined ? optionalNone : new Optional(item);
}

function slice(list: List, start: Int, end: Int): CelResult {
  const call = `cannot slice(${start}, ${end})`;
  if (start < 0 || end < 0) return new CelError(`${call}, negative indexes not supported`);
  if (start > end) {
    return new CelError(`${call}, start index must be less than or equal to end index`);
  }
  if (end > list.length) return new CelError(`${call}, list is length ${list.length}`);
  return list.slice(Number(start), Number(end));
}

function flatten(list: CelValue, depth?: CelValue): CelResult {
  if (!isList(list) || (depth !== undefined && !isInt(depth))) {
    const [shown, argument] = [list, depth].map(shownType);
    return new CelError(`no such overload: ${shown}.flatten(${argument})`);
  }
  if (depth !== undefined && depth < 0) return new CelError("level must be non-negative");
  const flat: CelValue[] = [];
  const levels = Number(depth ?? 1);
  // An explicit stack: nesting comes from outside.
  const stack: { readonly items: List; next: number }[] = [{ items: list, next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const item = top.items[top.next];
    top.next += 1;
    if (item === undefined) stack.pop();
    else if (isList(item) && stack.length <= levels) stack.push({ items: item, next: 0 });
    else flat.push(item);
    if (flat.length > listLengthMax) return tooLarge("flatten");
  }
  return flat;
}

/** cel-go prints the whole type of a map here, and only the name of others. */
function shownType(value: CelValue | undefined): string {
  if (value === undefined) return "";
  return typeNameOf(value) === "map" ? "map(dyn, dyn)" : typeNameOf(value);
}

function flatCost(list: CelResult): number {
  if (!isList(list)) return 0;
  return list.reduce<number>((sum, item) => sum + (isList(item) ? item.length : 1), 0);
}

function numbersBelow(size: Int): CelResult {
  return Array.from({ length: Math.max(0, Number(size)) }, (_, index) => index);
}

function checkedRange(size: Int): CelResult {
  if (size < 0) return new CelError(`lists.range: size must be non-negative, got ${size}`);
  if (size > listLengthMax) {
    return new CelError(`lists.range: size ${size} exceeds maximum allowed (${listLengthMax})`);
  }
  return numbersBelow(size);
}

/** The first of each group of equal elements. Scalars are looked up, others compared one by one. */
function distinct(list: List): CelResult {
  const names = new Set<string>();
  const unique: CelValue[] = [];
  const structured: CelValue[] = [];
  for (const item of list) {
    const name = scalarName(item);
    if (name === undefined) {
      if (structured.some((other) => equals(item, other))) continue;
      structured.push(item);
    } else if (names.has(name)) {
      continue;
    } else {
      names.add(name);
    }
    unique.push(item);
  }
  return unique;
}

function scalarName(item: CelValue): string | undefined {
  if (item === null) return "null";
  if (isList(item) || isPlainMap(item)) return undefined;
  return mapKeyName(item);
}

function distinctCost(list: CelResult): number {
  if (!isList(list)) return 0;
  const structured = list.filter((item) => isList(item) || isPlainMap(item)).length;
  return list.length + (structured * structured) / 2;
}
