// SPDX-License-Identifier: Apache-2.0
import type { Comprehension, Expression } from "./ast.ts";
import { record, report, typeAt, type CheckState } from "./check-state.ts";
import { assignable, substitute } from "./substitution.ts";
import { boolType, dynType, errorType, formatType, intType, type CelType } from "./types.ts";

/** Declares the variables of a comprehension for its parts, and checks these. */
export function checkComprehension(state: CheckState, node: Comprehension): void {
  state.check(state, node.range);
  state.check(state, node.accuInit);
  const accuType = typeAt(state, node.accuInit);
  const outer = state.locals;
  const [first, second] = variableTypes(state, node);
  const withAccu = { name: node.accuVar, type: accuType, outer };
  state.locals = { name: node.iterVar, type: first, outer: withAccu };
  if (node.iterVar2 !== undefined) {
    state.locals = { name: node.iterVar2, type: second, outer: state.locals };
  }
  state.check(state, node.condition);
  expectType(state, node.condition, boolType);
  state.check(state, node.step);
  expectType(state, node.step, accuType);
  state.locals = withAccu;
  state.check(state, node.result);
  state.locals = outer;
  record(state, node, substitute(state.substitution.known, typeAt(state, node.result), false));
}

function variableTypes(
  state: CheckState,
  node: Comprehension,
): readonly [first: CelType, second: CelType] {
  const range = substitute(state.substitution.known, typeAt(state, node.range), false);
  const two = node.iterVar2 !== undefined;
  if (range.kind === "list") return [two ? intType : range.element, range.element];
  if (range.kind === "map") return [range.key, range.value];
  if (range.kind === "dyn" || range.kind === "error" || range.kind === "parameter") {
    assignable(state.substitution, dynType, range);
    return [dynType, dynType];
  }
  const text = formatType(range);
  const message = `expression of type '${text}' cannot be range of a comprehension (must be list, map, or dynamic)`;
  report(state, node.range.span.position, message);
  return [errorType, errorType];
}

function expectType(state: CheckState, node: Expression, wanted: CelType): void {
  const type = typeAt(state, node);
  if (assignable(state.substitution, wanted, type)) return;
  const message = `expected type '${formatType(wanted)}' but found '${formatType(type)}'`;
  report(state, node.span.position, message);
}
