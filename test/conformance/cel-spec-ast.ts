// SPDX-License-Identifier: Apache-2.0
import { ExprSchema, type Expr } from "@bufbuild/cel-spec/cel/expr/syntax_pb.js";
import { KindAdorner, toDebugString } from "@bufbuild/cel-spec/testdata/to-debug-string.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Comprehension, Expression } from "#policy/cel/ast";
import { doubleOf, isInt, Uint, type CelValue } from "#policy/cel/values";

type Shape = MessageInitShape<typeof ExprSchema>;

/** A parsed expression as the suite prints it. */
export const debugText = (node: Expression): string =>
  toDebugString(toExpr(node), KindAdorner.singleton);

const toExpr = (node: Expression): Expr => create(ExprSchema, toShape(node));

function toShape(node: Expression): Shape {
  switch (node.kind) {
    case "literal":
      return literal(node.value);
    case "ident":
      return { exprKind: { case: "identExpr", value: { name: node.name } } };
    case "select": {
      const { field, test } = node;
      const value = { operand: toExpr(node.operand), field, testOnly: test };
      return { exprKind: { case: "selectExpr", value } };
    }
    case "call": {
      const target = node.target === undefined ? {} : { target: toExpr(node.target) };
      const value = { ...target, function: node.name, args: node.args.map(toExpr) };
      return { exprKind: { case: "callExpr", value } };
    }
    case "list": {
      const elements = node.elements.map((element) => toExpr(element.value));
      return { exprKind: { case: "listExpr", value: { elements } } };
    }
    case "map": {
      const entries = node.entries.map(({ key, value, optional }) => ({
        keyKind: { case: "mapKey" as const, value: toExpr(key) },
        value: toExpr(value),
        optionalEntry: optional,
      }));
      return { exprKind: { case: "structExpr", value: { entries } } };
    }
    case "struct": {
      const entries = node.fields.map(({ name, value, optional }) => ({
        keyKind: { case: "fieldKey" as const, value: name },
        value: toExpr(value),
        optionalEntry: optional,
      }));
      return { exprKind: { case: "structExpr", value: { messageName: node.typeName, entries } } };
    }
    case "comprehension":
      return comprehension(node);
    default:
      return node satisfies never;
  }
}

const comprehension = (node: Comprehension): Shape => ({
  exprKind: {
    case: "comprehensionExpr",
    value: {
      iterVar: node.iterVar,
      iterVar2: node.iterVar2 ?? "",
      iterRange: toExpr(node.range),
      accuVar: node.accuVar,
      accuInit: toExpr(node.accuInit),
      loopCondition: toExpr(node.condition),
      loopStep: toExpr(node.step),
      result: toExpr(node.result),
    },
  },
});

function literal(value: CelValue): Shape {
  const constant = (
    constantKind: NonNullable<
      Extract<Shape["exprKind"], { case: "constExpr" }>["value"]["constantKind"]
    >,
  ): Shape => ({ exprKind: { case: "constExpr", value: { constantKind } } });
  if (value === null) return constant({ case: "nullValue", value: 0 });
  if (typeof value === "boolean") return constant({ case: "boolValue", value });
  if (typeof value === "string") return constant({ case: "stringValue", value });
  if (value instanceof Uint) return constant({ case: "uint64Value", value: value.value });
  if (isInt(value)) return constant({ case: "int64Value", value: BigInt(value) });
  const double = doubleOf(value);
  if (double !== undefined) return constant({ case: "doubleValue", value: double });
  if (value instanceof Uint8Array)
    return constant({ case: "bytesValue", value: Uint8Array.from(value) });
  throw new Error("no literal has such a value");
}
