// SPDX-License-Identifier: Apache-2.0
import { compileExpression } from "#policy/cel/compile";
import { makeBudget } from "#policy/cel/budget";
import { toJson } from "#policy/cel/convert";
import { makeEnvironment } from "#policy/cel/environment";
import type { Library } from "#policy/cel/library";
import { dynType } from "#policy/cel/types";
import { CelError, type CelValue } from "#policy/cel/values";

/** For tests: an expression's value as JSON, or a text that starts with `error:` or `compile:` and gives the message. */
export type Evaluate = (source: string, d?: CelValue) => unknown;

/** For tests: evaluates expressions over the variable `d` in an environment of some libraries. */
export function makeEvaluate(
  libraries: readonly Library[],
  activation: Readonly<Record<string, CelValue>> = {},
): Evaluate {
  const environment = makeEnvironment({
    variables: { d: dynType },
    libraries,
    options: { homogeneousAggregates: true },
  });
  return (source, d = null) => {
    const compiled = compileExpression(source, environment);
    if (!compiled.ok) {
      return `compile: ${compiled.issues.map((issue) => issue.message).join("; ")}`;
    }
    const value = compiled.program.evaluate({ ...activation, d }, makeBudget());
    const json = value instanceof CelError ? value : toJson(value);
    return json instanceof CelError ? `error: ${json.message}` : json;
  };
}

/** For tests: a long message becomes the part of it that is wanted, everything else stays as it is. */
export const inShort = (value: unknown, want: unknown): unknown =>
  typeof value === "string" && typeof want === "string" && want !== "" && value.includes(want)
    ? want
    : value;
