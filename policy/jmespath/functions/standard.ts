// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import {
  listOf,
  numberOf,
  objectOf,
  takes,
  takesMany,
  textOf,
  valueOf,
  type Arguments,
  type FunctionTable,
  type Outcome,
} from "#policy/jmespath/functions/signature";
import { marshalJson } from "#policy/text/go-json";
import { byCodePoint, sortedKeys } from "#policy/text/order";
import { QueryFailure, type QueryRuntime } from "#policy/jmespath/query";
import {
  equalValues,
  ExpressionReference,
  failed,
  GoInteger,
  isPlainObject,
  toJson,
  unlessUnknown,
} from "#policy/jmespath/values";

/** The functions of JMESPath itself, as go-jmespath functions.go has them. */
export const standardFunctions: FunctionTable = {
  abs: takes(["number"], (args) => Math.abs(numberOf(args, 0))),
  avg: takes(["array[number]"], (args) => average(listOf(args, 0))),
  ceil: takes(["number"], (args) => Math.ceil(numberOf(args, 0))),
  contains: takes(["array|string", "any"], contains),
  ends_with: takes(["string", "string"], (args) => textOf(args, 0).endsWith(textOf(args, 1))),
  floor: takes(["number"], (args) => Math.floor(numberOf(args, 0))),
  join: takes(["string", "array[string]"], (args) =>
    listOf(args, 1)
      .filter((item) => typeof item === "string")
      .join(textOf(args, 0)),
  ),
  keys: takes(["object"], (args) => sortedKeys(objectOf(args, 0))),
  length: takes(["string|array|object"], length),
  map: takes(["expref", "array"], mapElements),
  max: takes(["array[number]|array[string]"], (args) => extreme(listOf(args, 0), isGreater)),
  max_by: takes(["array", "expref"], (args, runtime) => extremeBy(args, runtime, isGreater)),
  merge: takesMany(merge),
  min: takes(["array[number]|array[string]"], (args) => extreme(listOf(args, 0), isLess)),
  min_by: takes(["array", "expref"], (args, runtime) => extremeBy(args, runtime, isLess)),
  not_null: takesMany((args) => args.find((value) => value !== null) ?? null),
  reverse: takes(["array|string"], reverse),
  sort: takes(["array[string]|array[number]"], (args) => listOf(args, 0).toSorted(ascending)),
  sort_by: takes(["array", "expref"], sortBy),
  starts_with: takes(["string", "string"], (args) => textOf(args, 0).startsWith(textOf(args, 1))),
  to_array: takes(["any"], (args) => {
    const value = valueOf(args, 0);
    return isArray(value) ? value : [toJson(value)];
  }),
  to_number: takes(["any"], toNumber),
  to_string: takes(["any"], (args) => {
    const value = toJson(valueOf(args, 0));
    return typeof value === "string" ? value : marshalJson(value);
  }),
  type: takes(["any"], typeOf),
  values: takes(["object"], (args) => {
    const object = objectOf(args, 0);
    return sortedKeys(object).map((key) => object[key] ?? null);
  }),
};

function average(numbers: readonly Json[]): Outcome {
  let sum = 0;
  for (const item of numbers) sum += typeof item === "number" ? item : 0;
  return numbers.length === 0
    ? failed("avg of an empty list is not a number")
    : sum / numbers.length;
}

/** Compares elements as Go's `==` does: lists and objects are equal to nothing. */
function contains(args: Arguments): Outcome {
  const wanted = valueOf(args, 1);
  const within = valueOf(args, 0);
  if (typeof within === "string") return typeof wanted === "string" && within.includes(wanted);
  if (isArray(wanted) || isPlainObject(wanted)) return false;
  return listOf(args, 0).some((item) => equalValues(item, wanted));
}

function length(args: Arguments): Outcome {
  const value = valueOf(args, 0);
  if (typeof value === "string") return countCharacters(value);
  return isArray(value) ? value.length : Object.keys(objectOf(args, 0)).length;
}

function countCharacters(text: string): number {
  let count = 0;
  for (const _character of text) count += 1;
  return count;
}

function mapElements(args: Arguments, runtime: QueryRuntime): Outcome {
  const mapped: Json[] = [];
  for (const element of listOf(args, 1)) {
    const value = unlessUnknown(runReference(args, 0, element, runtime));
    if (value instanceof QueryFailure) return value;
    mapped.push(toJson(value));
  }
  return mapped;
}

function runReference(
  args: Arguments,
  index: number,
  element: Json,
  runtime: QueryRuntime,
): Outcome {
  const reference = args[index];
  return reference instanceof ExpressionReference ? reference.run(element, runtime) : null;
}

type Order = (a: Json, b: Json) => boolean;

const ascending = (a: Json, b: Json): number => {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return typeof a === "string" && typeof b === "string" ? byCodePoint(a, b) : 0;
};
const isGreater: Order = (a, b) => ascending(a, b) > 0;
const isLess: Order = (a, b) => ascending(a, b) < 0;

function extreme(items: readonly Json[], better: Order): Outcome {
  let best: Json | undefined;
  for (const item of items) if (best === undefined || better(item, best)) best = item;
  return best ?? null;
}

function extremeBy(args: Arguments, runtime: QueryRuntime, better: Order): Outcome {
  const items = listOf(args, 0);
  if (items.length < 2) return items[0] ?? null;
  let best: { readonly item: Json; readonly key: string | number } | undefined;
  for (const item of items) {
    const key = unlessUnknown(runReference(args, 1, item, runtime));
    if (key instanceof QueryFailure) return key;
    if (typeof key !== "number" && typeof key !== "string") {
      return failed(
        `invalid type, must be ${best === undefined ? "number of string" : typeof best.key}`,
      );
    }
    if (best !== undefined && typeof key !== typeof best.key) {
      return failed(`invalid type, must be ${typeof best.key}`);
    }
    if (best === undefined || better(key, best.key)) best = { item, key };
  }
  return best?.item ?? null;
}

/** Keys are computed once per element; the reference computes them per comparison, with the same order as outcome. */
function sortBy(args: Arguments, runtime: QueryRuntime): Outcome {
  const items = listOf(args, 0);
  if (items.length < 2) return items;
  const keyed: { readonly item: Json; readonly key: string | number }[] = [];
  for (const item of items) {
    const key = runReference(args, 1, item, runtime);
    const first = keyed[0]?.key;
    if (first === undefined) {
      if (key instanceof QueryFailure && key.kind !== "unknown-key") return key;
      if (typeof key !== "number" && typeof key !== "string") {
        return failed("invalid type, must be number of string");
      }
      keyed.push({ item, key });
      continue;
    }
    if ((typeof key !== "number" && typeof key !== "string") || typeof key !== typeof first) {
      return failed("error in sort_by comparison");
    }
    keyed.push({ item, key });
  }
  return keyed.toSorted((a, b) => ascending(a.key, b.key)).map(({ item }) => item);
}

function merge(args: Arguments): Outcome {
  const entries: [string, Json][] = [];
  for (const argument of args) {
    if (!isPlainObject(argument)) return failed("merge() takes objects only");
    entries.push(...Object.entries(argument));
  }
  return Object.fromEntries(entries);
}

function reverse(args: Arguments): Outcome {
  const value = valueOf(args, 0);
  if (typeof value === "string") return Array.from(value).toReversed().join("");
  return listOf(args, 0).toReversed();
}

function toNumber(args: Arguments): Outcome {
  const value = valueOf(args, 0);
  if (typeof value === "number") return value;
  if (value instanceof GoInteger) return failed("unknown type");
  if (typeof value !== "string") return null;
  if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(value)) return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

function typeOf(args: Arguments): Outcome {
  const value = valueOf(args, 0);
  if (value === null) return "null";
  if (isArray(value)) return "array";
  if (isPlainObject(value)) return "object";
  return typeof value === "object" ? failed("unknown type") : typeof value;
}
