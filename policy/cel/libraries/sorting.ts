// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "#policy/cel/ast";
import { compare, typeNameOf } from "#policy/cel/compare";
import type { Macro, Overload } from "#policy/cel/library";
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  intType,
  listOf,
  parameter,
  stringType,
  timestampType,
  typeName,
  uintType,
} from "#policy/cel/types";
import {
  CelError,
  Duration,
  isList,
  Timestamp,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";
import { memberOverload } from "./declare.ts";

const t = parameter("T");

/** Types with an order, in cel-go's order of overloads. */
const comparableTypes = [
  intType,
  uintType,
  doubleType,
  boolType,
  durationType,
  timestampType,
  stringType,
  bytesType,
] as const;

const sortCost = (list: CelResult): number =>
  isList(list) ? list.length * Math.ceil(Math.log2(list.length + 1)) : 0;

/** `list.sort()`, one overload for each type with an order. */
export function sortOverloads(): readonly Overload[] {
  return comparableTypes.map((type) =>
    memberOverload(
      `list_${typeName(type)}_sort`,
      [listOf(type)],
      listOf(type),
      (list: CelValue) => sortByKeys(list, list),
      { cost: sortCost, unguarded: true },
    ),
  );
}

/** What the macro `sortBy` calls: the list in the order of the keys. */
export function sortByOverloads(): readonly Overload[] {
  return comparableTypes.map((type) =>
    memberOverload(
      `list_${typeName(type)}_sortByAssociatedKeys`,
      [listOf(t), listOf(type)],
      listOf(t),
      sortByKeys,
      { cost: sortCost, unguarded: true },
    ),
  );
}

/** Types with methods of their own give the short text, as in cel-go. */
const noSort = (value: CelValue): CelError =>
  typeof value === "string" || value instanceof Duration || value instanceof Timestamp
    ? new CelError("no such overload")
    : new CelError("no such overload: sort");

/** `list` in the order of `keys`; equal keys keep their order. */
function sortByKeys(list: CelValue, keys: CelValue): CelResult {
  if (!isList(list) || !isList(keys)) return noSort(list);
  if (list.length !== keys.length) {
    return new CelError(
      `@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got ${list.length} and ${keys.length} elements respectively`,
    );
  }
  const first = keys[0];
  if (first === undefined) return list;
  if (compare(first, first) === undefined) {
    return new CelError("list elements must be comparable");
  }
  const name = typeNameOf(first);
  if (keys.length > 1 && keys.some((key) => typeNameOf(key) !== name)) {
    return new CelError("list elements must have the same type");
  }
  const order = keys.map((key, index) => ({ key, index }));
  order.sort((a, b) => compare(a.key, b.key) || a.index - b.index);
  return order.map(({ index }) => list[index] ?? null);
}

/** `list.sortBy(x, key)` becomes a fold that binds the list once and sorts it by the mapped keys. */
export function sortByMacro(): Macro {
  const name = "@__sortBy_input__";
  return {
    name: "sortBy",
    receiver: true,
    arity: 2,
    expand: (make, target, [variable, key]) => {
      if (target === undefined || variable === undefined || key === undefined) return undefined;
      if (!sortable.has(target.kind)) {
        return {
          message:
            "sortBy can only be applied to a list, identifier, comprehension, call or select expression",
          at: target,
        };
      }
      if (variable.kind !== "ident")
        return { message: "argument is not an identifier", at: variable };
      const accumulator = "@result";
      const keys = make.fold({
        range: make.ident(name),
        iterVar: variable.name,
        accuVar: accumulator,
        accuInit: make.list(),
        condition: make.literal(true),
        step: make.invoke("_+_", make.ident(accumulator), make.list(key)),
        result: make.ident(accumulator),
        shape: { kind: "map", filter: undefined, transform: key },
      });
      return make.fold({
        range: make.list(),
        iterVar: "#unused",
        accuVar: name,
        accuInit: target,
        condition: make.literal(false),
        step: make.ident(name),
        result: make.invokeMember(make.ident(name), "@sortByAssociatedKeys", keys),
      });
    },
  };
}

const sortable: ReadonlySet<Expression["kind"]> = new Set([
  "list",
  "select",
  "ident",
  "comprehension",
  "call",
]);
