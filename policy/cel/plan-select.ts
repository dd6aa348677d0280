// SPDX-License-Identifier: Apache-2.0
import type { Select } from "./ast.ts";
import { loaded, planned, type Evaluate, type Planned, type PlanState } from "./plan-state.ts";
import { hasField, isPlainKey, select } from "./select.ts";
import { Boxed, type CelResult } from "./values.ts";

/** `a.b` and `has(a.b)`. */
export function planSelection(state: PlanState, node: Select): Planned {
  const operand = state.plan(state, node.operand);
  const strict = state.environment.options.errorOnBadPresenceTest;
  const key = node.field;
  const steps = operand.steps + 1;
  if (!isPlainKey(key)) {
    const { evaluate } = operand;
    const slow: Evaluate = node.test
      ? (frame) => hasField(evaluate(frame), key, strict)
      : (frame) => select(evaluate(frame), key, strict);
    return planned(slow, steps);
  }
  if (node.test) return planned(makePresence(operand, key, strict), steps);
  return planned(makeSelect(operand, key, strict), steps);
}

/**
 * Lists and bytes count too: a plain key finds nothing in them. Most operands are variables, which the closure reads
 * itself instead of calling another.
 */
const isJsonObject = (
  value: CelResult | undefined,
): value is { readonly [key: string]: CelResult } & CelResult =>
  typeof value === "object" && value !== null && !(value instanceof Boxed);

function makeSelect(operand: Planned, key: string, strict: boolean): Evaluate {
  const { evaluate, slot } = operand;
  if (slot !== undefined) {
    return (frame) => {
      const value = frame.slots[slot];
      if (isJsonObject(value)) {
        const found = value[key];
        if (found !== undefined) return found;
      }
      return select(value ?? loaded(value), key, strict);
    };
  }
  return (frame) => {
    const value = evaluate(frame);
    if (isJsonObject(value)) {
      const found = value[key];
      if (found !== undefined) return found;
    }
    return select(value, key, strict);
  };
}

function makePresence(operand: Planned, key: string, strict: boolean): Evaluate {
  const { evaluate, slot } = operand;
  if (slot !== undefined) {
    return (frame) => {
      const value = frame.slots[slot];
      if (isJsonObject(value) && value[key] !== undefined) return true;
      return hasField(value ?? loaded(value), key, strict);
    };
  }
  return (frame) => {
    const value = evaluate(frame);
    if (isJsonObject(value) && value[key] !== undefined) return true;
    return hasField(value, key, strict);
  };
}
