// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./ast.ts";
import { budgetExceeded, makeBudget, type Budget } from "./budget.ts";
import { check, type Checked } from "./checker.ts";
import type { Environment } from "./environment.ts";
import { instantiationProblem } from "./instantiation.ts";
import type { SyntaxProblem } from "./lexer.ts";
import { parse } from "./parser.ts";
import type { Activation, Frame } from "./plan-state.ts";
import { plan, type Plan } from "./planner.ts";
import { dynType, formatType, sameType, typeName, type CelType } from "./types.ts";
import { CelError, type CelResult } from "./values.ts";

export type { Activation } from "./plan-state.ts";

/** One thing wrong with an expression. Line and column count from 1, in code points, as cel-go prints them. */
export type CelIssue = { readonly line: number; readonly column: number; readonly message: string };

/** What a sub-expression gave, for `--explain`: its range in the source in UTF-16 units, its text, and the value. */
export type Step = {
  readonly start: number;
  readonly end: number;
  readonly source: string;
  readonly value: CelResult;
};

export type Program = {
  readonly source: string;
  readonly type: CelType;
  /** Never throws on any input; ends in bounded time, at the latest when the budget is used up. */
  readonly evaluate: (activation: Activation, budget: Budget) => CelResult;
  /** The same, slower, with the value of every sub-expression that was evaluated, in the order of evaluation. */
  readonly explain: (
    activation: Activation,
    budget: Budget,
  ) => { readonly value: CelResult; readonly steps: readonly Step[] };
};

export type CompiledExpression =
  | { readonly ok: true; readonly program: Program }
  | { readonly ok: false; readonly issues: readonly CelIssue[] };

export type CompileOptions = {
  /**
   * Result types of which the expression must have exactly one: `dyn` does not do for `bool`, as in Kubernetes. None
   * given, or `dyn` among them, means any.
   */
  readonly expect?: readonly CelType[];
};

/** Parses, checks and plans an expression. Never throws for any source. */
export function compileExpression(
  source: string,
  environment: Environment,
  options: CompileOptions = {},
): CompiledExpression {
  try {
    return compileParts(source, environment, options);
  } catch (error) {
    return { ok: false, issues: [{ line: 1, column: 1, message: caught(error).message }] };
  }
}

function compileParts(
  source: string,
  environment: Environment,
  options: CompileOptions,
): CompiledExpression {
  const parsed = parse(source, environment);
  if (!parsed.ok) return { ok: false, issues: toIssues(source, [parsed.problem]) };
  const checked = check(parsed.expression, environment);
  if (checked.problems.length > 0) {
    return { ok: false, issues: toIssues(source, checked.problems) };
  }
  const type = checked.types[parsed.expression.id] ?? dynType;
  const unexpected = mismatch(type, options.expect);
  if (unexpected !== undefined) {
    return { ok: false, issues: [{ line: 1, column: 1, message: unexpected }] };
  }
  const unmade = instantiated(parsed.expression, checked, environment);
  if (unmade !== undefined) return { ok: false, issues: [{ line: 1, column: 1, message: unmade }] };
  return { ok: true, program: makeProgram(source, parsed.expression, checked, environment, type) };
}

/** Steps of all constants of one expression: conversions of short texts. */
const constantStepsMax = 20_000;

/** In Kubernetes' words: apiserver/pkg/admission/plugin/cel/compile.go. */
function instantiated(
  expression: Expression,
  checked: Checked,
  environment: Environment,
): string | undefined {
  if (!environment.options.instantiate) return undefined;
  const budget = makeBudget(constantStepsMax, constantStepsMax);
  const problem = instantiationProblem(expression, (node) =>
    run(plan(node, checked, environment, false), {}, budget, undefined),
  );
  return problem === undefined ? undefined : `program instantiation failed: ${problem}`;
}

/** Kubernetes' check and words for a result of the wrong type: apiserver/pkg/admission/plugin/cel/compile.go. */
function mismatch(type: CelType, expect: readonly CelType[] | undefined): string | undefined {
  if (expect === undefined || expect.length === 0) return undefined;
  if (expect.some((wanted) => wanted.kind === "dyn" || sameType(wanted, type))) return undefined;
  const names = expect.map(longName);
  const wanted = names.length === 1 ? names[0] : `one of [${names.join(" ")}]`;
  return `must evaluate to ${wanted} but got ${longName(type)}`;
}

/** Go's String() of a type, which has the long names of simple types. */
const longName = (type: CelType): string =>
  type.kind === "null" || type.kind === "timestamp" || type.kind === "duration"
    ? typeName(type)
    : formatType(type);

function makeProgram(
  source: string,
  expression: Expression,
  checked: Checked,
  environment: Environment,
  type: CelType,
): Program {
  const fast = plan(expression, checked, environment, false);
  let traced: Plan | undefined;
  return {
    source,
    type,
    evaluate: (activation, budget) => run(fast, activation, budget, undefined),
    explain: (activation, budget) => {
      traced ??= plan(expression, checked, environment, true);
      const steps: Step[] = [];
      const value = run(traced, activation, budget, (node, found) => {
        const { start, end } = node.span;
        steps.push({ start, end, source: source.slice(start, end), value: found });
      });
      return { value, steps };
    },
  };
}

function run(
  { evaluate, blank, variables, steps }: Plan,
  activation: Activation,
  budget: Budget,
  record: Frame["record"],
): CelResult {
  const frame: Frame = { slots: blank.slice(), budget, activation, record };
  for (const [name, slot] of variables) {
    const value = Object.hasOwn(activation, name) ? activation[name] : undefined;
    frame.slots[slot] = value === undefined ? absent(name) : value;
  }
  const { used, stop } = budget;
  budget.stop = Math.min(budget.total, used + budget.perExpression);
  budget.used += steps;
  try {
    const value = evaluate(frame);
    return budget.used > budget.stop ? budgetExceeded : value;
  } catch (error) {
    return budget.used > budget.stop ? budgetExceeded : caught(error);
  } finally {
    // An expression around this one, which read it as a lazy variable, has its own limit for its own steps.
    budget.stop = Math.min(budget.total, stop + budget.used - used);
  }
}

/**
 * What was thrown, as an error of the expression. The stack's depth and the longest string are limits of the machine; all
 * else is a mistake of ours, which must not take other policies with it: cel-go turns a panic into `internal error` too.
 */
function caught(error: unknown): CelError {
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof RangeError
    ? new CelError(`expression is too large: ${message}`)
    : new CelError(`internal error: ${message}`);
}

const absent = (name: string): CelError => new CelError(`no such attribute(s): ${name}`);

function toIssues(source: string, problems: readonly SyntaxProblem[]): readonly CelIssue[] {
  return problems
    .toSorted((a, b) => a.position - b.position)
    .map(({ position, message }) => ({ ...locate(source, position), message }));
}

function locate(source: string, position: number): { line: number; column: number } {
  const before = source.slice(0, position);
  const start = before.lastIndexOf("\n") + 1;
  const line = before.split("\n").length;
  return { line, column: Array.from(before.slice(start)).length + 1 };
}
