// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json, type JsonObject } from "#policy/json";
import { formatForMessage } from "#policy/jmespath/go-format";
import type { QueryFailure, QueryRuntime } from "#policy/jmespath/query";
import { ExpressionReference, failed, isPlainObject, type Value } from "#policy/jmespath/values";

export type ArgumentType =
  | "number"
  | "string"
  | "array"
  | "object"
  | "array[number]"
  | "array[string]"
  | "expref"
  | "any";

export type Arguments = readonly Value[];
export type Outcome = Value | QueryFailure;

/** A function of the language: which arguments it takes and what it gives. Handlers never throw. */
export type JmesFunction = {
  /** One list of accepted types per argument; undefined takes anything, as `time_now` does in the reference. */
  readonly accepts: readonly (readonly ArgumentType[])[] | undefined;
  /** Takes at least as many as `accepts` says, of any type: the reference does not check these. */
  readonly variadic: boolean;
  readonly run: (args: Arguments, runtime: QueryRuntime) => Outcome;
};

export type FunctionTable = Readonly<Record<string, JmesFunction>>;

/** Declares a function of fixed arity; each argument is a type or several joined by `|`. */
export function takes(
  types: readonly string[],
  run: (args: Arguments, runtime: QueryRuntime) => Outcome,
): JmesFunction {
  return {
    accepts: types.map((type) => type.split("|").filter(isArgumentType)),
    variadic: false,
    run,
  };
}

/** Declares a function of one or more arguments of any type. */
export function takesMany(run: (args: Arguments) => Outcome): JmesFunction {
  return { accepts: [["any"]], variadic: true, run };
}

/** The reference's complaint about the arguments; undefined when they are fine. */
export function checkArguments(entry: JmesFunction, args: Arguments): QueryFailure | undefined {
  const { accepts } = entry;
  if (accepts === undefined) return undefined;
  if (entry.variadic) return args.length < accepts.length ? failed("Invalid arity.") : undefined;
  if (args.length !== accepts.length) return failed("incorrect number of args");
  for (const [index, types] of accepts.entries()) {
    const argument = args[index] ?? null;
    if (!types.some((type) => isOfType(argument, type))) return wrongType(argument, types);
  }
  return undefined;
}

function wrongType(argument: Value, types: readonly ArgumentType[]): QueryFailure {
  const expected = types.map((type) => `"${type}"`).join(", ");
  return failed(
    `Invalid type for: ${formatForMessage(argument)}, expected: []jmespath.JpType{${expected}}`,
  );
}

function isOfType(value: Value, type: ArgumentType): boolean {
  switch (type) {
    case "any":
      return true;
    case "number":
    case "string":
      return typeof value === type;
    case "array":
      return isArray(value);
    case "object":
      return isPlainObject(value);
    case "array[number]":
      return isArray(value) && value.every((item) => typeof item === "number");
    case "array[string]":
      return isArray(value) && value.every((item) => typeof item === "string");
    case "expref":
      return value instanceof ExpressionReference;
    default:
      return type satisfies never;
  }
}

const argumentTypes: readonly string[] = [
  "number",
  "string",
  "array",
  "object",
  "array[number]",
  "array[string]",
  "expref",
  "any",
];

function isArgumentType(text: string): text is ArgumentType {
  return argumentTypes.includes(text);
}

// Arguments after the check of their types: the empty value stands for what cannot be there any more.

export function textOf(args: Arguments, index: number): string {
  const value = args[index];
  return typeof value === "string" ? value : "";
}

export function numberOf(args: Arguments, index: number): number {
  const value = args[index];
  return typeof value === "number" ? value : 0;
}

export function listOf(args: Arguments, index: number): readonly Json[] {
  const value = args[index] ?? null;
  return isArray(value) ? value : [];
}

export function objectOf(args: Arguments, index: number): JsonObject {
  const value = args[index] ?? null;
  return isPlainObject(value) ? value : {};
}

export function valueOf(args: Arguments, index: number): Value {
  return args[index] ?? null;
}

/** A failure with the reference's prefix for its own functions. */
export function faultIn(name: string, message: string): QueryFailure {
  return failed(`JMESPath function '${name}': ${message}`);
}

/** `argument #N is not of type T`, N counted from one. */
export function notOfType(name: string, position: number, type: string): QueryFailure {
  return faultIn(name, `argument #${position} is not of type ${type}`);
}
