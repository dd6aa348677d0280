// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "#policy/cel/ast";
import { compare } from "#policy/cel/compare";
import type { FunctionDeclaration, Library, Macro, Overload } from "#policy/cel/library";
import {
  boolType,
  doubleType,
  dynType,
  intType,
  listOf,
  uintType,
  type CelType,
} from "#policy/cel/types";
import {
  CelError,
  Double,
  doubleValue,
  intValue,
  isList,
  Uint,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";
import { declare, globalOverload, type Int } from "./declare.ts";

type DoubleArg = number | Double;

const numberOf = (value: DoubleArg): number => (value instanceof Double ? value.value : value);

/** Version 2 of cel-go's math extension: least, greatest, rounding, signs, bits and sqrt. */
export const mathLibrary: Library = {
  name: "cel.lib.ext.math",
  functions: [
    extreme("@min", 1),
    extreme("@max", -1),
    ...roundingFunctions(),
    ...signFunctions(),
    ...bitFunctions(),
    ...shiftFunctions(),
  ],
  macros: [extremeMacro("least", "math.@min"), extremeMacro("greatest", "math.@max")],
};

/** `math.@min` or `math.@max`, to which the macros expand. `worse` is the order at which the second of a pair wins. */
function extreme(name: string, worse: 1 | -1): FunctionDeclaration {
  const pair = (a: CelValue, b: CelValue): CelResult => {
    const order = compare(a, b);
    if (order === undefined) return new CelError(`no such overload: math.${name}`);
    // A NaN has no order; cel-go reports it as an error of the comparison.
    if (Number.isNaN(order)) return new CelError(`NaN values cannot be ordered: math.${name}`);
    return Math.sign(order) === worse ? b : a;
  };
  const best = (list: readonly CelValue[]): CelResult => {
    const [first, ...rest] = list;
    if (first === undefined) {
      return new CelError(`math.${name}(list) argument must not be empty`);
    }
    let found: CelResult = isNumeric(first)
      ? first
      : new CelError(`no such overload: math.${name}`);
    for (const item of rest) {
      if (found instanceof CelError) return found;
      found = isNumeric(item) ? pair(found, item) : new CelError(`no such overload: math.${name}`);
    }
    return found;
  };
  const numbers = [doubleType, intType, uintType];
  const id = (...types: readonly CelType[]): string =>
    `math_${name}_${types.map((type) => type.kind).join("_")}`;
  const same = (a: CelType, b: CelType): CelType => (a === b ? a : dynType);
  const cost = (list: CelResult): number => (isList(list) ? list.length : 0);
  return declare(
    `math.${name}`,
    ...numbers.map((type) => globalOverload(id(type), [type], type, (value: CelValue) => value)),
    ...numbers.flatMap((a) =>
      numbers.map((b) => globalOverload(id(a, b), [a, b], same(a, b), pair)),
    ),
    ...numbers.map((type) =>
      globalOverload(`math_${name}_list_${type.kind}`, [listOf(type)], type, best, { cost }),
    ),
  );
}

const isNumeric = (value: CelValue): boolean =>
  typeof value === "number" ||
  typeof value === "bigint" ||
  value instanceof Double ||
  value instanceof Uint;

/** `math.least(...)`: one list or number, two numbers, or more, which become a list. */
function extremeMacro(name: string, call: string): Macro {
  return {
    name,
    receiver: true,
    arity: undefined,
    expand: (make, target, args) => {
      if (target?.kind !== "ident" || target.name !== "math") return undefined;
      const [first] = args;
      if (first === undefined) {
        return { message: `math.${name}() requires at least one argument`, at: target };
      }
      if (args.length === 1) {
        if (isNumericList(first) || mayBeNumber(first)) return make.invoke(call, first);
        return { message: `math.${name}() invalid single argument value`, at: first };
      }
      const wrong = args.find((arg) => !mayBeNumber(arg));
      if (wrong !== undefined) {
        return { message: `math.${name}() simple literal arguments must be numeric`, at: wrong };
      }
      return args.length === 2 ? make.invoke(call, ...args) : make.invoke(call, make.list(...args));
    },
  };
}

function mayBeNumber(argument: Expression): boolean {
  if (argument.kind === "literal") return isNumeric(argument.value);
  return argument.kind !== "list" && argument.kind !== "map" && argument.kind !== "struct";
}

const isNumericList = (argument: Expression): boolean =>
  argument.kind === "list" &&
  argument.elements.length > 0 &&
  argument.elements.every((element) => mayBeNumber(element.value));

function roundingFunctions(): readonly FunctionDeclaration[] {
  const rounding = (name: string, round: (value: number) => number): FunctionDeclaration =>
    declare(
      `math.${name}`,
      globalOverload(`math_${name}_double`, [doubleType], doubleType, (value: DoubleArg) =>
        doubleValue(round(numberOf(value))),
      ),
    );
  const test = (name: string, holds: (value: number) => boolean): FunctionDeclaration =>
    declare(
      `math.${name}`,
      globalOverload(`math_${name}_double`, [doubleType], boolType, (value: DoubleArg) =>
        holds(numberOf(value)),
      ),
    );
  return [
    rounding("ceil", Math.ceil),
    rounding("floor", Math.floor),
    rounding("round", roundAway),
    rounding("trunc", Math.trunc),
    test("isInf", (value) => Math.abs(value) === Infinity),
    test("isNaN", Number.isNaN),
    test("isFinite", Number.isFinite),
  ];
}

/** Halves go away from zero, as Go's math.Round; JS's rounds them up. */
export function roundAway(value: number): number {
  const whole = Math.trunc(value);
  return Math.abs(value - whole) >= 0.5 ? whole + Math.sign(value) : whole;
}

function signFunctions(): readonly FunctionDeclaration[] {
  const abs = (value: Int): CelResult => {
    const size = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
    return size >= 2n ** 63n ? new CelError("integer overflow") : intValue(size);
  };
  const sign = (value: number): number => (Number.isNaN(value) ? value : Math.sign(value) + 0);
  const sqrt = (id: string, type: CelType, read: (value: never) => number): Overload =>
    globalOverload(id, [type], doubleType, (value: never) => doubleValue(Math.sqrt(read(value))));
  return [
    declare(
      "math.abs",
      globalOverload("math_abs_double", [doubleType], doubleType, (value: DoubleArg) =>
        doubleValue(Math.abs(numberOf(value))),
      ),
      globalOverload("math_abs_int", [intType], intType, abs),
      globalOverload("math_abs_uint", [uintType], uintType, (value: Uint) => value),
    ),
    declare(
      "math.sign",
      globalOverload("math_sign_double", [doubleType], doubleType, (value: DoubleArg) =>
        doubleValue(sign(numberOf(value))),
      ),
      globalOverload(
        "math_sign_int",
        [intType],
        intType,
        (value: Int) => Number(value > 0) - Number(value < 0),
      ),
      globalOverload(
        "math_sign_uint",
        [uintType],
        uintType,
        (value: Uint) => new Uint(value.value === 0n ? 0n : 1n),
      ),
    ),
    declare(
      "math.sqrt",
      sqrt("math_sqrt_double", doubleType, numberOf),
      sqrt("math_sqrt_int", intType, (value: Int) => Number(value)),
      sqrt("math_sqrt_uint", uintType, (value: Uint) => Number(value.value)),
    ),
  ];
}

function bitFunctions(): readonly FunctionDeclaration[] {
  const bits = (name: string, combine: (a: bigint, b: bigint) => bigint): FunctionDeclaration =>
    declare(
      `math.${name}`,
      globalOverload(`math_${name}_int_int`, [intType, intType], intType, (a: Int, b: Int) =>
        intValue(combine(BigInt(a), BigInt(b))),
      ),
      globalOverload(
        `math_${name}_uint_uint`,
        [uintType, uintType],
        uintType,
        (a: Uint, b: Uint) => new Uint(combine(a.value, b.value)),
      ),
    );
  return [
    bits("bitAnd", (a, b) => a & b),
    bits("bitOr", (a, b) => a | b),
    bits("bitXor", (a, b) => a ^ b),
    declare(
      "math.bitNot",
      globalOverload("math_bitNot_int_int", [intType], intType, (value: Int) =>
        intValue(~BigInt(value)),
      ),
      globalOverload(
        "math_bitNot_uint_uint",
        [uintType],
        uintType,
        (value: Uint) => new Uint(BigInt.asUintN(64, ~value.value)),
      ),
    ),
  ];
}

function shiftFunctions(): readonly FunctionDeclaration[] {
  /** Shifts of 64 and more leave nothing; a right shift fills with zeros even for ints. */
  const shift =
    (
      name: string,
      left: boolean,
      wrap: (value: bigint) => CelValue,
      read: (value: CelValue) => bigint,
    ) =>
    (value: CelValue, places: Int): CelResult => {
      if (places < 0) return new CelError(`math.${name}() negative offset: ${places}`);
      if (places >= 64) return wrap(0n);
      const bits = BigInt.asUintN(64, read(value));
      return wrap(left ? bits << BigInt(places) : bits >> BigInt(places));
    };
  const wrapInt = (value: bigint): CelValue => intValue(BigInt.asIntN(64, value));
  const wrapUint = (value: bigint): CelValue => new Uint(BigInt.asUintN(64, value));
  const readInt = (value: CelValue): bigint =>
    typeof value === "number" || typeof value === "bigint" ? BigInt(value) : 0n;
  const readUint = (value: CelValue): bigint => (value instanceof Uint ? value.value : 0n);
  return [
    { name: "bitShiftLeft", left: true },
    { name: "bitShiftRight", left: false },
  ].map(({ name, left }) =>
    declare(
      `math.${name}`,
      globalOverload(
        `math_${name}_int_int`,
        [intType, intType],
        intType,
        shift(name, left, wrapInt, readInt),
      ),
      globalOverload(
        `math_${name}_uint_int`,
        [uintType, intType],
        uintType,
        shift(name, left, wrapUint, readUint),
      ),
    ),
  );
}
