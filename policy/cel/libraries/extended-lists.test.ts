// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { optionalLibrary } from "#policy/cel/optionals";
import { inShort, makeEvaluate } from "./evaluate.fixture.ts";
import { extendedListsLibrary, listEndsLibrary, newestListsLibrary } from "./extended-lists.ts";
import { setsLibrary } from "./sets.ts";

const evaluate = makeEvaluate([optionalLibrary, listEndsLibrary, newestListsLibrary, setsLibrary]);
const kubernetes = makeEvaluate([extendedListsLibrary]);

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  ["[1, 2, 3, 4].slice(1, 3)", [2, 3], "from and to"],
  ["[1, 2].slice(-1, 1)", "error: cannot slice(-1, 1), negative indexes not supported", "negative"],
  [
    "[1, 2].slice(2, 1)",
    "error: cannot slice(2, 1), start index must be less than or equal to end index",
    "reversed",
  ],
  ["[1, 2].slice(0, 3)", "error: cannot slice(0, 3), list is length 2", "too long"],
  ["[[1], [2, 3]].flatten()", [1, 2, 3], "one level"],
  ["dyn([[1, [2, [3]]]]).flatten(2)", "compile", "a literal may not mix lists and ints"],
  ["[1, 2].flatten(-1)", "error: level must be non-negative", "negative"],
  ["lists.range(3)", [0, 1, 2], "from 0"],
  ["lists.range(0)", [], "none"],
  ["lists.range(-1)", "error: lists.range: size must be non-negative", "negative"],
  ["[3, 1, 2].sort()", [1, 2, 3], "ints"],
  ["['b', 'a', '\u{10000}', '\uffff'].sort()", ["a", "b", "\uffff", "\u{10000}"], "code points"],
  ["[].sort()", [], "nothing"],
  ["['b', 'ccc', 'aa'].sortBy(x, size(x))", ["b", "aa", "ccc"], "by a key"],
  ["[{'n': 2}, {'n': 1}].sortBy(x, x.n)[0].n", 1, "by a field"],
  ["[2, 1].sortBy(x, [x])", "compile: found no matching overload", "a list is no key"],
  ["[1, 2, 2, 1, 3].distinct()", [1, 2, 3], "the first of each"],
  ["[1, 2, 3].reverse()", [3, 2, 1], "reversed"],
  ["[1, 2].first().value() + [1, 2].last().value()", 3, "the ends"],
  ["[].first().hasValue()", false, "no end"],
  ["sets.contains([1, 2], [2, 2])", true, "a part"],
  ["sets.contains([1], [1, 2])", false, "no part"],
  ["sets.equivalent([1, 2], [2, 1, 1])", true, "the same elements"],
  ["sets.intersects([1, 2], [2, 3])", true, "one in common"],
  ["sets.intersects([], [])", false, "nothing in common"],
];

test.each(rows)("%s is %j: %s", (source, want) => {
  const value = evaluate(source);
  expect(inShort(value, want)).toEqual(want);
});

test("lists from outside", () => {
  expect(evaluate("d.flatten()", [1, [2, [3]]])).toEqual([1, 2, [3]]);
  expect(evaluate("d.flatten(10)", [1, [2, [3]]])).toEqual([1, 2, 3]);
  expect(evaluate("d.sort()", [2, "a"])).toBe("error: list elements must have the same type");
  expect(evaluate("d.sort()", [[1], [2]])).toBe("error: list elements must be comparable");
  expect(evaluate("d.distinct()", [1, "1", { a: 1 }, { a: 1 }, [1], [1], null, null])).toEqual([
    1,
    "1",
    { a: 1 },
    [1],
    null,
  ]);
});

test("in Kubernetes 1.36 a negative range is empty", () => {
  expect(kubernetes("lists.range(-1)")).toEqual([]);
  expect(kubernetes("lists.range(1000001)")).toContain("result is larger");
});

test("large and deep lists end in bounded time", () => {
  expect(evaluate("lists.range(1000001)")).toContain("exceeds maximum allowed (1000000)");
  expect(evaluate("lists.range(900000).map(i, lists.range(900000))")).toContain(
    "cost limit exceeded",
  );
  const many = Array.from({ length: 100_000 }, (_, index) => index % 1_000);
  expect(evaluate("d.distinct().size()", many)).toBe(1_000);
  const objects = Array.from({ length: 5_000 }, (_, index) => ({ index }));
  expect(evaluate("d.distinct().size()", objects)).toContain("cost limit exceeded");
  expect(evaluate("sets.contains(d, d)", objects)).toContain("cost limit exceeded");
});
