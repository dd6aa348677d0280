// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { bindingsLibrary } from "#policy/cel/bindings";
import { makeBudget } from "#policy/cel/budget";
import { compileExpression } from "#policy/cel/compile";
import { twoVariableComprehensionLibrary } from "#policy/cel/comprehensions-two";
import { makeEnvironment } from "#policy/cel/environment";
import { optionalLibrary } from "#policy/cel/optionals";
import { parse } from "#policy/cel/parser";
import { dynType } from "#policy/cel/types";
import { CelError, type CelResult } from "#policy/cel/values";
import type { Json } from "#policy/json";
import { makeExpression, makeJson, makeRandom } from "./cel-spec-generate.ts";
import { slow, SlowError, slowEqual, toSlow, type Slow } from "./cel-spec-slow.ts";

const environment = makeEnvironment({
  variables: { o: dynType, l: dynType, s: dynType, i: dynType },
  libraries: [optionalLibrary, bindingsLibrary, twoVariableComprehensionLibrary],
});

const expressions = 20_000;
const longestMs = 20_000;

type Inputs = Readonly<Record<string, Json>>;

function slowly(source: string, inputs: Inputs): Slow | undefined {
  const parsed = parse(source, environment);
  if (!parsed.ok) throw new Error("the engine parsed it");
  const scope = new Map(
    Object.entries(inputs).map(([name, value]) => [name, () => toSlow(value)] as const),
  );
  try {
    return slow(parsed.expression, scope);
  } catch (error) {
    if (error instanceof SlowError) return undefined;
    throw error;
  }
}

const agree = (got: CelResult, want: Slow | undefined): boolean => {
  if (got instanceof CelError || want === undefined) {
    return got instanceof CelError && want === undefined;
  }
  return slowEqual(toSlow(got), want, true);
};

test("random expressions give what the slow evaluator gives", { timeout: longestMs * 3 }, () => {
  const random = makeRandom(Number(process.env["PARAPET_FUZZ_SEED"] ?? 1));
  const stop = performance.now() + longestMs;
  const disagreements: string[] = [];
  let compared = 0;
  let good = 0;
  for (let n = 0; n < expressions && performance.now() < stop; n++) {
    const source = makeExpression(random, 2 + Math.floor(random() * 4));
    const inputs: Inputs = {
      o: makeJson(random, 4),
      l: [makeJson(random, 2), makeJson(random, 2), makeJson(random, 1)],
      s: makeJson(random, 0),
      i: Math.floor(random() * 5) - 1,
    };
    const compiled = compileExpression(source, environment);
    if (!compiled.ok) continue;
    const got = compiled.program.evaluate(inputs, makeBudget());
    if (got instanceof CelError && got.code === "budget") continue;
    const want = slowly(source, inputs);
    compared++;
    if (want !== undefined) good++;
    const traced = compiled.program.explain(inputs, makeBudget()).value;
    if (!agree(got, want) || !agree(traced, want)) {
      const show = (value: unknown): string =>
        JSON.stringify(value, (_key, item: unknown) =>
          typeof item === "bigint" ? `${item}n` : item,
        );
      disagreements.push(
        `${source}\n  with ${show(inputs)}\n  got ${show(got)}, want ${show(want)}`,
      );
    }
  }
  expect(disagreements.slice(0, 5)).toEqual([]);
  expect(compared).toBeGreaterThan(2_000);
  expect(good).toBeGreaterThan(compared / 10);
});
