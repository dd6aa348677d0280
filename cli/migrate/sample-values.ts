// SPDX-License-Identifier: Apache-2.0
import { isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { scalarLists } from "./pattern.ts";

/** Values around a scalar of a pattern, of the type that the pattern is about. */
export function valuesFor(pattern: Json): readonly Json[] {
  if (typeof pattern === "boolean") return [true, false];
  if (typeof pattern === "number") return around(pattern);
  if (typeof pattern !== "string") return ["x", { name: "x" }];
  if (/^(true|false)$/.test(pattern)) return [true, false];
  const numbers = pattern.match(/\d+(\.\d+)?/g) ?? [];
  if (/^[\s!<>=|&\d.-]*$/.test(pattern) && numbers.length > 0)
    return numbers.flatMap((text) => around(Number(text)));
  const words = pattern.split(/[|&]/).map((word) => word.trim().replace(/^!/, ""));
  const texts = words.flatMap((word) => [
    word.replaceAll("*", "").replaceAll("?", "x"),
    word.replaceAll("*", "a-b.c").replaceAll("?", "x"),
    `x${word.replaceAll(/[*?]/g, "")}`,
    `${word.replaceAll(/[*?]/g, "")}x`,
  ]);
  return [...new Set([...texts, "other", "", "a:b", "a=b+c"])];
}

const around = (number: number): readonly number[] => [
  number - 1,
  number,
  number + 1,
  0,
  1,
  1_000_000,
];

/** Labels and annotations are texts, and some fields are lists of scalars. */
export function typedValues(path: readonly string[], values: readonly Json[]): readonly Json[] {
  const isText = path.some((step) => step === "labels" || step === "annotations");
  if (isText) return [...new Set(values.filter((value) => !isObject(value)).map(String))];
  const isList = scalarLists.has(path.at(-1) ?? "");
  return isList ? [[], ...values.map((value) => [value]), values.slice(0, 2)] : values;
}
