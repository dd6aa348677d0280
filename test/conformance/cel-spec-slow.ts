// SPDX-License-Identifier: Apache-2.0
import type { Comprehension, Expression } from "#policy/cel/ast";
import {
  CelMap,
  Double,
  Duration,
  isPlainMap,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type CelResult,
} from "#policy/cel/values";

/**
 * An evaluator that shares nothing with the engine but the parser: values are tagged, errors are thrown, comprehensions
 * are folded as the macros expand them. Slow and plain, so that it can be read against the language definition.
 */
export type Slow =
  | { readonly tag: "null" }
  | { readonly tag: "bool"; readonly value: boolean }
  | { readonly tag: "int" | "uint" | "duration" | "timestamp"; readonly value: bigint }
  | { readonly tag: "double"; readonly value: number }
  | { readonly tag: "string"; readonly value: string }
  | { readonly tag: "bytes"; readonly value: string }
  | { readonly tag: "list"; readonly items: readonly Slow[] }
  | { readonly tag: "map"; readonly entries: readonly (readonly [Slow, Slow])[] }
  | { readonly tag: "optional"; readonly value: Slow | undefined }
  | { readonly tag: "type"; readonly name: string };

const typeNames: Readonly<Record<Slow["tag"], string>> = {
  null: "null_type",
  bool: "bool",
  int: "int",
  uint: "uint",
  double: "double",
  string: "string",
  bytes: "bytes",
  duration: "google.protobuf.Duration",
  timestamp: "google.protobuf.Timestamp",
  list: "list",
  map: "map",
  optional: "optional_type",
  type: "type",
};

export class SlowError extends Error {}

const fail = (message: string): never => {
  throw new SlowError(message);
};

type Scope = ReadonlyMap<string, () => Slow>;

const bool = (value: boolean): Slow => ({ tag: "bool", value });
const int = (value: bigint): Slow =>
  value > 2n ** 63n - 1n || value < -(2n ** 63n) ? fail("overflow") : { tag: "int", value };
const uint = (value: bigint): Slow =>
  value < 0n || value > 2n ** 64n - 1n ? fail("overflow") : { tag: "uint", value };
const double = (value: number): Slow => ({ tag: "double", value });
const text = (value: string): Slow => ({ tag: "string", value });
const none: Slow = { tag: "optional", value: undefined };
const some = (value: Slow): Slow => ({ tag: "optional", value });

/** A value of the engine, or plain JSON, as a tagged one. */
export function toSlow(value: CelResult): Slow {
  if (value === null) return { tag: "null" };
  if (typeof value === "boolean") return bool(value);
  if (typeof value === "string") return text(value);
  if (typeof value === "bigint") return { tag: "int", value };
  if (typeof value === "number") {
    return Number.isInteger(value) ? { tag: "int", value: BigInt(value) } : double(value);
  }
  if (value instanceof Double) return double(value.value);
  if (value instanceof Uint) return { tag: "uint", value: value.value };
  if (value instanceof Duration) return { tag: "duration", value: value.nanos };
  if (value instanceof Timestamp) return { tag: "timestamp", value: value.nanos };
  if (value instanceof Uint8Array) {
    return { tag: "bytes", value: Buffer.from(value).toString("latin1") };
  }
  if (Array.isArray(value)) return { tag: "list", items: value.map(toSlow) };
  if (value instanceof Optional)
    return value.value === undefined ? none : some(toSlow(value.value));
  if (value instanceof CelMap) {
    return {
      tag: "map",
      entries: Array.from(value.entries(), ([key, item]) => [toSlow(key), toSlow(item)] as const),
    };
  }
  if (value instanceof TypeValue) return { tag: "type", name: value.name };
  if (isPlainMap(value)) {
    return {
      tag: "map",
      entries: Object.entries(value).map(([key, item]) => [text(key), toSlow(item)] as const),
    };
  }
  return fail("a value that the slow evaluator does not know");
}

const isNumber = (value: Slow): value is Extract<Slow, { value: number | bigint }> =>
  value.tag === "int" || value.tag === "uint" || value.tag === "double";

/** Order of two numbers; NaN when there is none. */
function order(a: Slow, b: Slow): number {
  if (!isNumber(a) || !isNumber(b)) return fail("no such overload");
  if (a.tag === "double" || b.tag === "double") {
    const x = Number(a.value);
    const y = Number(b.value);
    return x < y ? -1 : x > y ? 1 : x === y ? 0 : Number.NaN;
  }
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/** Equality, type for type only where `exact`. */
export function slowEqual(a: Slow, b: Slow, exact = false): boolean {
  if (isNumber(a) && isNumber(b)) {
    if (exact && a.tag !== b.tag) return false;
    if (exact && a.tag === "double" && b.tag === "double") {
      return Number.isNaN(a.value) ? Number.isNaN(b.value) : a.value === b.value;
    }
    return order(a, b) === 0;
  }
  if (a.tag === "list" && b.tag === "list") {
    return (
      a.items.length === b.items.length &&
      a.items.every((item, i) => slowEqual(item, b.items[i] ?? none, exact))
    );
  }
  if (a.tag === "map" && b.tag === "map") {
    return (
      a.entries.length === b.entries.length &&
      a.entries.every(([key, item]) => {
        const other = b.entries.find(([otherKey]) => slowEqual(key, otherKey));
        return other !== undefined && slowEqual(item, other[1], exact);
      })
    );
  }
  if (a.tag === "optional" && b.tag === "optional") {
    if (a.value === undefined || b.value === undefined) return a.value === b.value;
    return slowEqual(a.value, b.value, exact);
  }
  if (a.tag === "type" && b.tag === "type") return a.name === b.name;
  if (a.tag === "null" || b.tag === "null") return a.tag === b.tag;
  return a.tag === b.tag && "value" in a && "value" in b && a.value === b.value;
}

/** Evaluates an expression; throws {@link SlowError} where the language has an error. */
export function slow(node: Expression, scope: Scope): Slow {
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- messages are not generated
  switch (node.kind) {
    case "literal":
      return toSlow(node.value);
    case "ident":
      return (scope.get(node.name) ?? (() => typeNamed(node.name)))();
    case "select":
      return node.test
        ? has(slow(node.operand, scope), node.field)
        : selectField(slow(node.operand, scope), node.field);
    case "list":
      return {
        tag: "list",
        items: node.elements.flatMap(({ value, optional }) => part(slow(value, scope), optional)),
      };
    case "map":
      return makeMap(
        node.entries.flatMap(({ key, value, optional }) => {
          const name = slow(key, scope);
          return part(slow(value, scope), optional).map((item) => [name, item] as const);
        }),
      );
    case "call":
      return call(
        node.name,
        node.target === undefined ? node.args : [node.target, ...node.args],
        scope,
      );
    case "comprehension":
      return fold(node, scope);
    default:
      return fail(`no ${node.kind} here`);
  }
}

const typeNamed = (name: string): Slow =>
  ["int", "string", "bool", "map", "list", "double"].includes(name)
    ? { tag: "type", name }
    : fail("no such attribute");

function part(value: Slow, optional: boolean): readonly Slow[] {
  if (!optional) return [value];
  if (value.tag !== "optional") return fail("not optional");
  return value.value === undefined ? [] : [value.value];
}

function makeMap(entries: readonly (readonly [Slow, Slow])[]): Slow {
  const kept: (readonly [Slow, Slow])[] = [];
  for (const [key, value] of entries) {
    if (["list", "map", "bytes", "optional", "duration", "timestamp"].includes(key.tag))
      fail("key");
    const known = kept.findIndex(([other]) => slowEqual(other, key));
    if (known >= 0) kept[known] = [key, value];
    else kept.push([key, value]);
  }
  return { tag: "map", entries: kept };
}

function fold(node: Comprehension, scope: Scope): Slow {
  const range = slow(node.range, scope);
  const pairs = itemsOf(range, node.iterVar2 !== undefined);
  let accu: () => Slow = memo(() => slow(node.accuInit, scope));
  for (const [first, second] of pairs) {
    const inner = new Map(scope);
    inner.set(node.iterVar, () => first);
    if (node.iterVar2 !== undefined) inner.set(node.iterVar2, () => second);
    const before = accu;
    inner.set(node.accuVar, before);
    if (!notFalse(node.condition, inner)) break;
    accu = settle(() => slow(node.step, inner));
  }
  return slow(node.result, new Map(scope).set(node.accuVar, accu));
}

function notFalse(condition: Expression, scope: Scope): boolean {
  try {
    const value = slow(condition, scope);
    return !(value.tag === "bool" && !value.value);
  } catch (error) {
    if (error instanceof SlowError) return true;
    throw error;
  }
}

/** Computes when first asked. */
function memo(compute: () => Slow): () => Slow {
  let known: (() => Slow) | undefined;
  return () => {
    known ??= settle(compute);
    return known();
  };
}

/** Computes at once and repeats the answer, be it an error. */
function settle(compute: () => Slow): () => Slow {
  try {
    const value = compute();
    return () => value;
  } catch (error) {
    if (!(error instanceof SlowError)) throw error;
    return () => {
      throw error;
    };
  }
}

function itemsOf(range: Slow, two: boolean): readonly (readonly [Slow, Slow])[] {
  if (range.tag === "list") {
    return range.items.map((item, index) =>
      two ? ([int(BigInt(index)), item] as const) : ([item, item] as const),
    );
  }
  return range.tag === "map" ? range.entries : fail("not iterable");
}

function fieldOf(value: Slow, name: string): Slow | undefined {
  if (value.tag === "list") return fail("unsupported index");
  if (value.tag !== "map") return undefined;
  return value.entries.find(([key]) => key.tag === "string" && key.value === name)?.[1];
}

function has(value: Slow, name: string): Slow {
  if (value.tag !== "optional") return bool(fieldOf(value, name) !== undefined);
  return bool(value.value !== undefined && fieldOf(value.value, name) !== undefined);
}

function selectField(value: Slow, name: string): Slow {
  if (value.tag === "optional") return selectOptional(value, name);
  return fieldOf(value, name) ?? fail("no such key");
}

function selectOptional(value: Slow, name: string): Slow {
  const inner = value.tag === "optional" ? value.value : value;
  const found = inner === undefined ? undefined : fieldOf(inner, name);
  return found === undefined ? none : some(found);
}

function call(name: string, args: readonly Expression[], scope: Scope): Slow {
  const at = (index: number): Slow => {
    const node = args[index];
    return node === undefined ? fail("too few arguments") : slow(node, scope);
  };
  switch (name) {
    case "_&&_":
      return logic(at, false);
    case "_||_":
      return logic(at, true);
    case "_?_:_": {
      const condition = at(0);
      return condition.tag === "bool" ? at(condition.value ? 1 : 2) : fail("no such overload");
    }
    case "_[_]":
    case "_[?_]": {
      const container = at(0);
      if (container.tag === "optional" && container.value === undefined) return container;
      return strict(name, [container, at(1)]);
    }
    case "or":
    case "orValue": {
      const value = at(1 - 1);
      if (value.tag !== "optional") return value;
      if (value.value === undefined) return at(1);
      return name === "or" ? value : value.value;
    }
    case "@not_strictly_false":
      return bool(true);
    default:
      return strict(
        name,
        args
          .filter((node) => node.kind !== "ident" || node.name !== "optional")
          .map((node) => slow(node, scope)),
      );
  }
}

function logic(at: (index: number) => Slow, decisive: boolean): Slow {
  let error: SlowError | undefined;
  for (const index of [0, 1]) {
    try {
      const value = at(index);
      if (value.tag !== "bool") fail("no such overload");
      else if (value.value === decisive) return value;
    } catch (caught) {
      if (!(caught instanceof SlowError)) throw caught;
      error ??= caught;
    }
  }
  if (error !== undefined) throw error;
  return bool(!decisive);
}

/** Functions that want all their arguments. */
function strict(name: string, args: readonly Slow[]): Slow {
  const [a = none, b = none, c = none] = args;
  switch (name) {
    case "_==_":
      return bool(slowEqual(a, b));
    case "_!=_":
      return bool(!slowEqual(a, b));
    case "_<_":
      return bool(compareAny(a, b) < 0);
    case "_<=_":
      return bool(compareAny(a, b) <= 0);
    case "_>_":
      return bool(compareAny(a, b) > 0);
    case "_>=_":
      return bool(compareAny(a, b) >= 0);
    case "!_":
      return a.tag === "bool" ? bool(!a.value) : fail("no such overload");
    case "-_":
      return a.tag === "int"
        ? int(-a.value)
        : a.tag === "double"
          ? double(-a.value)
          : fail("no such overload");
    case "@in":
      return isIn(a, b);
    case "_[_]":
      return a.tag === "optional" ? optionalIndex(a, b) : (itemAt(a, b) ?? fail("no such key"));
    case "_[?_]":
      return optionalIndex(a, b);
    case "_?._":
      return b.tag === "string" ? selectOptional(a, b.value) : fail("no such overload");
    case "cel.@mapInsert":
      return insert(a, args.length === 3 ? [[b, c]] : b.tag === "map" ? b.entries : fail("no map"));
    default:
      return arithmetic(name, a, b) ?? named(name, args);
  }
}

function insert(map: Slow, added: readonly (readonly [Slow, Slow])[]): Slow {
  if (map.tag !== "map") return fail("no map");
  const entries = [...map.entries];
  for (const [key, value] of added) {
    if (entries.some(([other]) => slowEqual(other, key))) fail("key already exists");
    entries.push([key, value]);
  }
  return makeMap(entries);
}

function compareAny(a: Slow, b: Slow): number {
  if (isNumber(a)) return order(a, b);
  if (a.tag === "string" && b.tag === "string") {
    return Buffer.compare(Buffer.from(a.value), Buffer.from(b.value));
  }
  if (a.tag === "bool" && b.tag === "bool") return Number(a.value) - Number(b.value);
  return fail("no such overload");
}

function isIn(element: Slow, container: Slow): Slow {
  if (container.tag === "list")
    return bool(container.items.some((item) => slowEqual(item, element)));
  if (container.tag === "map")
    return bool(container.entries.some(([key]) => slowEqual(key, element)));
  return fail("no such overload");
}

function itemAt(container: Slow, key: Slow): Slow | undefined {
  if (!isNumber(key) && key.tag !== "string" && key.tag !== "bool") return fail("bad qualifier");
  if (container.tag === "map") return container.entries.find(([name]) => slowEqual(name, key))?.[1];
  if (container.tag !== "list") return undefined;
  if (!isNumber(key)) return fail("unsupported index");
  const index = Number(key.value);
  if (key.tag === "double" && !(Number.isInteger(index) && Math.abs(index) < 2 ** 63)) {
    return fail("unsupported index");
  }
  if (key.tag === "uint" && key.value >= 2n ** 63n) return fail("unsupported index");
  return container.items[index];
}

function optionalIndex(container: Slow, key: Slow): Slow {
  const inner = container.tag === "optional" ? container.value : container;
  const found = itemAt(inner ?? { tag: "map", entries: [] }, key);
  return found === undefined ? none : some(found);
}

const intOperations: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  "_+_": (a, b) => a + b,
  "_-_": (a, b) => a - b,
  "_*_": (a, b) => a * b,
  "_/_": (a, b) => (b === 0n ? (fail("division by zero"), 0n) : a / b),
  "_%_": (a, b) => {
    if (b === 0n) fail("modulus by zero");
    if (b === -1n && a === -(2n ** 63n)) fail("overflow");
    return a % b;
  },
};

const doubleOperations: Readonly<Record<string, (a: number, b: number) => number>> = {
  "_+_": (a, b) => a + b,
  "_-_": (a, b) => a - b,
  "_*_": (a, b) => a * b,
  "_/_": (a, b) => a / b,
};

function arithmetic(name: string, a: Slow, b: Slow): Slow | undefined {
  const onInts = intOperations[name];
  if (onInts === undefined) return undefined;
  if (a.tag === "int" && b.tag === "int") return int(onInts(a.value, b.value));
  if (a.tag === "uint" && b.tag === "uint") return uint(onInts(a.value, b.value));
  const onDoubles = doubleOperations[name];
  if (a.tag === "double" && b.tag === "double" && onDoubles !== undefined) {
    return double(onDoubles(a.value, b.value));
  }
  if (name === "_+_" && a.tag === "string" && b.tag === "string") return text(a.value + b.value);
  if (name === "_+_" && a.tag === "list" && b.tag === "list") {
    return { tag: "list", items: [...a.items, ...b.items] };
  }
  return fail("no such overload");
}

function named(name: string, args: readonly Slow[]): Slow {
  const [a = none, b = none] = args;
  switch (name) {
    case "size":
      if (a.tag === "string") return int(BigInt(Array.from(a.value).length));
      if (a.tag === "list") return int(BigInt(a.items.length));
      return a.tag === "map" ? int(BigInt(a.entries.length)) : fail("no such overload");
    case "startsWith":
    case "endsWith":
    case "contains": {
      if (a.tag !== "string" || b.tag !== "string") return fail("no such overload");
      if (name === "contains") return bool(a.value.split(b.value).length > 1 || b.value === "");
      const piece =
        name === "startsWith" ? a.value.slice(0, b.value.length) : a.value.slice(-b.value.length);
      return bool(b.value === "" || piece === b.value);
    }
    case "dyn":
      return a;
    case "type":
      return { tag: "type", name: typeNames[a.tag] };
    case "optional.of":
    case "of":
      return some(a);
    case "optional.none":
    case "none":
      return none;
    case "hasValue":
      return a.tag === "optional" ? bool(a.value !== undefined) : fail("no such overload");
    case "value":
      return a.tag === "optional" ? (a.value ?? fail("none")) : fail("no such overload");
    case "string":
      return toText(a);
    case "int":
      return toInt(a);
    case "double":
      if (
        a.tag === "string" &&
        a.value.trim() === a.value &&
        Number.isFinite(parseFloat(a.value))
      ) {
        return Number.isNaN(Number(a.value)) ? fail("conversion") : double(Number(a.value));
      }
      return isNumber(a) ? double(Number(a.value)) : fail("no such overload");
    default:
      return fail(`no function ${name}`);
  }
}

function toText(value: Slow): Slow {
  if (value.tag === "string") return value;
  if (value.tag === "bool" || value.tag === "int" || value.tag === "uint")
    return text(String(value.value));
  if (value.tag !== "double") return fail("no such overload");
  const size = Math.abs(value.value);
  if (Object.is(value.value, -0)) return text("-0");
  if (size === 0 || (size >= 1e-4 && size < 1e6)) return text(String(value.value));
  if (!Number.isFinite(value.value)) {
    return text(Number.isNaN(value.value) ? "NaN" : value.value > 0 ? "+Inf" : "-Inf");
  }
  return text(value.value.toExponential().replace(/e([+-])(\d)$/, "e$10$2"));
}

function toInt(value: Slow): Slow {
  if (value.tag === "int") return value;
  if (value.tag === "uint") return int(value.value);
  if (value.tag === "double") {
    return Math.abs(value.value) < 2 ** 63
      ? int(BigInt(Math.trunc(value.value)))
      : fail("overflow");
  }
  if (value.tag !== "string" || !/^[-+]?\d+$/.test(value.value)) return fail("conversion");
  return int(BigInt(value.value.replace("+", "")));
}
