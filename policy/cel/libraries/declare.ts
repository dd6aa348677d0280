// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Overload } from "#policy/cel/library";
import type { CelType } from "#policy/cel/types";
import {
  CelError,
  CelMap,
  CelObject,
  isList,
  isPlainMap,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";

/** The parts of an overload that few need. */
export type OverloadExtras = Pick<
  Partial<Overload>,
  "cost" | "checkLiterals" | "checkCall" | "implicit" | "nonStrict" | "unguarded"
>;

/**
 * An implementation whose parameters are declared as what the argument types stand for; trailing ones may be optional, so
 * that one function serves overloads of several lengths. A method, because only methods' parameters may be narrower.
 */
export type Implementation = {
  call(...args: readonly (CelResult | undefined)[]): CelResult;
}["call"];

/** `f(x, y)`. The parameters of `call` may be declared as what the argument types stand for. */
export const globalOverload = (
  id: string,
  argumentTypes: readonly CelType[],
  result: CelType,
  call: Implementation,
  extras: OverloadExtras = {},
): Overload => ({ id, member: false, arguments: argumentTypes, result, call, ...extras });

/** `x.f(y)`: the receiver's type comes first. */
export const memberOverload = (
  id: string,
  argumentTypes: readonly CelType[],
  result: CelType,
  call: Implementation,
  extras: OverloadExtras = {},
): Overload => ({ id, member: true, arguments: argumentTypes, result, call, ...extras });

export const declare = (name: string, ...overloads: readonly Overload[]): FunctionDeclaration => ({
  name,
  overloads,
});

/** The same functions under further names; Kyverno has each of its functions in PascalCase and in camelCase. */
export const alias = (
  declaration: FunctionDeclaration,
  ...names: readonly string[]
): readonly FunctionDeclaration[] => [
  declaration,
  ...names.map((name) => ({ name, overloads: declaration.overloads })),
];

/** An int argument as it comes to an implementation. */
export type Int = number | bigint;

/** Steps charged for a text or list of this length: a tenth of it, as Kubernetes charges string traversal. */
export const traversal = (length: number): number => Math.ceil(length / 10);

/** Largest text that a function makes, in UTF-16 units: the size of the largest object that etcd takes, and more. */
export const textLengthMax = 8 * 1024 * 1024;

/** Most elements of a list that a function makes: cel-go's own limit for `lists.range`. */
export const listLengthMax = 1_000_000;

export const tooLarge = (what: string): CelError =>
  new CelError(`${what}: result is larger than this engine allows`, "budget");

/** A value of a type that only functions look into: a quantity, a URL, a version. */
export class Opaque<T> extends CelObject {
  readonly type: CelType;
  readonly held: T;
  readonly #same: (a: T, b: T) => boolean;
  /** `same` says when two values are equal to `==`. */
  constructor(type: CelType, held: T, same: (a: T, b: T) => boolean) {
    super();
    this.type = type;
    this.held = held;
    this.#same = same;
  }
  override equals(other: CelObject): boolean {
    // Two values of one type name were made by one library, with one kind of `held`.
    if (!(other instanceof Opaque) || other.type !== this.type) return false;
    const theirs: { readonly held: unknown } = other;
    return this.#isHeld(theirs.held) && this.#same(this.held, theirs.held);
  }
  /** Types are compared by identity before, so what an equal type holds is a T. */
  #isHeld(_value: unknown): _value is T {
    return true;
  }
}

/** Reads a Parsed: the value made by `make`, or its message as an evaluation error. */
export function orError<T>(
  result:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly message: string },
  make: (value: T) => CelValue,
  prefix = "",
): CelValue | CelError {
  return result.ok ? make(result.value) : new CelError(prefix + result.message);
}

/** Where counting stops: more than any budget has. */
const weightMax = 20_000_000;

/**
 * Steps charged for a function that looks at the whole of a value: one for each part of it, and a tenth of its texts.
 * Counting itself is bounded.
 */
export function weightOf(value: CelResult): number {
  const waiting: CelResult[] = [value];
  let weight = 0;
  for (let next = waiting.pop(); next !== undefined && weight < weightMax; next = waiting.pop()) {
    weight += 1;
    if (typeof next === "string") weight += next.length / 10;
    else if (next instanceof Uint8Array) weight += next.length / 10;
    else if (isList(next)) for (const item of next) waiting.push(item);
    else if (next instanceof CelMap) for (const [, item] of next.entries()) waiting.push(item);
    else if (isPlainMap(next)) for (const item of Object.values(next)) waiting.push(item);
  }
  return Math.ceil(weight);
}

/** Steps charged for a question to the World: more than an operator, and the size of what is sent along. */
export const callCost = (_world: CelResult, ...args: readonly CelResult[]): number =>
  args.reduce<number>((sum, argument) => sum + weightOf(argument), 100);
