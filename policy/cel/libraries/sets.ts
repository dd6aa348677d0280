// SPDX-License-Identifier: Apache-2.0
import { equals } from "#policy/cel/compare";
import type { Library } from "#policy/cel/library";
import { boolType, listOf, parameter } from "#policy/cel/types";
import { isList, type CelResult, type CelValue } from "#policy/cel/values";
import { declare, globalOverload, type Implementation } from "./declare.ts";

type List = readonly CelValue[];

const list = listOf(parameter("T"));

const includes = (items: List, value: CelValue): boolean =>
  items.some((item) => equals(item, value));

const contains = (items: List, part: List): boolean => part.every((item) => includes(items, item));

const equivalent = (a: List, b: List): boolean => contains(a, b) && contains(b, a);

const intersects = (a: List, b: List): boolean => a.some((item) => includes(b, item));

/** Each element of one list is compared with each of the other, `factor` times; the charge is cel-go's. */
const pairs =
  (factor: number) =>
  (a: CelResult, b: CelResult): number =>
    isList(a) && isList(b) ? a.length * b.length * factor : 0;

const setFunction = (name: string, call: Implementation, factor: number) =>
  declare(
    `sets.${name}`,
    globalOverload(`list_sets_${name}_list`, [list, list], boolType, call, { cost: pairs(factor) }),
  );

/** cel-go's sets extension: lists taken as sets. */
export const setsLibrary: Library = {
  name: "cel.lib.ext.sets",
  functions: [
    setFunction("contains", contains, 1),
    setFunction("equivalent", equivalent, 2),
    setFunction("intersects", intersects, 1),
  ],
};
