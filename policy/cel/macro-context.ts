// SPDX-License-Identifier: Apache-2.0
import type { Call, Expression } from "./ast.ts";
import type { MacroContext } from "./library.ts";

/** What a macro builds with: every new node has an id of its own and the span of the macro's call. */
export function makeMacroContext(call: Call, nextId: () => number): MacroContext {
  const { span } = call;
  const invoke = (
    target: Expression | undefined,
    name: string,
    args: readonly Expression[],
  ): Call => ({ kind: "call", id: nextId(), span, target, name, args });
  return {
    call,
    literal: (value) => ({ kind: "literal", id: nextId(), span, value }),
    ident: (name) => ({ kind: "ident", id: nextId(), span, name }),
    invoke: (name, ...args) => invoke(undefined, name, args),
    invokeMember: (target, name, ...args) => invoke(target, name, args),
    list: (...elements) => ({
      kind: "list",
      id: nextId(),
      span,
      elements: elements.map((value) => ({ value, optional: false })),
    }),
    map: (...entries) => ({
      kind: "map",
      id: nextId(),
      span,
      entries: entries.map(([key, value]) => ({ key, value, optional: false, span })),
    }),
    select: (operand, field, test = false) => ({
      kind: "select",
      id: nextId(),
      span,
      operand,
      field,
      test,
    }),
    fold: (parts) => ({
      kind: "comprehension",
      id: nextId(),
      span,
      iterVar2: undefined,
      shape: undefined,
      ...parts,
    }),
  };
}
