// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { formatDuration, parseDuration } from "./duration.ts";

const second = 1_000_000_000n;

const rows: readonly (readonly [text: string, want: bigint | string, reason: string])[] = [
  ["0", 0n, "zero needs no unit"],
  ["-0", 0n, "with a sign too"],
  ["1h30m", 5_400n * second, "units add up"],
  ["-1.5s", -1_500_000_000n, "one sign for all"],
  ["1m1m", 120n * second, "units may repeat"],
  [".5s", 500_000_000n, "the point may stand first"],
  ["1.s", second, "or last"],
  ["3\u00b5s", 3_000n, "micro sign"],
  ["3\u03bcs", 3_000n, "Greek mu"],
  ["0.3333333333333333333h", 1_200n * second, "digits beyond an int64 are dropped"],
  ["0.1ns", 0n, "less than a nanosecond is nothing"],
  ["9223372036854775807ns", 2n ** 63n - 1n, "the largest"],
  ["-9223372036854775808ns", -(2n ** 63n), "the smallest"],
  ["9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"', "one more"],
  [
    "2562047h47m16.854775808s",
    'time: invalid duration "2562047h47m16.854775808s"',
    "sum overflows",
  ],
  ["", 'time: invalid duration ""', "empty"],
  ["-", 'time: invalid duration "-"', "a sign alone"],
  ["1", 'time: missing unit in duration "1"', "no unit"],
  ["1d", 'time: unknown unit "d" in duration "1d"', "there are no days"],
  [".s", 'time: invalid duration ".s"', "no digits"],
  ["1s ", 'time: unknown unit "s " in duration "1s "', "a space belongs to the unit"],
  [
    "1\u00e9",
    'time: unknown unit "\\xc3\\xa9" in duration "1\\xc3\\xa9"',
    "bytes beyond ASCII in hex",
  ],
];

test.each(rows)("%s is %s: %s", (text, want) => {
  const duration = parseDuration(text);
  expect(duration.ok ? duration.value : duration.message).toBe(want);
});

test.each([
  [0n, "0s"],
  [1n, "1ns"],
  [1_100n, "1.1\u00b5s"],
  [2_200_000n, "2.2ms"],
  [3_300_000_000n, "3.3s"],
  [300n * second, "5m0s"],
  [301_001n * 1_000_000n, "5m1.001s"],
  [-(3_600n * second), "-1h0m0s"],
  [2n ** 63n - 1n, "2562047h47m16.854775807s"],
  [-(2n ** 63n), "-2562047h47m16.854775808s"],
])("%s ns is %s", (nanoseconds, want) => {
  expect(formatDuration(nanoseconds)).toBe(want);
});

test("what is printed reads back", () => {
  let value = 1n;
  for (let round = 0; round < 500; round += 1) {
    value = BigInt.asIntN(64, value * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
    const size = value >> BigInt(round % 50);
    expect(parseDuration(formatDuration(size))).toEqual({ ok: true, value: size });
  }
});
