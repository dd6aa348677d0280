// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./ast.ts";
import type { Environment } from "./environment.ts";
import type { Constant, ObjectType, Overload } from "./library.ts";
import { objectOf, typeOfType, type CelType } from "./types.ts";
import { TypeValue } from "./values.ts";

/** What a name stands for. */
export type Resolved =
  /** A variable of the activation. */
  | { readonly kind: "variable"; readonly name: string; readonly type: CelType }
  | { readonly kind: "constant"; readonly constant: Constant };

/** Names to try for a name in a container, innermost first: `a.b.x`, `a.x`, `x`. A leading dot means the outermost only. */
export function candidateNames(container: string, name: string): readonly string[] {
  if (name.startsWith(".")) return [name.slice(1)];
  if (container === "") return [name];
  const parts = container.split(".");
  const names = parts.map(
    (_, index) => `${parts.slice(0, parts.length - index).join(".")}.${name}`,
  );
  return [...names, name];
}

/** The variable, constant or type that a qualified name means, the container considered. */
export function resolveName(environment: Environment, name: string): Resolved | undefined {
  for (const candidate of candidateNames(environment.options.container, name)) {
    const type = environment.variables.get(candidate);
    if (type !== undefined) return { kind: "variable", name: candidate, type };
    const constant = environment.constants.get(candidate) ?? typeConstant(environment, candidate);
    if (constant !== undefined) return { kind: "constant", constant };
  }
  return undefined;
}

function typeConstant(environment: Environment, name: string): Constant | undefined {
  if (environment.resolveType(name) === undefined) return undefined;
  const type = objectOf(name);
  return { name, type: typeOfType(type), value: new TypeValue(type) };
}

export function resolveObjectType(environment: Environment, name: string): ObjectType | undefined {
  for (const candidate of candidateNames(environment.options.container, name)) {
    const type = environment.resolveType(candidate);
    if (type !== undefined) return type;
  }
  return undefined;
}

export function resolveFunction(
  environment: Environment,
  name: string,
): { readonly name: string; readonly overloads: readonly Overload[] } | undefined {
  for (const candidate of candidateNames(environment.options.container, name)) {
    const overloads = environment.functions.get(candidate);
    if (overloads !== undefined) return { name: candidate, overloads };
  }
  return undefined;
}

/** `a.b.c` as a name, undefined when the expression is anything but names and dots. */
export function qualifiedName(node: Expression): string | undefined {
  if (node.kind === "ident") return node.name;
  if (node.kind !== "select" || node.test) return undefined;
  const operand = qualifiedName(node.operand);
  return operand === undefined ? undefined : `${operand}.${node.field}`;
}

/** The first name of a qualified name, which a local variable may shadow. */
export const firstName = (name: string): string => name.split(".", 1)[0] ?? name;
