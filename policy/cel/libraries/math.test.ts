// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { makeEvaluate } from "./evaluate.fixture.ts";
import { encodersLibrary } from "./encoders.ts";
import { mathLibrary } from "./math.ts";

const evaluate = makeEvaluate([mathLibrary, encodersLibrary]);

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  ["math.greatest(1, 2.5)", 2.5, "types may mix in a pair"],
  ["math.least(3, 1, 2)", 1, "more arguments are a list"],
  ["math.least([2, 1])", 1, "a list"],
  ["math.least(d)", "error: math.@min(list) argument must not be empty", "an empty list"],
  ["math.least()", "compile: math.least() requires at least one argument", "none"],
  ["math.least('a')", "compile: math.least() invalid single argument value", "a text"],
  [
    "math.least(1, 'a')",
    "compile: math.least() simple literal arguments must be numeric",
    "a text",
  ],
  ["math.round(-2.5) == -3.0 && math.round(0.49999999999999994) == 0.0", true, "away from zero"],
  [
    "math.ceil(1.2) == 2.0 && math.floor(-1.2) == -2.0 && math.trunc(-1.7) == -1.0",
    true,
    "rounding",
  ],
  ["math.abs(-9223372036854775807 - 1)", "error: integer overflow", "no positive counterpart"],
  ["math.abs(-5) == 5 && math.abs(-5.5) == 5.5 && math.abs(5u) == 5u", true, "all numbers"],
  ["math.sign(-3) == -1 && math.sign(0.0) == 0.0 && math.sign(7u) == 1u", true, "of the same type"],
  ["math.isNaN(0.0 / 0.0) && math.isInf(-1.0 / 0.0) && !math.isFinite(1.0 / 0.0)", true, "tests"],
  ["math.bitAnd(6, 3) == 2 && math.bitOr(4, 1) == 5 && math.bitXor(5, 1) == 4", true, "bits"],
  ["math.bitNot(0) == -1 && math.bitNot(0u) == 18446744073709551615u", true, "all 64 of them"],
  ["math.bitShiftLeft(1, 63) == -9223372036854775808", true, "into the sign"],
  ["math.bitShiftLeft(1, 64) == 0 && math.bitShiftRight(-1, 64) == 0", true, "out of the number"],
  ["math.bitShiftRight(-1, 1) == 9223372036854775807", true, "zeros come in from the left"],
  ["math.bitShiftLeft(1, -1)", "error: math.bitShiftLeft() negative offset: -1", "negative"],
  ["math.sqrt(81) == 9.0 && math.isNaN(math.sqrt(-1.0))", true, "roots"],
  ["base64.encode(b'hello')", "aGVsbG8=", "padded"],
  ["string(base64.decode('aGVsbG8'))", "hello", "padding may be missing"],
  ["string(base64.decode('aGVs\\nbG8='))", "hello", "line breaks are skipped"],
  ["base64.decode('a_')", "error: illegal base64 data at input byte 1", "the other alphabet"],
];

test.each(rows)("%s is %j: %s", (source, want) => {
  expect(evaluate(source, [])).toEqual(want);
});
