// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { compareResources, findExpected, formatDifference } from "./compare.ts";

const pod = (spec: JsonObject, labels?: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", ...(labels === undefined ? {} : { labels }) },
  spec,
});

const equal: readonly (readonly [reason: string, actual: JsonObject, expected: JsonObject])[] = [
  ["the same", pod({ a: 1 }), pod({ a: 1 })],
  ["keys in another order", pod({ a: 1, b: 2 }), pod({ b: 2, a: 1 })],
  ["what is empty counts for nothing", pod({ a: 1, b: {}, c: [], d: null }), pod({ a: 1 })],
  ["so does what is empty below", pod({ a: 1, b: { c: [{}] } }), pod({ a: 1 })],
  [
    "marks of generated resources",
    pod({}, { "generate.kyverno.io/policy": "x", a: "b" }),
    pod({}, { a: "b" }),
  ],
  [
    "who manages it may be left out",
    pod({}, { "app.kubernetes.io/managed-by": "kyverno" }),
    pod({}),
  ],
];

describe("equal", () => {
  test.each(equal)("%s", (_reason, actual, expected) => {
    expect(compareResources(actual, expected)).toEqual([]);
  });
});

const different: readonly (readonly [
  reason: string,
  actual: JsonObject,
  expected: JsonObject,
  want: readonly string[],
])[] = [
  ["a value", pod({ a: 1 }), pod({ a: 2 }), ["spec.a: expected 2, found 1"]],
  ["a number is no text", pod({ a: 1 }), pod({ a: "1" }), ['spec.a: expected "1", found 1']],
  ["something missing", pod({}), pod({ a: [1] }), ['spec: expected {"a":[1]}, found nothing']],
  [
    "something more in a list",
    pod({ a: [1, 2] }),
    pod({ a: [1] }),
    ["spec.a[1]: expected nothing, found 2"],
  ],
  [
    "a key that is no word",
    pod({}, { "x.io/y": "a" }),
    pod({}, { "x.io/y": "b" }),
    ['metadata.labels["x.io/y"]: expected "b", found "a"'],
  ],
  [
    "somebody else manages it",
    pod({}, { "app.kubernetes.io/managed-by": "helm" }),
    pod({}),
    ['metadata.labels["app.kubernetes.io/managed-by"]: expected "kyverno", found "helm"'],
  ],
];

describe("different", () => {
  test.each(different)("%s", (_reason, actual, expected, want) => {
    expect(compareResources(actual, expected).map(formatDifference)).toEqual(want);
  });
});

test("the expected document is found by all four parts of its name", () => {
  const other = { ...pod({}), kind: "Deployment" };
  expect(findExpected(pod({}), [other, pod({ a: 1 })])).toEqual(pod({ a: 1 }));
  expect(findExpected(pod({}), [other])).toBeUndefined();
});
