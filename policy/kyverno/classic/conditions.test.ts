// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { compileConditions, compileExceptionConditions } from "#policy/kyverno/classic/conditions";
import { findOperator } from "#policy/kyverno/classic/condition-operators";
import { makeScope, type Scope } from "#policy/kyverno/classic/scope";
import type { Review } from "#policy/review";
import { emptyWorld } from "#policy/world";
import { workedMs } from "#test/support/cpu-time";

const review: Review = {
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subResource: "",
  name: "web",
  namespace: "shop",
  object: { kind: "Pod", metadata: { name: "web" }, spec: { list: ["a", "b"], n: 5 } },
  oldObject: null,
  userInfo: null,
  dryRun: false,
  options: null,
};

const scope: Scope = makeScope(review, emptyWorld(0), { policy: "p", rule: "r" });

function holds(key: Json, operator: string, value: Json): boolean {
  const outcome = compileConditions([{ key, operator, value }]).evaluate(scope);
  return outcome.kind === "decided" && outcome.holds;
}

type Row = { reason: string; key: Json; operator: string; value: Json; want: boolean };

describe("operators", () => {
  test.each<Row>([
    { reason: "equal texts", key: "a", operator: "Equals", value: "a", want: true },
    { reason: "the value is the pattern", key: "abc", operator: "Equals", value: "a*", want: true },
    { reason: "the key is not", key: "a*", operator: "Equals", value: "abc", want: false },
    {
      reason: "durations by their length",
      key: "1h",
      operator: "Equals",
      value: "60m",
      want: true,
    },
    {
      reason: "a number against a duration is seconds",
      key: "1m",
      operator: "Equals",
      value: 60,
      want: true,
    },
    {
      reason: "quantities by their amount",
      key: "1024Mi",
      operator: "Equals",
      value: "1Gi",
      want: true,
    },
    {
      reason: "a quantity against a text that is none",
      key: "5",
      operator: "Equals",
      value: "a*",
      want: false,
    },
    {
      reason: "so NotEquals holds",
      key: "5",
      operator: "NotEquals",
      value: "a*",
      want: true,
    },
    // What the reference's own operators (v1.19) gave for random keys and values.
    { reason: "nor is it a wildcard", key: "5", operator: "NotEquals", value: "?", want: true },
    { reason: "a list takes one value", key: [1, 2], operator: "AnyIn", value: 2, want: true },
    { reason: "a text does not", key: "2", operator: "AnyIn", value: 2, want: false },
    { reason: "some are not it", key: [1, 2], operator: "AnyNotIn", value: 2, want: true },
    { reason: "all takes none", key: [1, 2], operator: "AllNotIn", value: 5, want: false },
    {
      reason: "a text that is no amount is in no range",
      key: [true],
      operator: "AllNotIn",
      value: "1-10",
      want: true,
    },
    {
      reason: "and not outside of one either",
      key: [true],
      operator: "AnyNotIn",
      value: "1-10",
      want: false,
    },
    { reason: "a boolean is a text to In", key: true, operator: "In", value: "*", want: true },
    { reason: "and to NotIn", key: true, operator: "NotIn", value: ["1"], want: true },
    {
      reason: "a text that only starts like a list is none",
      key: "1",
      operator: "NotIn",
      value: "[1,2]x",
      want: false,
    },
    {
      reason: "a text against a quantity is compared as text",
      key: "abc",
      operator: "NotEquals",
      value: "5",
      want: true,
    },
    { reason: "a number against its text", key: 5, operator: "Equals", value: "5.0", want: true },
    {
      reason: "a text against its number is not equal",
      key: "5",
      operator: "Equals",
      value: 5,
      want: false,
    },
    { reason: "booleans", key: true, operator: "Equals", value: true, want: true },
    {
      reason: "a boolean against its text",
      key: true,
      operator: "Equals",
      value: "true",
      want: false,
    },
    {
      reason: "lists by their items in order",
      key: ["a", "b"],
      operator: "Equals",
      value: ["a", "b"],
      want: true,
    },
    {
      reason: "another order is another list",
      key: ["b", "a"],
      operator: "Equals",
      value: ["a", "b"],
      want: false,
    },
    {
      reason: "maps whatever the order",
      key: { a: 1, b: 2 },
      operator: "Equals",
      value: { b: 2, a: 1 },
      want: true,
    },
    {
      reason: "a null key equals nothing",
      key: null,
      operator: "Equals",
      value: null,
      want: false,
    },
    {
      reason: "and differs from nothing",
      key: null,
      operator: "NotEquals",
      value: "x",
      want: false,
    },
    { reason: "the short names", key: "a", operator: "Equal", value: "a", want: true },
    { reason: "any case", key: "a", operator: "nOtEqUaL", value: "b", want: true },

    { reason: "one of a list", key: "a", operator: "AnyIn", value: ["a", "b"], want: true },
    {
      reason: "wildcards in the value",
      key: "abc",
      operator: "AnyIn",
      value: ["x", "a*"],
      want: true,
    },
    { reason: "wildcards in the key", key: "a*", operator: "AnyIn", value: ["abc"], want: true },
    {
      reason: "lists: one is enough",
      key: ["x", "b"],
      operator: "AnyIn",
      value: ["a", "b"],
      want: true,
    },
    { reason: "an empty list has none in", key: [], operator: "AnyIn", value: ["a"], want: false },
    { reason: "an empty list has all in", key: [], operator: "AllIn", value: ["a"], want: true },
    {
      reason: "an empty list has all out",
      key: [],
      operator: "AllNotIn",
      value: ["a"],
      want: true,
    },
    {
      reason: "an empty list has none out",
      key: [],
      operator: "AnyNotIn",
      value: ["a"],
      want: false,
    },
    { reason: "all", key: ["a", "b"], operator: "AllIn", value: ["a", "b", "c"], want: true },
    { reason: "not all", key: ["a", "x"], operator: "AllIn", value: ["a", "b"], want: false },
    {
      reason: "some key is out",
      key: ["a", "x"],
      operator: "AnyNotIn",
      value: ["a", "b"],
      want: true,
    },
    {
      reason: "no key is out",
      key: ["a", "b"],
      operator: "AnyNotIn",
      value: ["a", "b"],
      want: false,
    },
    {
      reason: "every key is out",
      key: ["x", "y"],
      operator: "AllNotIn",
      value: ["a", "b"],
      want: true,
    },
    {
      reason: "not every key is out",
      key: ["a", "y"],
      operator: "AllNotIn",
      value: ["a", "b"],
      want: false,
    },
    {
      reason: "numbers as Go prints them",
      key: [1, 2.5],
      operator: "AllIn",
      value: ["1", "2.5"],
      want: true,
    },
    {
      reason: "large ones with an exponent",
      key: 1_000_000,
      operator: "AnyIn",
      value: ["1e+06"],
      want: true,
    },
    { reason: "booleans as texts", key: true, operator: "AnyIn", value: ["true"], want: true },
    { reason: "a JSON list as text", key: "a", operator: "AnyIn", value: '["a", "b"]', want: true },
    {
      reason: "a JSON list against a list",
      key: ["a", "x"],
      operator: "AnyIn",
      value: '["a"]',
      want: true,
    },
    {
      reason: "one text as the only value",
      key: ["a", "b"],
      operator: "AnyIn",
      value: "b",
      want: true,
    },
    { reason: "a text with a wildcard", key: "abc", operator: "AnyIn", value: "a*", want: true },
    {
      reason: "other JSON is nothing to compare with",
      key: "x",
      operator: "AnyNotIn",
      value: "5",
      want: false,
    },
    { reason: "a range", key: 5, operator: "AnyIn", value: "1-10", want: true },
    {
      reason: "a range of quantities",
      key: ["512Mi", "3Gi"],
      operator: "AnyIn",
      value: "1Mi-1Gi",
      want: true,
    },
    {
      reason: "all of them in a range",
      key: [1, 11],
      operator: "AllIn",
      value: "1-10",
      want: false,
    },
    {
      reason: "one of them out of a range",
      key: [1, 11],
      operator: "AnyNotIn",
      value: "1-10",
      want: true,
    },
    {
      reason: "all of them out of a range",
      key: [0, 11],
      operator: "AllNotIn",
      value: "1-10",
      want: true,
    },
    {
      reason: "no amount is not out of a range in a list",
      key: ["x"],
      operator: "AnyNotIn",
      value: "1-10",
      want: false,
    },
    { reason: "alone it is", key: "x", operator: "AnyNotIn", value: "1-10", want: true },
    {
      reason: "a null key is in nothing",
      key: null,
      operator: "AnyIn",
      value: ["<nil>"],
      want: false,
    },
    { reason: "nor out of anything", key: null, operator: "AllNotIn", value: ["a"], want: false },
    {
      reason: "null items are texts",
      key: [null],
      operator: "AnyIn",
      value: ["<nil>"],
      want: true,
    },
    { reason: "a map is in nothing", key: { a: 1 }, operator: "AnyIn", value: ["a"], want: false },
    { reason: "no list", key: "a", operator: "AnyIn", value: { a: 1 }, want: false },

    {
      reason: "In needs every key",
      key: ["a", "x"],
      operator: "In",
      value: ["a", "b"],
      want: false,
    },
    {
      reason: "In without wildcards in lists",
      key: ["abc"],
      operator: "In",
      value: ["a*"],
      want: false,
    },
    { reason: "In with them for one text", key: "abc", operator: "In", value: ["a*"], want: true },
    {
      reason: "NotIn holds when one is missing",
      key: ["a", "x"],
      operator: "NotIn",
      value: ["a", "b"],
      want: true,
    },
    {
      reason: "NotIn against a plain text never holds",
      key: "x",
      operator: "NotIn",
      value: "a",
      want: false,
    },
    {
      reason: "In refuses lists that hold more than texts",
      key: ["1"],
      operator: "In",
      value: ["1", 2],
      want: false,
    },

    { reason: "numbers", key: 5, operator: "GreaterThan", value: 4, want: true },
    { reason: "equal is not greater", key: 5, operator: "GreaterThan", value: 5, want: false },
    {
      reason: "but greater or equal",
      key: 5,
      operator: "GreaterThanOrEquals",
      value: 5,
      want: true,
    },
    { reason: "a number in a text", key: "10", operator: "LessThan", value: 9, want: false },
    { reason: "quantities", key: "1Gi", operator: "GreaterThan", value: "1000Mi", want: true },
    { reason: "durations", key: "90m", operator: "GreaterThan", value: "1h", want: true },
    {
      reason: "a duration against seconds",
      key: "90s",
      operator: "LessThanOrEquals",
      value: 90,
      want: true,
    },
    {
      reason: "seconds against a duration",
      key: 30,
      operator: "LessThan",
      value: "1m",
      want: true,
    },
    { reason: "versions", key: "1.10.0", operator: "GreaterThan", value: "1.9.3", want: true },
    { reason: "texts have no order", key: "b", operator: "GreaterThan", value: "a", want: false },
    { reason: "null has none", key: null, operator: "LessThan", value: 1, want: false },
    { reason: "lists have none", key: [2], operator: "GreaterThan", value: 1, want: false },
    {
      reason: "an order in another case is known and never holds",
      key: 5,
      operator: "greaterthan",
      value: 4,
      want: false,
    },
    {
      reason: "the old duration operators",
      key: "2h",
      operator: "DurationGreaterThan",
      value: "1h",
      want: true,
    },
    {
      reason: "their numbers are seconds",
      key: 3600,
      operator: "DurationGreaterThanOrEquals",
      value: "1h",
      want: true,
    },
    {
      reason: "and no quantities",
      key: "1Gi",
      operator: "DurationGreaterThan",
      value: "1Mi",
      want: false,
    },
  ])("$operator: $reason", ({ key, operator, value, want }) => {
    expect(holds(key, operator, value)).toBe(want);
  });

  test("no value of any kind makes one throw", () => {
    const kinds: readonly Json[] = [
      null,
      true,
      0,
      -1.5,
      1e300,
      "",
      "x",
      "1Gi",
      "1h",
      "1-10",
      "[",
      "*",
      [],
      ["a"],
      [1, null],
      [[1]],
      {},
      { a: 1 },
    ];
    const names = [
      "Equal",
      "NotEqual",
      "In",
      "NotIn",
      "AnyIn",
      "AllIn",
      "AnyNotIn",
      "AllNotIn",
      "GreaterThan",
      "GreaterThanOrEquals",
      "LessThan",
      "LessThanOrEquals",
      "DurationGreaterThan",
      "DurationLessThanOrEquals",
    ];
    for (const name of names) {
      for (const key of kinds) for (const value of kinds) findOperator(name)?.(value)(key);
    }
  });

  test("lists too large to compare by wildcards are an error, not a guess", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `*${index}?`);
    const started = workedMs();
    const outcome = compileConditions([{ key: many, operator: "AllNotIn", value: many }]);
    expect(outcome.evaluate(scope).kind).toBe("error");
    expect(workedMs() - started).toBeLessThan(5_000);
  });

  test("values nested without end are an error", () => {
    const deepScope = scope.withVariables({ a: nested(50_000), b: nested(50_000) });
    for (const operator of ["Equals", "NotEquals", "AnyIn", "AllNotIn", "In", "GreaterThan"]) {
      const condition = { key: ["{{ a }}"], operator, value: ["{{ b }}"] };
      const outcome = compileConditions([condition]).evaluate(deepScope);
      expect(["error", "decided"]).toContain(outcome.kind);
    }
    const equal = compileConditions([{ key: "{{ a }}", operator: "Equals", value: "{{ b }}" }]);
    const outcome = equal.evaluate(deepScope);
    expect(outcome.kind === "error" && outcome.failure.message).toBe(
      "a value is nested too deeply",
    );
  });

  test("large lists without wildcards are no trouble", () => {
    const many = Array.from({ length: 50_000 }, (_, index) => `x${index}`);
    expect(holds(many, "AllIn", many)).toBe(true);
  });
});

function nested(depth: number): Json {
  let value: Json = "x";
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

const yes = (message = ""): JsonObject => ({ key: 1, operator: "Equals", value: 1, message });
const no = (message = ""): JsonObject => ({ key: 1, operator: "Equals", value: 2, message });

describe("blocks", () => {
  test.each<{ reason: string; document: Json | undefined; want: boolean; message: string }>([
    { reason: "nothing always holds", document: undefined, want: true, message: "" },
    { reason: "null always holds", document: null, want: true, message: "" },
    { reason: "an empty block always holds", document: {}, want: true, message: "" },
    {
      reason: "any: present and empty never holds",
      document: { any: [] },
      want: false,
      message: "",
    },
    { reason: "all: present and empty holds", document: { all: [] }, want: true, message: "" },
    { reason: "one of any", document: { any: [no("n"), yes("y")] }, want: true, message: "y" },
    {
      reason: "none of any: all their messages",
      document: { any: [no("a"), no("b")] },
      want: false,
      message: "a; b",
    },
    {
      reason: "all: the first that fails",
      document: { all: [yes("y"), no("n"), no("m")] },
      want: false,
      message: "n",
    },
    {
      reason: "all hold: all their messages",
      document: { all: [yes("x"), yes(), yes("y")] },
      want: true,
      message: "x; y",
    },
    {
      reason: "any and all together",
      document: { any: [yes("a")], all: [no("b")] },
      want: false,
      message: "b",
    },
    {
      reason: "a flat list is all of them",
      document: [yes("x"), yes("y")],
      want: true,
      message: "x;y",
    },
    {
      reason: "a flat list with a failure",
      document: [yes("x"), no("y")],
      want: false,
      message: "y",
    },
    {
      reason: "a list of blocks",
      document: [{ all: [yes("x")] }, { any: [yes("y")] }],
      want: true,
      message: "x;y",
    },
    {
      reason: "a list of blocks with a failure",
      document: [{ all: [yes()] }, { any: [no("y")] }],
      want: false,
      message: "y",
    },
  ])("$reason", ({ document, want, message }) => {
    const conditions = compileConditions(document);
    expect(conditions.problems).toEqual([]);
    expect(conditions.evaluate(scope)).toEqual({ kind: "decided", holds: want, message });
  });

  test.each<{ reason: string; document: Json; want: string }>([
    {
      reason: "a key that cannot be resolved",
      document: { all: [{ key: "{{ none }}", operator: "Equals", value: "{{ none }}" }] },
      want: 'failed to substitute variables in condition key: failed to resolve none at path : JMESPath query failed: Unknown key "none" in path',
    },
    {
      reason: "a value that cannot",
      document: [{ key: "a", operator: "In", value: "{{ none }}" }],
      want: 'failed to substitute variables in condition value: failed to resolve none at path : JMESPath query failed: Unknown key "none" in path',
    },
    {
      reason: "an unknown operator",
      document: { any: [{ key: "a", operator: "Is", value: "a" }] },
      want: "failed to create handler for condition operator",
    },
    { reason: "no conditions at all", document: "x", want: "invalid condition" },
  ])("is an error: $reason", ({ document, want }) => {
    const outcome = compileConditions(document).evaluate(scope);
    expect(outcome.kind === "error" && outcome.failure.message).toBe(want);
  });

  test("what decides first is all that is evaluated", () => {
    const broken = { key: "{{ none }}", operator: "Equals", value: 1 };
    expect(compileConditions({ any: [yes(), broken] }).evaluate(scope).kind).toBe("decided");
    expect(compileConditions({ all: [no(), broken] }).evaluate(scope).kind).toBe("decided");
    expect(compileConditions({ any: [broken, yes()] }).evaluate(scope).kind).toBe("error");
  });

  test("unknown operators and shapes are named with their place", () => {
    const { problems } = compileConditions({ all: [yes(), { key: 1, operator: "Is", value: 1 }] });
    expect(problems).toEqual([{ path: "all[1].operator", message: "unknown operator Is" }]);
    expect(compileConditions("x").problems).toHaveLength(1);
  });

  test.each<{ reason: string; document: Json; want: boolean | "error" }>([
    { reason: "nothing holds", document: {}, want: true },
    { reason: "an empty any asks for nothing", document: { any: [] }, want: true },
    { reason: "any and all", document: { any: [no(), yes()], all: [yes()] }, want: true },
    { reason: "no any", document: { any: [no()], all: [yes()] }, want: false },
    {
      reason: "all is asked first",
      document: { any: [{ key: "{{ none }}", operator: "Equals", value: 1 }], all: [no()] },
      want: false,
    },
    {
      reason: "a variable that is not there",
      document: { all: [{ key: "{{ none }}", operator: "Equals", value: 1 }] },
      want: "error",
    },
  ])("of an exception: $reason", ({ document, want }) => {
    const outcome = compileExceptionConditions(document).evaluate(scope);
    expect(outcome.kind === "error" ? "error" : outcome.holds).toBe(want);
  });

  test("variables keep their types", () => {
    const all = [
      { key: "{{ request.object.spec.list }}", operator: "AllIn", value: ["a", "b", "c"] },
      { key: "{{ request.object.spec.n }}", operator: "Equals", value: 5 },
      {
        key: "{{ request.object.spec.n }}",
        operator: "AnyIn",
        value: "{{ request.object.spec.n }}-10",
      },
    ];
    const outcome = compileConditions({ all }).evaluate(scope);
    expect(outcome).toEqual({ kind: "decided", holds: true, message: "" });
  });
});
