// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json } from "#policy/json";
import { globalEntry, parseCall } from "./stand-ins.ts";

const deployment = { kind: "Deployment", metadata: { name: "a" }, spec: { replicas: 2 } };
const ask = (entry: Json, projection = "") =>
  globalEntry(entry, [deployment], 0).get(projection) ?? { kind: "unavailable" };

describe("global context entries", () => {
  test.each([
    ["resources are a list", { name: "e" }, "", { kind: "found", value: [deployment] }],
    ["data comes before resources", { data: { a: 1 } }, "", { kind: "found", value: { a: 1 } }],
    [
      "a field path cuts out the root",
      { data: { a: { b: 1 } }, fieldPath: "a" },
      "",
      { kind: "found", value: { b: 1 } },
    ],
    [
      "projections replace the whole",
      { projections: [{ name: "n", path: "[].spec.replicas" }] },
      "",
      { kind: "found", value: { n: [2] } },
    ],
    [
      "and can be asked for alone",
      { projections: [{ name: "n", path: "length(@)" }] },
      "n",
      { kind: "found", value: 1 },
    ],
    [
      "one that fails makes the whole unknown",
      { projections: [{ name: "n", path: "length(" }] },
      "",
      { kind: "unavailable" },
    ],
    [
      "an unknown projection is unknown",
      { projections: [{ name: "n", path: "@" }] },
      "m",
      { kind: "unavailable" },
    ],
  ] satisfies readonly (readonly [string, Json, string, object])[])(
    "%s",
    (_reason, entry, projection, want) => {
      expect(ask(entry, projection)).toMatchObject(want);
    },
  );
});

test("a canned answer has status 200 and answers every method unless it says so", () => {
  expect(parseCall({ url: " https://x ", response: { body: { a: 1 } } })).toEqual({
    url: "https://x",
    method: "",
    statusCode: 200,
    body: { a: 1 },
  });
  expect(parseCall({ urlPath: "/api", method: "post", response: { statusCode: 404 } })).toEqual({
    url: "/api",
    method: "POST",
    statusCode: 404,
    body: null,
  });
});
