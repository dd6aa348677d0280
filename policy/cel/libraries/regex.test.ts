// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { optionalLibrary } from "#policy/cel/optionals";
import { workedMs } from "#test/support/cpu-time";
import { inShort, makeEvaluate } from "./evaluate.fixture.ts";
import { extendedListsLibrary } from "./extended-lists.ts";
import { regexExtensionLibrary } from "./regex-extension.ts";
import { regexLibrary } from "./regex.ts";

const evaluate = makeEvaluate([
  optionalLibrary,
  extendedListsLibrary,
  regexLibrary,
  regexExtensionLibrary,
]);

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  ["'abc 123'.find('[0-9]+')", "123", "the first match"],
  ["'abc'.find('[0-9]+')", "", "no match is an empty text"],
  ["'1 22 333'.findAll('[0-9]+')", ["1", "22", "333"], "all matches"],
  ["'1 22 333'.findAll('[0-9]+', 2)", ["1", "22"], "some"],
  ["'1 22'.findAll('[0-9]+', 0)", [], "none"],
  ["'baac'.findAll('a*')", ["", "aa", ""], "no empty match right after another"],
  ["'abc'.find('(')", "compile: error parsing regexp: missing closing ): `(`", "a literal"],
  ["'abc'.find('(?=a)')", "compile: error parsing regexp: invalid or unsupported", "not RE2"],
  ["'abc'.find(d)", "error: Illegal regex: error parsing regexp", "from outside"],
  ["regex.replace('foo bar', '(fo)o (ba)r', '\\\\2 \\\\1')", "ba fo", "groups"],
  ["regex.replace('banana', 'a', 'x', 2)", "bxnxna", "at most twice"],
  ["regex.replace('abc', '', '-')", "-a-b-c-", "empty matches"],
  [
    "regex.replace('foo', '(o)', '\\\\3')",
    "error: replacement string references group 3",
    "groups",
  ],
  ["regex.replace('foo', 'o', '\\\\')", "\\ not allowed at end", "cut off"],
  ["regex.replace('foo', 'o', '\\\\a')", "\\ must be followed by a digit or \\", "no digit"],
  ["regex.extract('item-A', 'item-(\\\\w+)').value()", "A", "the group"],
  ["regex.extract('item-A', 'item').value()", "item", "or the whole"],
  ["regex.extract('x', 'item').hasValue()", false, "or nothing"],
  ["regex.extract('ab', '(a)(b)')", "error: regular expression has more than one capturing", "two"],
  ["regex.extractAll('id:1, id:2', 'id:(\\\\d)')", ["1", "2"], "all groups"],
];

test.each(rows)("%s is %j: %s", (source, want) => {
  const value = evaluate(source, "(");
  expect(inShort(value, want)).toEqual(want);
});

test("patterns that make backtracking engines run for years end in linear time", () => {
  const text = `${"a".repeat(5_000)}!`;
  const started = workedMs();
  for (const pattern of ["(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"]) {
    expect(evaluate(`d.find('${pattern}')`, text)).toMatch(/^$|cost limit/);
  }
  expect(evaluate("'x'.find(d)", "a".repeat(100_000))).toMatch(/too large|cost limit/);
  expect(evaluate("'x'.find(d)", "((a{0,900}){0,900}){0,900}")).toMatch(/too large|cost limit/);
  expect(
    evaluate("lists.range(100000).exists(i, 'x'.find('x{0,900}' + string(i)) == '!')"),
  ).toContain("cost");
  expect(evaluate("'x'.find(d)", "(".repeat(4_000))).toContain("error: Illegal regex");
  expect(workedMs() - started).toBeLessThan(5_000);
});
