// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./ast.ts";
import type { Budget } from "./budget.ts";
import type { Reference } from "./check-state.ts";
import type { Checked } from "./checker.ts";
import type { Environment } from "./environment.ts";
import { dynType, type CelType } from "./types.ts";
import { CelError, type CelResult, type CelValue } from "./values.ts";

/**
 * Values of the variables by name. Own properties only; JSON goes in as it is. A variable that is declared but absent is
 * an error when read (`no such attribute(s): x`). Implicit arguments of library functions come from here too.
 */
export type Activation = Readonly<Record<string, CelValue | undefined>>;

/** What one evaluation works on. Slots hold the variables, those of comprehensions too. */
export type Frame = {
  readonly slots: (CelResult | undefined)[];
  readonly budget: Budget;
  readonly activation: Activation;
  /** Only when explaining: told the value of every node that was evaluated. */
  readonly record: ((node: Expression, value: CelResult) => void) | undefined;
};

export type Evaluate = (frame: Frame) => CelResult;

/** A node made ready to run. */
export type Planned = {
  readonly evaluate: Evaluate;
  /** The value when it is the same in every evaluation. */
  readonly constant: CelValue | undefined;
  /** The slot that it reads and nothing else, so that what uses it can read the slot itself. */
  readonly slot: number | undefined;
  /** Steps that one evaluation takes, loops inside counted once. */
  readonly steps: number;
};

export type Scope = {
  readonly name: string;
  readonly slot: number;
  /** The value of a `cel.bind` variable, computed when it is first read. */
  readonly lazy: Evaluate | undefined;
  readonly outer: Scope | undefined;
};

export type PlanState = {
  readonly environment: Environment;
  readonly checked: Checked;
  /** Slots of the activation's variables that the expression uses. */
  readonly variables: Map<string, number>;
  slots: number;
  scope: Scope | undefined;
  readonly explaining: boolean;
  /** Steps left for computing constants while planning; what it cannot pay for is computed when run. */
  readonly foldBudget: Budget;
  readonly plan: (state: PlanState, node: Expression) => Planned;
};

export const referenceOf = (state: PlanState, node: Expression): Reference | undefined =>
  state.checked.references.get(node.id);

export const typeOfNode = (state: PlanState, node: Expression): CelType =>
  state.checked.types[node.id] ?? dynType;

export const constantOf = (value: CelValue): Planned => ({
  evaluate: () => value,
  constant: value,
  slot: undefined,
  steps: 0,
});

export const planned = (evaluate: Evaluate, steps: number): Planned => ({
  evaluate,
  constant: undefined,
  slot: undefined,
  steps,
});

/** What reads a variable. */
export const slotOf = (slot: number): Planned => ({
  evaluate: (frame) => frame.slots[slot] ?? loaded(frame.slots[slot]),
  constant: undefined,
  slot,
  steps: 1,
});

/** Null is a value too, which `??` does not see. */
export const loaded = (value: null | undefined) => (value === null ? null : unset);

/** A slot that nothing was put in: a mistake of the planner, which must not look like a value. */
export const unset = new CelError("a variable was read before it was set");

export function newSlot(state: PlanState): number {
  return state.slots++;
}
