// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Json } from "#policy/json";
import { formatFloat, formatFloat32, formatValue } from "#policy/jmespath/go-format";
import { marshalJson, parseJson } from "#policy/text/go-json";
import { parseYaml } from "#policy/text/go-yaml";

test.each<{ reason: string; text: string; want: Json }>([
  {
    reason: "words of YAML 1.1 are booleans",
    text: "[yes, On, n, FALSE, y]",
    want: [true, true, false, false, true],
  },
  {
    reason: "a leading zero is octal",
    text: "[0644, 0o17, 0x1F, 0b11, 1_000]",
    want: [420, 15, 31, 3, 1000],
  },
  { reason: "floats", text: "[1.5, .5, 1e3, 1.]", want: [1.5, 0.5, 1000, 1] },
  {
    reason: "null in every spelling",
    text: "[~, null, Null, NULL]",
    want: [null, null, null, null],
  },
  { reason: "dates stay text", text: "d: 2026-11-22", want: { d: "2026-11-22" } },
  { reason: "keys become text", text: "1: a\ny: b", want: { "1": "a", true: "b" } },
  {
    reason: "merges",
    text: "a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}",
    want: { a: { p: 1, q: 2 }, b: { p: 1, q: 3 } },
  },
  { reason: "the last of two equal keys", text: "a: 1\na: 2", want: { a: 2 } },
  { reason: "the first document", text: "a: 1\n---\nb: 2", want: { a: 1 } },
  { reason: "nothing", text: "", want: null },
  { reason: "JSON", text: '{"a": [1, "x"]}', want: { a: [1, "x"] } },
])("YAML: $reason", ({ text, want }) => {
  expect(parseYaml(text)).toEqual({ ok: true, value: want });
});

test.each([
  { reason: "no YAML", text: "a: [" },
  { reason: "nesting without end", text: "[".repeat(500) },
  {
    reason: "aliases that multiply",
    text: `a: &a [${"1,".repeat(400)}]\nb: &b [${"*a,".repeat(400)}]\nc: [${"*b,".repeat(400)}]`,
  },
])("YAML: refuses $reason", ({ text }) => {
  expect(parseYaml(text).ok).toBe(false);
});

test.each<[Json, string]>([
  [{ b: 1, a: [true, null], "10": "x", "9": "y" }, '{"10":"x","9":"y","a":[true,null],"b":1}'],
  ["<a & b>\u2028", '"\\u003ca \\u0026 b\\u003e\\u2028"'],
  [{ "\ud83d\ude00": 1, "\uffee": 2 }, '{"\uffee":2,"\ud83d\ude00":1}'],
  [1e21, "1e+21"],
  [1e-7, "1e-7"],
])("JSON as Go writes it: %j", (value, want) => {
  expect(marshalJson(value)).toBe(want);
});

test("JSON nested without end is refused", () => {
  expect(parseJson("[".repeat(2_000) + "]".repeat(2_000)).ok).toBe(false);
  expect(parseJson("[".repeat(500) + "]".repeat(500)).ok).toBe(true);
});

/** Wants are what Go prints. */
test.each([
  [1, "1", "1"],
  [100_000, "100000", "100000"],
  [1_000_000, "1e+06", "1000000"],
  [123_456_789, "1.23456789e+08", "123456790"],
  [0.0001, "0.0001", "0.0001"],
  [0.00001, "1e-05", "0.00001"],
  [3.3e-7, "3.3e-07", "0.00000033"],
  [16_777_217, "1.6777217e+07", "16777216"],
  [1e21, "1e+21", "1000000000000000000000"],
])("the number %d", (value, general, single) => {
  expect(formatFloat(value)).toBe(general);
  expect(formatFloat32(value)).toBe(single);
});

test("values as %v prints them", () => {
  const value: Json = { b: [1, "x", null], a: { c: true } };
  expect(formatValue(value)).toBe("map[a:map[c:true] b:[1 x <nil>]]");
});
