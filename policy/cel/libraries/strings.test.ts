// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { workedMs } from "#test/support/cpu-time";
import { makeEvaluate } from "./evaluate.fixture.ts";
import { textLengthMax } from "./declare.ts";
import { newestStringsLibrary, stringsLibrary } from "./strings.ts";

const evaluate = makeEvaluate([stringsLibrary]);
const newest = makeEvaluate([newestStringsLibrary]);

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  ["'tacocat'.charAt(3)", "o", "from 0"],
  ["'tacocat'.charAt(7)", "", "the end is a place"],
  ["'tacocat'.charAt(8)", "error: index out of range: 8", "beyond it is none"],
  ["'\u{1d518}\u{1d52b}\u{1d526}'.charAt(1)", "\u{1d52b}", "code points, not UTF-16 units"],
  ["'a\u{1d518}b'.indexOf('b')", 2, "code points again"],
  ["'tacocat'.indexOf('a', 3)", 5, "from an offset"],
  ["'tacocat'.indexOf('', 3)", 3, "nothing is found where one looks"],
  ["'tacocat'.indexOf('', 30) + 'a'.lastIndexOf('', 9)", 39, "even beyond the end"],
  ["'tacocat'.indexOf('a', -1)", "error: index out of range: -1", "offsets are not negative"],
  ["'tacocat'.indexOf('a', 30)", -1, "beyond the end there is nothing"],
  ["'tacocat'.lastIndexOf('at', 4)", -1, "starting at 4 or before"],
  ["'tacocat'.lastIndexOf('a')", 5, "the last"],
  ["'tacocat'.lastIndexOf('')", 7, "nothing is found at the end"],
  ["'ta'.lastIndexOf('tacocat')", -1, "longer than the text"],
  ["'hello hello'.replace('he', 'we', 1)", "wello hello", "at most once"],
  ["'hello'.replace('', '_')", "_h_e_l_l_o_", "before each character and at the end"],
  ["'hello'.replace('', '_', 2)", "_h_ello", "the first two of them"],
  ["'hello'.replace('l', 'L', 0)", "hello", "none"],
  ["'a$1b'.replace('b', '$&')", "a$1$&", "no patterns in the replacement"],
  ["'a,b,c'.split(',', 2)", ["a", "b,c"], "the rest stays together"],
  ["'a,b,c'.split(',', 0)", [], "no parts"],
  ["'a,b,c'.split(',', -1)", ["a", "b", "c"], "all parts"],
  ["'\u{1d518}b'.split('')", ["\u{1d518}", "b"], "code points"],
  ["''.split(',')", [""], "one empty part"],
  ["'hello'.substring(2, 4)", "ll", "from and to"],
  ["'hello'.substring(4, 2)", "error: invalid substring range. start: 4, end: 2", "reversed"],
  ["'hello'.substring(6)", "error: index out of range: 6", "beyond the end"],
  ["'\u0085 x \u00a0\ufeff'.trim()", "x \u00a0\ufeff", "Unicode's white space, not U+FEFF"],
  ["['a', 'b'].join('-')", "a-b", "with a separator"],
  ["['a', 'b'].join()", "ab", "without"],
  ["'HeLLo \u00c9'.lowerAscii()", "hello \u00c9", "ASCII only"],
  ["'\u00e9 x\u00df'.upperAscii()", "\u00e9 X\u00df", "ASCII only"],
  ["strings.quote('a\"\\n\\t\u00e9')", '"a\\"\\n\\t\u00e9"', "named escapes only"],
];

test.each(rows)("%s is %j: %s", (source, want) => {
  expect(evaluate(source)).toEqual(want);
});

test("newer versions find nothing at the end", () => {
  expect(newest("'tacocat'.indexOf('', 30) + 'a'.lastIndexOf('', 9)")).toBe(8);
});

test("reverse came with a later version than Kubernetes has", () => {
  expect(evaluate("'abc'.reverse()")).toContain("compile: undeclared reference to 'reverse'");
  expect(newest("'ab\u{1d518}'.reverse()")).toBe("\u{1d518}ba");
});

test("a list from outside may hold what cannot be joined", () => {
  expect(evaluate("d.join(',')", ["a", 1])).toBe("error: join: invalid input: 1");
});

const formats: readonly (readonly [
  source: string,
  kubernetes: unknown,
  latest: unknown,
  reason: string,
])[] = [
  ["'%d and %s'.format([3, 'x'])", "3 and x", "3 and x", "arguments may mix types"],
  ["'%%'.format([])", "%", "%", "a percent sign"],
  ["'%s'.format([[1, 2.5, 'a', null]])", '[1, 2.500000, "a", null]', "[1, 2.5, a, null]", "lists"],
  ["'%s'.format([{'b': 1, 'a': 'x'}])", '{"a":"x", "b":1}', "{a: x, b: 1}", "maps, sorted"],
  ["'%.2f'.format([1234567.891])", "1,234,567.89", "1234567.89", "grouped as in en_US, once"],
  ["'%.0f'.format([2.5])", "2", "2", "halves to even"],
  ["'%.20f'.format([0.1])", "0.10000000000000000555", "0.10000000000000000555", "exact digits"],
  ["'%e'.format([12345.6789])", "1.234568\u00d710\u2070\u2074", "1.234568e+04", "exponents"],
  ["'%.2e'.format([12345.6789])", "1.234568\u00d710\u2070\u2074", "1.23e+04", "a width, once"],
  ["'%f'.format([1.0 / 0.0])", "\u221e", "Infinity", "infinity"],
  ["'%s'.format([1.0 / 0.0])", "+Inf", "Infinity", "infinity as text"],
  ["'%s %s'.format([1e21, 1e-7])", "1e+21 1e-07", "1000000000000000000000 0.0000001", "doubles"],
  ["'%s'.format([1234567.0])", "1.234567e+06", "1234567", "a double as string() has it"],
  ["'%x'.format([true])", "byte buffers, and strings", "bytes, and strings", "two wordings"],
  ["'%b %o %x %X'.format([5, 8, 255, 'hi'])", "101 10 ff 6869", "101 10 ff 6869", "bases"],
  ["'%x'.format([-255])", "-ff", "-ff", "negative ints"],
  ["'%s'.format([duration('1h')])", "3600s", "3600s", "durations"],
  ["'%s'.format([[duration('1h')]])", '[duration("3600s")]', "[3600s]", "durations in lists"],
  ["'%d'.format([1.5])", "integers, was given double", "1.5", "decimal of a double"],
  ["'%d'.format(['a'])", "was given string", "was given string", "refused when compiling"],
  ["'%s %s'.format(['a'])", "index 1 out of range", "index 1 out of range", "too few"],
  ["'%s'.format(['a', 1])", "too many arguments", "too many arguments", "too many"],
  ["'%z'.format([1])", 'unrecognized formatting clause "z"', 'clause "z"', "unknown"],
  ["'%'.format([1])", "unexpected end of string", "unexpected end", "cut off"],
  ["'%.f'.format([1.0])", "error while parsing precision", "parsing precision", "no digits"],
  [
    "'%.9999f'.format([1.0])",
    "precision 9999 exceeds",
    "precision 9999 exceeds",
    "too many digits",
  ],
];

test.each(formats)("%s is %j, later %j: %s", (source, kubernetes, latest) => {
  expect(evaluate(source)).toContain(kubernetes);
  expect(newest(source)).toContain(latest);
});

test("a format from outside is judged when it is used", () => {
  expect(evaluate("d.format([1])", "%q")).toContain("error: could not parse formatting clause");
  expect(evaluate("'%d'.format(d)", ["x"])).toContain("error: error during formatting");
  expect(evaluate("'%s'.format(d)", [1, 2])).toBe("1");
});

test("searches in hostile texts end in bounded time", () => {
  const started = workedMs();
  const text = `\u{1d518}${"a".repeat(1_000_000)}`;
  expect(evaluate("d.lastIndexOf('a')", text)).toBe(1_000_000);
  expect(evaluate("d.indexOf('b' + d)", text)).toContain("cost limit exceeded");
  expect(evaluate("d.replace(d.substring(500000) + 'b', '')", text)).toContain(
    "cost limit exceeded",
  );
  expect(evaluate("d.split('')", text)).toHaveLength(1_000_001);
  expect(workedMs() - started).toBeLessThan(3_000);
});

test("results have a size limit", () => {
  const big = "x".repeat(2 ** 20);
  expect(evaluate("d.replace('x', d)", big)).toContain("result is larger");
  expect(evaluate("[d, d, d, d, d, d, d, d, d].join(d)", big)).toContain("result is larger");
  expect(evaluate("'%s%s%s%s%s%s%s%s%s'.format([d, d, d, d, d, d, d, d, d])", big)).toContain(
    "larger",
  );
  expect(textLengthMax).toBe(8 * 2 ** 20);
});
