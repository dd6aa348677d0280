// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./ast.ts";
import type { Environment } from "./environment.ts";
import type { SyntaxProblem } from "./lexer.ts";
import type { ObjectType, Overload } from "./library.ts";
import type { Resolved } from "./resolve.ts";
import {
  assignable,
  isTooLarge,
  optionalElement,
  substitute,
  type Substitution,
} from "./substitution.ts";
import {
  dynType,
  errorType,
  formatType,
  isDynamic,
  optionalOf,
  parameter,
  type CelType,
} from "./types.ts";

/** What a node refers to. */
export type Reference =
  | Resolved
  /** A variable of a comprehension. */
  | { readonly kind: "local"; readonly name: string }
  | {
      readonly kind: "function";
      readonly name: string;
      /** The call's target is part of the function's name: `hash.md5(x)`. */
      readonly qualified: boolean;
      /** Overloads that the argument types allow, in the order of declaration. */
      readonly overloads: readonly Overload[];
    }
  | { readonly kind: "struct"; readonly type: ObjectType };

export type Locals = {
  readonly name: string;
  readonly type: CelType;
  readonly outer: Locals | undefined;
};

export type CheckState = {
  readonly environment: Environment;
  readonly types: CelType[];
  readonly references: Map<number, Reference>;
  readonly problems: SyntaxProblem[];
  readonly substitution: Substitution;
  /** Variables of the comprehensions around, innermost first. */
  locals: Locals | undefined;
  nextParameter: number;
  /** Checks one node: here, so that the parts of the checker need not import each other in a circle. */
  readonly check: (state: CheckState, node: Expression) => void;
};

export function record(state: CheckState, node: Expression, type: CelType): void {
  const large = isTooLarge(state.substitution.known, type);
  if (large) report(state, node.span.position, "the type of the expression is too large");
  state.types[node.id] = large ? errorType : type;
}

export const typeAt = (state: CheckState, node: Expression): CelType =>
  state.types[node.id] ?? errorType;

export function report(state: CheckState, position: number, message: string): void {
  if (!state.environment.options.unchecked) state.problems.push({ position, message });
}

export const undeclared = (state: CheckState, name: string): string =>
  `undeclared reference to '${name}' (in container '${state.environment.options.container}')`;

/** A type parameter that nothing else has. */
export const fresh = (state: CheckState): CelType => parameter(`_var${state.nextParameter++}`);

export function lookUpLocal(state: CheckState, name: string): CelType | undefined {
  for (let local = state.locals; local !== undefined; local = local.outer) {
    if (local.name === name) return local.type;
  }
  return undefined;
}

/** The type of `operand.field`; an optional of it when the operand or the selection is optional. */
export function checkFieldSelection(
  state: CheckState,
  node: Expression,
  operand: Expression,
  field: string,
  optional: boolean,
): CelType {
  state.check(state, operand);
  const type = substitute(state.substitution.known, typeAt(state, operand), false);
  const inner = optionalElement(type);
  const result = fieldType(state, node, inner ?? type, field);
  const whole = inner !== undefined || optional ? optionalOf(result) : result;
  return substitute(state.substitution.known, whole, false);
}

function fieldType(state: CheckState, node: Expression, type: CelType, field: string): CelType {
  if (type.kind === "map") return type.value;
  if (type.kind === "object") {
    const declared = state.environment.resolveType(type.name);
    const found = declared?.field(field);
    if (found !== undefined) return found;
    const message =
      declared === undefined
        ? `unexpected failed resolution of '${type.name}'`
        : `undefined field '${field}'`;
    report(state, node.span.position, message);
    return errorType;
  }
  if (type.kind === "parameter") {
    // Later uses must not narrow a type that a field was selected from.
    assignable(state.substitution, dynType, type);
    return dynType;
  }
  if (!isDynamic(type) && type.kind !== "error") {
    const message = `type '${formatType(type)}' does not support field selection`;
    report(state, node.span.position, message);
  }
  return dynType;
}
