// SPDX-License-Identifier: Apache-2.0
import type { StructLiteral } from "./ast.ts";
import { record, report, typeAt, undeclared, type CheckState } from "./check-state.ts";
import type { ObjectType } from "./library.ts";
import { resolveName, resolveObjectType } from "./resolve.ts";
import { assignable, optionalElement, substitute } from "./substitution.ts";
import { errorType, formatType, objectOf } from "./types.ts";

/** Checks a literal such as `Object.spec{replicas: 3}` field by field. */
export function checkStruct(state: CheckState, node: StructLiteral): void {
  const type = resolveObjectType(state.environment, node.typeName);
  const { position } = node.span;
  if (type === undefined) {
    const other = resolveName(state.environment, node.typeName);
    const message =
      other === undefined
        ? undeclared(state, node.typeName)
        : `'${node.typeName}' is not a ${other.kind === "constant" ? "message type" : "type"}`;
    record(state, node, errorType);
    return report(state, position, message);
  }
  record(state, node, objectOf(type.name));
  state.references.set(node.id, { kind: "struct", type });
  if (type.make === undefined) report(state, position, `'${type.name}' is not a message type`);
  for (const entry of node.fields) {
    state.check(state, entry.value);
    checkField(state, entry, type);
  }
}

function checkField(
  state: CheckState,
  entry: StructLiteral["fields"][number],
  type: ObjectType,
): void {
  const wanted = type.field(entry.name);
  const { position } = entry.span;
  if (wanted === undefined) return report(state, position, `undefined field '${entry.name}'`);
  const { known } = state.substitution;
  const given = substitute(known, typeAt(state, entry.value), false);
  const value = entry.optional ? (optionalElement(given) ?? given) : given;
  if (assignable(state.substitution, wanted, value)) return;
  const texts = [wanted, given].map((one) => formatType(substitute(known, one, true)));
  const message = `expected type of field '${entry.name}' is '${texts[0]}' but provided type is '${texts[1]}'`;
  report(state, position, message);
}
