// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json } from "#policy/json";
import { equalJson } from "#policy/jmespath/values";
import { compareQuantities, parseQuantity } from "#policy/kubernetes/quantity";
import { compareSemver, parseSemver } from "#policy/kubernetes/semver";
import { matchesWildcard } from "#policy/kubernetes/wildcard";
import {
  allIn,
  allNotIn,
  anyIn,
  anyNotIn,
  legacyIn,
  legacyNotIn,
  type Compare,
} from "#policy/kyverno/classic/condition-sets";
import { durationOf, parseFloat64, readDurations } from "#policy/kyverno/classic/condition-values";

/**
 * The comparison of an operator; undefined for an unknown one. The reference finds operators whatever their case, but
 * the ones that order compare the exact name: `greaterthan` is known and never holds.
 */
export function findOperator(name: string): Compare | undefined {
  const found = operators.get(name.toLowerCase());
  if (found === undefined) return undefined;
  return "compare" in found || found.name === name ? found.run : never;
}

const never: Compare = () => false;

type Operator = { readonly name: string; readonly run: Compare; readonly compare?: true };

type Order = (order: number) => boolean;

const orders: Readonly<Record<string, Order>> = {
  GreaterThan: (order) => order > 0,
  GreaterThanOrEquals: (order) => order >= 0,
  LessThan: (order) => order < 0,
  LessThanOrEquals: (order) => order <= 0,
};

const operators: ReadonlyMap<string, Operator> = new Map(
  [
    ...Object.entries({
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
    }).map(([name, run]): Operator => ({ name, run, compare: true })),
    ...Object.entries(orders).map(([name, holds]): Operator => ({ name, run: ordered(holds) })),
    ...Object.entries(orders).map(([name, holds]): Operator => ({
      name: `Duration${name}`,
      run: orderedDurations(holds),
    })),
  ].map((operator) => [operator.name.toLowerCase(), operator]),
);

/** Equal (operator/equal.go). A null key equals nothing. */
function equals(key: Json, value: Json): boolean {
  if (typeof key === "string") return equalText(key, value) ?? false;
  if (typeof key === "number" && typeof value === "string") return parseFloat64(value) === key;
  if (typeof key === "number" || typeof key === "boolean") return value === key;
  return sameShape(key, value) && equalJson(key, value);
}

/** NotEqual (operator/notequal.go). Not the opposite of Equal: a null key holds for neither of them. */
function notEquals(key: Json, value: Json): boolean {
  if (key === null) return false;
  if (typeof key !== "string") return !equals(key, value);
  const equal = equalText(key, value);
  return equal === undefined ? false : !equal;
}

const sameShape = (key: Json, value: Json): boolean =>
  isArray(key) ? isArray(value) : isObject(key) && isObject(value);

/** undefined where the key is an amount and the value a text that is none: then neither Equal nor NotEqual holds. */
function equalText(key: string, value: Json): boolean | undefined {
  const durations = readDurations(key, value);
  if (durations !== undefined) return durations.key === durations.value;
  if (typeof value !== "string") return false;
  const amount = parseQuantity(key);
  if (!amount.ok) return matchesWildcard(value, key);
  const other = parseQuantity(value);
  return other.ok ? compareQuantities(amount.value, other.value) === 0 : undefined;
}

/** GreaterThan and its like (operator/numeric.go): durations, quantities, numbers, versions, in this order. */
function ordered(holds: Order): Compare {
  return (key, value) => {
    const order = typeof key === "number" ? orderNumber(key, value) : orderText(key, value);
    return order !== undefined && holds(order);
  };
}

function orderNumber(key: number, value: Json): number | undefined {
  if (typeof value === "number") return orderOf(key, value);
  if (typeof value !== "string") return undefined;
  const durations = readDurations(key, value);
  if (durations !== undefined) return orderOf(durations.key, durations.value);
  const number = parseFloat64(value);
  return number === undefined ? undefined : orderOf(key, number);
}

function orderText(key: Json, value: Json): number | undefined {
  if (typeof key !== "string") return undefined;
  const durations = readDurations(key, value);
  if (durations !== undefined) return orderOf(durations.key, durations.value);
  if (typeof value === "string") {
    const [left, right] = [parseQuantity(key), parseQuantity(value)];
    if (left.ok && right.ok) return compareQuantities(left.value, right.value);
  }
  const number = parseFloat64(key);
  if (number !== undefined) return orderNumber(number, value);
  const version = parseSemver(key);
  const other = typeof value === "string" ? parseSemver(value) : version;
  return version.ok && typeof value === "string" && other.ok
    ? compareSemver(version.value, other.value)
    : undefined;
}

/** DurationGreaterThan and its like (operator/duration.go): numbers are seconds. */
function orderedDurations(holds: Order): Compare {
  return (key, value) => {
    const [left, right] = [durationOf(key), durationOf(value)];
    return left !== undefined && right !== undefined && holds(orderOf(left, right));
  };
}

function orderOf(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
