// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Overload } from "./library.ts";
import { noSuchOverload } from "./operators.ts";
import { compilePattern, regexCost } from "./regex.ts";
import { codePointLength } from "./text.ts";
import {
  boolType,
  bytesType,
  intType,
  listOf,
  mapOf,
  parameter,
  stringType,
  type CelType,
} from "./types.ts";
import {
  CelError,
  CelMap,
  Duration,
  isList,
  isPlainMap,
  Timestamp,
  type CelResult,
  type CelValue,
} from "./values.ts";

const sized: readonly CelType[] = [
  bytesType,
  listOf(parameter("A")),
  mapOf(parameter("A"), parameter("B")),
  stringType,
];

/** Times and durations have methods: cel-go asks them, and they do not name what they lack. */
const noMethod = (name: string, value: CelValue): CelError =>
  value instanceof Timestamp || value instanceof Duration
    ? noSuchOverload
    : new CelError(`no such overload: ${name}`);

function sizeOf(value: CelValue): CelResult {
  if (typeof value === "string") return codePointLength(value);
  if (isList(value) || value instanceof Uint8Array) return value.length;
  if (value instanceof CelMap) return value.size;
  return isPlainMap(value) ? Object.keys(value).length : noMethod("size", value);
}

const sizeOverload = (type: CelType, member: boolean): Overload => ({
  id: member ? `${type.kind}_size` : `size_${type.kind}`,
  member,
  arguments: [type],
  result: intType,
  unguarded: true,
  call: (value: CelValue) => sizeOf(value),
});

const textTest = (
  name: string,
  test: (text: string, part: string) => boolean,
): FunctionDeclaration => ({
  name,
  overloads: [
    {
      id: `${name}_string`,
      member: true,
      arguments: [stringType, stringType],
      result: boolType,
      unguarded: true,
      call: (text: CelValue, part: CelValue) =>
        typeof text === "string" && typeof part === "string" ? test(text, part) : noSuchOverload,
    },
  ],
});

function matches(text: CelValue, pattern: CelValue): CelResult {
  if (typeof text !== "string") return noMethod("matches", text);
  if (typeof pattern !== "string") return noSuchOverload;
  const regex = compilePattern(pattern);
  return regex.ok ? regex.value.test(text) : new CelError(regex.message);
}

const matchesOverload = (member: boolean): Overload => ({
  id: member ? "matches_string" : "matches",
  member,
  arguments: [stringType, stringType],
  result: boolType,
  unguarded: true,
  call: matches,
  cost: regexCost,
  checkLiterals: (_text?: CelValue, pattern?: CelValue) =>
    typeof pattern === "string" && !compilePattern(pattern).ok
      ? "invalid matches argument"
      : undefined,
});

export const textFunctions: readonly FunctionDeclaration[] = [
  {
    name: "size",
    overloads: [
      ...sized.map((type) => sizeOverload(type, false)),
      ...sized.map((type) => sizeOverload(type, true)),
    ],
  },
  textTest("contains", (text, part) => text.includes(part)),
  textTest("endsWith", (text, part) => text.endsWith(part)),
  textTest("startsWith", (text, part) => text.startsWith(part)),
  { name: "matches", overloads: [matchesOverload(false), matchesOverload(true)] },
];
