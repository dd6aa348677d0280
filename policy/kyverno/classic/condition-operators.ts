// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json } from "#policy/json";
import { equalJson } from "#policy/jmespath/values";
import { compareQuantities } from "#policy/kubernetes/quantity";
import { compareSemver, parseSemver } from "#policy/kubernetes/semver";
import { compileWildcard } from "#policy/kubernetes/wildcard";
import {
  allIn,
  allNotIn,
  anyIn,
  anyNotIn,
  legacyIn,
  legacyNotIn,
  type Holds,
  type Operator,
} from "#policy/kyverno/classic/condition-sets";
import {
  areDurations,
  durationOf,
  durationSide,
  parseFloat64,
  quantityOf,
} from "#policy/kyverno/classic/condition-values";

/**
 * An operator by its name; undefined for an unknown one. The reference finds operators whatever their case, but the
 * ones that order compare the exact name: `greaterthan` is known and never holds.
 */
export function findOperator(name: string): Operator | undefined {
  const found = operators.get(name.toLowerCase());
  if (found === undefined) return undefined;
  return found.anyCase || found.name === name ? found.operator : () => () => false;
}

type Named = { readonly name: string; readonly operator: Operator; readonly anyCase: boolean };

type Order = (order: number) => boolean;

const orders: Readonly<Record<string, Order>> = {
  GreaterThan: (order) => order > 0,
  GreaterThanOrEquals: (order) => order >= 0,
  LessThan: (order) => order < 0,
  LessThanOrEquals: (order) => order <= 0,
};

const unordered: Readonly<Record<string, Operator>> = {
  Equal: equals,
  Equals: equals,
  NotEqual: notEquals,
  NotEquals: notEquals,
  In: legacyIn,
  NotIn: legacyNotIn,
  AnyIn: anyIn,
  AllIn: allIn,
  AnyNotIn: anyNotIn,
  AllNotIn: allNotIn,
};

const named: readonly Named[] = [
  ...Object.entries(unordered).map(([name, operator]) => ({ name, operator, anyCase: true })),
  ...Object.entries(orders).flatMap(([name, holds]) => [
    { name, operator: ordered(holds), anyCase: false },
    { name: `Duration${name}`, operator: orderedDurations(holds), anyCase: false },
  ]),
];

const operators = new Map(named.map((one) => [one.name.toLowerCase(), one]));

/** Equal (operator/equal.go). A null key equals nothing. */
function equals(value: Json): Holds {
  const text = planEqualText(value);
  return (key) => (typeof key === "string" ? text(key) : equalOther(key, value));
}

/** NotEqual (operator/notequal.go). Not the opposite of Equal: a null key holds for neither of them. */
function notEquals(value: Json): Holds {
  const text = planEqualText(value);
  return (key) => {
    if (key === null) return false;
    return typeof key === "string" ? !text(key) : !equalOther(key, value);
  };
}

function equalOther(key: Json, value: Json): boolean {
  if (typeof key === "number" && typeof value === "string") return parseFloat64(value) === key;
  if (typeof key === "number" || typeof key === "boolean") return value === key;
  const sameShape = isArray(key) ? isArray(value) : isObject(key) && isObject(value);
  return sameShape && equalJson(key, value);
}

/** An amount equals no text that is none, not even a wildcard. */
function planEqualText(value: Json): (key: string) => boolean {
  const right = durationSide(value);
  const amount = quantityOf(value);
  const matches = typeof value === "string" ? compileWildcard(value) : undefined;
  return (key) => {
    const left = durationSide(key);
    if (areDurations(left, right)) return left.worth === right.worth;
    if (matches === undefined) return false;
    const other = quantityOf(key);
    if (other === undefined) return matches(key);
    return amount !== undefined && compareQuantities(other, amount) === 0;
  };
}

/** GreaterThan and its like (operator/numeric.go): durations, quantities, numbers, versions, in this order. */
function ordered(holds: Order): Operator {
  return (value) => (key) => {
    const order = typeof key === "string" ? orderText(key, value) : orderNumber(key, value);
    return order !== undefined && holds(order);
  };
}

function orderNumber(key: Json, value: Json): number | undefined {
  if (typeof key !== "number") return undefined;
  if (typeof value === "number") return orderOf(key, value);
  if (typeof value !== "string") return undefined;
  const [left, right] = [durationSide(key), durationSide(value)];
  if (areDurations(left, right)) return orderOf(left.worth, right.worth ?? 0n);
  const number = parseFloat64(value);
  return number === undefined ? undefined : orderOf(key, number);
}

function orderText(key: string, value: Json): number | undefined {
  const [left, right] = [durationSide(key), durationSide(value)];
  if (areDurations(left, right)) return orderOf(left.worth, right.worth ?? 0n);
  const amount = quantityOf(key);
  const other = quantityOf(value);
  if (amount !== undefined && other !== undefined) return compareQuantities(amount, other);
  const number = parseFloat64(key);
  if (number !== undefined) return orderNumber(number, value);
  return typeof value === "string" ? orderVersions(key, value) : undefined;
}

function orderVersions(key: string, value: string): number | undefined {
  const [left, right] = [parseSemver(key), parseSemver(value)];
  return left.ok && right.ok ? compareSemver(left.value, right.value) : undefined;
}

/** DurationGreaterThan and its like (operator/duration.go): numbers are seconds. */
function orderedDurations(holds: Order): Operator {
  return (value) => (key) => {
    const [left, right] = [durationOf(key), durationOf(value)];
    return left !== undefined && right !== undefined && holds(orderOf(left, right));
  };
}

function orderOf(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
