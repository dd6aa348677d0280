// SPDX-License-Identifier: Apache-2.0
import type { Comprehension } from "./ast.ts";
import { budgetExceeded } from "./budget.ts";
import { goTypeName } from "./go-types.ts";
import { startTurn, type Items, type Loop, type LoopSlots } from "./loop.ts";
import { planLoop } from "./plan-loop.ts";
import { entriesOf, keysOf } from "./maps.ts";
import {
  newSlot,
  planned,
  type Frame,
  type Planned,
  type PlanState,
  type Scope,
} from "./plan-state.ts";
import { CelError, isList, type CelResult, type CelValue } from "./values.ts";

export function planComprehension(state: PlanState, node: Comprehension): Planned {
  if (node.shape?.kind === "bind") return planBind(state, node);
  const range = state.plan(state, node.range);
  const outer = state.scope;
  const slots = declare(state, node);
  const loop = planLoop(state, node, slots) ?? planFold(state, node, slots, outer);
  state.scope = outer;
  const over = range.evaluate;
  const two = slots.second !== undefined;
  return planned(
    (frame) => {
      const value = over(frame);
      const items = itemsOf(value, two);
      return items instanceof CelError ? items : loop.run(frame, items);
    },
    range.steps + loop.steps + 1,
  );
}

function declare(state: PlanState, node: Comprehension): LoopSlots {
  const first = newSlot(state);
  state.scope = scopeOf(node.iterVar, first, state.scope);
  if (node.iterVar2 === undefined) return { first, second: undefined };
  const second = newSlot(state);
  state.scope = scopeOf(node.iterVar2, second, state.scope);
  return { first, second };
}

const scopeOf = (name: string, slot: number, outer: Scope | undefined): Scope => ({
  name,
  slot,
  lazy: undefined,
  outer,
});

function itemsOf(value: CelResult, two: boolean): Items | CelError {
  if (value instanceof CelError) return value;
  if (isList(value)) {
    return two
      ? { first: undefined, second: value, length: value.length }
      : { first: value, second: undefined, length: value.length };
  }
  if (two) {
    const entries = entriesOf(value);
    if (entries === undefined) return notFoldable(value);
    return {
      first: entries.map(([key]) => key),
      second: entries.map(([, item]) => item),
      length: entries.length,
    };
  }
  const keys = keysOf(value);
  return keys === undefined
    ? notIterable(value)
    : { first: keys, second: undefined, length: keys.length };
}

const notIterable = (value: CelValue): CelError =>
  new CelError(`got '${goTypeName(value)}', expected iterable type`);

/** Over two variables cel-go tells the Go type. */
const notFoldable = (value: CelValue): CelError =>
  new CelError(`unsupported comprehension range type: ${goTypeName(value)}`);

/** A fold of no known shape, run as it is written. */
function planFold(
  state: PlanState,
  node: Comprehension,
  slots: LoopSlots,
  outer: Scope | undefined,
): Loop {
  const inner = state.scope;
  state.scope = outer;
  const init = state.plan(state, node.accuInit);
  const accu = newSlot(state);
  state.scope = scopeOf(node.accuVar, accu, inner);
  const condition = state.plan(state, node.condition);
  const step = state.plan(state, node.step);
  state.scope = scopeOf(node.accuVar, accu, outer);
  const result = state.plan(state, node.result);
  const steps = condition.steps + step.steps + 1;
  const run = (frame: Frame, items: Items): CelResult => {
    frame.slots[accu] = init.evaluate(frame);
    for (let turn = 0; turn < items.length; turn++) {
      if (!startTurn(frame, slots, items, turn, steps)) return budgetExceeded;
      if (condition.evaluate(frame) === false) break;
      frame.slots[accu] = step.evaluate(frame);
    }
    return result.evaluate(frame);
  };
  return { run, steps: init.steps + steps + result.steps };
}

/** `cel.bind(name, value, result)`. */
function planBind(state: PlanState, node: Comprehension): Planned {
  const init = state.plan(state, node.accuInit);
  const outer = state.scope;
  const slot = newSlot(state);
  state.scope = { name: node.accuVar, slot, lazy: init.evaluate, outer };
  const result = state.plan(state, node.result);
  state.scope = outer;
  const body = result.evaluate;
  return planned(
    (frame) => {
      frame.slots[slot] = undefined;
      return body(frame);
    },
    init.steps + result.steps + 1,
  );
}
