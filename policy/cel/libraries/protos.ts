// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "#policy/cel/ast";
import type { Library, Macro } from "#policy/cel/library";

/**
 * cel-go's protos extension. Kubernetes has no messages with extension fields, so an extension is a field that no object
 * has; the macros are there because Kyverno declares them and a policy that names them compiles.
 */
export const protosLibrary: Library = {
  name: "cel.lib.ext.protos",
  macros: [extensionMacro("getExt", false), extensionMacro("hasExt", true)],
};

function extensionMacro(name: string, test: boolean): Macro {
  return {
    name,
    receiver: true,
    arity: 2,
    expand: (make, target, [message, extension]) => {
      if (target?.kind !== "ident" || target.name !== "proto") return undefined;
      if (message === undefined || extension === undefined) return undefined;
      const field = extension.kind === "select" ? qualifiedName(extension) : undefined;
      if (field === undefined) return { message: "invalid extension field", at: extension };
      return make.select(message, field, test);
    },
  };
}

function qualifiedName(expression: Expression): string | undefined {
  if (expression.kind === "ident") return expression.name;
  if (expression.kind !== "select" || expression.test) return undefined;
  const prefix = qualifiedName(expression.operand);
  return prefix === undefined ? undefined : `${prefix}.${expression.field}`;
}
