// SPDX-License-Identifier: Apache-2.0
import type { Budget } from "./budget.ts";
import type { Environment } from "./environment.ts";
import type { CelType } from "./types.ts";
import type { CelResult, CelValue } from "./values.ts";

/** One thing wrong with an expression. Line and column count from 1, in code points, as cel-go prints them. */
export type CelIssue = { readonly line: number; readonly column: number; readonly message: string };

/**
 * Values of the variables by name. Own properties only; JSON goes in as it is. A variable that is declared but absent is
 * an error when read (`no such attribute(s): x`). Implicit arguments of library functions come from here too.
 */
export type Activation = Readonly<Record<string, CelValue | undefined>>;

/** What a sub-expression gave, for `--explain`: its range in the source in code points, and the value. */
export type Step = {
  readonly start: number;
  readonly end: number;
  readonly source: string;
  readonly value: CelResult;
};

export type Program = {
  readonly source: string;
  readonly type: CelType;
  /** Never throws; ends in bounded time, at the latest when the budget is used up. */
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
  /** Result types of which one must be met (`dyn` meets all); none given means any. */
  readonly expect?: readonly CelType[];
};

/** Parses, checks and plans an expression. Never throws for any source. */
export function compileExpression(
  source: string,
  environment: Environment,
  options: CompileOptions = {},
): CompiledExpression {
  return {
    ok: false,
    issues: [
      {
        line: 1,
        column: 1,
        message: `not yet: ${source.length} ${environment.variables.size} ${options.expect?.length ?? 0}`,
      },
    ],
  };
}
