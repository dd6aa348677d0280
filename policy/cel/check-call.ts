// SPDX-License-Identifier: Apache-2.0
import type { Call, Expression } from "./ast.ts";
import {
  checkFieldSelection,
  fresh,
  lookUpLocal,
  record,
  report,
  typeAt,
  undeclared,
  type CheckState,
} from "./check-state.ts";
import type { Overload } from "./library.ts";
import { firstName, qualifiedName, resolveFunction } from "./resolve.ts";
import { assignable, assignableList, parameterNames, substitute } from "./substitution.ts";
import {
  boolType,
  dynType,
  errorType,
  formatType,
  isDynamic,
  sameType,
  type CelType,
} from "./types.ts";

type Candidates = { readonly name: string; readonly overloads: readonly Overload[] };

/** Finds the overloads of a call by the types of its arguments, and so its type. */
export function checkCall(state: CheckState, node: Call): void {
  if (node.name === "_?._") return checkOptionalSelection(state, node);
  for (const argument of node.args) state.check(state, argument);
  const { target } = node;
  if (target === undefined) {
    const found = resolveFunction(state.environment, node.name);
    return found === undefined
      ? undeclaredCall(state, node)
      : checkOverloads(state, node, found, undefined, false);
  }
  const namespaced = qualifiedFunction(state, target, node.name);
  if (namespaced !== undefined) return checkOverloads(state, node, namespaced, undefined, true);
  state.check(state, target);
  const found = resolveFunction(state.environment, node.name);
  return found === undefined
    ? undeclaredCall(state, node)
    : checkOverloads(state, node, found, target, false);
}

function undeclaredCall(state: CheckState, node: Call): void {
  record(state, node, errorType);
  report(state, node.span.position, undeclared(state, node.name));
}

/** The function that `a.b.f` names as a whole, unless `a` is a variable of a comprehension. */
function qualifiedFunction(
  state: CheckState,
  target: Expression,
  name: string,
): Candidates | undefined {
  const prefix = qualifiedName(target);
  if (prefix === undefined || lookUpLocal(state, firstName(prefix)) !== undefined) {
    return undefined;
  }
  return resolveFunction(state.environment, `${prefix}.${name}`);
}

function checkOptionalSelection(state: CheckState, node: Call): void {
  const [operand, field] = node.args;
  if (operand === undefined || field?.kind !== "literal" || typeof field.value !== "string") {
    record(state, node, errorType);
    return report(state, node.span.position, "unsupported optional field selection");
  }
  record(state, node, checkFieldSelection(state, node, operand, field.value, true));
}

function checkOverloads(
  state: CheckState,
  node: Call,
  found: Candidates,
  target: Expression | undefined,
  qualified: boolean,
): void {
  const args = target === undefined ? node.args : [target, ...node.args];
  if (found.name === "_&&_" || found.name === "_||_") return checkLogic(state, node, found);
  const types = args.map((argument) => typeAt(state, argument));
  const overloads: Overload[] = [];
  let result: CelType | undefined;
  for (const overload of found.overloads) {
    if (overload.member !== (target !== undefined)) continue;
    const one = matchOverload(state, overload, types);
    if (one === undefined) continue;
    overloads.push(overload);
    if (result === undefined) result = one;
    else if (!isDynamic(result) && !sameType(result, one)) result = dynType;
  }
  if (result === undefined) {
    record(state, node, errorType);
    const member = target !== undefined;
    if (state.environment.options.unchecked) {
      overloads.push(...found.overloads.filter((overload) => overload.member === member));
      const { name } = found;
      state.references.set(node.id, { kind: "function", name, qualified, overloads });
    }
    return report(state, node.span.position, noOverload(state, found.name, types, target));
  }
  record(state, node, result);
  state.references.set(node.id, { kind: "function", name: found.name, qualified, overloads });
}

const parameters = new WeakMap<Overload, readonly string[]>();

/** Names of an overload's type parameters, found once. */
function parametersOf(overload: Overload): readonly string[] {
  const known = parameters.get(overload);
  if (known !== undefined) return known;
  const names = parameterNames([...overload.arguments, overload.result]);
  parameters.set(overload, names);
  return names;
}

/** The result type of an overload for some argument types, undefined when they do not fit. */
function matchOverload(
  state: CheckState,
  overload: Overload,
  types: readonly CelType[],
): CelType | undefined {
  if (overload.arguments.length !== types.length) return undefined;
  const names = parametersOf(overload);
  let { arguments: wanted, result } = overload;
  if (names.length > 0) {
    const own = new Map(names.map((name) => [name, fresh(state)]));
    wanted = wanted.map((type) => substitute(own, type, false));
    result = substitute(own, result, false);
  }
  if (!assignableList(state.substitution, types, wanted)) return undefined;
  return substitute(state.substitution.known, result, false);
}

function noOverload(
  state: CheckState,
  name: string,
  types: readonly CelType[],
  target: Expression | undefined,
): string {
  const texts = types.map((type) => formatType(substitute(state.substitution.known, type, true)));
  const rest = `(${texts.slice(target === undefined ? 0 : 1).join(", ")})`;
  const signature = target === undefined ? rest : `${texts[0] ?? ""}.${rest}`;
  return `found no matching overload for '${name}' applied to '${signature}'`;
}

function checkLogic(state: CheckState, node: Call, found: Candidates): void {
  let good = true;
  for (const argument of node.args) {
    const type = typeAt(state, argument);
    if (assignable(state.substitution, type, boolType)) continue;
    good = false;
    report(state, argument.span.position, `expected type 'bool' but found '${formatType(type)}'`);
  }
  record(state, node, good ? boolType : errorType);
  const { name, overloads } = found;
  state.references.set(node.id, { kind: "function", name, qualified: false, overloads });
}
