// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { compile } from "#policy/compile";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "n" },
  spec: {
    containers: [
      { name: "a", image: "x:1" },
      { name: "b", image: "x:latest" },
    ],
  },
};
const match = { any: [{ resources: { kinds: ["Pod"] } }] };
const explain = (rule: JsonObject, object: JsonObject = pod): readonly (readonly string[])[] => {
  const { set, problems } = compile([
    {
      apiVersion: "kyverno.io/v1",
      kind: "ClusterPolicy",
      metadata: { name: "c" },
      spec: { rules: [{ name: "r", match, ...rule }] },
    },
  ]);
  expect(problems).toEqual([]);
  const found = set.policies[0]?.explain?.(reviewOf(object), emptyWorld(0)) ?? [];
  return found.map(({ part, value }) => [part, value]);
};
const condition = (key: Json, operator: string, value: Json): JsonObject => ({
  key,
  operator,
  value,
});

test.each([
  {
    reason: "where a pattern failed",
    rule: {
      validate: { message: "m", pattern: { spec: { containers: [{ image: "!*:latest" }] } } },
    },
    want: [["r: pattern", expect.stringContaining("fail at /spec/containers/1/image/")]],
  },
  {
    reason: "each of several patterns",
    rule: {
      validate: {
        message: "m",
        anyPattern: [{ spec: { hostNetwork: true } }, { metadata: { name: "p" } }],
      },
    },
    want: [
      ["r: anyPattern[0]", expect.stringContaining("fail at /spec/hostNetwork/")],
      ["r: anyPattern[1]", "matches"],
    ],
  },
  {
    reason: "which condition denied, also behind the one that decided",
    rule: {
      validate: {
        message: "m",
        deny: {
          conditions: {
            any: [
              condition("{{ request.object.metadata.name }}", "Equals", "p"),
              condition(1, "GreaterThan", 2),
            ],
          },
        },
      },
    },
    want: [
      ["r: deny.conditions.any[0]", "true"],
      ["r: deny.conditions.any[1]", "false"],
    ],
  },
  {
    reason: "the old form of conditions, and context entries",
    rule: {
      context: [
        { name: "images", variable: { jmesPath: "request.object.spec.containers[].image" } },
      ],
      preconditions: [condition("{{ length(images) }}", "Equals", 2)],
      validate: { message: "m", pattern: { metadata: { name: "?*" } } },
    },
    want: [
      ["r: context.images", '["x:1","x:latest"]'],
      ["r: preconditions[0]", "true"],
      ["r: pattern", "matches"],
    ],
  },
  {
    reason: "why a condition could not be decided",
    rule: {
      preconditions: { all: [condition("{{ request.object.spec.nothing }}", "Equals", 1)] },
      validate: { message: "m", pattern: { metadata: { name: "?*" } } },
    },
    want: [
      ["r: preconditions.all[0]", expect.stringContaining('Unknown key "nothing"')],
      ["r: pattern", "matches"],
    ],
  },
  {
    reason: "what came of a loop",
    rule: {
      validate: {
        message: "m",
        foreach: [
          {
            list: "request.object.spec.containers",
            deny: { conditions: { all: [condition("{{ element.image }}", "Equals", "*:latest")] } },
          },
        ],
      },
    },
    want: [["r: foreach[0]", expect.stringContaining("fail")]],
  },
])("explain shows $reason", ({ rule, want }) => {
  expect(explain(rule)).toEqual(want);
});

test("a rule that does not match says so", () => {
  const service = { apiVersion: "v1", kind: "Service", metadata: { name: "s" } };
  const rule = { validate: { message: "m", pattern: { metadata: { name: "?*" } } } };
  expect(explain(rule, service)).toEqual([["matchConstraints", "the resource is not matched"]]);
});
