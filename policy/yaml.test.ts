// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { formatYaml, parseText } from "#policy/yaml";
import { workedMs } from "#test/support/cpu-time";

const parsed = (text: string): Json => {
  const result = parseText(text);
  if (!result.ok) throw new Error(result.message);
  return result.documents[0] ?? null;
};

/** Scalars as sigs.k8s.io/yaml reads them: goyaml.v2/resolve.go. */
const scalars: readonly (readonly [reason: string, source: string, want: Json])[] = [
  ["YAML 1.1 words are booleans", "yes", true],
  ["in any of three spellings", "Off", false],
  ["one letter is enough, which bites country lists", "n", false],
  ["but not in mixed case", "yEs", "yEs"],
  ["quotes make text", '"yes"', "yes"],
  ["a leading zero is octal: file modes", "0644", 420],
  ["as is the newer prefix", "0o17", 15],
  ["digits above seven cannot be octal, so a float is tried", "08", 8],
  ["hexadecimal", "0x1F", 31],
  ["binary with a sign", "-0b11", -3],
  ["underscores group digits", "1_000", 1000],
  ["an exponent makes a float", "1e3", 1000],
  ["a float may start with its point", ".5", 0.5],
  ["or end with it", "5.", 5],
  ["no sexagesimal numbers: ports stay text", "22:22", "22:22"],
  ["dates stay text", "2024-01-02", "2024-01-02"],
  ["versions with two points are text", "1.2.3", "1.2.3"],
  ["a version with one point is a number, as everybody learns once", "1.10", 1.1],
  ["no value is null", "", null],
  ["a tilde is null", "~", null],
  ["an explicit tag wins", "!!str 123", "123"],
  ["binary data becomes text", "!!binary aGVsbG8=", "hello"],
  ["a tag of the author's own says nothing", "!mine 5", "5"],
];

describe("scalars", () => {
  test.each(scalars)("%s: %s", (_reason, source, want) => {
    expect(parsed(`key: ${source}\n`)).toEqual({ key: want });
  });
});

const documents: readonly (readonly [reason: string, text: string, want: readonly Json[]])[] = [
  ["of equal keys the last counts", "a: 1\na: 2\n", [{ a: 2 }]],
  [
    "a merge key fills in what is missing",
    "x: &x {p: 1, q: 2}\nz:\n  <<: *x\n  q: 3\n",
    [{ x: { p: 1, q: 2 }, z: { p: 1, q: 3 } }],
  ],
  ["a key of one letter is a word too, as Kubernetes reads it", "y: 1\n", [{ true: 1 }]],
  ["keys become text", "1: one\ntrue: yes\n", [{ "1": "one", true: true }]],
  ["empty documents are left out", "---\n---\na: 1\n---\n# nothing\n", [{ a: 1 }]],
  [
    "brackets in texts are no nesting",
    `["${"[".repeat(2000)}\\"${"{".repeat(2000)}"]`,
    [[`${"[".repeat(2000)}"${"{".repeat(2000)}`]],
  ],
  ["JSON is read as JSON", '{"a": [1, "x", null]}', [{ a: [1, "x", null] }]],
  ["a flow mapping that is no JSON is YAML", "{a: yes}", [{ a: true }]],
  ["a byte order mark is no content", '\uFEFF{"a": 1}', [{ a: 1 }]],
  ["block text keeps its line breaks", "a: |\n  x\n  y\n", [{ a: "x\ny\n" }]],
  ["nothing is no document", "", []],
];

describe("documents", () => {
  test.each(documents)("%s", (_reason, text, want) => {
    const result = parseText(text);
    expect(result.ok && result.documents).toEqual(want);
  });

  test("__proto__ is a key like any other and changes no prototype", () => {
    const value = parsed("__proto__:\n  polluted: true\n");
    expect(isObject(value) && Object.keys(value)).toEqual(["__proto__"]);
    expect(Object.hasOwn({}, "polluted")).toBe(false);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

const refused: readonly (readonly [reason: string, text: string, want: RegExp])[] = [
  ["the place of a syntax error is named", "a: b: c\n", /line 1, column 5/],
  ["not a number has no JSON", "a: .nan\n", /JSON/],
  ["a mapping as a key has no JSON", "? {a: 1}\n: b\n", /scalar/],
  ["nesting has a limit", "[".repeat(5000), /depth|nest/i],
  ["in JSON too", `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, /nested deeper than 1000/],
];

describe("refused", () => {
  test.each(refused)("%s", (_reason, text, want) => {
    const result = parseText(text);
    expect(result.ok ? "accepted" : result.message).toMatch(want);
  });

  test("aliases that stand for billions of values end in bounded time", () => {
    const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level += 1) {
      const below = Array.from({ length: 10 }, () => `*a${level - 1}`).join(", ");
      bomb.push(`a${level}: &a${level} [${below}]`);
    }
    const started = workedMs();
    const result = parseText(bomb.join("\n"));
    expect(result.ok ? "accepted" : result.message).toMatch(/values/);
    expect(workedMs() - started).toBeLessThan(20_000);
  });
});

describe("numbers that a double cannot hold", () => {
  test.each([
    ["YAML", "a: 9007199254740993\n"],
    ["JSON", '{"a": 9007199254740993}'],
  ])("%s says so", (_name, text) => {
    const result = parseText(text);
    expect(result.ok && result.warnings).toHaveLength(1);
  });

  test("long digits that are text or exact are fine", () => {
    const result = parseText('{"a": "9007199254740993", "b": 9007199254740992}');
    expect(result.ok && result.warnings).toEqual([]);
  });
});

test("written YAML reads back the same, and words of either YAML are quoted", () => {
  const value = { a: "yes", b: "0644", n: "n", c: "x\ny\n", d: [1, { e: null }], f: "", g: 1.5 };
  const text = formatYaml(value);
  expect(parsed(text)).toEqual(value);
  expect(text).toContain("a: 'yes'");
});
