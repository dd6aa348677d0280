// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { compile } from "#policy/compile";
import { findVariableProblems } from "#policy/kyverno/classic/variable-check";

test.each<{ reason: string; rule: JsonObject; want: readonly string[] }>([
  {
    reason: "a good one",
    rule: { validate: { message: "{{ request.object.metadata.name }}" } },
    want: [],
  },
  {
    reason: "bad syntax in a text",
    rule: { validate: { message: "x {{ a..b }}" } },
    want: [
      "validate.message: variable {{ a..b }}: SyntaxError: Expected identifier, lbracket, or lbrace",
    ],
  },
  {
    reason: "in a key",
    rule: { mutate: { patchStrategicMerge: { "{{ ( }}": 1 } } },
    want: ["mutate.patchStrategicMerge: variable {{ ( }}: SyntaxError: Incomplete expression"],
  },
  {
    reason: "an empty one",
    rule: { preconditions: { all: [{ key: "{{ }}" }] } },
    want: ["preconditions.all[0].key: variable {{  }}: the variable is empty"],
  },
  {
    reason: "an escaped one is text",
    rule: { generate: { data: { x: "\\{{ .Values.x }}" } } },
    want: [],
  },
  {
    reason: "the inner of two is looked at",
    rule: { context: [{ variable: { value: "{{ a.{{ b. }} }}" } }] },
    want: [
      "context[0].variable.value: variable {{ b. }}: SyntaxError: Expected identifier, lbracket, or lbrace",
    ],
  },
  {
    reason: "the outer is not known yet",
    rule: { context: [{ variable: { value: "{{ a.{{ b }}. }}" } }] },
    want: [],
  },
  { reason: "{{@}} and shallow ones", rule: { mutate: { x: ["{{@}}", "{{- a }}"] } }, want: [] },
  {
    reason: "CEL has braces of its own",
    rule: { validate: { cel: { expressions: [{ expression: "{{'a':1}:2}" }] } } },
    want: [],
  },
  {
    reason: "match blocks take no variables",
    rule: { match: { any: [{ resources: { names: ["{{ ( }}"] } }] } },
    want: [],
  },
])("$reason", ({ rule, want }) => {
  expect(findVariableProblems(rule).map(({ path, message }) => `${path}: ${message}`)).toEqual(
    want,
  );
});

test("a policy with such a variable is refused with the place", () => {
  const { set, problems } = compile([
    {
      apiVersion: "kyverno.io/v1",
      kind: "ClusterPolicy",
      metadata: { name: "typo" },
      spec: {
        rules: [
          {
            name: "r",
            match: { any: [{ resources: { kinds: ["Pod"] } }] },
            validate: { message: "{{ request.object. }}", pattern: { spec: "?*" } },
          },
        ],
      },
    },
  ]);
  expect(set.policies).toEqual([]);
  expect(problems.map(({ path }) => path)).toEqual(["spec.rules[0].validate.message"]);
});
