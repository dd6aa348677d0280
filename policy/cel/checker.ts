// SPDX-License-Identifier: Apache-2.0
import type { Expression, Ident, ListLiteral, MapLiteral, Select } from "./ast.ts";
import { checkCall } from "./check-call.ts";
import { checkComprehension } from "./check-comprehension.ts";
import { checkStruct } from "./check-struct.ts";
import {
  checkFieldSelection,
  fresh,
  lookUpLocal,
  record,
  report,
  typeAt,
  undeclared,
  type CheckState,
  type Reference,
} from "./check-state.ts";
import { validate } from "./check-aggregates.ts";
import { typeOf } from "./compare.ts";
import type { Environment } from "./environment.ts";
import type { SyntaxProblem } from "./lexer.ts";
import { firstName, qualifiedName, resolveName } from "./resolve.ts";
import {
  assignable,
  makeSubstitution,
  mostGeneral,
  optionalElement,
  substitute,
} from "./substitution.ts";
import {
  boolType,
  dynType,
  errorType,
  formatType,
  isDynamic,
  listOf,
  mapOf,
  optionalOf,
} from "./types.ts";
import type { CelType } from "./types.ts";

/** Errors after which checking goes on in silence: cel-go prints the first 100. */
const problemsMax = 100;

export type Checked = {
  /** By node id; `dyn` for what is unknown. */
  readonly types: readonly CelType[];
  readonly references: ReadonlyMap<number, Reference>;
  readonly problems: readonly SyntaxProblem[];
};

/** Finds the type of every node and what every name and call refers to. */
export function check(expression: Expression, environment: Environment): Checked {
  const state: CheckState = {
    environment,
    types: [],
    references: new Map(),
    problems: [],
    substitution: makeSubstitution(),
    locals: undefined,
    nextParameter: 0,
    check: checkNode,
  };
  checkNode(state, expression);
  const checked = {
    types: state.types.map((type) => substitute(state.substitution.known, type, true)),
    references: state.references,
    problems: state.problems.slice(0, problemsMax),
  };
  if (checked.problems.length > 0 || environment.options.unchecked) return checked;
  return { ...checked, problems: validate(expression, checked, environment).slice(0, problemsMax) };
}

function checkNode(state: CheckState, node: Expression): void {
  switch (node.kind) {
    case "literal":
      return record(state, node, typeOf(node.value));
    case "ident":
      return checkIdent(state, node);
    case "select":
      return checkSelect(state, node);
    case "call":
      return checkCall(state, node);
    case "list":
      return checkList(state, node);
    case "map":
      return checkMap(state, node);
    case "struct":
      return checkStruct(state, node);
    case "comprehension":
      return checkComprehension(state, node);
    default:
      return node satisfies never;
  }
}

function checkIdent(state: CheckState, node: Ident): void {
  const local = lookUpLocal(state, node.name);
  if (local !== undefined) {
    state.references.set(node.id, { kind: "local", name: node.name });
    return record(state, node, local);
  }
  const found = resolveName(state.environment, node.name);
  if (found === undefined) {
    record(state, node, errorType);
    return report(state, node.span.position, undeclared(state, node.name));
  }
  state.references.set(node.id, found);
  record(state, node, found.kind === "variable" ? found.type : found.constant.type);
}

function checkSelect(state: CheckState, node: Select): void {
  const name = qualifiedName(node);
  if (name !== undefined && lookUpLocal(state, firstName(name)) === undefined) {
    const found = resolveName(state.environment, name);
    if (found !== undefined) {
      state.references.set(node.id, found);
      return record(state, node, found.kind === "variable" ? found.type : found.constant.type);
    }
  }
  const type = checkFieldSelection(state, node, node.operand, node.field, false);
  record(state, node, node.test ? boolType : type);
}

function checkList(state: CheckState, node: ListLiteral): void {
  let joined: CelType | undefined;
  for (const element of node.elements) {
    joined = join(state, joined, elementType(state, element));
  }
  record(state, node, listOf(joined ?? fresh(state)));
}

function checkMap(state: CheckState, node: MapLiteral): void {
  let keys: CelType | undefined;
  let values: CelType | undefined;
  for (const entry of node.entries) {
    checkNode(state, entry.key);
    keys = join(state, keys, typeAt(state, entry.key));
    values = join(state, values, elementType(state, entry));
  }
  record(state, node, mapOf(keys ?? fresh(state), values ?? fresh(state)));
}

/** The type that an element of a list or an entry of a map adds to it: of `?x` what the optional `x` is of. */
function elementType(
  state: CheckState,
  element: { readonly value: Expression; readonly optional: boolean },
): CelType {
  checkNode(state, element.value);
  const type = typeAt(state, element.value);
  if (!element.optional) return type;
  const inner = optionalElement(substitute(state.substitution.known, type, false));
  if (inner !== undefined) return inner;
  if (!isDynamic(type)) {
    const wanted = formatType(optionalOf(type));
    report(
      state,
      element.value.span.position,
      `expected type '${wanted}' but found '${formatType(type)}'`,
    );
  }
  return type;
}

/** The type that fits both, `dyn` when no type does. Whether types may be mixed is checked when all are known. */
function join(state: CheckState, before: CelType | undefined, type: CelType): CelType {
  if (before === undefined) return type;
  return assignable(state.substitution, before, type) ? mostGeneral(before, type) : dynType;
}
