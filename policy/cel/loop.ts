// SPDX-License-Identifier: Apache-2.0
import type { Frame } from "./plan-state.ts";
import type { CelResult, CelValue } from "./values.ts";

/** Where the variables of a loop live. */
export type LoopSlots = { readonly first: number; readonly second: number | undefined };

/** What a loop goes over: values for the first variable, and for the second where there is one. */
export type Items = {
  readonly first: readonly CelValue[] | undefined;
  readonly second: readonly CelValue[] | undefined;
  readonly length: number;
};

/** The body of a comprehension. */
export type Loop = {
  readonly run: (frame: Frame, items: Items) => CelResult;
  readonly steps: number;
};

/** Puts the variables of one turn where the body reads them, and pays for the turn; false when the budget is used up. */
export function startTurn(
  frame: Frame,
  slots: LoopSlots,
  items: Items,
  turn: number,
  steps: number,
): boolean {
  const { budget } = frame;
  budget.used += steps;
  if (budget.used > budget.stop) return false;
  frame.slots[slots.first] = items.first === undefined ? turn : items.first[turn];
  if (slots.second !== undefined) frame.slots[slots.second] = items.second?.[turn];
  return true;
}
