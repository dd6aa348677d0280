// SPDX-License-Identifier: Apache-2.0
import type { Call, Comprehension, Expression, Literal } from "./ast.ts";
import type { CelType } from "./types.ts";
import type { CelResult, CelValue } from "./values.ts";

/**
 * A set of functions, macros, constants and types that an environment can have. All parts are plain data, so a library
 * is a constant; what it needs from the World reaches it through the activation (see {@link Overload.implicit}).
 */
export type Library = {
  readonly name: string;
  readonly functions?: readonly FunctionDeclaration[];
  readonly macros?: readonly Macro[];
  /** Names with a fixed value, qualified ones (`a.b.C`) included. */
  readonly constants?: readonly Constant[];
  readonly objectTypes?: readonly ObjectType[];
};

export type Constant = { readonly name: string; readonly type: CelType; readonly value: CelValue };

/**
 * A function by name. A namespaced function is global with a qualified name (`hash.md5`, `ip.isCanonical`, `optional.of`);
 * it is tried before a method of the same last name.
 */
export type FunctionDeclaration = {
  readonly name: string;
  readonly overloads: readonly Overload[];
};

export type Overload = {
  /** Unique, e.g. `string_contains_string`; messages and costs may name it. */
  readonly id: string;
  /** `x.f(y)`: the receiver is the first of `arguments`. Otherwise `f(x, y)`. */
  readonly member: boolean;
  /** Argument types; use `parameter("A")` for type parameters, which are the overload's own. */
  readonly arguments: readonly CelType[];
  readonly result: CelType;
  /**
   * Computes the result. Never called with errors unless `nonStrict`, and only with values of the declared types
   * (`dyn` and parameters: any), so an implementation may declare its parameters by what it gets:
   * `call: (text: string, index: number | bigint) => ...`. What has no representation of its own in JS comes as
   * described at {@link CelValue}: int as `number | bigint`, double as `number | Double`. Must not throw or loop
   * longer than its input; bad input gives a `CelError` with cel-go's or Kubernetes' text.
   */
  call(...args: readonly CelResult[]): CelResult;
  /**
   * The function gets values of any type, never errors, and words the mismatch itself. Without it a mismatch is
   * `no such overload: name(types)`.
   */
  readonly unguarded?: boolean;
  /** The function gets errors as arguments too and decides itself. */
  readonly nonStrict?: boolean;
  /**
   * Name of an activation entry that is passed before the arguments, e.g. the World's clock. Expressions cannot see it
   * unless it is declared as a variable too. An absent entry makes the call an `unsupported` error.
   */
  readonly implicit?: string;
  /** Steps to charge for one call, beside the 1 of every call; gets the same arguments as `call`. */
  cost?(...args: readonly CelResult[]): number;
  /**
   * Called at compile time when all arguments are literals; gives the message of a compile error, as Kubernetes does for
   * `duration('x')` or `matches('(')`. Undefined: fine. Position is that of the first argument after a receiver.
   */
  checkLiterals?(...args: readonly (CelValue | undefined)[]): string | undefined;
  /**
   * Called at compile time when the types of all nodes are known; gives what the reference refuses in the call and where,
   * such as a format string whose clauses do not fit the arguments.
   */
  checkCall?(
    call: Call,
    typeOf: (node: Expression) => CelType,
  ): { readonly message: string; readonly at: Expression } | undefined;
};

/** What a macro may build its expansion with; every node gets the span of the macro call unless it is copied. */
export type MacroContext = {
  readonly call: Call;
  readonly literal: (value: CelValue) => Literal;
  readonly ident: (name: string) => Expression;
  readonly invoke: (name: string, ...args: readonly Expression[]) => Call;
  readonly invokeMember: (target: Expression, name: string, ...args: readonly Expression[]) => Call;
  readonly list: (...elements: readonly Expression[]) => Expression;
  readonly map: (...entries: readonly (readonly [Expression, Expression])[]) => Expression;
  readonly select: (operand: Expression, field: string, test?: boolean) => Expression;
  readonly fold: (parts: FoldParts) => Comprehension;
};

export type FoldParts = Pick<
  Comprehension,
  "range" | "iterVar" | "accuVar" | "accuInit" | "condition" | "step" | "result"
> &
  Partial<Pick<Comprehension, "iterVar2" | "shape">>;

export type MacroError = { readonly message: string; readonly at: Expression };

/** A call that is rewritten while parsing. */
export type Macro = {
  readonly name: string;
  /** `x.name(...)` when true, `name(...)` otherwise. */
  readonly receiver: boolean;
  /** Number of arguments; undefined for any. */
  readonly arity: number | undefined;
  /** The rewritten expression; undefined leaves the call as it stands. `target` is undefined for a global macro. */
  readonly expand: (
    make: MacroContext,
    target: Expression | undefined,
    args: readonly Expression[],
  ) => Expression | MacroError | undefined;
};

export const isMacroError = (value: Expression | MacroError): value is MacroError => "at" in value;

/** A type with fields. `name` may be a prefix of many: see `resolveType` of the environment for types made on demand. */
export type ObjectType = {
  readonly name: string;
  /** The type of a field, undefined when there is none: a compile error. */
  readonly field: (name: string) => CelType | undefined;
  /** Makes the value of a literal `Name{field: value}`; without it such a literal is a compile error. */
  readonly make?: (fields: ReadonlyMap<string, CelValue>) => CelResult;
};
