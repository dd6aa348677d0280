// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { bindingsLibrary } from "./bindings.ts";
import { makeBudget } from "./budget.ts";
import { compileExpression } from "./compile.ts";
import { twoVariableComprehensionLibrary } from "./comprehensions-two.ts";
import { toJson } from "./convert.ts";
import { makeEnvironment } from "./environment.ts";
import { optionalLibrary } from "./optionals.ts";
import { dynType } from "./types.ts";
import { CelError } from "./values.ts";

const environment = makeEnvironment({
  variables: { object: dynType, name: dynType },
  libraries: [optionalLibrary, bindingsLibrary, twoVariableComprehensionLibrary],
  options: { homogeneousAggregates: true },
});

const object = {
  metadata: { name: "web", labels: { app: "web", tier: "front" } },
  spec: { replicas: 3, ratio: 0.5, containers: [{ image: "a" }, { image: "b", ports: [80] }] },
  nothing: null,
};

function evaluate(source: string): unknown {
  const compiled = compileExpression(source, environment);
  if (!compiled.ok) {
    return compiled.issues.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  const value = compiled.program.evaluate({ object, name: "x" }, makeBudget());
  if (value instanceof CelError) return `error: ${value.message}`;
  const json = toJson(value);
  return json instanceof CelError ? json.message : json;
}

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  ["object.spec.replicas + 1", 4, "whole JSON numbers are ints"],
  ["object.spec.ratio + 1.5", 2, "fractions are doubles"],
  ["object.spec.replicas == 3.0", true, "numbers are equal across types"],
  ["object.spec.missing", "error: no such key: missing", "cel-go's text"],
  ["object.metadata.name.x", "error: no such key: x", "text has no fields"],
  ["object.spec.containers.x", "error: unsupported index type 'string' in list", "as cel-go"],
  ["object.spec.containers[3]", "error: index out of bounds: 3", "cel-go's text"],
  ["has(object.spec.replicas) && !has(object.spec.x)", true, "has"],
  ["object.x.y == 1 || true", true, "errors are absorbed from both sides"],
  ["true || object.x.y == 1", true, "errors are absorbed from both sides"],
  ["object.x.y == 1 && true", "error: no such key: x", "an error that counts"],
  ["object.spec.containers.all(c, c.image.startsWith('a') || has(c.ports))", true, "all"],
  ["object.spec.containers.all(c, c.ports[0] == 80)", "error: no such key: ports", "all, error"],
  ["object.spec.containers.exists(c, c.ports[0] == 80)", true, "exists absorbs"],
  ["object.spec.containers.map(c, c.image)", ["a", "b"], "map"],
  ["object.spec.containers.filter(c, has(c.ports)).size()", 1, "filter"],
  ["object.metadata.labels.all(k, k.size() > 2)", true, "maps go over keys"],
  ["object.metadata.labels.transformList(k, v, k + v)", ["appweb", "tierfront"], "two variables"],
  ["{'a': 1}.transformMap(k, v, v + 1)", { a: 2 }, "two variables, map"],
  ["object.?metadata.?annotations.orValue({})", {}, "optional chain"],
  ["object.?metadata.labels[?'app'].orValue('none')", "web", "optional chain goes on"],
  ["object.?x.optMap(v, v + 1).orValue(0)", 0, "optMap of none"],
  ["object.nothing.all(x, x)", "error: got 'types.Null', expected iterable type", "cel-go's text"],
  ["cel.bind(a, 1 / 0, true)", true, "bind is lazy"],
  ["cel.bind(a, [1, 2], a + a)", [1, 2, 1, 2], "bind"],
  ["9223372036854775807 + 1", "error: integer overflow", "int64"],
  ["1 / 0", "error: division by zero", "cel-go's text"],
  ["'a' in ['a', 'b'] && !('c' in {'a': 1})", true, "in"],
  ["[1, 'a']", ["1:5: expected type 'int' but found 'string'"], "homogeneous literals"],
  ["objec.x", ["1:1: undeclared reference to 'objec' (in container '')"], "undeclared"],
  ["1 + 'a'", ["1:3: found no matching overload for '_+_' applied to '(int, string)'"], "types"],
  ["'a'.foo()", ["1:8: undeclared reference to 'foo' (in container '')"], "no such function"],
  ["duration('x')", ["1:10: invalid duration argument"], "literals are checked"],
  ["'a'.matches('(')", ["1:13: invalid matches argument"], "literals are checked"],
  ["dyn(1) + dyn('a')", "error: no such overload", "dynamic mismatch"],
  ["object.spec.replicas.startsWith('a')", "error: no such overload", "dyn"],
  ["string(1.0) + string(1e6) + string(0.1)", "11e+060.1", "%g"],
  ["string(duration('1h1m1s'))", "3661s", "durations in seconds"],
  ["timestamp('2024-02-29T12:00:00Z') + duration('24h')", "2024-03-01T12:00:00Z", "calendar"],
  ["type(1) == int && type(dyn('a')) == string", true, "types are values"],
];

for (const [source, want, reason] of rows) {
  test(`${source} (${reason})`, () => {
    expect(evaluate(source)).toEqual(want);
  });
}

test.each([
  ["int('a') == 1", "program instantiation failed: type conversion error from 'string' to 'int'"],
  [
    "object.x ? [int('a')] : []",
    "program instantiation failed: type conversion error from 'string' to 'int'",
  ],
  ["object.x[null] == 1", "program instantiation failed: invalid qualifier type: types.Null"],
  ["int('1') == 1", undefined],
  ["int(object.x) == 1", undefined],
])("constants are computed when compiling where the environment says so: %s", (source, want) => {
  const instantiating = {
    ...environment,
    options: { ...environment.options, instantiate: true },
  };
  const compiled = compileExpression(source, instantiating);
  expect(compiled.ok ? undefined : compiled.issues[0]?.message).toBe(want);
  expect(compileExpression(source, environment).ok).toBe(true);
});

test("explain records each sub-expression", () => {
  const compiled = compileExpression("object.spec.replicas > 2 && true", environment);
  if (!compiled.ok) throw new Error("does not compile");
  const { value, steps } = compiled.program.explain({ object }, makeBudget());
  expect(value).toBe(true);
  expect(steps.map((step) => [step.source, step.value])).toContainEqual([
    "object.spec.replicas",
    3,
  ]);
});
