// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { doubleType, intType } from "#policy/cel/types";
import { Double, doubleValue, type CelValue } from "#policy/cel/values";
import { declare, globalOverload, type Int } from "./declare.ts";
import { roundAway } from "./math.ts";

function round(value: number | Double, places: Int): CelValue {
  const number = value instanceof Double ? value.value : value;
  const shift = 10 ** Number(places);
  return doubleValue(roundAway(number * shift) / shift);
}

/** Kyverno's math library: `math.round(number, places)` beside cel-go's `math.round(number)`. */
export const roundingLibrary: Library = {
  name: "kyverno.math",
  functions: [
    declare(
      "math.round",
      globalOverload("math_round_float_int", [doubleType, intType], doubleType, round),
    ),
  ],
};
