// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { parseTest } from "./test-file.ts";

const result: JsonObject = {
  policy: "p",
  rule: "r",
  kind: "Pod",
  result: "pass",
  resources: ["a"],
};
const test1 = (fields: JsonObject): JsonObject => ({
  apiVersion: "cli.kyverno.io/v1alpha1",
  kind: "Test",
  metadata: { name: "t" },
  policies: ["policy.yaml"],
  ...fields,
});

const parsedResult = (fields: JsonObject) => {
  const parsed = parseTest(test1({ results: [{ ...result, ...fields }] }));
  if (!parsed.ok) throw new Error(parsed.problems.join("; "));
  return parsed.test.results[0];
};

describe("results", () => {
  test.each([
    ["names the resources", {}, { resources: ["a"], ruleless: false }],
    ["old tests say status", { result: null, status: "fail" }, { result: "fail" }],
    [
      "and name one resource with its namespace",
      { resources: null, resource: "b", namespace: "n" },
      { resources: ["n/b"] },
    ],
    ["one test in the wild misspells its flag", { isMUtatingPolicy: true }, { ruleless: true }],
    ["a flag that is off says nothing", { isValidatingPolicy: false }, { ruleless: false }],
    ["an operation asks for its own run", { operation: "DELETE" }, { operation: "DELETE" }],
    ["no resources means all", { resources: null }, { resources: [] }],
  ] satisfies readonly (readonly [string, JsonObject, object])[])("%s", (_reason, fields, want) => {
    expect(parsedResult(fields)).toMatchObject(want);
  });
});

const refused: readonly (readonly [reason: string, document: Json, want: readonly string[]])[] = [
  ["no object", [], ["a test is an object"]],
  ["another kind", { kind: "Values" }, ["kind: must be Test, got Values"]],
  ["no list", test1({ resources: "a.yaml" }), ["resources: must be a list"]],
  ["no text in a list", test1({ policies: [1] }), ["policies[0]: must be a string"]],
  [
    "an unknown result",
    test1({ results: [{ ...result, result: "ok" }] }),
    ['results[0].result: must be one of pass, fail, skip, warn, error, got "ok"'],
  ],
  [
    "no policy",
    test1({ results: [{ ...result, policy: "" }] }),
    ["results[0].policy: must name a policy"],
  ],
  [
    "an unknown operation",
    test1({ results: [{ ...result, operation: "PATCH" }] }),
    ["results[0].operation: must be CREATE, UPDATE, DELETE or CONNECT"],
  ],
  [
    "a misspelt list, without which nothing would be tested",
    test1({ resuts: [result] }),
    ["resuts: unknown field, did you mean results?"],
  ],
  [
    "a misspelt expectation, without which any patch would do",
    test1({ results: [{ ...result, patchedResorces: "a.yaml" }] }),
    ["results[0].patchedResorces: unknown field, did you mean patchedResources?"],
  ],
];

describe("refused, with the path of what is wrong", () => {
  test.each(refused)("%s", (_reason, document, want) => {
    const parsed = parseTest(document);
    expect(parsed.ok ? [] : parsed.problems).toEqual(want);
  });
});

test("jsonPayload and jsonPayloads add up", () => {
  const parsed = parseTest(test1({ jsonPayload: "a.json", jsonPayloads: ["b.json"] }));
  expect(parsed.ok && parsed.test.jsonPayloads).toEqual(["a.json", "b.json"]);
});
