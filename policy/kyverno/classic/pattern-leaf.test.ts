// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json } from "#policy/json";
import { compileLeaf } from "#policy/kyverno/classic/pattern-leaf";

type Row = {
  readonly reason: string;
  readonly pattern: Json;
  readonly matches: readonly (Json | undefined)[];
  readonly differs: readonly (Json | undefined)[];
};

const rows: readonly Row[] = [
  {
    reason: "a text is itself",
    pattern: "abc",
    matches: ["abc"],
    differs: ["abd", 1, null, undefined, true],
  },
  {
    reason: "the very text matches even when it looks like an operator",
    pattern: "!a",
    matches: ["!a", "b"],
    differs: ["a", null],
  },
  {
    reason: "a star is any text, not null",
    pattern: "*",
    matches: ["", "x", 5, true],
    differs: [null, undefined],
  },
  {
    reason: "?* is a text that is not empty",
    pattern: "?*",
    matches: ["x", 5],
    differs: ["", null, undefined],
  },
  { reason: "alternatives", pattern: "a | b", matches: ["a", "b"], differs: ["c", "a | c"] },
  {
    reason: "conjunction binds closer than alternatives",
    pattern: "!a & !b | c",
    matches: ["c", "d"],
    differs: ["a", "b"],
  },
  {
    reason: "a number above",
    pattern: ">10",
    matches: [11, "11", 10.5],
    differs: [10, "10", "abc", null],
  },
  {
    reason: "a number at most",
    pattern: "<=10",
    matches: [10, "10", null, undefined],
    differs: [11, "abc"],
  },
  {
    reason: "quantities compare as amounts",
    pattern: "<=1Gi",
    matches: ["1024Mi", "1Gi", "5"],
    differs: ["2Gi", "1025Mi"],
  },
  {
    reason: "equal quantities in other units",
    pattern: "1000m",
    matches: ["1", 1, "1000m"],
    differs: ["2", "1k"],
  },
  {
    reason: "durations compare before quantities",
    pattern: ">=1m",
    matches: ["60s", "1h", "2m"],
    differs: ["59s", "30s"],
  },
  {
    reason: "an absent value is the amount 0",
    pattern: "<1",
    matches: [null, undefined, 0],
    differs: [1],
  },
  {
    reason: "not equal wants a value",
    pattern: "!x",
    matches: ["y", 1, true],
    differs: ["x", null, undefined],
  },
  { reason: "> does not speak about texts", pattern: ">a", matches: [">a"], differs: ["b"] },
  { reason: "a range", pattern: "1-10", matches: [1, 5, 10, "5"], differs: [0, 11, "x"] },
  {
    reason: "a range of quantities",
    pattern: "1Mi-1Gi",
    matches: ["512Mi"],
    differs: ["2Gi", "1"],
  },
  { reason: "outside a range", pattern: "1!-10", matches: [0, 11], differs: [1, 5, 10] },
  { reason: "a version is no range", pattern: "10.0-rc", matches: ["10.0-rc"], differs: ["10.5"] },
  { reason: "one character has no operator", pattern: ">", matches: [">"], differs: ["1", 1] },
  {
    reason: "a whole number takes numeric texts",
    pattern: 5,
    matches: [5, "5", "+5"],
    differs: [6, "5.0", "x", true, null],
  },
  {
    reason: "a fraction takes numeric texts",
    pattern: 1.5,
    matches: [1.5, "1.5", "15e-1"],
    differs: [1, "x", null],
  },
  {
    reason: "a boolean wants a boolean",
    pattern: true,
    matches: [true],
    differs: ["true", false, 1, null],
  },
  {
    reason: "a text takes a boolean's text",
    pattern: "true",
    matches: [true, "true"],
    differs: [false],
  },
  {
    reason: "null takes all that is empty",
    pattern: null,
    matches: [null, undefined, 0, "", false],
    differs: [1, "x", true, {}, []],
  },
  {
    reason: "a map at a leaf means: is a map",
    pattern: { a: 1 },
    matches: [{}, { b: 2 }],
    differs: [[], "x", null],
  },
  { reason: "a list at a leaf never matches", pattern: [1], matches: [], differs: [[1], 1, null] },
  {
    reason: "fractions are compared as texts with an exponent",
    pattern: "*E+00",
    matches: [1.5],
    differs: ["1.5"],
  },
];

describe("scalars of a pattern", () => {
  test.each(rows)("$reason", ({ pattern, matches, differs }) => {
    const leaf = compileLeaf(pattern);
    expect(matches.filter((value) => !leaf(value))).toEqual([]);
    expect(differs.filter((value) => leaf(value))).toEqual([]);
  });
});
