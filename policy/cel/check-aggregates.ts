// SPDX-License-Identifier: Apache-2.0
import { children, type Call, type Expression } from "./ast.ts";
import type { Checked } from "./checker.ts";
import type { Environment } from "./environment.ts";
import type { SyntaxProblem } from "./lexer.ts";
import type { Overload } from "./library.ts";
import { optionalElement } from "./substitution.ts";
import { dynType, formatType, type CelType } from "./types.ts";

/** Functions whose arguments may mix types at any depth: cel-go's strings extension exempts its own `format`. */
const mixing: ReadonlySet<string> = new Set(["format"]);

type Report = (at: Expression, message: string) => void;
type TypeOf = (node: Expression) => CelType;

/**
 * What cel-go's validators refuse in an expression whose types are all known: literals of lists and maps that mix types,
 * `dyn` with others included, and calls that their function refuses.
 */
export function validate(
  expression: Expression,
  checked: Checked,
  environment: Environment,
): readonly SyntaxProblem[] {
  const problems: SyntaxProblem[] = [];
  const report: Report = (at, message) => problems.push({ position: at.span.position, message });
  const typeOf: TypeOf = (node) => checked.types[node.id] ?? dynType;
  if (environment.options.homogeneousAggregates) checkAggregates(expression, typeOf, report);
  if (environment.options.checkLiterals) checkCalls(expression, checked, typeOf, report);
  return problems;
}

function checkAggregates(node: Expression, typeOf: TypeOf, report: Report): void {
  if (node.kind === "call" && mixing.has(node.name)) return;
  if (node.kind === "list") {
    const types = node.elements.map((element) => elementType(element, typeOf));
    const index = types.findIndex((type) => !equivalent(types[0] ?? type, type));
    const at = node.elements[index]?.value;
    if (at !== undefined) report(at, mismatch(types[0] ?? dynType, types[index] ?? dynType));
  }
  if (node.kind === "map") {
    const [first] = node.entries;
    if (first !== undefined) {
      const [key, value] = [typeOf(first.key), elementType(first, typeOf)];
      for (const entry of node.entries) {
        const [entryKey, entryValue] = [typeOf(entry.key), elementType(entry, typeOf)];
        if (!equivalent(key, entryKey)) report(entry.key, mismatch(key, entryKey));
        if (!equivalent(value, entryValue)) report(entry.value, mismatch(value, entryValue));
      }
    }
  }
  for (const child of children(node)) checkAggregates(child, typeOf, report);
}

/** Lets the overload of a call judge its literals, such as a regular expression that does not parse, and its types. */
function checkCalls(node: Expression, checked: Checked, typeOf: TypeOf, report: Report): void {
  const reference = node.kind === "call" ? checked.references.get(node.id) : undefined;
  if (node.kind === "call" && reference?.kind === "function") {
    const [overload] = reference.overloads;
    const isMethod = node.target !== undefined && !reference.qualified;
    if (overload !== undefined) checkLiterals(node, isMethod, overload, report);
    const problem = overload?.checkCall?.(node, typeOf);
    if (problem !== undefined) report(problem.at, problem.message);
  }
  for (const child of children(node)) checkCalls(child, checked, typeOf, report);
}

function checkLiterals(node: Call, isMethod: boolean, overload: Overload, report: Report): void {
  if (overload.checkLiterals === undefined) return;
  const args = node.target !== undefined && isMethod ? [node.target, ...node.args] : node.args;
  const values = args.map((argument) => (argument.kind === "literal" ? argument.value : undefined));
  const message = overload.checkLiterals(...values);
  if (message !== undefined) report(node.args[0] ?? node, message);
}

function elementType(
  element: { readonly value: Expression; readonly optional: boolean },
  typeOf: TypeOf,
): CelType {
  const type = typeOf(element.value);
  return element.optional ? (optionalElement(type) ?? type) : type;
}

const mismatch = (wanted: CelType, found: CelType): string =>
  `expected type '${formatType(wanted)}' but found '${formatType(found)}'`;

/** The same type but for the names of type parameters; `dyn` is only like `dyn`. */
function equivalent(a: CelType, b: CelType): boolean {
  if (a.kind === "parameter") return b.kind === "parameter";
  if (a.kind === "list") return b.kind === "list" && equivalent(a.element, b.element);
  if (a.kind === "map") {
    return b.kind === "map" && equivalent(a.key, b.key) && equivalent(a.value, b.value);
  }
  if (a.kind === "type") return b.kind === "type" && equivalent(a.of, b.of);
  if (a.kind === "object") return b.kind === "object" && a.name === b.name;
  if (a.kind !== "opaque") return a.kind === b.kind;
  return (
    b.kind === "opaque" &&
    a.name === b.name &&
    a.parameters.length === b.parameters.length &&
    a.parameters.every((part, index) => equivalent(part, b.parameters[index] ?? dynType))
  );
}
