// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { at, parseJson } from "#policy/json";
import type { RuleResult } from "#policy/report/result";
import { ruleResult } from "../testing.ts";
import type { Verdict } from "../verdict.ts";
import { isFailure } from "../verdict.ts";
import { formatGithub, formatSarif } from "./annotations.ts";
import { formatJunit } from "./junit.ts";
import { makeLineOf } from "./lines.ts";
import { formatTable } from "./table.ts";
import { formatDeletions, formatJson, formatVerdictTable } from "./verdicts.ts";

const verdict = (more: Partial<RuleResult>): Verdict => ({
  file: "app/pod.yaml",
  object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "default" } },
  resource: { apiVersion: "v1", kind: "Pod", namespace: "default", name: "web" },
  result: ruleResult({
    policy: { apiVersion: "kyverno.io/v1", kind: "Policy", namespace: "team", name: "labels" },
    action: "Enforce",
    severity: "high",
    category: "Best Practices",
    ...more,
  }),
});

const verdicts = [
  verdict({}),
  verdict({ result: "pass", message: "rule passed", severity: undefined, category: undefined }),
  verdict({
    result: "error",
    message: "needs\na registry",
    action: "Audit",
    unsupported: "needs a registry",
  }),
];

test("JSON has a summary and one entry per verdict", () => {
  expect(parseJson([...formatJson(verdicts.slice(0, 2), [])].join(""))).toEqual({
    summary: { pass: 1, fail: 1, warn: 0, error: 0, skip: 0, unsupported: 0 },
    results: [
      {
        policy: "team/labels",
        rule: "check",
        resource: { apiVersion: "v1", kind: "Pod", namespace: "default", name: "web" },
        result: "fail",
        message: "label app is missing",
        severity: "high",
        category: "Best Practices",
        action: "Enforce",
      },
      {
        policy: "team/labels",
        rule: "check",
        resource: { apiVersion: "v1", kind: "Pod", namespace: "default", name: "web" },
        result: "pass",
        message: "rule passed",
        severity: null,
        category: null,
        action: "Enforce",
      },
    ],
    deletions: [],
  });
});

test("JSON in parts reads as one, however many verdicts there are", () => {
  for (const count of [0, 1, 1_000, 1_001, 2_500]) {
    const many = Array.from({ length: count }, () => verdict({}));
    const text = [...formatJson(many, many)].join("");
    const json = parseJson(text);
    expect(at(json, ["results"])).toHaveLength(count);
    expect(at(json, ["deletions"])).toHaveLength(count);
    expect(JSON.stringify(json, null, 2)).toBe(text.trimEnd());
  }
});

const deletion = verdict({
  policy: {
    apiVersion: "policies.kyverno.io/v1",
    kind: "DeletingPolicy",
    namespace: "",
    name: "sweep",
  },
  type: "Deletion",
  result: "pass",
  message: "would be deleted: every condition holds (old)",
  action: "Audit",
  properties: { schedule: "0 1 * * *" },
});

test("what would be deleted has a table of its own, with the schedule and the reason", () => {
  expect(formatDeletions([])).toBe("");
  expect(formatDeletions([deletion])).toMatchInlineSnapshot(`
    "
    RESOURCE         DELETED BY            SCHEDULE   WHY
    Pod/default/web  DeletingPolicy/sweep  0 1 * * *  would be deleted: every condition holds (old)
    "
  `);
  const json = parseJson([...formatJson([], [deletion])].join(""));
  expect(at(json, ["deletions"])).toEqual([
    {
      policy: "sweep",
      resource: { apiVersion: "v1", kind: "Pod", namespace: "default", name: "web" },
      message: "would be deleted: every condition holds (old)",
      schedule: "0 1 * * *",
    },
  ]);
});

test("the table shows what is not good, and the counts of all", () => {
  expect(formatVerdictTable(verdicts, false)).toMatchInlineSnapshot(`
    "RESULT       ACTION   POLICY       RULE   RESOURCE         MESSAGE
    fail         Enforce  team/labels  check  Pod/default/web  label app is missing
    unsupported  Audit    team/labels  check  Pod/default/web  needs\\na registry

    pass: 1, fail: 1, warn: 0, error: 1, skip: 0, unsupported: 1
    "
  `);
});

test("names cannot steer the terminal", () => {
  expect(formatTable(["A"], [["\u001B[31mred\u009B"]])).toBe("A\n\\x1b[31mred\\x9b\n");
});

describe("annotations", () => {
  const text =
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n---\nkind: Pod\nmetadata:\n  name: web\n";
  const lineOf = makeLineOf(() => text);

  test("GitHub's commands escape what would end them", () => {
    expect(formatGithub([verdict({ message: "a,\nb: 100%" })], lineOf)).toBe(
      "::error file=app/pod.yaml,line=6,title=team/labels/check on Pod/default/web::a,%0Ab: 100%25\n",
    );
    expect(formatGithub([verdict({ action: "Audit" })], lineOf)).toMatch(/^::warning /);
    expect(formatGithub([verdict({ result: "pass" })], lineOf)).toBe("");
  });

  test("SARIF names rule, level and place", () => {
    const log = parseJson(formatSarif([verdict({})], lineOf, "1.2.3"));
    expect(log).toMatchObject({
      version: "2.1.0",
      runs: [
        {
          tool: {
            driver: {
              rules: [
                {
                  id: "team/labels/check",
                  shortDescription: { text: "team/labels/check" },
                  properties: { category: "Best Practices", severity: "high" },
                },
              ],
            },
          },
          results: [
            {
              ruleIndex: 0,
              level: "error",
              locations: [{ physicalLocation: { region: { startLine: 6 } } }],
            },
          ],
        },
      ],
    });
  });
});

describe("lines", () => {
  const pod = "apiVersion: v1\nkind: Pod\n";
  test.each([
    [
      "metadata in flow style",
      `${pod}metadata: {labels: {a: b}, name: "web", namespace: default}\n`,
      1,
    ],
    [
      "an item of a List, after one of another name",
      `kind: List\nitems:\n- kind: Pod\n  metadata: {name: other}\n- metadata:\n    name: web\n  kind: Pod\n`,
      5,
    ],
    [
      "an item of a JSON List",
      JSON.stringify(
        { kind: "List", items: ["a", "web"].map((name) => ({ kind: "Pod", metadata: { name } })) },
        null,
        2,
      ),
      11,
    ],
    [
      "the one of its namespace, of two with one name",
      `${pod}metadata:\n  name: web\n  namespace: other\n---\n# ours\n${pod}metadata:\n  name: web\n  namespace: default\n`,
      8,
    ],
    [
      "names of owners, containers and references are not the object's",
      `${pod}metadata:\n  ownerReferences:\n  - kind: Pod\n    name: owner\n  name: web\nspec:\n  containers: [{name: c}]\n`,
      1,
    ],
    ["minified JSON has one line", JSON.stringify({ kind: "Pod", metadata: { name: "web" } }), 1],
  ])("%s", (_reason, text, want) => {
    expect(makeLineOf(() => text)(verdict({}))).toBe(want);
  });
});

test("JUnit escapes what is not XML", () => {
  const xml = formatJunit(
    [
      { suite: "a.yaml", name: "p <r>", status: "failed", message: 'a "b" \u0000&\nc' },
      { suite: "a.yaml", name: "q", status: "passed", message: "" },
    ],
    1.5,
  );
  expect(xml).toMatchInlineSnapshot(`
    "<?xml version="1.0" encoding="UTF-8"?>
    <testsuites tests="2" failures="1" errors="0" skipped="0" time="1.500">
      <testsuite name="a.yaml" tests="2" failures="1" errors="0" skipped="0">
        <testcase classname="a.yaml" name="p &lt;r&gt;"><failure message="a &quot;b&quot; \uFFFD&amp;&#10;c"/></testcase>
        <testcase classname="a.yaml" name="q"/>
      </testsuite>
    </testsuites>
    "
  `);
});

describe("what makes a run fail", () => {
  test.each([
    ["an enforced violation", verdict({}), "enforced", true],
    ["not an audited one", verdict({ action: "Audit" }), "enforced", false],
    ["unless violations do", verdict({ action: "Audit" }), "violation", true],
    [
      "an error under Enforce stops as a violation does",
      verdict({ result: "error" }),
      "enforced",
      true,
    ],
    ["a warning only when asked", verdict({ result: "warn" }), "violation", false],
    ["a warning when asked", verdict({ result: "warn" }), "warning", true],
    ["nothing when asked", verdict({}), "never", false],
  ] as const)("%s", (_reason, one, failOn, want) => {
    expect(isFailure(one, failOn)).toBe(want);
  });
});
