// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { at, type JsonObject } from "#policy/json";
import {
  generatedName,
  readComposite,
  withoutRenderedMetadata,
  withRenderedMetadata,
} from "./composite.ts";

// Names as core's own table has them (internal/names/names_test.go, v2.4.0): prefix, UID of the composite, resource name.
const uid = "75e4a668-035f-4ce8-8c45-f4d3ac850155";
const names: readonly (readonly [string, string, string, string, string])[] = [
  ["prefix and hash", "cool-resource-", uid, "database", "cool-resource-38ce86992a27"],
  ["another resource", "parent-", uid, "storage", "parent-abcd22a110fe"],
  ["another composite", "parent-", "uid-123", "database", "parent-5f968d238736"],
  ["a prefix without a hyphen", "resource", uid, "database", "resource-38ce86992a27"],
  ["no prefix", "", uid, "database", "38ce86992a27"],
  [
    "a long prefix that is cut at a hyphen",
    "very-long-parent-name-".repeat(3),
    uid,
    "database",
    "very-long-parent-name-very-long-parent-name-very-l-38ce86992a27",
  ],
  [
    "a long prefix that is cut in a word",
    "very-long-parent-name-without-ending-hyphen".repeat(2),
    uid,
    "database",
    "very-long-parent-name-without-ending-hyphenvery-lo-38ce86992a27",
  ],
];

test.each(names)("the name that Crossplane will generate: %s", (_, prefix, of, name, want) => {
  expect(generatedName(prefix, of, name)).toBe(want);
});

const composite = readComposite({
  apiVersion: "example.org/v1",
  kind: "XStore",
  metadata: { name: "store", uid, labels: { "crossplane.io/composite": "store" } },
});
const rendered = (desired: JsonObject, live?: JsonObject) =>
  withRenderedMetadata(desired, "database", composite, live);

describe("metadata that Crossplane adds", () => {
  const desired = { apiVersion: "v1", kind: "ConfigMap", data: { a: "b" } };

  test("is there to be judged, and is not stated", () => {
    const object = rendered(desired);
    expect(at(object, ["metadata", "name"])).toBe("store-38ce86992a27");
    expect(at(object, ["metadata", "generateName"])).toBe("store-");
    expect(withoutRenderedMetadata(object, object, desired)).toEqual(desired);
  });

  test("keeps the prefix that the composition asks for", () => {
    const prefixed = { ...desired, metadata: { generateName: "my-" } };
    expect(at(rendered(prefixed), ["metadata", "name"])).toBe("my-38ce86992a27");
  });

  test("has the name and namespace of the object that exists", () => {
    const live = { metadata: { name: "store-x", namespace: "team-b" } };
    expect(at(rendered(desired, live), ["metadata"])).toMatchObject(live.metadata);
  });
});
