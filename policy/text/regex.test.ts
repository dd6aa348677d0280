// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import {
  compileRegex,
  expandTemplate,
  patternLengthMax,
  replaceMatches,
  unfoldedSize,
} from "#policy/text/regex";

/** Wants are the answers of Go's regexp.ReplaceAllString. */
test.each([
  { reason: "every match", pattern: "l", text: "hello", template: "L", want: "heLLo" },
  {
    reason: "empty matches between characters",
    pattern: "x*",
    text: "ab",
    template: "-",
    want: "-a-b-",
  },
  {
    reason: "none right after another match",
    pattern: "a*",
    text: "baac",
    template: "-",
    want: "-b-c-",
  },
  { reason: "groups by number", pattern: "(a)(b)?", text: "ab a", template: "$2$1", want: "ba a" },
  { reason: "the longest name counts", pattern: "(a)", text: "a", template: "$1x", want: "" },
  { reason: "braces end a name", pattern: "(a)", text: "a", template: "${1}x", want: "ax" },
  { reason: "groups by name", pattern: "(?P<n>a)", text: "a", template: "<$n>", want: "<a>" },
  { reason: "an unknown group is empty", pattern: "a", text: "a", template: "<$9>", want: "<>" },
  { reason: "two dollars are one", pattern: "a", text: "a", template: "$$1", want: "$1" },
  { reason: "a lone dollar stays", pattern: "a", text: "a", template: "$-${", want: "$-${" },
  { reason: "characters beyond 16 bits", pattern: ".", text: "😀é", template: "x", want: "xx" },
])("$reason", ({ pattern, text, template, want }) => {
  const regex = compileRegex(pattern);
  const replaced = regex.ok
    ? replaceMatches(regex.value, text, (group) => expandTemplate(template, group))
    : regex.message;
  expect(replaced).toBe(want);
});

describe("limits", () => {
  test.each([
    { reason: "a plain text", pattern: "abc", most: 3 },
    { reason: "a class is one", pattern: "[a-z\\]]x", most: 2 },
    { reason: "a count multiplies what is before it", pattern: "a{10}", most: 10 },
    { reason: "ranges by their end", pattern: "ab{2,5}", most: 6 },
    { reason: "groups multiply as a whole", pattern: "(ab){10}", most: 30 },
    { reason: "an escape is one", pattern: "\\{5}", most: 3 },
  ])("$reason", ({ pattern, most }) => {
    expect(unfoldedSize(pattern)).toBeLessThanOrEqual(most);
    expect(unfoldedSize(pattern)).toBeGreaterThan(1);
  });

  test.each([
    { reason: "nested counts", pattern: "((a{100}){100}){100}" },
    { reason: "a long pattern", pattern: "a".repeat(patternLengthMax + 1) },
    { reason: "many counts side by side", pattern: "a{1000}".repeat(100) },
  ])("refuses $reason", ({ pattern }) => {
    expect(compileRegex(pattern)).toEqual({
      ok: false,
      message: "error parsing regexp: expression too large",
    });
  });

  test("a result that grows without end is given up", () => {
    const regex = compileRegex(".");
    const grown =
      regex.ok && replaceMatches(regex.value, "x".repeat(9_000), () => "y".repeat(1_000));
    expect(grown).toBeUndefined();
  });
});
