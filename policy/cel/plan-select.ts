// SPDX-License-Identifier: Apache-2.0
import type { Select } from "./ast.ts";
import { planned, type Planned, type PlanState } from "./plan-state.ts";
import { hasField, isPlainKey, select } from "./select.ts";
import { Boxed, type CelResult } from "./values.ts";

/** `a.b` and `has(a.b)`. */
export function planSelection(state: PlanState, node: Select): Planned {
  const { evaluate, steps } = state.plan(state, node.operand);
  const key = node.field;
  const plain = isPlainKey(key);
  const strict = state.environment.options.errorOnBadPresenceTest;
  if (node.test) {
    return planned((frame) => {
      const value = evaluate(frame);
      if (plain && isJsonObject(value) && value[key] !== undefined) return true;
      return hasField(value, key, strict);
    }, steps + 1);
  }
  return planned((frame) => {
    const value = evaluate(frame);
    if (plain && isJsonObject(value)) {
      const found = value[key];
      if (found !== undefined) return found;
    }
    return select(value, key, strict);
  }, steps + 1);
}

/** Lists and bytes count too: a plain key finds nothing in them. */
const isJsonObject = (
  value: CelResult,
): value is { readonly [key: string]: CelResult } & CelResult =>
  typeof value === "object" && value !== null && !(value instanceof Boxed);
