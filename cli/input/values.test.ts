// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { parseUserInfo, parseValues, withValues } from "./values.ts";

const values = parseValues({
  apiVersion: "cli.kyverno.io/v1alpha1",
  kind: "Values",
  globalValues: { "request.operation": "UPDATE", team: "a" },
  policies: [
    {
      name: "labels",
      resources: [{ name: "web", values: { team: "b", "request.object.metadata.name": "other" } }],
      rules: [
        {
          name: "check",
          values: { "dictionary.data.env": "prod" },
          foreachValues: { image: ["x", "y"] },
        },
      ],
    },
  ],
  namespaceSelector: [
    { name: "prod", labels: { tier: "one" } },
    { name: "dev", labels: { tier: "two" } },
  ],
  namespaces: [{ metadata: { name: "prod", labels: { tier: "three" } } }],
  subresources: [
    {
      subresource: { name: "pods/exec", kind: "PodExecOptions", version: "v1" },
      parentResource: { name: "pods", kind: "Pod", version: "v1" },
    },
  ],
});

describe("values", () => {
  test("a resource's values come over the global ones", () => {
    expect(values.forResource("labels", "web")).toMatchObject({ team: "b" });
    expect(values.forResource("labels", "db")).toEqual({
      "request.operation": "UPDATE",
      team: "a",
    });
  });

  test("the global operation is known by itself", () => {
    expect(values.operation).toBe("UPDATE");
  });

  test("rules have values and one value per element", () => {
    expect(values.forRule("labels", "check")).toEqual({
      values: { "dictionary.data.env": "prod" },
      foreachValues: { image: ["x", "y"] },
    });
    expect(values.forRule("labels", "other")).toBeUndefined();
  });

  test("a Namespace object comes over a selector's labels", () => {
    expect(values.namespace("prod")).toMatchObject({ metadata: { labels: { tier: "three" } } });
    expect(values.namespace("dev")).toMatchObject({ metadata: { labels: { tier: "two" } } });
    expect(values.namespace("test")).toBeUndefined();
  });

  test("subresources name their parent", () => {
    expect(values.subresources).toEqual([
      {
        kind: { group: "", version: "v1", kind: "PodExecOptions" },
        parent: { group: "", version: "v1", kind: "Pod" },
        name: "exec",
      },
    ]);
  });

  test.each([
    ["null", null],
    ["a list", []],
    ["text where lists belong", { policies: "x", namespaceSelector: 3, subresources: {} }],
  ])("%s says nothing and breaks nothing", (_name, document) => {
    const nothing = parseValues(document);
    expect(nothing.forResource("a", "b")).toEqual({});
    expect(nothing.forRule("a", "b")).toBeUndefined();
  });
});

describe("values set in the object", () => {
  const pod = { metadata: { name: "web", annotations: { a: "1" } } };

  test("names with dots are quoted", () => {
    const changed = withValues(pod, { 'request.object.metadata.annotations."x.io/y"': "z" });
    expect(changed).toEqual({ metadata: { name: "web", annotations: { a: "1", "x.io/y": "z" } } });
  });

  test("other variables leave it alone", () => {
    expect(withValues(pod, { "request.operation": "UPDATE", team: "a" })).toBe(pod);
  });

  test("a value named __proto__ reaches no prototype", () => {
    withValues(pod, { "request.object.__proto__.polluted": true });
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

test("a UserInfo file gives the user with its roles", () => {
  const user = parseUserInfo({
    kind: "UserInfo",
    clusterRoles: ["admin", 3],
    userInfo: { username: "ann", groups: ["dev"], extra: { scopes: ["x"] } },
  });
  expect(user).toEqual({
    username: "ann",
    uid: "",
    groups: ["dev"],
    extra: { scopes: ["x"] },
    roles: [],
    clusterRoles: ["admin"],
  });
});
