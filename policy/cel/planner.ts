// SPDX-License-Identifier: Apache-2.0
import type { Expression, Ident, Select } from "./ast.ts";
import { makeBudget } from "./budget.ts";
import type { Checked } from "./checker.ts";
import type { Environment } from "./environment.ts";
import { planCall } from "./plan-call.ts";
import { planComprehension } from "./plan-comprehension.ts";
import { planList, planMap, planStruct } from "./plan-literals.ts";
import { planSelection } from "./plan-select.ts";
import { CelError } from "./values.ts";
import {
  constantOf,
  newSlot,
  planned,
  referenceOf,
  slotOf,
  type Evaluate,
  type Planned,
  type PlanState,
} from "./plan-state.ts";

export type Plan = {
  readonly evaluate: Evaluate;
  readonly steps: number;
  /** As many as there are slots: copied, a list of them has the right size at once. */
  readonly blank: readonly undefined[];
  /** Names and slots of the variables to load before evaluation. */
  readonly variables: readonly (readonly [name: string, slot: number])[];
};

/** Steps of all constants of one expression: some texts and patterns, not a search in megabytes. */
const foldStepsMax = 20_000;

/** Turns a checked expression into closures. With `explaining` every node reports its value to the frame. */
export function plan(
  expression: Expression,
  checked: Checked,
  environment: Environment,
  explaining: boolean,
): Plan {
  const state: PlanState = {
    environment,
    checked,
    variables: new Map(),
    slots: 0,
    scope: undefined,
    explaining,
    foldBudget: makeBudget(foldStepsMax, foldStepsMax),
    plan: explaining ? planRecorded : planNode,
  };
  const { evaluate, steps } = state.plan(state, expression);
  const blank = Array.from({ length: state.slots }, () => undefined);
  return { evaluate, steps, blank, variables: [...state.variables] };
}

function planNode(state: PlanState, node: Expression): Planned {
  switch (node.kind) {
    case "literal":
      return constantOf(node.value);
    case "ident":
      return planIdent(state, node);
    case "select":
      return planSelect(state, node);
    case "call":
      return planCall(state, node);
    case "list":
      return planList(state, node);
    case "map":
      return planMap(state, node);
    case "struct":
      return planStruct(state, node);
    case "comprehension":
      return planComprehension(state, node);
    default:
      return node satisfies never;
  }
}

function planRecorded(state: PlanState, node: Expression): Planned {
  const { evaluate, steps } = planNode(state, node);
  if (node.kind === "literal") return constantOf(node.value);
  return planned((frame) => {
    const value = evaluate(frame);
    frame.record?.(node, value);
    return value;
  }, steps);
}

function planIdent(state: PlanState, node: Ident): Planned {
  const reference = referenceOf(state, node);
  if (reference?.kind === "constant") return constantOf(reference.constant.value);
  if (reference?.kind === "variable") return planVariable(state, reference.name);
  for (let scope = state.scope; scope !== undefined; scope = scope.outer) {
    if (scope.name === node.name) return planLocal(scope.slot, scope.lazy);
  }
  if (!state.environment.options.unchecked) throw new Error(`the checker let ${node.name} pass`);
  return planned(() => new CelError(`no such attribute(s): ${node.name}`), 1);
}

function planVariable(state: PlanState, name: string): Planned {
  const slot = state.variables.get(name) ?? newSlot(state);
  state.variables.set(name, slot);
  return slotOf(slot);
}

function planLocal(slot: number, lazy: Evaluate | undefined): Planned {
  if (lazy === undefined) return slotOf(slot);
  return planned((frame) => {
    const known = frame.slots[slot];
    if (known !== undefined) return known;
    const value = lazy(frame);
    frame.slots[slot] = value;
    return value;
  }, 1);
}

function planSelect(state: PlanState, node: Select): Planned {
  const reference = referenceOf(state, node);
  if (reference?.kind === "constant") return constantOf(reference.constant.value);
  if (reference?.kind === "variable") return planVariable(state, reference.name);
  return planSelection(state, node);
}
