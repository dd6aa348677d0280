// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { isArray, isObject, textAt, type Json } from "#policy/json";
import { outcomeOf } from "./kubernetes-cel.ts";

/**
 * What cel-go in kube-apiserver 1.36's environment says of 2,000 expressions over the core language: random ones, and
 * ones of policies with some characters changed, so that what the grammar and the checker refuse is the same. Recorded
 * by kubernetes-cel/record; of refused expressions only that they are is kept.
 */
const rows = readFileSync(new URL("cel-spec-answers.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line): unknown => JSON.parse(line))
  .filter((row): row is { readonly [key: string]: Json } => typeof row === "object");

type Deviation = { readonly want: RegExp; readonly got: RegExp; readonly reason: string };

/** Answers that ours differ from. */
const deviations: readonly Deviation[] = [
  {
    want: /invalid qualifier type/,
    got: /invalid qualifier type|no such key|unsupported index|"none"/,
    reason:
      "which Go type a key has depends on how the reference computed it, as does when it looks",
  },
  {
    want: /hash of unhashable type/,
    got: /./,
    reason: "the reference crashes on bytes as keys of maps and in lists of literals",
  },
  {
    want: /"map":/,
    got: /unsupported key type/,
    reason: "only what JSON or the language has as keys are keys: not durations, lists or maps",
  },
  {
    want: /NaN values cannot be ordered/,
    got: /false|no such overload/,
    reason: "newer cel-go, which Kyverno has, gives false",
  },
  {
    want: /^\{"error":"no such overload"\}$/,
    got: /no such overload: matches/,
    reason: "the reference does not name a function whose pattern it has prepared",
  },
];

/** The parts of a map have no order, and simple types have two names. */
function comparable(outcome: Json): string {
  return JSON.stringify(sortMaps(outcome))
    .replaceAll("google.protobuf.Duration", "duration")
    .replaceAll("google.protobuf.Timestamp", "timestamp")
    .replaceAll("null_type", "null");
}

function sortMaps(value: Json): Json {
  if (isArray(value)) return value.map(sortMaps);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, item]): [string, Json] => {
    const sorted = sortMaps(item);
    const text = (part: Json): string => JSON.stringify(part);
    const order = (a: Json, b: Json): number => (text(a) < text(b) ? -1 : 1);
    return [key, key === "map" && isArray(sorted) ? sorted.toSorted(order) : sorted];
  });
  return Object.fromEntries(entries);
}

test("what the reference refuses is refused, and nothing else", () => {
  const different = rows
    .map((row) => {
      const expression = textAt(row, ["expression"]);
      return { expression, refused: row["refused"] === true, got: outcomeOf(expression, null) };
    })
    .filter(({ refused, got }) => refused !== "issues" in got);
  expect(different).toEqual([]);
  expect(rows.filter((row) => row["refused"] === true).length).toBeGreaterThan(500);
});

test("what the reference answers is answered", () => {
  const compared = rows
    .filter((row) => row["want"] !== undefined)
    .map((row) => {
      const expression = textAt(row, ["expression"]);
      const got = comparable(outcomeOf(expression, row["data"] ?? null));
      return { expression, wanted: comparable(row["want"] ?? null), got };
    });
  const different = compared
    .filter(({ wanted, got }) => wanted !== got)
    .filter(
      ({ wanted, got }) => !deviations.some((one) => one.want.test(wanted) && one.got.test(got)),
    );
  expect(different).toEqual([]);
  expect(compared.length).toBeGreaterThan(1_000);
});
