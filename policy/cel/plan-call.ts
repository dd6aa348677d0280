// SPDX-License-Identifier: Apache-2.0
import type { Call, Expression } from "./ast.ts";
import { budgetExceeded } from "./budget.ts";
import type { Reference } from "./check-state.ts";
import { planDispatch } from "./plan-dispatch.ts";
import {
  planAdd,
  planBinary,
  planComparison,
  planEquals,
  planIn,
  planIndex,
  planTextTest,
} from "./plan-operators.ts";
import { planAnd, planConditional, planNot, planNotStrictlyFalse, planOr } from "./plan-logic.ts";
import { constantOf, planned, referenceOf, type Planned, type PlanState } from "./plan-state.ts";
import { comparisons, divide, modulo, multiply, subtract } from "./operators.ts";
import { selectOptional } from "./select.ts";
import { CelError, Optional, type CelResult } from "./values.ts";

type FunctionReference = Extract<Reference, { kind: "function" }>;

/** A call of an operator or function; its value when all arguments are constants. */
export function planCall(state: PlanState, node: Call): Planned {
  if (node.name === "_?._") return planOptionalSelection(state, node);
  const reference = referenceOf(state, node);
  if (reference?.kind !== "function") {
    if (!state.environment.options.unchecked) throw new Error(`the checker let ${node.name} pass`);
    return planned(() => new CelError(`no such overload: ${node.name}`), 1);
  }
  const nodes =
    node.target === undefined || reference.qualified ? node.args : [node.target, ...node.args];
  if (reference.name === "_&&_" && !state.explaining) return planAnd(plans(state, chain(node)));
  if (reference.name === "_||_" && !state.explaining) return planOr(plans(state, chain(node)));
  const args = plans(state, nodes);
  const call = planFunction(reference, args);
  const pure = reference.overloads.every((overload) => overload.implicit === undefined);
  return pure && !state.explaining ? fold(state, call, args) : call;
}

const plans = (state: PlanState, nodes: readonly Expression[]): readonly Planned[] =>
  nodes.map((node) => state.plan(state, node));

/** The terms of `a && b && c`, however they are nested. */
function chain(node: Call): readonly Expression[] {
  return node.args.flatMap((argument) =>
    argument.kind === "call" && argument.name === node.name ? chain(argument) : [argument],
  );
}

function planFunction(reference: FunctionReference, args: readonly Planned[]): Planned {
  const [a, b, c] = args;
  const [overload] = reference.overloads;
  if (a === undefined) return planDispatch(reference, args);
  if (b === undefined) return planUnary(reference, a);
  if (c === undefined) {
    const optional = reference.overloads.length === 1 ? overload?.id : undefined;
    if (optional === "optional_or_optional") return planOr2(a, b, false);
    if (optional === "optional_orValue_value") return planOr2(a, b, true);
    const textTest = overload === undefined ? undefined : planTextTest(overload.id, a, b);
    return textTest ?? planTwo(reference, a, b) ?? planDispatch(reference, args);
  }
  if (reference.name === "_?_:_") return planConditional(a, b, c);
  return planDispatch(reference, args);
}

function planUnary(reference: FunctionReference, a: Planned): Planned {
  if (reference.name === "!_") return planNot(a);
  if (reference.name === "@not_strictly_false") return planNotStrictlyFalse(a);
  return planDispatch(reference, [a]);
}

function planTwo(reference: FunctionReference, a: Planned, b: Planned): Planned | undefined {
  const { name } = reference;
  const comparison = Object.hasOwn(comparisons, name) ? comparisons[name] : undefined;
  if (comparison !== undefined) return planComparison(name, comparison, a, b);
  switch (name) {
    case "_&&_":
      return planAnd([a, b]);
    case "_||_":
      return planOr([a, b]);
    case "_==_":
      return planEquals(a, b, true);
    case "_!=_":
      return planEquals(a, b, false);
    case "@in":
      return planIn(a, b);
    case "_[_]":
      return planIndex(a, b, false);
    case "_[?_]":
      return planIndex(a, b, true);
    case "_+_":
      return planAdd(a, b);
    case "_-_":
      return planBinary(a, b, subtract);
    case "_*_":
      return planBinary(a, b, multiply);
    case "_/_":
      return planBinary(a, b, divide);
    case "_%_":
      return planBinary(a, b, modulo);
    default:
      return undefined;
  }
}

function planOptionalSelection(state: PlanState, node: Call): Planned {
  const [operand, field] = node.args;
  if (operand === undefined || field?.kind !== "literal" || typeof field.value !== "string") {
    throw new Error("the checker let an optional selection without a field pass");
  }
  const { evaluate, steps } = state.plan(state, operand);
  const key = field.value;
  const strict = state.environment.options.errorOnBadPresenceTest;
  return planned((frame) => selectOptional(evaluate(frame), key, strict), steps + 1);
}

/**
 * `a.or(b)` and `a.orValue(b)`: `b` is evaluated only when needed. What is no optional is passed on as it is, an error
 * too, as cel-go does.
 */
function planOr2(a: Planned, b: Planned, unwrap: boolean): Planned {
  const { evaluate } = a;
  const other = b.evaluate;
  return planned(
    (frame) => {
      const value = evaluate(frame);
      if (!(value instanceof Optional)) return value;
      if (value.value === undefined) return other(frame);
      return unwrap ? value.value : value;
    },
    a.steps + b.steps + 1,
  );
}

/** The value itself when nothing it depends on can change. Errors are left to happen, where they can be absorbed. */
function fold(state: PlanState, call: Planned, args: readonly Planned[]): Planned {
  if (args.some((argument) => argument.constant === undefined)) return call;
  const value = evaluateAlone(state, call);
  return value instanceof CelError ? call : constantOf(value);
}

/** The value of what needs no variables; an error when it costs too much to know while planning. */
export function evaluateAlone({ foldBudget }: PlanState, { evaluate, steps }: Planned): CelResult {
  foldBudget.used += steps;
  if (foldBudget.used > foldBudget.stop) return budgetExceeded;
  return evaluate({ slots: [], budget: foldBudget, activation: {}, record: undefined });
}
