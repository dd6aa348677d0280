// SPDX-License-Identifier: Apache-2.0
import { children, type Call, type Expression } from "./ast.ts";
import { CelError, type CelResult } from "./values.ts";

/** Functions that cel-go computes beforehand where their argument is constant (common/overloads, IsTypeConversionFunction). */
const conversions: ReadonlySet<string> = new Set([
  "bool",
  "bytes",
  "double",
  "duration",
  "dyn",
  "int",
  "string",
  "timestamp",
  "type",
  "uint",
]);

/** What constants of these kinds are called that can be no index: Go's types, as the message names them. */
const noIndex = { list: "*types.baseList", map: "*types.baseMap" } as const;

/**
 * Why cel-go makes no program of a checked expression, as Kubernetes has it do (cel.OptOptimize): a conversion of a constant
 * that fails, wherever it stands, or an index that can be none. undefined for nearly all expressions.
 */
export function instantiationProblem(
  expression: Expression,
  evaluate: (node: Expression) => CelResult,
): string | undefined {
  for (const below of children(expression)) {
    const problem = instantiationProblem(below, evaluate);
    if (problem !== undefined) return problem;
  }
  if (expression.kind !== "call") return undefined;
  if (isConversion(expression)) {
    const value = evaluate(expression);
    return value instanceof CelError ? value.message : undefined;
  }
  return indexProblem(expression);
}

const isConversion = ({ target, name, args: [arg, ...more] }: Call): boolean =>
  target === undefined &&
  conversions.has(name) &&
  arg !== undefined &&
  more.length === 0 &&
  isConstant(arg);

function isConstant(node: Expression): boolean {
  if (node.kind === "literal") return true;
  if (node.kind === "call") return isConversion(node);
  return (node.kind === "list" || node.kind === "map") && children(node).every(isConstant);
}

function indexProblem({ name, args: [, index] }: Call): string | undefined {
  if (name !== "_[_]" && name !== "_[?_]") return undefined;
  if (index === undefined || !isConstant(index)) return undefined;
  if (index.kind === "literal" && index.value === null) return "invalid qualifier type: types.Null";
  if (index.kind === "list" || index.kind === "map") {
    return `invalid qualifier type: ${noIndex[index.kind]}`;
  }
  return undefined;
}
