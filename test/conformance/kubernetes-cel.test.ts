// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { at, field, isArray, isObject, textAt, type Json } from "#policy/json";
import { parseJson } from "#policy/text/go-json";
import { outcomeOf } from "./kubernetes-cel.ts";

/** What random expressions are evaluated over, where a row names nothing else. */
const commonData: Json = {
  i: 3,
  n: -7,
  z: 0,
  f: 2.5,
  s: "abc",
  e: "",
  b: true,
  l: [1, 2, 3],
  ls: ["a", "b"],
  o: { a: 1, b: { c: "x" } },
  nul: null,
  el: [],
  eo: {},
  mix: [1, "a", 2.5, null, { k: 1 }],
  ts: "2024-02-29T12:34:56Z",
  du: "1h30m",
};

type Deviation = { readonly expression: RegExp; readonly reason: string };

/** Expressions whose answers differ on purpose, or in words that no policy sees. */
const deviations: readonly Deviation[] = [
  { expression: /^d\.f\.format\(d\.a\)$/, reason: "digits after the point are bounded" },
  {
    expression: /^d\.(find|f\.matches)\("a"\)$/,
    reason: "the reference names neither function nor types where it has prepared the pattern",
  },
  { expression: /^\{quantity\("1"\): 1\}$/, reason: "only keys that JSON or CEL have are keys" },
  {
    expression: /^dyn\(quantity\("1"\)\) == dyn\(ip/,
    reason: "values of different types are unequal, not an error",
  },
];

const file = new URL("kubernetes-cel/answers.jsonl", import.meta.url);
const rows = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line): Json => {
    const row = parseJson(line);
    if (!row.ok) throw new Error(row.message);
    return row.value;
  });

/**
 * The form of an answer in which ours can be compared: the order of issues does not count, nor that a macro which copies
 * its operand reports twice, nor what exactly the grammar expected where the syntax is wrong.
 */
function comparable(outcome: Json): string {
  const issues = field(outcome, "issues");
  const texts = isArray(issues) ? issues.map((issue) => textAt(issue, [])) : [];
  const unique = new Set(texts.map((text) => text.replace(/(Syntax error): .*/, "$1")));
  const sorted = isArray(issues) ? { issues: [...unique].toSorted() } : sortMaps(outcome);
  return JSON.stringify(sorted)
    .replaceAll("google.protobuf.Duration", "duration")
    .replaceAll("google.protobuf.Timestamp", "timestamp")
    .replaceAll("null_type", "null")
    .replaceAll("type(dyn)", "type")
    .replaceAll(/_var\d+/g, "dyn");
}

function sortMaps(value: Json): Json {
  if (isArray(value)) return value.map(sortMaps);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, item]): [string, Json] => {
    const sorted = sortMaps(item);
    return [key, key === "map" && isArray(sorted) ? sorted.toSorted(byText) : sorted];
  });
  return Object.fromEntries(entries);
}

const byText = (a: Json, b: Json): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

describe("answers of kube-apiserver 1.36's CEL environment", () => {
  const expressionOf = (row: Json): string => textAt(row, ["expression"]);
  const deviates = (expression: string): boolean =>
    deviations.some((deviation) => deviation.expression.test(expression));

  test("every recorded answer is ours too", () => {
    const different = rows
      .filter((row) => !deviates(expressionOf(row)))
      .map((row) => {
        const data =
          isObject(row) && Object.hasOwn(row, "data") ? (row["data"] ?? null) : commonData;
        const got = comparable(outcomeOf(expressionOf(row), data));
        return { expression: expressionOf(row), want: comparable(at(row, ["want"]) ?? null), got };
      })
      .filter(({ want, got }) => want !== got);
    expect(different).toEqual([]);
    expect(rows.length).toBeGreaterThan(2_000);
  });

  test("every deviation is still one", () => {
    for (const { expression } of deviations) {
      expect(rows.some((row) => expression.test(expressionOf(row)))).toBe(true);
    }
  });
});
