// SPDX-License-Identifier: Apache-2.0
import { isArray } from "#policy/json";
import { sortedKeys } from "#policy/text/order";
import { QueryFailure } from "#policy/jmespath/query";
import type { Comparison, Node } from "#policy/jmespath/syntax";
import {
  equalValues,
  ExpressionReference,
  failed,
  GoInteger,
  isFalse,
  isPlainObject,
  toJson,
  unlessUnknown,
  type Step,
  type Value,
} from "#policy/jmespath/values";
import type { Json } from "#policy/json";

/** Plans a call: gets the name and the planned arguments. */
export type PlanCall = (name: string | undefined, args: readonly Step[]) => Step;

/** Turns a parsed expression into closures (semantics: kyverno/go-jmespath interpreter.go). */
export function planNode(node: Node, planCall: PlanCall): Step {
  const plan = (child: Node): Step => planNode(child, planCall);
  switch (node.kind) {
    case "current":
      return (current) => current;
    case "literal":
      return () => node.value;
    case "field":
      return planField(node.name);
    case "index":
      return planIndex(node.index);
    case "slice":
      return planSlice(node.parts);
    case "chain":
      return planChain(plan(node.left), plan(node.right));
    case "pipe":
      return planPipe(plan(node.left), plan(node.right));
    case "or":
      return planOr(plan(node.left), plan(node.right));
    case "and":
      return planAnd(plan(node.left), plan(node.right));
    case "not":
      return planNot(plan(node.operand));
    case "comparison":
      return planComparison(node.operator, plan(node.left), plan(node.right));
    case "flatten":
      return planFlatten(plan(node.operand));
    case "projection":
      return planProjection(plan(node.left), plan(node.right));
    case "valueProjection":
      return planValueProjection(plan(node.left), plan(node.right));
    case "filter":
      return planFilter(plan(node.left), plan(node.condition), plan(node.right));
    case "list":
      return planList(node.items.map(plan));
    case "hash":
      return planHash(node.entries.map(([key, value]) => [key, plan(value)]));
    case "reference": {
      const reference = new ExpressionReference(plan(node.operand));
      return () => reference;
    }
    case "call":
      return planCall(node.name, node.arguments.map(plan));
    default:
      return node satisfies never;
  }
}

/** A field of something that is no object is null; a key that an object lacks is the dialect's error. */
function planField(name: string): Step {
  const unknown = new QueryFailure("unknown-key", `Unknown key "${name}" in path`);
  // The index of a foreach is a Go int64, which the language takes for no number (context.go, AddElement).
  if (/^elementIndex[0-9]*$/.test(name)) return planElementIndex(name, unknown);
  if (name in Object.prototype) {
    return (current) => {
      if (!isPlainObject(current)) return null;
      return Object.hasOwn(current, name) ? (current[name] ?? null) : unknown;
    };
  }
  return (current) => (isPlainObject(current) ? (current[name] ?? presence(current)) : null);

  /** Reached for absent keys and for null values alone. */
  function presence(object: object): Value | QueryFailure {
    return Object.hasOwn(object, name) ? null : unknown;
  }
}

function planElementIndex(name: string, unknown: QueryFailure): Step {
  return (current) => {
    if (!isPlainObject(current)) return null;
    if (!Object.hasOwn(current, name)) return unknown;
    const index = current[name] ?? null;
    return typeof index === "number" ? new GoInteger(index) : index;
  };
}

function planIndex(index: number): Step {
  return (current) =>
    isArray(current) ? (current[index < 0 ? index + current.length : index] ?? null) : null;
}

function planSlice([from, to, by]: readonly (number | undefined)[]): Step {
  const step = by ?? 1;
  const zero = failed("Invalid slice, step cannot be 0");
  return (current) => {
    if (!isArray(current)) return null;
    if (step === 0) return zero;
    const { length } = current;
    const start = from === undefined ? (step < 0 ? length - 1 : 0) : capped(length, from, step);
    const end = to === undefined ? (step < 0 ? -1 : length) : capped(length, to, step);
    const taken: Json[] = [];
    for (let at = start; step > 0 ? at < end : at > end; at += step)
      taken.push(current[at] ?? null);
    return taken;
  };
}

function capped(length: number, wanted: number, step: number): number {
  const index = wanted < 0 ? wanted + length : wanted;
  if (index < 0) return step < 0 ? -1 : 0;
  if (index < length) return index;
  return step < 0 ? length - 1 : length;
}

function planChain(left: Step, right: Step): Step {
  return (current, runtime) => {
    const found = left(current, runtime);
    return found instanceof QueryFailure ? found : right(found, runtime);
  };
}

function planPipe(left: Step, right: Step): Step {
  return (current, runtime) => {
    const found = unlessUnknown(left(current, runtime));
    return found instanceof QueryFailure ? found : unlessUnknown(right(found, runtime));
  };
}

function planOr(left: Step, right: Step): Step {
  return (current, runtime) => {
    const found = unlessUnknown(left(current, runtime));
    if (found instanceof QueryFailure || !isFalse(found)) return found;
    return unlessUnknown(right(current, runtime));
  };
}

/** An unknown key on the right is passed on, unlike everywhere else. */
function planAnd(left: Step, right: Step): Step {
  return (current, runtime) => {
    const found = unlessUnknown(left(current, runtime));
    if (found instanceof QueryFailure || isFalse(found)) return found;
    return right(current, runtime);
  };
}

function planNot(operand: Step): Step {
  return (current, runtime) => {
    const found = unlessUnknown(operand(current, runtime));
    return found instanceof QueryFailure ? found : isFalse(found);
  };
}

const compare: Readonly<Record<Comparison, (a: Value, b: Value) => Value>> = {
  tEQ: equalValues,
  tNE: (a, b) => !equalValues(a, b),
  tLT: (a, b) => (typeof a === "number" && typeof b === "number" ? a < b : null),
  tLTE: (a, b) => (typeof a === "number" && typeof b === "number" ? a <= b : null),
  tGT: (a, b) => (typeof a === "number" && typeof b === "number" ? a > b : null),
  tGTE: (a, b) => (typeof a === "number" && typeof b === "number" ? a >= b : null),
};

function planComparison(operator: Comparison, left: Step, right: Step): Step {
  const decide = compare[operator];
  return (current, runtime) => {
    const a = unlessUnknown(left(current, runtime));
    if (a instanceof QueryFailure) return a;
    const b = unlessUnknown(right(current, runtime));
    return b instanceof QueryFailure ? b : decide(a, b);
  };
}

/** Any failure of the operand makes a flatten null, not only an unknown key. */
function planFlatten(operand: Step): Step {
  return (current, runtime) => {
    const found = operand(current, runtime);
    if (found instanceof QueryFailure || !isArray(found)) return null;
    return found.some(isArray) ? found.flat(1) : found;
  };
}

function planProjection(left: Step, right: Step): Step {
  return (current, runtime) => {
    const found = unlessUnknown(left(current, runtime));
    if (found instanceof QueryFailure) return found;
    return isArray(found) ? collect(found, right, runtime) : null;
  };
}

/**
 * The reference evaluates the right side on one null per key before it does on the values (it appends to a slice
 * made with a length): visible where the right side makes something of null. Its order of values is random; ours is
 * that of the sorted keys.
 */
function planValueProjection(left: Step, right: Step): Step {
  return (current, runtime) => {
    const found = left(current, runtime);
    if (found instanceof QueryFailure || !isPlainObject(found)) return null;
    const keys = sortedKeys(found);
    const nulls: Json[] = keys.map(() => null);
    return collect([...nulls, ...keys.map((key) => found[key] ?? null)], right, runtime);
  };
}

function planFilter(left: Step, condition: Step, right: Step): Step {
  return (current, runtime) => {
    const found = left(current, runtime);
    if (found instanceof QueryFailure || !isArray(found)) return null;
    const collected: Json[] = [];
    for (const element of found) {
      const holds = unlessUnknown(condition(element, runtime));
      if (holds instanceof QueryFailure) return holds;
      if (isFalse(holds)) continue;
      const value = unlessUnknown(right(element, runtime));
      if (value instanceof QueryFailure) return value;
      if (value !== null) collected.push(toJson(value));
    }
    return collected;
  };
}

function collect(
  elements: readonly Json[],
  right: Step,
  runtime: Parameters<Step>[1],
): Value | QueryFailure {
  const collected: Json[] = [];
  for (const element of elements) {
    const value = unlessUnknown(right(element, runtime));
    if (value instanceof QueryFailure) return value;
    if (value !== null) collected.push(toJson(value));
  }
  return collected;
}

function planList(items: readonly Step[]): Step {
  return (current, runtime) => {
    if (current === null) return null;
    const collected: Json[] = [];
    for (const item of items) {
      const value = unlessUnknown(item(current, runtime));
      if (value instanceof QueryFailure) return value;
      collected.push(toJson(value));
    }
    return collected;
  };
}

function planHash(entries: readonly (readonly [string, Step])[]): Step {
  return (current, runtime) => {
    if (current === null) return null;
    const collected: [string, Json][] = [];
    for (const [key, item] of entries) {
      const value = unlessUnknown(item(current, runtime));
      if (value instanceof QueryFailure) return value;
      collected.push([key, toJson(value)]);
    }
    return Object.fromEntries(collected);
  };
}
