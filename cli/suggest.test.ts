// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { editDistance, suggest } from "./suggest.ts";

test.each([
  ["same", "same", 0, "nothing to edit"],
  ["check", "chekc", 1, "a swap is one slip"],
  ["test", "tests", 1, "an insertion"],
  ["", "abc", 3, "all inserted"],
  ["kitten", "sitting", 3, "the textbook case"],
])("%s and %s are %i apart: %s", (left, right, want, _reason) => {
  expect(editDistance(left, right)).toBe(want);
  expect(editDistance(right, left)).toBe(want);
});

test("suggests nothing for what is far from everything or absurdly long", () => {
  expect(suggest("frobnicate", ["check", "test"])).toBeUndefined();
  expect(suggest("c".repeat(10_000), ["check"])).toBeUndefined();
  expect(suggest("chek", ["test", "check"])).toBe("check");
});
