// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json } from "#policy/json";
import { compileQuery, functionTable } from "#policy/jmespath/compile";
import { QueryFailure } from "#policy/jmespath/query";
import { workedMs } from "#test/support/cpu-time";

const runtime = { nowMs: Date.UTC(2026, 10, 22, 9, 8, 7), random: () => 0.25 };

const data: Json = {
  a: { b: [1, 2, { c: "x" }], nothing: null, "e.f": "dotted" },
  labels: { app: "web", tier: "front" },
  list: ["x", "y", "hello"],
  nested: [[1], [2, [3]], 4],
  pods: [
    { name: "b", cpu: 2, tags: ["p"] },
    { name: "a", cpu: 1 },
    { name: "c", cpu: 3, tags: [] },
  ],
  n: 3.5,
  s: "hello",
  yes: true,
  empty: {},
};

/** A value, or `! kind: text` for a failure. */
function search(expression: string): Json {
  const result = compileQuery(expression).evaluate(data, runtime);
  return result instanceof QueryFailure ? `! ${result.kind}: ${result.message}` : result;
}

const unknown = (key: string): string => `! unknown-key: Unknown key "${key}" in path`;

describe("the dialect", () => {
  test.each([
    { reason: "a missing key is an error, not null", expression: "a.x", want: unknown("x") },
    { reason: "also below a missing key", expression: "x.y.z", want: unknown("x") },
    { reason: "a null value is no missing key", expression: "a.nothing", want: null },
    { reason: "a field of a scalar is null", expression: "s.x", want: null },
    { reason: "a field of a list is null", expression: "list.x", want: null },
    { reason: "|| takes an unknown key as null on the left", expression: "a.x || 'd'", want: "d" },
    { reason: "and on the right", expression: "a.x || a.y", want: null },
    { reason: "&& takes one as null on the left", expression: "a.x && 'd'", want: null },
    { reason: "but passes one on from the right", expression: "s && a.x", want: unknown("x") },
    { reason: "! takes one as null", expression: "!(a.x)", want: true },
    { reason: "a comparison takes one as null", expression: "a.x == `null`", want: true },
    { reason: "an argument takes one as null", expression: "to_string(a.x)", want: "null" },
    { reason: "a list takes one as null", expression: "[a.x, s]", want: [null, "hello"] },
    { reason: "a hash takes one as null", expression: "{k: a.x}", want: { k: null } },
    { reason: "a pipe takes one as null", expression: "a.x | to_string(@)", want: "null" },
    {
      reason: "a projection leaves elements without the key out",
      expression: "pods[*].tags",
      want: [["p"], []],
    },
    { reason: "a projection of an unknown key is null", expression: "a.x[*].y", want: null },
    { reason: "a filter of an unknown key is null", expression: "a.x[?y]", want: null },
    { reason: "a flatten swallows every failure", expression: "length(n)[]", want: null },
    {
      reason: "a filter's condition takes one as false",
      expression: "pods[?tags].name",
      want: ["b"],
    },
    { reason: "an index past the end is null", expression: "list[7]", want: null },
    { reason: "a negative index counts from the end", expression: "list[-1]", want: "hello" },
    { reason: "a quoted identifier may hold dots", expression: 'a."e.f"', want: "dotted" },
    { reason: "only \\' is an escape in a raw string", expression: "'it\\'s\\n'", want: "it's\\n" },
    { reason: "! binds tighter than a dot", expression: "!a.x", want: null },
    { reason: "values in the order of their keys", expression: "labels.*", want: ["web", "front"] },
    {
      reason: "the reference evaluates the right side of `.*` on nulls first",
      expression: "labels.*.[@ || 'nil']",
      want: [["web"], ["front"]],
    },
    {
      reason: "so a function that refuses null fails",
      expression: "labels.*.length(@)",
      want: '! failed: Invalid type for: <nil>, expected: []jmespath.JpType{"string", "array", "object"}',
    },
    { reason: "a slice", expression: "a.b[0:2]", want: [1, 2] },
    { reason: "a slice backwards", expression: "list[::-1]", want: ["hello", "y", "x"] },
    {
      reason: "a slice cannot stand still",
      expression: "list[::0]",
      want: "! failed: Invalid slice, step cannot be 0",
    },
    { reason: "a flatten is one level deep", expression: "nested[]", want: [1, 2, [3], 4] },
    { reason: "order comparisons of texts are null", expression: "s > 'a'", want: null },
    {
      reason: "an ordinary function call on each element",
      expression: "pods[].name.to_upper(@)",
      want: ["B", "A", "C"],
    },
    {
      reason: "commas between arguments may be missing",
      expression: "contains(list 'x')",
      want: true,
    },
    {
      reason: "inherited properties are no keys",
      expression: "a.constructor",
      want: unknown("constructor"),
    },
    { reason: "nor is __proto__", expression: "__proto__", want: unknown("__proto__") },
    { reason: "the whole document", expression: "@.n", want: 3.5 },
  ])("$expression: $reason", ({ expression, want }) => {
    expect(search(expression)).toEqual(want);
  });

  test.each([
    { reason: "nothing", expression: "", want: "SyntaxError: Incomplete expression" },
    { reason: "an open call", expression: "length(", want: "SyntaxError: Incomplete expression" },
    {
      reason: "an open bracket",
      expression: "a[",
      want: "SyntaxError: Expected tStar, received: tEOF",
    },
    {
      reason: "two dots",
      expression: "a..b",
      want: "SyntaxError: Expected identifier, lbracket, or lbrace",
    },
    { reason: "a stray character", expression: "a # b", want: "SyntaxError: Unknown char: '#'" },
    {
      reason: "a single =",
      expression: "a = b",
      want: "SyntaxError: Unexpected token at the end of the expression: tUnknown",
    },
    { reason: "an open string", expression: "'abc", want: "SyntaxError: Unclosed delimiter: '" },
    {
      reason: "a quoted function",
      expression: '"length"(a)',
      want: "SyntaxError: Can't have quoted identifier as function Name.",
    },
    { reason: "a literal that is no JSON", expression: "`foo`", want: 'invalid JSON: "foo"' },
  ])("refuses $reason", ({ expression, want }) => {
    expect(compileQuery(expression).syntaxError).toBe(want);
    expect(search(expression)).toBe(`! failed: ${want}`);
  });
});

describe("functions", () => {
  test("are the 26 of the language and the 51 of Kyverno, which replaces sum", () => {
    expect(Object.keys(functionTable)).toHaveLength(26 + 51 - 1);
  });

  test.each<[string, Json]>([
    ["abs(`-2`)", 2],
    ["avg([`1`, `2`])", 1.5],
    ["ceil(n)", 4],
    ["floor(n)", 3],
    ["contains(s, 'ell')", true],
    ["contains(list, 'x')", true],
    ['contains(a.b, `{"c": "x"}`)', false],
    ["join('-', list)", "x-y-hello"],
    ["keys(labels)", ["app", "tier"]],
    ["values(labels)", ["web", "front"]],
    ["length('añ😀')", 3],
    ["map(&cpu, pods)", [2, 1, 3]],
    ["map(&nope, pods)", [null, null, null]],
    ["max(pods[].cpu)", 3],
    ["max(list)", "y"],
    ["min_by(pods, &cpu).name", "a"],
    ["max_by(pods, &name).cpu", 3],
    ["sort_by(pods, &cpu)[].name", ["a", "b", "c"]],
    ["sort(list)", ["hello", "x", "y"]],
    ['merge(labels, `{"app": "x"}`)', { app: "x", tier: "front" }],
    ["not_null(a.x, a.nothing, s)", "hello"],
    ["reverse('aß')", "ßa"],
    ["starts_with(s, 'he') && ends_with(s, 'lo')", true],
    ["to_array(s)", ["hello"]],
    ["to_number('1e3')", 1000],
    ["to_number('x')", null],
    ["to_string(a)", '{"b":[1,2,{"c":"x"}],"e.f":"dotted","nothing":null}'],
    ['to_string(`{"html": "<&>"}`)', '{"html":"\\u003c\\u0026\\u003e"}'],
    ["type(labels)", "object"],
    ["compare('a', 'b')", -1],
    ["compare('a', 'b') == `-1`", false],
    ["equal_fold('Straße', 'STRAßE')", true],
    ["equal_fold('Straße', 'STRASSE')", false],
    ["replace('aaa', 'a', 'b', `2`)", "bba"],
    ["replace_all('a.b.c', '.', '/')", "a/b/c"],
    ["replace_all('ab', '', '-')", "-a-b-"],
    ["to_upper('straße')", "STRAßE"],
    ["to_lower('ABC')", "abc"],
    ["trim('  x ', ' ')", "x"],
    ["trim_prefix('v1.2', 'v')", "1.2"],
    ["split('a,b', ',')", ["a", "b"]],
    ["regex_match('^[1-7]$', `5`)", true],
    ["regex_replace_all('([Hh]e)l', 'hello', '${1}G')", "heGlo"],
    ["regex_replace_all_literal('l', 'hello', '$1')", "he$1$1o"],
    ["pattern_match('h*o', s)", true],
    ['label_match(`{"app": "web"}`, labels)', true],
    ['label_match(labels, `{"app": "web"}`)', false],
    ["to_boolean('TrUe')", true],
    ["add('10Mi', '1Gi')", "1034Mi"],
    ["add('1h', '30s')", "1h0m30s"],
    ["add(`1`, `2.5`)", 3.5],
    ["add('5m', '5m')", "10m"],
    ["sum(['1', '2', '500m'])", "3500m"],
    ["subtract('1Gi', '24Mi')", "1000Mi"],
    ["multiply('2', `1.5`)", "3"],
    ["multiply(`3`, '10s')", "30s"],
    ["divide('25Mi', '5Mi')", 5],
    ["divide('10Gi', `3`)", "3579139413"],
    ["modulo(`7`, `4`)", 3],
    ["modulo('1h10m', '1h')", "10m0s"],
    ["round(`-2.5`, `0`)", -3],
    ["base64_encode('grün')", "Z3LDvG4="],
    ["base64_decode('Z3LDvG4=')", "grün"],
    ["path_canonicalize('/var//lib/../run/')", "/var/run"],
    ["truncate('grün-2', `4`)", "grün"],
    ["semver_compare('1.2.3', '>=1.0.0 <2.0.0 || 3.x')", true],
    ["semver_compare('nonsense', '<1.0.0')", true],
    ["parse_json('{\"x\": [1]}')", { x: [1] }],
    ["parse_yaml('on: [1, 0o17, yes]')", { true: [1, 15, true] }],
    ["lookup(labels, 'app')", "web"],
    ["lookup(labels, 'constructor')", null],
    ["lookup(list, `1`)", "y"],
    [
      "items(labels, 'k', 'v')",
      [
        { k: "app", v: "web" },
        { k: "tier", v: "front" },
      ],
    ],
    ["items(list, 'i', 'v')[0]", { i: 0, v: "x" }],
    ["object_from_lists(['a', 'b'], [`1`])", { a: 1, b: null }],
    ["random('[a-d]{3}-\\d')", "bbb-2"],
    ["image_normalize('nginx')", "docker.io/nginx:latest"],
    [
      "image_normalize('ghcr.io/a/b:1@sha256:" + "0".repeat(64) + "')",
      `ghcr.io/a/b@sha256:${"0".repeat(64)}`,
    ],
    ["is_external_url('http://10.0.0.1:8080/x')", false],
    ["is_external_url('https://8.8.8.8')", true],
    ["md5('a')", "0cc175b9c0f1b6a831c399e269772661"],
    ["sha1('a')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"],
    ["sha256('a')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"],
    ["time_now()", "2026-11-22T09:08:07Z"],
    ["time_now_utc()", "2026-11-22T09:08:07Z"],
    ["time_since('', '2026-11-22T09:00:00Z', '')", "8m7s"],
    ["time_add('2026-11-22T09:00:00+01:00', '36h')", "2026-11-23T21:00:00+01:00"],
    ["time_parse('1', '1700000000')", "2023-11-14T22:13:20Z"],
    ["time_parse('Mon Jan 02 2006', 'Wed Jun 22 2022')", "2022-06-22T00:00:00Z"],
    ["time_utc('2026-11-22T09:00:00+01:00')", "2026-11-22T08:00:00Z"],
    ["time_diff('2026-11-22T09:00:00Z', '2026-11-22T08:00:00Z')", "-1h0m0s"],
    ["time_before('2026-01-01T00:00:00Z', '2026-01-01T00:00:00+01:00')", false],
    ["time_after('2026-01-01T00:00:00Z', '2026-01-01T00:00:00+01:00')", true],
    ["time_between('2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z', '2026-01-03T00:00:00Z')", true],
    ["time_truncate('2026-11-22T09:59:59Z', '1h')", "2026-11-22T09:00:00Z"],
    ["time_to_cron('2026-11-22T09:05:59Z')", "5 9 22 11 0"],
  ])("%s", (expression, want) => {
    expect(search(expression)).toEqual(want);
  });

  test.each([
    {
      reason: "the types as Go prints them",
      expression: "length(n)",
      want: 'Invalid type for: 3.5, expected: []jmespath.JpType{"string", "array", "object"}',
    },
    { reason: "the number of arguments", expression: "length()", want: "incorrect number of args" },
    { reason: "an unknown function", expression: "nope(s)", want: "unknown function: nope" },
    {
      reason: "an inherited name is no function",
      expression: "constructor(s)",
      want: "unknown function: constructor",
    },
    {
      reason: "amounts of different kinds",
      expression: "add('1Gi', '1h')",
      want: "JMESPath function 'add': Types mismatch",
    },
    {
      reason: "a text that can be a quantity and a duration is a quantity",
      expression: "add('1h', '30m')",
      want: "JMESPath function 'add': Types mismatch",
    },
    {
      reason: "an index that no list has",
      expression: "lookup(`[1]`, `1e21`)",
      want: "JMESPath function 'lookup': argument #2: number is outside the range of integer numbers: 1e+21",
    },
    {
      reason: "no amount",
      expression: "add('x', `1`)",
      want: "JMESPath function 'add': invalid operands",
    },
    {
      reason: "a zero divisor",
      expression: "divide(`1`, `0`)",
      want: "JMESPath function 'divide': Zero divisor passed",
    },
    {
      reason: "fractions of whole numbers",
      expression: "modulo(`1.5`, `1`)",
      want: "JMESPath function 'modulo': Non-integer argument(s) passed for modulo",
    },
    {
      reason: "no boolean",
      expression: "to_boolean('yes')",
      want: "JMESPath function 'to_boolean': lowercase argument must be 'true' or 'false' (provided: 'yes')",
    },
    {
      reason: "no base64",
      expression: "base64_decode('a')",
      want: "illegal base64 data at input byte 0",
    },
    {
      reason: "no regular expression",
      expression: "regex_match('[', s)",
      want: "error parsing regexp: missing closing ]: `[`",
    },
    {
      reason: "no certificate",
      expression: "x509_decode('x')",
      want: "failed to decode PEM block",
    },
  ])("says what is wrong: $reason", ({ expression, want }) => {
    expect(search(expression)).toBe(`! failed: ${want}`);
  });

  test("a name that would have to be resolved is unavailable, never guessed", () => {
    expect(search("is_external_url('https://example.org')")).toMatch(/^! unavailable: /);
  });
});

describe("hostile input", () => {
  test.each([
    { reason: "deep parentheses", expression: "(".repeat(5_000) + "a" + ")".repeat(5_000) },
    { reason: "a long chain", expression: "a" + ".a".repeat(5_000) },
    { reason: "many negations", expression: "!".repeat(5_000) + "a" },
    {
      reason: "deep brackets in a literal",
      expression: "`" + "[".repeat(5_000) + "]".repeat(5_000) + "`",
    },
    { reason: "a very long text", expression: `'${"x".repeat(20_000)}'` },
  ])("$reason is a syntax error, not a crash", ({ expression }) => {
    expect(compileQuery(expression).syntaxError).toBeDefined();
  });

  test.each([
    { reason: "nested counts", expression: "regex_match('((a{100}){100}){100}', s)" },
    { reason: "counts in a generator", expression: "random('([a-z]{1000}){1000}')" },
    {
      reason: "a replacement that multiplies",
      expression: "replace_all(join('', [s,s,s]), '', join('', map(&'xxxxxxxxxxxxxxxx', list)))",
    },
    {
      reason: "aliases that multiply",
      expression:
        "parse_yaml('a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*d,*d,*d,*d,*d,*d,*d,*d,*d]')",
    },
  ])("$reason ends soon", ({ expression }) => {
    const started = workedMs();
    compileQuery(expression).evaluate(data, runtime);
    expect(workedMs() - started).toBeLessThan(1_000);
  });

  test("a regular expression that would backtrack takes linear time", () => {
    const started = workedMs();
    const query = compileQuery("regex_match('^(a+)+$', @)");
    expect(query.evaluate(`${"a".repeat(50_000)}!`, runtime)).toBe(false);
    expect(workedMs() - started).toBeLessThan(2_000);
  });

  test("no expression and no data makes it throw", () => {
    const random = makeRandom(20_261_122);
    const pieces = [
      "a",
      "labels",
      "list",
      ".",
      "[",
      "]",
      "[]",
      "[*]",
      "[?",
      "(",
      ")",
      "||",
      "&&",
      "!",
      "==",
      "|",
      "@",
      "&",
      "{",
      "}",
      ":",
      ",",
      "'x'",
      "`1`",
      "`null`",
      "*",
      ...Object.keys(functionTable),
    ];
    for (let round = 0; round < 20_000; round += 1) {
      const length = 1 + Math.floor(random() * 12);
      const expression = Array.from(
        { length },
        () => pieces[Math.floor(random() * pieces.length)] ?? "",
      ).join("");
      const query = compileQuery(expression);
      for (const value of [data, null, [], "x", 0]) query.evaluate(value, runtime);
    }
  });

  test("every function survives every kind of argument", () => {
    const kinds: readonly Json[] = [
      null,
      true,
      0,
      -1.5,
      1e308,
      "",
      "x",
      [],
      ["a"],
      [1],
      {},
      { k: null },
    ];
    for (const name of Object.keys(functionTable)) {
      for (const first of kinds) {
        for (const second of kinds) {
          const root: Json = { first, second };
          compileQuery(`${name}(first)`).evaluate(root, runtime);
          compileQuery(`${name}(first, second)`).evaluate(root, runtime);
          compileQuery(`${name}(first, second, first)`).evaluate(root, runtime);
          compileQuery(`${name}(&first, second)`).evaluate(root, runtime);
        }
      }
    }
  });
});

function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
