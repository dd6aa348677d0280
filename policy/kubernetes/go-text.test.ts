// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { byteLength, quoteText } from "./go-text.ts";

test.each([
  ["plain", '"plain"', "as it is"],
  ['a"\\', '"a\\"\\\\"', "quotes and backslashes"],
  ["\n\t\u0007", '"\\n\\t\\a"', "named escapes"],
  ["\u0001\u007f", '"\\x01\\x7f"', "other control characters"],
  ["\u00e9\u4e16\u{1f600}", '"\u00e9\u4e16\u{1f600}"', "what can be printed"],
  ["\u00a0\u200b", '"\\u00a0\\u200b"', "what cannot"],
  ["\u{e0001}", '"\\U000e0001"', "nor beyond the basic plane"],
  ["\ud800", '"\ufffd"', "a lone surrogate, which no Go string holds"],
])("%j is quoted %s: %s", (text, want) => {
  expect(quoteText(text)).toBe(want);
});

test("lengths are counted in bytes", () => {
  expect(byteLength("a\u00e9\u4e16\u{1f600}")).toBe(10);
});
