// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { field, isArray, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { makeObjectStore } from "./object-store.ts";

const pod = (name: string, namespace: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace, labels },
});
const widget: JsonObject = {
  apiVersion: "example.org/v1",
  kind: "Widget",
  metadata: { name: "w" },
};
const store = makeObjectStore(
  [
    pod("a", "x", { app: "one", tier: "web" }),
    pod("b", "x", { app: "two" }),
    pod("a", "y"),
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "x" } },
    widget,
  ],
  (kind) => (kind.kind === "Widget" ? { resource: "widgetry", namespaced: false } : undefined),
);

const names = (path: string): unknown => {
  const answer = store.getPath(path);
  if (answer?.kind !== "found") return answer?.kind;
  const items = field(answer.value, "items");
  const found = isArray(items) ? items : [answer.value];
  return found.map((item) => textAt(item, ["metadata", "name"]));
};

describe("paths of the API server", () => {
  test.each([
    ["a list over all namespaces", "/api/v1/pods", ["a", "b", "a"]],
    ["a list in one", "/api/v1/namespaces/x/pods", ["a", "b"]],
    ["one object", "/api/v1/namespaces/y/pods/a", ["a"]],
    ["a namespace is no folder", "/api/v1/namespaces/x", ["x"]],
    ["and neither is their list", "/api/v1/namespaces", ["x"]],
    ["a selector of two labels", "/api/v1/pods?labelSelector=app%3Done,tier==web", ["a"]],
    [
      "a selector of another form is not guessed",
      "/api/v1/pods?labelSelector=app in (one)",
      "unavailable",
    ],
    ["a kind of somebody else under its own plural", "/apis/example.org/v1/widgetry/w", ["w"]],
    ["the version is not asked", "/apis/example.org/v2/widgetry", ["w"]],
    ["a kind without objects is an empty list", "/apis/apps/v1/deployments", []],
    ["what is not there is absent", "/api/v1/namespaces/x/pods/z", "absent"],
    ["another path is not ours", "/healthz", undefined],
  ])("%s: %s", (_reason, path, want) => {
    expect(names(path)).toEqual(want);
  });
});
