// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { boolType, doubleType, intType, objectOf, stringType } from "#policy/cel/types";
import { CelError, doubleValue, intValue, type CelResult } from "#policy/cel/values";
import {
  addQuantities,
  compareQuantities,
  parseQuantity,
  quantityAsFloat,
  quantityAsInteger,
  quantityOfInteger,
  signOfQuantity,
  subtractQuantities,
  type Quantity,
} from "#policy/kubernetes/quantity";
import { declare, globalOverload, memberOverload, Opaque, orError, type Int } from "./declare.ts";

export const quantityType = objectOf("kubernetes.Quantity");

type QuantityValue = Opaque<Quantity>;

const same = (a: Quantity, b: Quantity): boolean => compareQuantities(a, b) === 0;

const box = (quantity: Quantity): QuantityValue => new Opaque(quantityType, quantity, same);

const ofInt = (value: Int): Quantity => quantityOfInteger(BigInt(value), "DecimalExponent");

const compareTo = (a: QuantityValue, b: QuantityValue): number => compareQuantities(a.held, b.held);

function asInteger(quantity: QuantityValue): CelResult {
  const value = quantityAsInteger(quantity.held);
  return value === undefined ? new CelError("cannot convert value to integer") : intValue(value);
}

const q = quantityType;

/** Kubernetes' quantity library. `sign` is a plain function there, although its documentation shows a method. */
export const quantityLibrary: Library = {
  name: "kubernetes.quantity",
  functions: [
    declare(
      "quantity",
      globalOverload("string_to_quantity", [stringType], q, (text: string) =>
        orError(parseQuantity(text), box),
      ),
    ),
    declare(
      "isQuantity",
      globalOverload(
        "is_quantity_string",
        [stringType],
        boolType,
        (text: string) => parseQuantity(text).ok,
      ),
    ),
    declare(
      "sign",
      globalOverload("quantity_sign", [q], intType, (a: QuantityValue) => signOfQuantity(a.held)),
    ),
    declare(
      "isGreaterThan",
      memberOverload(
        "quantity_is_greater_than",
        [q, q],
        boolType,
        (a: QuantityValue, b: QuantityValue) => compareTo(a, b) > 0,
      ),
    ),
    declare(
      "isLessThan",
      memberOverload(
        "quantity_is_less_than",
        [q, q],
        boolType,
        (a: QuantityValue, b: QuantityValue) => compareTo(a, b) < 0,
      ),
    ),
    declare("compareTo", memberOverload("quantity_compare_to", [q, q], intType, compareTo)),
    declare(
      "asApproximateFloat",
      memberOverload("quantity_get_float", [q], doubleType, (a: QuantityValue) =>
        doubleValue(quantityAsFloat(a.held)),
      ),
    ),
    declare("asInteger", memberOverload("quantity_get_int", [q], intType, asInteger)),
    declare(
      "isInteger",
      memberOverload(
        "quantity_is_integer",
        [q],
        boolType,
        (a: QuantityValue) => quantityAsInteger(a.held) !== undefined,
      ),
    ),
    declare(
      "add",
      memberOverload("quantity_add", [q, q], q, (a: QuantityValue, b: QuantityValue) =>
        box(addQuantities(a.held, b.held)),
      ),
      memberOverload("quantity_add_int", [q, intType], q, (a: QuantityValue, b: Int) =>
        box(addQuantities(a.held, ofInt(b))),
      ),
    ),
    declare(
      "sub",
      memberOverload("quantity_sub", [q, q], q, (a: QuantityValue, b: QuantityValue) =>
        box(subtractQuantities(a.held, b.held)),
      ),
      memberOverload("quantity_sub_int", [q, intType], q, (a: QuantityValue, b: Int) =>
        box(subtractQuantities(a.held, ofInt(b))),
      ),
    ),
  ],
};
