// SPDX-License-Identifier: Apache-2.0
import type { NamedProgram, Variables } from "#policy/admission/expressions";
import type { Mutator } from "#policy/admission/mutations";
import type { Program } from "#policy/cel/compile";
import { typeNameOf } from "#policy/cel/compare";
import { toJson } from "#policy/cel/convert";
import { CelError } from "#policy/cel/values";
import type { CelResult } from "#policy/cel/values";
import type { Explanation } from "#policy/policy-set";

/** Most characters of a value that an explanation shows. */
const valueLengthMax = 500;

/** Where recorded programs write what they gave, in the order of evaluation. */
export type Log = Explanation[];

/** The same program, which also writes down what it and its sub-expressions gave. Slower; for people who ask why. */
export const record = (program: Program, part: string, log: Log): Program => ({
  ...program,
  evaluate: (activation, budget) => {
    const { value, steps } = program.explain(activation, budget);
    log.push({
      part,
      source: program.source,
      value: formatValue(value),
      failed: value instanceof CelError,
      steps: steps.map((step) => ({ source: step.source, value: formatValue(step.value) })),
    });
    return value;
  },
});

export const recordAll = (
  programs: readonly NamedProgram[],
  part: string,
  log: Log,
): readonly NamedProgram[] =>
  programs.map(({ name, program }, index) => ({
    name,
    program: record(program, `${part}[${index}]${name === "" ? "" : ` ${name}`}`, log),
  }));

export const recordVariables = (variables: Variables, log: Log): Variables =>
  variables.over((name, program) => record(program, `variables.${name}`, log));

export const recordMutators = (mutators: readonly Mutator[], log: Log): readonly Mutator[] =>
  mutators.map((mutator, index) => ({
    ...mutator,
    program: record(mutator.program, `mutations[${index}]`, log),
  }));

/** A validation or whatever else has a program and a message expression. */
export const recordValidations = <
  V extends { readonly program: Program; readonly messageExpression: Program | undefined },
>(
  validations: readonly V[],
  log: Log,
): readonly V[] =>
  validations.map((validation, index) => ({
    ...validation,
    program: record(validation.program, `validations[${index}]`, log),
    messageExpression:
      validation.messageExpression &&
      record(validation.messageExpression, `validations[${index}].messageExpression`, log),
  }));

/** JSON where a value has one, else its type; an error with its text. */
export function formatValue(value: CelResult): string {
  if (value instanceof CelError) return `error: ${value.message}`;
  const json = toJson(value);
  const text = json instanceof CelError ? `a ${typeNameOf(value)}` : JSON.stringify(json);
  return text.length <= valueLengthMax ? text : `${text.slice(0, valueLengthMax)}...`;
}

/** What the recorded programs of a policy wrote down while it was run. */
export function explained(run: (log: Log) => void): readonly Explanation[] {
  const log: Log = [];
  run(log);
  return log.length === 0 ? [notMatched] : log;
}

/** The explanation of a policy that does not speak about a review at all. */
export const notMatched: Explanation = {
  part: "matchConstraints",
  source: "",
  value: "the resource is not matched",
  failed: false,
  steps: [],
};
