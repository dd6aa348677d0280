// SPDX-License-Identifier: Apache-2.0
import {
  getCheckingSuite,
  getConformanceSuite,
  getParsingSuite,
  type IncrementalTest,
  type IncrementalTestSuite,
} from "@bufbuild/cel-spec/testdata/tests.js";
import { expect, test } from "vitest";
import { compileExpression } from "#policy/cel/compile";
import { makeEnvironment } from "#policy/cel/environment";
import { parse } from "#policy/cel/parser";
import { debugText } from "./cel-spec-ast.ts";

const plain = makeEnvironment({
  variables: {},
  options: { optionalSyntax: false, crossTypeNumericComparisons: false },
});

const testsOf = (suite: IncrementalTestSuite): readonly IncrementalTest[] => [
  ...suite.tests,
  ...suite.suites.flatMap(testsOf),
];

test.for([
  ["parsing", getParsingSuite()],
  ["conformance", getConformanceSuite()],
  ["checking", getCheckingSuite()],
] as const)("the %s suite's expressions have cel-go's syntax trees", ([, suite]) => {
  let compared = 0;
  const wrong = testsOf(suite).flatMap(({ original, ast }) => {
    if (ast === undefined || original.disableMacros) return [];
    compared++;
    const parsed = parse(original.expr, plain);
    if (!parsed.ok) return [`${original.expr}: ${parsed.problem.message}`];
    const text = debugText(parsed.expression);
    return text === ast ? [] : [`${original.expr}:\n${text}\nwant\n${ast}`];
  });
  expect(wrong.slice(0, 3)).toEqual([]);
  expect(compared).toBeGreaterThan(50);
});

/** Errors of cel-go that come from its suite's environment, which is not in the data, or from recovery after a first one. */
const otherEnvironment =
  /unsupported syntax|recursion|recovery|no viable alternative|token recognition|TestAllTypes|google\.expr|wrapper\(|existsOne/;

test("the suites' faulty expressions have cel-go's first error, in its place and words", () => {
  let compared = 0;
  const wrong = [getParsingSuite(), getCheckingSuite()].flatMap(testsOf).flatMap((item) => {
    const { error, original } = item;
    if (error === undefined || otherEnvironment.test(error + original.expr)) return [];
    const want = /^ERROR: .*?:(\d+:\d+: .*)$/m.exec(error)?.[1];
    const compiled = compileExpression(original.expr, plain);
    const [first] = compiled.ok ? [] : compiled.issues;
    // What the suite declares as variables we do not know.
    if (first?.message.includes("undeclared reference to 'x'")) return [];
    compared++;
    const got = first === undefined ? "" : `${first.line}:${first.column}: ${first.message}`;
    return got === want ? [] : [`${original.expr}: got ${got}, want ${want}`];
  });
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(30);
});
