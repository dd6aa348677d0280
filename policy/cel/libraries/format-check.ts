// SPDX-License-Identifier: Apache-2.0
import type { Call, Expression } from "#policy/cel/ast";
import type { CelType } from "#policy/cel/types";
import {
  CelError,
  CelObject,
  Duration,
  Timestamp,
  TypeValue,
  Uint,
  type CelValue,
} from "#policy/cel/values";
import { formatClause, parseClause, type FormatStyle } from "./string-format.ts";

type Problem = { readonly message: string; readonly at: Expression };
type TypeOf = (node: Expression) => CelType;

/**
 * What cel-go refuses in a call of `format` on a literal with a list literal: a format that does not parse, arguments too
 * few or too many, and ones whose type the clause does not take.
 */
export function checkFormatCall(
  call: Call,
  typeOf: TypeOf,
  style: FormatStyle,
): Problem | undefined {
  const { target, args } = call;
  const [list] = args;
  if (target?.kind !== "literal" || list?.kind !== "list") return undefined;
  if (typeof target.value !== "string") return undefined;
  const elements = list.elements.map((element) => element.value);
  return checkClauses(call, target.value, elements, typeOf, style);
}

function checkClauses(
  call: Call,
  format: string,
  elements: readonly Expression[],
  typeOf: TypeOf,
  style: FormatStyle,
): Problem | undefined {
  let used = 0;
  let next = format.indexOf("%");
  while (next !== -1) {
    if (format.charAt(next + 1) === "%") {
      next = format.indexOf("%", next + 2);
      continue;
    }
    if (next + 1 >= format.length) return { message: "unexpected end of string", at: call };
    const element = elements[used];
    if (element === undefined) return { message: `index ${used} out of range`, at: call };
    const clause = parseClause(format, next + 1);
    if (clause instanceof CelError) return { message: clause.message, at: call };
    for (const part of clause.verb === "s" ? partsOf(element) : [element]) {
      const value = sample(typeOf(part));
      const text = value === undefined ? "" : formatClause(clause, value, style);
      if (!(text instanceof CelError)) continue;
      return { message: `error during formatting: ${text.message}`, at: part };
    }
    used += 1;
    next = format.indexOf("%", clause.end);
  }
  if (elements.length <= used) return undefined;
  const message = `too many arguments supplied to string.format (expected ${used}, got ${elements.length})`;
  return { message, at: call };
}

/** An argument and what is in it, where it is a literal list or map. */
function partsOf(node: Expression): readonly Expression[] {
  if (node.kind === "list") {
    return [node, ...node.elements.flatMap((element) => partsOf(element.value))];
  }
  if (node.kind !== "map") return [node];
  return [
    node,
    ...node.entries.flatMap((entry) => [...partsOf(entry.key), ...partsOf(entry.value)]),
  ];
}

/** A value of a type that has nothing but the type: what a clause makes of it is of no interest. */
class Sample extends CelObject {
  readonly type: CelType;
  constructor(type: CelType) {
    super();
    this.type = type;
  }
}

/** Some value of the type, undefined where it may be anything. A text stands for `NaN`, which double clauses take. */
function sample(type: CelType): CelValue | undefined {
  switch (type.kind) {
    case "dyn":
    case "any":
    case "error":
    case "parameter":
      return undefined;
    case "null":
      return null;
    case "bool":
      return true;
    case "int":
      return 0;
    case "uint":
      return new Uint(0n);
    case "double":
      return 0.5;
    case "string":
      return "NaN";
    case "bytes":
      return new Uint8Array();
    case "timestamp":
      return new Timestamp(0n);
    case "duration":
      return new Duration(0n);
    case "list":
      return [];
    case "map":
      return {};
    case "type":
      return new TypeValue(type.of);
    case "opaque":
    case "object":
      return new Sample(type);
    default:
      return type satisfies never;
  }
}
