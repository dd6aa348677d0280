// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { makeBudget } from "./budget.ts";
import { compileExpression, type Activation } from "./compile.ts";
import { makeEnvironment } from "./environment.ts";
import type { Library } from "./library.ts";
import { boolType, dynType, intType, objectOf, opaqueOf, stringType } from "./types.ts";
import { CelError, CelObject, LazyObject, type CelResult, type CelValue } from "./values.ts";

const version = opaqueOf("example.Version");

class Version extends CelObject {
  readonly type = version;
  readonly number: number;
  constructor(number: number) {
    super();
    this.number = number;
  }
  override equals(other: CelObject): boolean {
    return other instanceof Version && other.number === this.number;
  }
}

let calls = 0;

const library: Library = {
  name: "example",
  constants: [{ name: "example.LATEST", type: version, value: new Version(9) }],
  functions: [
    {
      name: "version",
      overloads: [
        {
          id: "version_int",
          member: false,
          arguments: [intType],
          result: version,
          call: (number: number) => new Version(number),
        },
      ],
    },
    {
      name: "newerThan",
      overloads: [
        {
          id: "newer_than",
          member: true,
          arguments: [version, version],
          result: boolType,
          call: (a: Version, b: Version) => a.number > b.number,
        },
      ],
    },
    {
      name: "clock.now",
      overloads: [
        {
          id: "clock_now",
          member: false,
          arguments: [],
          result: intType,
          implicit: "$clock",
          call: (now: CelValue) => now,
        },
      ],
    },
    {
      name: "orElse",
      overloads: [
        {
          id: "or_else",
          member: true,
          arguments: [dynType, dynType],
          result: dynType,
          nonStrict: true,
          call: (a: CelResult, b: CelResult) => (a instanceof CelError ? b : a),
        },
      ],
    },
    {
      name: "expensive",
      overloads: [
        {
          id: "expensive",
          member: false,
          arguments: [stringType],
          result: intType,
          cost: (text: string) => text.length * 1_000,
          call: (text: string) => {
            calls++;
            return text.length;
          },
        },
      ],
    },
  ],
};

const environment = makeEnvironment({
  variables: { object: dynType, variables: objectOf("example.Variables") },
  libraries: [library],
  resolveType: (name) =>
    name === "example.Variables" ? { name, field: () => dynType } : undefined,
});

function evaluate(source: string, activation: Activation = {}): CelResult {
  const compiled = compileExpression(source, environment);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.issues));
  return compiled.program.evaluate(activation, makeBudget());
}

test("opaque values have functions, equality and constants", () => {
  expect(evaluate("version(2).newerThan(version(1))")).toBe(true);
  expect(evaluate("version(2) == version(2) && version(2) != version(3)")).toBe(true);
  expect(evaluate("example.LATEST.newerThan(version(8))")).toBe(true);
  expect(evaluate("[version(1)].exists(v, v == version(1))")).toBe(true);
  expect(evaluate("version(object)", { object: "1" })).toEqual(
    new CelError("no such overload: version(string)"),
  );
});

test("an implicit argument comes from the activation, and its lack is no answer", () => {
  expect(evaluate("clock.now() + 1", { $clock: 41 })).toBe(42);
  const missing = evaluate("clock.now() + 1");
  expect(missing).toBeInstanceOf(CelError);
  expect(missing instanceof CelError && missing.code).toBe("unsupported");
});

test("a non-strict function sees errors", () => {
  expect(evaluate("object.x.y.orElse(7)", { object: {} })).toBe(7);
  expect(evaluate("object.x.orElse(7)", { object: { x: 1 } })).toBe(1);
});

test("a call that the budget cannot pay for is not made", () => {
  calls = 0;
  expect(evaluate("expensive(object)", { object: "abc" })).toBe(3);
  const tooMuch = evaluate("expensive(object)", { object: "x".repeat(2_000) });
  expect(tooMuch instanceof CelError && tooMuch.code).toBe("budget");
  expect(calls).toBe(1);
});

test("functions of constants are computed once, when compiling", () => {
  calls = 0;
  const compiled = compileExpression("expensive('abc') == object", environment);
  if (!compiled.ok) throw new Error("does not compile");
  expect(compiled.program.evaluate({ object: 3 }, makeBudget())).toBe(true);
  expect(compiled.program.evaluate({ object: 4 }, makeBudget())).toBe(false);
  expect(calls).toBe(1);
});

test("lazy fields are computed when first read, once, and errors are kept", () => {
  const asked: string[] = [];
  const variables = new LazyObject(objectOf("example.Variables"), (name) => {
    asked.push(name);
    return name === "bad" ? new CelError("boom") : name.length;
  });
  const source = "variables.one + variables.one == 6 || variables.bad";
  expect(evaluate(source, { variables })).toBe(true);
  expect(asked).toEqual(["one"]);
  expect(evaluate("variables.bad || true", { variables })).toBe(true);
  expect(evaluate("variables.bad", { variables })).toEqual(new CelError("boom"));
  expect(asked).toEqual(["one", "bad"]);
});

test("a lazy variable has a limit of its own, and the policy one for all", () => {
  const list = Array.from({ length: 200_000 }, (_, index) => index);
  const inner = compileExpression("object.all(x, x >= 0)", environment);
  const outer = compileExpression("variables.a && object.all(x, x >= 0)", environment);
  if (!inner.ok || !outer.ok) throw new Error("does not compile");
  const budget = makeBudget();
  const variables = new LazyObject(objectOf("example.Variables"), () =>
    inner.program.evaluate({ object: list }, budget),
  );
  expect(outer.program.evaluate({ object: list, variables }, budget)).toBe(true);
  expect(budget.used).toBeGreaterThan(1_000_000);
  let last: CelResult = true;
  for (let i = 0; i < 12 && last === true; i++) {
    last = inner.program.evaluate({ object: list }, budget);
  }
  expect(last instanceof CelError && last.code).toBe("budget");
});

test("a mistake of a library is an error of the expression, not of the process", () => {
  const broken: Library = {
    name: "broken",
    functions: [
      {
        name: "broken",
        overloads: [
          {
            id: "broken",
            member: false,
            arguments: [dynType],
            result: dynType,
            call: () => {
              throw new TypeError("boom");
            },
          },
        ],
      },
    ],
  };
  const inside = makeEnvironment({ variables: { object: dynType }, libraries: [broken] });
  const compiled = compileExpression("broken(object)", inside);
  if (!compiled.ok) throw new Error("does not compile");
  const value = compiled.program.evaluate({ object: 1 }, makeBudget());
  expect(value).toEqual(new CelError("internal error: boom"));
  const early = compileExpression("broken(1)", inside);
  expect(early.ok ? "" : early.issues[0]?.message).toBe("internal error: boom");
});

test("an overload declared twice is a mistake of the library", () => {
  expect(() => makeEnvironment({ variables: {}, libraries: [library, library] })).toThrow(
    "declared twice",
  );
});
