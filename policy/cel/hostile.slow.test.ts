// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test } from "vitest";
import { workedMs } from "#test/support/cpu-time";
import { bindingsLibrary } from "./bindings.ts";
import { makeBudget } from "./budget.ts";
import { compileExpression } from "./compile.ts";
import { twoVariableComprehensionLibrary } from "./comprehensions-two.ts";
import { toJson } from "./convert.ts";
import { makeEnvironment } from "./environment.ts";
import { optionalLibrary } from "./optionals.ts";
import { dynType } from "./types.ts";
import { CelError, type CelResult, isPlainMap, type CelValue, type PlainMap } from "./values.ts";

const environment = makeEnvironment({
  variables: { object: dynType },
  libraries: [optionalLibrary, bindingsLibrary, twoVariableComprehensionLibrary],
});

/** Most work that any of these may cost, in milliseconds of a processor. Without the limits it is minutes, or has no end. */
const slowestMs = 5_000;
let before = 0;
beforeEach(() => {
  before = workedMs();
});
afterEach(() => {
  const cost = workedMs() - before;
  if (cost > slowestMs) throw new Error(`cost ${cost} ms of a processor, ${slowestMs} at most`);
});

function compileError(source: string): string {
  const compiled = compileExpression(source, environment);
  return compiled.ok ? "" : (compiled.issues[0]?.message ?? "");
}

function evaluate(source: string, object: CelValue = null): CelResult {
  const compiled = compileExpression(source, environment);
  if (!compiled.ok) throw new Error(`${source}: ${JSON.stringify(compiled.issues)}`);
  return compiled.program.evaluate({ object }, makeBudget());
}

const messageOf = (value: CelResult): string => (value instanceof CelError ? value.message : "");

const isPlain = (value: unknown): value is PlainMap => typeof value === "object" && value !== null;
const keysOf = (value: CelResult): readonly string[] =>
  isPlainMap(value) ? Object.keys(value) : [];
const asResult = (value: CelResult): CelResult => value;

const refused: readonly (readonly [name: string, source: string, want: string])[] = [
  ["1 MB of text", `'${"a".repeat(1_000_000)}'`, "expression code point size exceeds limit"],
  ["1 MB of operators", "1+".repeat(500_000) + "1", "expression code point size exceeds limit"],
  ["10,000 brackets", "(".repeat(10_000) + "1" + ")".repeat(10_000), "recursion limit exceeded"],
  ["10,000 lists", "[".repeat(10_000) + "]".repeat(10_000), "recursion limit exceeded"],
  ["10,000 maps", "{'a':".repeat(10_000) + "1" + "}".repeat(10_000), "recursion limit exceeded"],
  ["10,000 additions", "1" + "+1".repeat(10_000), "recursion limit exceeded"],
  ["10,000 fields", "object" + ".a".repeat(10_000), "recursion limit exceeded"],
  ["10,000 calls", "object" + ".size()".repeat(10_000), "recursion limit exceeded"],
  ["10,000 conditions", "true ? 1 : ".repeat(9_000) + "1", "recursion limit exceeded"],
  ["unclosed brackets", "(".repeat(200), "mismatched input '<EOF>'"],
  ["unclosed text", "'abc", "token recognition error"],
  ["unclosed triple quotes", `'''${"a".repeat(90_000)}`, "token recognition error"],
  ["backslashes without end", `"${"\\".repeat(90_001)}`, "token recognition error"],
  ["a surrogate escape", String.raw`'\ud800'`, "invalid unicode code point"],
  ["an int too large", "9223372036854775808", "invalid int literal"],
  ["a uint too large", "18446744073709551616u", "invalid uint literal"],
  ["90,000 digits", "1".repeat(90_000), "invalid int literal"],
  ["a control character", "1 + \u0000", "token recognition error"],
  ["a regular expression that does not parse", "'a'.matches('(')", "invalid matches argument"],
];

test.for(refused)("refuses %s", ([, source, want]) => {
  expect(compileError(source)).toContain(want);
});

test("long chains of && and || are neither deep nor slow", () => {
  expect(evaluate("true" + " && true".repeat(10_000))).toBe(true);
  expect(evaluate("false" + " || false".repeat(10_000))).toBe(false);
});

test("a long row of negations", () => {
  expect(evaluate("!".repeat(90_000) + "true")).toBe(true);
  expect(evaluate("-".repeat(90_001) + "1")).toBe(-1);
});

test("catastrophic regular expressions are linear", () => {
  expect(evaluate("object.matches('(a+)+$')", "a".repeat(5_000) + "!")).toBe(false);
  expect(evaluate("object.matches('(x+x+)+y')", "x".repeat(5_000))).toBe(false);
});

test("loops end when the budget is used up", () => {
  const list = Array.from({ length: 2_000 }, (_, index) => index);
  const nested = "object.all(a, object.all(b, object.all(c, a + b + c >= 0)))";
  expect(messageOf(evaluate(nested, list))).toBe("operation cancelled: actual cost limit exceeded");
  const absorbed = `${nested} || true`;
  expect(messageOf(evaluate(absorbed, list))).toContain("cost limit exceeded");
});

test("doubling text and lists ends with the budget", () => {
  let text = "object";
  let list = "[object]";
  for (let i = 0; i < 40; i++) {
    text = `cel.bind(a${i}, ${text}, a${i} + a${i})`;
    list = `cel.bind(a${i}, ${list}, a${i} + a${i})`;
  }
  expect(messageOf(evaluate(text, "0123456789"))).toContain("limit");
  expect(messageOf(evaluate(list, "x"))).toContain("limit");
});

const inherited = [
  "constructor",
  "toString",
  "hasOwnProperty",
  "__proto__",
  "__defineGetter__",
  "valueOf",
  "length",
  "map",
];

test.for(inherited)("%s is no field unless an object has it", (name) => {
  expect(evaluate(`has(object.${name})`, {})).toBe(false);
  expect(messageOf(evaluate(`object.${name}`, {}))).toBe(`no such key: ${name}`);
  expect(evaluate(`'${name}' in object`, {})).toBe(false);
  expect(messageOf(evaluate(`object['${name}']`, {}))).toBe(`no such key: ${name}`);
  expect(evaluate(`object.?${name}.hasValue()`, {})).toBe(false);
  expect(evaluate(`has(object.${name})`, [])).not.toBe(true);
  expect(evaluate(`has(object.${name})`, "text")).toBe(false);
});

test("such names work as keys of their own", () => {
  const text = '{"__proto__": {"polluted": 1}, "constructor": 2, "length": 3}';
  const object: unknown = JSON.parse(text);
  if (!isPlain(object)) throw new Error("no object");
  expect(evaluate("object.__proto__.polluted == 1 && object.constructor == 2", object)).toBe(true);
  expect(evaluate("object.map(k, k).size() == 3 && object.length == 3", object)).toBe(true);
  const made = evaluate("{'__proto__': {'polluted': 1}, 'constructor': 'x'}");
  expect(keysOf(made)).toEqual(["__proto__", "constructor"]);
  const json = made instanceof CelError ? null : toJson(made);
  expect(JSON.stringify(json)).toBe('{"__proto__":{"polluted":1},"constructor":"x"}');
  expect("polluted" in {}).toBe(false);
  const mapped = evaluate("object.transformMap(k, v, true)", object);
  expect(keysOf(mapped)).toEqual(["__proto__", "constructor", "length"]);
});

test("macros in macros neither double their work nor their types", () => {
  expect(evaluate("object.?a" + ".optMap(v, v)".repeat(200) + ".hasValue()", { a: 1 })).toBe(true);
  expect(compileError("[1]" + ".map(a, {a: a})".repeat(100))).toContain("too large");
  const filters = "object" + ".filter(x, x > 0)".repeat(200);
  expect(evaluate(`${filters}.size()`, [1, 2])).toBe(2);
});

test("constants are not computed at any price", () => {
  const search = `'${"a".repeat(3_000)}'.matches('(a+)+b')`;
  const source = Array.from({ length: 30 }, () => search).join(" || ");
  expect(compileError(source)).toBe("");
});

test("values that share parts without end", () => {
  const tower = (seed: string): string => {
    let source = `[${seed}]`;
    for (let i = 0; i < 40; i++) source = `cel.bind(a${i}, ${source}, [a${i}, a${i}])`;
    return source;
  };
  const equal = evaluate(`${tower("object")} == ${tower("object")}`, 1);
  expect(messageOf(equal)).toContain("limit exceeded");
  expect(messageOf(evaluate(`${tower("1")} in [${tower("object")}]`, 1))).toContain(
    "limit exceeded",
  );
  const value = evaluate(tower("object"), 1);
  if (value instanceof CelError) throw new Error(value.message);
  expect(messageOf(asResult(toJson(value)))).toBe("value has too many parts");
});

test("numbers beyond 2^53", () => {
  expect(evaluate("9007199254740993 - 9007199254740992 == 1")).toBe(true);
  expect(evaluate("object + 1", 9007199254740991)).toBe(9007199254740992n);
  expect(evaluate("type(object) == int", 2 ** 60)).toBe(true);
  expect(evaluate("type(object) == double", 1e300)).toBe(true);
  expect(evaluate("object * object", 2 ** 31)).toBe(4611686018427387904n);
  expect(messageOf(evaluate("object * object", 2 ** 32))).toBe("integer overflow");
});

test("lone surrogates", () => {
  expect(evaluate("object.size()", "a\ud800b")).toBe(3);
  expect(evaluate("object + 'x' == object + 'x'", "\udc00")).toBe(true);
  expect(evaluate("object.matches('.')", "\ud800")).toBe(true);
  expect(evaluate("bytes(object).size()", "\ud800")).toBe(3);
});

test("objects with 100,000 keys", () => {
  const object = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`key-${i}`, i]));
  expect(evaluate("object.all(k, k.startsWith('key-')) && object.size() == 100000", object)).toBe(
    true,
  );
  expect(evaluate("object == object && object['key-99999'] == 99999", object)).toBe(true);
});

test("values nested too deep for the stack are an error, not a crash", () => {
  const deep = (): CelValue => {
    let value: CelValue = 1;
    for (let i = 0; i < 100_000; i++) value = [value];
    return value;
  };
  const pair = [deep(), deep()];
  expect(messageOf(evaluate("object[0] == object[1]", pair))).toContain("too large");
  expect(messageOf(asResult(toJson(deep())))).toContain("too deeply");
});
