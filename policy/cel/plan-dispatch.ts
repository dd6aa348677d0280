// SPDX-License-Identifier: Apache-2.0
import { budgetExceeded } from "./budget.ts";
import type { Reference } from "./check-state.ts";
import { typeNameOf } from "./compare.ts";
import type { Overload } from "./library.ts";
import { planned, type Evaluate, type Frame, type Planned } from "./plan-state.ts";
import { isDynamic, typeName, type CelType } from "./types.ts";
import {
  CelError,
  CelMap,
  CelObject,
  doubleOf,
  Duration,
  isInt,
  isList,
  isPlainMap,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type CelResult,
} from "./values.ts";

type FunctionReference = Extract<Reference, { kind: "function" }>;
type Matcher = (value: CelResult) => boolean;

/**
 * Whether a value may be an argument of a type: by kind and name, and for lists and maps by their first element, as in
 * cel-go; empty ones may be of anything.
 */
function matcherOf(type: CelType): Matcher {
  switch (type.kind) {
    case "dyn":
    case "any":
    case "parameter":
    case "error":
      return isNoError;
    case "string":
      return (value) => typeof value === "string";
    case "bool":
      return (value) => typeof value === "boolean";
    case "int":
      return isInt;
    case "uint":
      return (value) => value instanceof Uint;
    case "double":
      return (value) => doubleOf(value) !== undefined;
    case "null":
      return (value) => value === null;
    case "bytes":
      return (value) => value instanceof Uint8Array;
    case "timestamp":
      return (value) => value instanceof Timestamp;
    case "duration":
      return (value) => value instanceof Duration;
    case "list":
      return listMatcher(type.element);
    case "map":
      return mapMatcher(type.key, type.value);
    case "type":
      return (value) => value instanceof TypeValue;
    case "opaque":
    case "object":
      return matcherOfNamed(typeName(type));
    default:
      return type satisfies never;
  }
}

const isNoError: Matcher = (value) => !(value instanceof CelError);

const isAny = (type: CelType): boolean => isDynamic(type) || type.kind === "parameter";

function listMatcher(element: CelType): Matcher {
  if (isAny(element)) return isList;
  const suitsElement = matcherOf(element);
  return (value) => isList(value) && (value[0] === undefined || suitsElement(value[0]));
}

function mapMatcher(key: CelType, item: CelType): Matcher {
  const isMap: Matcher = (value) => isPlainMap(value) || value instanceof CelMap;
  if (isAny(key) && isAny(item)) return isMap;
  const [suitsKey, suitsItem] = [matcherOf(key), matcherOf(item)];
  return (value) => {
    if (!isMap(value)) return false;
    for (const [firstKey, firstItem] of entriesOf(value)) {
      return suitsKey(firstKey) && suitsItem(firstItem);
    }
    return true;
  };
}

function entriesOf(value: CelResult): Iterable<readonly [CelResult, CelResult]> {
  if (value instanceof CelMap) return value.entries();
  return isPlainMap(value) ? Object.entries(value) : [];
}

function matcherOfNamed(name: string): Matcher {
  if (name === "optional_type") return (value) => value instanceof Optional;
  // Objects that come as plain JSON, e.g. `request`, have their type only at compile time; no function takes one.
  return (value) => value instanceof CelObject && typeName(value.type) === name;
}

type Candidate = { readonly overload: Overload; readonly matchers: readonly Matcher[] };

/** A call that finds its overload by the values of its arguments. */
export function planDispatch(reference: FunctionReference, args: readonly Planned[]): Planned {
  const candidates = reference.overloads.map((overload) => ({
    overload,
    matchers: overload.arguments.map(overload.unguarded === true ? () => isNoError : matcherOf),
  }));
  const steps = args.reduce((sum, argument) => sum + argument.steps, 1);
  const evaluates = args.map((argument) => argument.evaluate);
  const quick =
    candidates.length === 1 ? planQuick(reference.name, candidates[0], evaluates) : undefined;
  if (quick !== undefined) return planned(quick, steps);
  return planned((frame) => {
    const values = evaluates.map((evaluate) => evaluate(frame));
    const found = candidates.find((candidate) => suits(candidate, values));
    return found === undefined
      ? mismatch(reference.name, values)
      : invoke(frame, found.overload, values);
  }, steps);
}

/** One overload of one or two arguments without extras: no lists of values are needed. */
function planQuick(
  name: string,
  candidate: Candidate | undefined,
  evaluates: readonly Evaluate[],
): Evaluate | undefined {
  if (candidate === undefined) return undefined;
  const { overload, matchers } = candidate;
  if (overload.implicit !== undefined || overload.nonStrict === true) return undefined;
  const priced = overload.cost !== undefined;
  const [first, second, third] = evaluates;
  const [suitsFirst, suitsSecond] = matchers;
  if (first === undefined || suitsFirst === undefined || third !== undefined) return undefined;
  if (second === undefined || suitsSecond === undefined) {
    return (frame) => {
      const a = first(frame);
      if (!suitsFirst(a)) return mismatch(name, [a]);
      return priced && !pay(frame, overload.cost?.(a)) ? budgetExceeded : overload.call(a);
    };
  }
  return (frame) => {
    const a = first(frame);
    const b = second(frame);
    if (!suitsFirst(a) || !suitsSecond(b)) return mismatch(name, [a, b]);
    return priced && !pay(frame, overload.cost?.(a, b)) ? budgetExceeded : overload.call(a, b);
  };
}

/** Pays for a call; false when the budget is used up. */
function pay({ budget }: Frame, steps = 0): boolean {
  budget.used += steps;
  return budget.used <= budget.stop;
}

const suits = (candidate: Candidate, values: readonly CelResult[]): boolean =>
  values.every(
    (value, index) =>
      (value instanceof CelError && candidate.overload.nonStrict === true) ||
      candidate.matchers[index]?.(value) === true,
  );

function invoke(frame: Frame, overload: Overload, values: readonly CelResult[]): CelResult {
  let args = values;
  if (overload.implicit !== undefined) {
    const hidden = frame.activation[overload.implicit];
    if (hidden === undefined) {
      return new CelError(`${overload.implicit} is not available here`, "unsupported");
    }
    args = [hidden, ...values];
  }
  if (!pay(frame, overload.cost?.(...args))) return budgetExceeded;
  return overload.call(...args);
}

/** The first argument that is an error, or cel-go's MaybeNoSuchOverload. */
function mismatch(name: string, values: readonly CelResult[]): CelError {
  const error = values.find((value) => value instanceof CelError);
  if (error instanceof CelError) return error;
  return new CelError(`no such overload: ${name}(${values.map(typeNameOf).join(", ")})`);
}
