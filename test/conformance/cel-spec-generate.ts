// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

export type Random = () => number;

/** A seeded source of numbers in [0, 1): mulberry32. */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = <T>(random: Random, from: readonly [T, ...T[]]): T =>
  from[Math.floor(random() * from.length)] ?? from[0];

const keys = ["a", "b", "c", "items", "name", "constructor"] as const;
const texts = ["", "a", "b", "ab", "é", "😀x", "1", "-7"] as const;
const scalars = [
  "0",
  "1",
  "-1",
  "2",
  "7",
  "9223372036854775807",
  "-9223372036854775808",
  "9007199254740993",
  "0u",
  "3u",
  "18446744073709551615u",
  "0.0",
  "1.0",
  "2.5",
  "-0.5",
  "1e300",
  "true",
  "false",
  "null",
] as const;

/** A random JSON value, mostly objects and lists near the top. */
export function makeJson(random: Random, depth: number): Json {
  const roll = random();
  if (depth > 0 && roll < 0.35) {
    const size = Math.floor(random() * 4);
    return Object.fromEntries(
      Array.from({ length: size }, () => [pick(random, keys), makeJson(random, depth - 1)]),
    );
  }
  if (depth > 0 && roll < 0.6) {
    return Array.from({ length: Math.floor(random() * 4) }, () => makeJson(random, depth - 1));
  }
  return pick<Json>(random, [
    0,
    1,
    2,
    -3,
    2.5,
    9007199254740991,
    "a",
    "ab",
    "1",
    "",
    true,
    false,
    null,
  ]);
}

const binary = [
  "+",
  "-",
  "*",
  "/",
  "%",
  "<",
  "<=",
  ">",
  ">=",
  "==",
  "!=",
  "in",
  "&&",
  "||",
  "&&",
  "||",
] as const;

type Make = (depth: number, variables: readonly string[]) => string;

/** A random expression over the variables `o`, `l`, `s` and `i`, at most `depth` operations deep. */
export function makeExpression(random: Random, depth: number): string {
  const make: Make = (left, variables) => {
    if (left <= 0 || random() < 0.12) return leaf(random, variables);
    const next = (): string => {
      const inner = make(left - 1, variables);
      return random() < 0.7 ? `dyn(${inner})` : inner;
    };
    const forms: readonly [() => string, ...(() => string)[]] = [
      () => `(${next()} ${pick(random, binary)} ${next()})`,
      () => `(${next()} ${pick(random, binary)} ${next()})`,
      () => `(${next()} ${pick(random, binary)} ${next()})`,
      () => `(${next()} ? ${next()} : ${next()})`,
      () => `(${next()} in ['a', 'ab', '1', ''])`,
      () => `(l + [${leaf(random, variables)}])`,
      () => `(${leaf(random, variables)} == ${leaf(random, variables)})`,
      () =>
        `dyn(${pick(random, scalars)}) ${pick(random, ["+", "-", "*", "/", "%", "<"])} dyn(${pick(random, scalars)})`,
      () => `!(${next()})`,
      () => `-(${next()})`,
      () => `(${next()}).${pick(random, keys)}`,
      () => `o.${pick(random, keys)}.${pick(random, keys)}`,
      () => `has((${next()}).${pick(random, keys)})`,
      () => `(${next()})[${next()}]`,
      () => `(${next()}).?${pick(random, keys)}`,
      () => `(${next()})[?${next()}]`,
      () => `(${next()}).?${pick(random, keys)}.orValue(${next()})`,
      () => `[${next()}, ${next()}, ?optional.of(${next()})]`,
      () => `{'a': ${next()}, ${leaf(random, [])}: ${next()}, ?'c': o.?${pick(random, keys)}}`,
      () => `${pick(random, ["size", "string", "int", "double", "dyn", "dyn"])}(${next()})`,
      () => `(${next()}).${pick(random, ["startsWith", "endsWith", "contains"])}(${next()})`,
      () => loop(random, make, left, variables),
      () => loop(random, make, left, variables),
      () => loop(random, make, left, variables),
    ];
    return pick(random, forms)();
  };
  return make(depth, []);
}

function leaf(random: Random, variables: readonly string[]): string {
  const names = ["o", "l", "s", "i", ...variables, ...variables];
  const roll = random();
  if (roll < 0.5) return names[Math.floor(random() * names.length)] ?? "o";
  if (roll < 0.65) return `'${pick(random, texts)}'`;
  const scalar = pick(random, scalars);
  return roll < 0.85 ? `dyn(${scalar})` : scalar;
}

/** A question about a loop variable that is often a bool. */
function condition(random: Random, name: string): string {
  const forms: readonly [string, ...string[]] = [
    `${name} > 1`,
    `${name} == ${pick(random, scalars)}`,
    `dyn(${name}) != dyn('${pick(random, texts)}')`,
    `${name} in l`,
    `${name} in ['a', 'ab', '1']`,
    `has(${name}.${pick(random, keys)})`,
    `type(${name}) == ${pick(random, ["int", "string", "bool", "map", "list", "double"])}`,
    `dyn(${name}).size() > 1 || ${name} == null`,
    `!(dyn(${name}).startsWith('a')) && true`,
  ];
  return pick(random, forms);
}

function loop(random: Random, make: Make, left: number, variables: readonly string[]): string {
  const range =
    random() < 0.5
      ? pick(random, [
          "l",
          "o",
          "o.items",
          "dyn([1, 2, 3])",
          "dyn('a b ab'.size() > 1 ? [1, 'a', 2.5, null] : [])",
          "dyn({1: 2, 2u: 'a', true: 0})",
        ])
      : make(left - 2, variables);
  const x = `x${variables.length}`;
  const y = `y${variables.length}`;
  const one = (): string => make(left - 1, [...variables, x]);
  const two = (): string => make(left - 1, [...variables, x, y]);
  const test = (): string => (random() < 0.7 ? condition(random, x) : `dyn(${one()})`);
  const test2 = (): string =>
    random() < 0.7 ? condition(random, random() < 0.5 ? x : y) : `dyn(${two()})`;
  const forms: readonly [() => string, ...(() => string)[]] = [
    () => `(${range}).all(${x}, ${test()})`,
    () => `(${range}).exists(${x}, ${test()})`,
    () => `(${range}).exists_one(${x}, ${test()})`,
    () => `(${range}).map(${x}, ${one()})`,
    () => `(${range}).map(${x}, ${test()}, ${one()})`,
    () => `(${range}).filter(${x}, ${test()})`,
    () => `(${range}).all(${x}, ${y}, ${test2()})`,
    () => `(${range}).existsOne(${x}, ${y}, ${test2()})`,
    () => `(${range}).transformList(${x}, ${y}, ${test2()}, ${two()})`,
    () => `(${range}).transformMap(${x}, ${y}, ${two()})`,
    () => `(${range}).transformMapEntry(${x}, ${y}, {string(${x}): ${two()}})`,
    () => `cel.bind(${x}, ${make(left - 1, variables)}, ${one()})`,
    () => `o.?${pick(random, keys)}.optMap(${x}, ${one()})`,
  ];
  return pick(random, forms)();
}
