// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { compare, compareStrings, equals, typeNameOf } from "./compare.ts";
import { toJson } from "./convert.ts";
import { makeMap, makeStrictMap } from "./maps.ts";
import { intType } from "./types.ts";
import {
  CelError,
  checkedInt,
  checkedUint,
  Double,
  doubleValue,
  Duration,
  intValue,
  isInt,
  Optional,
  optionalNone,
  Timestamp,
  TypeValue,
  Uint,
  type CelResult,
  type CelValue,
} from "./values.ts";

const mapOf = (...entries: readonly (readonly [CelValue, CelValue])[]): CelValue => {
  const map = makeMap(entries);
  if (map instanceof CelError) throw new Error(map.message);
  return map;
};

const equalRows: readonly (readonly [a: CelValue, b: CelValue, want: boolean, reason: string])[] = [
  [1, new Double(1), true, "an int and a double of one value"],
  [1, new Uint(1n), true, "an int and a uint"],
  [new Uint(1n), new Double(1), true, "a uint and a double"],
  [2 ** 53, 9007199254740993n, false, "ints are compared exactly"],
  [new Double(2 ** 53), 9007199254740993n, true, "with doubles as doubles, as cel-go does"],
  [Number.NaN, Number.NaN, false, "NaN equals nothing"],
  [[Number.NaN], [Number.NaN], false, "not inside a list either"],
  [new Double(-0), 0, true, "minus zero"],
  ["1", 1, false, "no conversion"],
  [true, 1, false, "no conversion of bools"],
  [null, false, false, "null is only null"],
  [null, null, true, "null"],
  [[1, [2]], [new Double(1), [2n]], true, "lists by content"],
  [[1], [1, 2], false, "of the same length"],
  [{ a: 1 }, { a: 1n }, true, "maps by content"],
  [{ a: 1 }, { b: 1 }, false, "of the same keys"],
  [{ a: null }, {}, false, "a null is a value"],
  [{}, mapOf([1, 1]), false, "an empty map and another"],
  [mapOf([1, "a"]), mapOf([new Uint(1n), "a"]), true, "equal keys of two types"],
  [mapOf([true, 1]), mapOf([false, 1]), false, "bool keys"],
  [new Uint8Array([1]), new Uint8Array([1]), true, "bytes"],
  [new Timestamp(1n), new Timestamp(1n), true, "times"],
  [new Timestamp(1n), new Duration(1n), false, "a time is no duration"],
  [new TypeValue(intType), new TypeValue(intType), true, "types"],
  [optionalNone, new Optional(undefined), true, "none"],
  [new Optional(1), new Optional(new Double(1)), true, "optionals by content"],
  [new Optional(1), 1, false, "an optional is not its value"],
];

test.for(equalRows)("%o equals %o: %s", ([a, b, want]) => {
  expect(equals(a, b)).toBe(want);
  expect(equals(b, a)).toBe(want);
});

const orderRows: readonly (readonly [a: CelValue, b: CelValue, want: number | undefined])[] = [
  [1, 2, -1],
  [new Uint(3n), 2.5, 1],
  [9007199254740993n, 2 ** 53, 1],
  [new Double(1), 1, 0],
  [Number.NaN, 1, Number.NaN],
  ["a", "b", -1],
  ["\u{1f600}", "\uffff", 1],
  [false, true, -1],
  [new Uint8Array([1, 2]), new Uint8Array([1, 3]), -1],
  [new Uint8Array([1]), new Uint8Array([1, 0]), -1],
  [new Duration(-1n), new Duration(0n), -1],
  ["a", 1, undefined],
  [null, null, undefined],
  [[1], [2], undefined],
];

test.for(orderRows)("the order of %o and %o", ([a, b, want]) => {
  const order = compare(a, b);
  expect(order === undefined || Number.isNaN(order) ? order : Math.sign(order)).toBe(want);
});

test("texts are ordered as their UTF-8 bytes are", () => {
  const texts = [
    "",
    "a",
    "ab",
    "z",
    "é",
    "\u07ff",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\u{10000}",
    "\u{10ffff}",
  ];
  for (const [i, a] of texts.entries()) {
    for (const [j, b] of texts.entries()) {
      const want = Buffer.compare(Buffer.from(a), Buffer.from(b));
      expect([i, j, Math.sign(compareStrings(a, b))]).toEqual([i, j, want]);
    }
  }
});

test("numbers keep the form that their type has", () => {
  expect(intValue(2n ** 53n)).toBe(2n ** 53n);
  expect(intValue(5n)).toBe(5);
  expect(doubleValue(2)).toEqual(new Double(2));
  expect(doubleValue(2.5)).toBe(2.5);
  expect([isInt(1), isInt(2 ** 60), isInt(1e300), isInt(1.5), isInt(1n)]).toEqual([
    true,
    true,
    false,
    false,
    true,
  ]);
  expect(checkedInt(2n ** 63n)).toEqual(new CelError("integer overflow"));
  expect(checkedUint(-1n)).toEqual(new CelError("unsigned integer overflow"));
});

test("types have cel-go's names", () => {
  const values: readonly CelResult[] = [
    1,
    1.5,
    new Uint(1n),
    "a",
    null,
    true,
    [],
    {},
    new Uint8Array(),
    new Timestamp(0n),
    new Duration(0n),
    optionalNone,
    new TypeValue(intType),
  ];
  expect(values.map(typeNameOf).join(" ")).toBe(
    "int double uint string null_type bool list map bytes google.protobuf.Timestamp google.protobuf.Duration optional_type type",
  );
});

const jsonRows: readonly (readonly [value: CelValue, want: unknown, reason: string])[] = [
  [[1, 2n ** 60n, new Double(3), new Uint(4n)], [1, 2 ** 60, 3, 4], "numbers"],
  [new Uint8Array([255, 0]), "/wA=", "bytes are base64"],
  [new Timestamp(1_500_000_000n), "1970-01-01T00:00:01.5Z", "times are RFC 3339"],
  [new Duration(-1_500_000_000n), "-1.5s", "durations are seconds"],
  [mapOf([1, "a"], [true, "b"]), { "1": "a", true: "b" }, "keys are texts"],
  [new Optional([1]), [1], "an optional is its value"],
  [optionalNone, null, "none is null"],
  [{ a: { b: [null] } }, { a: { b: [null] } }, "JSON is itself"],
];

test.for(jsonRows)("the JSON of %o", ([value, want]) => {
  expect(toJson(value)).toEqual(want);
});

test("map literals keep the last of repeated keys, unless strict", () => {
  const entries = [
    ["a", 1],
    ["a", 2],
  ] as const;
  expect(makeMap(entries)).toEqual({ a: 2 });
  expect(makeStrictMap(entries)).toEqual(new CelError("Failed with repeated key: a"));
  expect(makeStrictMap([[null, 1]])).toEqual(new CelError("unsupported key type: null_type"));
  expect(makeMap([[[], 1]])).toEqual(new CelError("unsupported key type: list"));
});
