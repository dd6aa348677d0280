// SPDX-License-Identifier: Apache-2.0
import { RunFunctionRequest, RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { describe, expect, test } from "vitest";
import { at, textAt, type JsonObject } from "#policy/json";
import {
  bucket,
  composite,
  guardrails,
  mutating,
  noPublic,
  nowMs,
  validating,
} from "#test/support/run-function";
import { reportsMax, watchedResource } from "./check.ts";
import { makeHandler } from "./handler.ts";

type Required = Readonly<Record<string, readonly JsonObject[]>>;

const handler = (ms: number) =>
  makeHandler({ now: () => ms, log: () => undefined, approvalNamespace: "" });

/** One call as an Operation makes it: without anything observed. */
function operate(input: JsonObject, required: Required, ms = nowMs): RunFunctionResponse {
  const request = RunFunctionRequest.fromPartial({
    meta: { tag: "tag" },
    input,
    desired: { resources: { earlier: { resource: { apiVersion: "v1", kind: "ConfigMap" } } } },
    requiredResources: Object.fromEntries(
      Object.entries(required).map(([name, items]) => [
        name,
        { items: items.map((resource) => ({ resource })) },
      ]),
    ),
  });
  const bytes = Buffer.from(RunFunctionRequest.encode(request).finish());
  return RunFunctionResponse.decode(handler(ms)(bytes));
}

const live = (name: string, more: JsonObject = {}, metadata: JsonObject = {}): JsonObject =>
  bucket(more, { name, namespace: "team-a", uid: `uid-${name}`, ...metadata });
const none = { "reports/team-a": [] };
const checking = (policies = [noPublic], more: JsonObject = {}) =>
  guardrails(policies, {
    check: { resources: [{ apiVersion: "s3.aws.m.upbound.io/v1beta1", kind: "Bucket", ...more }] },
  });

const reportsIn = (response: RunFunctionResponse): Readonly<Record<string, JsonObject>> =>
  Object.fromEntries(
    Object.entries(response.desired?.resources ?? {})
      .filter(([name]) => name !== "earlier")
      .map(([name, { resource }]) => [name, resource ?? {}]),
  );
const selectorsOf = (response: RunFunctionResponse) => response.requirements?.resources ?? {};
const summaryOf = (report: JsonObject | undefined) => at(report, ["summary"]);

describe("a watched resource", () => {
  const bad = live("a", { acl: "public" });

  test("is reported on, and neither held nor changed", () => {
    const tagging = mutating("tag", "Object{metadata: Object.metadata{labels: {'a': 'b'}}}");
    const response = operate(guardrails([noPublic, tagging]), {
      [watchedResource]: [bad],
      ...none,
    });
    const [[name, report] = []] = Object.entries(reportsIn(response));
    expect(Object.keys(response.desired?.resources ?? {})).toEqual(["earlier", "parapet-uid-a"]);
    expect(name).toBe("parapet-uid-a");
    expect(report).toMatchObject({
      apiVersion: "wgpolicyk8s.io/v1alpha2",
      kind: "PolicyReport",
      metadata: {
        name: "parapet-uid-a",
        namespace: "team-a",
        ownerReferences: [{ kind: "Bucket", name: "a", uid: "uid-a" }],
      },
      scope: { kind: "Bucket", name: "a" },
      summary: { pass: 0, fail: 1, warn: 0, error: 0, skip: 0 },
      results: [{ policy: "no-public", result: "fail", message: "public buckets are not allowed" }],
    });
    expect(response.output).toMatchObject({
      checked: 1,
      summary: { fail: 1 },
      reportsWritten: 1,
      violations: [{ resource: "s3.aws.m.upbound.io/v1beta1 Bucket team-a/a", result: "fail" }],
    });
    expect([response.conditions, response.results]).toEqual([[], []]);
  });

  test("asks for its own report first, by name", () => {
    const response = operate(guardrails([noPublic]), { [watchedResource]: [bad] });
    expect(selectorsOf(response)).toMatchObject({
      "reports/team-a": { kind: "PolicyReport", matchName: "parapet-uid-a", namespace: "team-a" },
    });
    expect([reportsIn(response), response.output]).toEqual([{}, undefined]);
  });

  test("whose verdict is the same later is not written again, and is when it changes", () => {
    const input = guardrails([noPublic]);
    const first = reportsIn(operate(input, { [watchedResource]: [bad], ...none }));
    const known = { "reports/team-a": Object.values(first) };
    const later = nowMs + 3_600_000;
    const again = operate(input, { [watchedResource]: [bad], ...known }, later);
    expect([reportsIn(again), again.output?.["reportsWritten"]]).toEqual([{}, 0]);
    const mended = operate(input, { [watchedResource]: [live("a")], ...known }, later);
    expect(summaryOf(reportsIn(mended)["parapet-uid-a"])).toMatchObject({ pass: 1, fail: 0 });
    const unruled = operate(guardrails([validatingOther]), { [watchedResource]: [bad], ...known });
    expect(at(reportsIn(unruled)["parapet-uid-a"], ["results"])).toEqual([]);
  });

  test("has reports of both groups where both are asked for, and the default is the older one", () => {
    const both = guardrails([noPublic], {
      check: { reports: ["openreports.io", "wgpolicyk8s.io"] },
    });
    const asked = operate(both, { [watchedResource]: [bad] });
    expect(selectorsOf(asked)).toMatchObject({
      "reports/team-a": { apiVersion: "wgpolicyk8s.io/v1alpha2", kind: "PolicyReport" },
      "openreports/team-a": { apiVersion: "openreports.io/v1alpha1", kind: "Report" },
    });
    const first = operate(both, { [watchedResource]: [bad], ...none, "openreports/team-a": [] });
    const reports = reportsIn(first);
    expect(Object.keys(reports).sort()).toEqual(["parapet-uid-a", "parapet-uid-a.openreports"]);
    expect(reports["parapet-uid-a.openreports"]).toMatchObject({
      apiVersion: "openreports.io/v1alpha1",
      kind: "Report",
      metadata: { name: "parapet-uid-a", namespace: "team-a" },
      source: "parapet",
      summary: { fail: 1 },
    });
    const again = operate(both, {
      [watchedResource]: [bad],
      "reports/team-a": [],
      "openreports/team-a": [reports["parapet-uid-a.openreports"] ?? {}],
    });
    expect(Object.keys(reportsIn(again))).toEqual(["parapet-uid-a"]);
    const unknown = guardrails([noPublic], { check: { reports: ["reports.io"] } });
    expect(operate(unknown, { [watchedResource]: [bad] }).results[0]?.message).toContain(
      "check.reports[0]",
    );
  });

  test("that is gone, or that no policy speaks about, has no report", () => {
    const gone = { metadata: { name: "a", deletionTimestamp: "2026-06-01T00:00:00Z" } };
    const other = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "a", namespace: "team-a" },
    };
    for (const each of [gone, other]) {
      const response = operate(guardrails([noPublic]), { [watchedResource]: [each], ...none });
      expect(reportsIn(response)).toEqual({});
      expect(response.output?.["summary"]).toMatchObject({ fail: 0, pass: 0 });
    }
  });

  test("without a namespace has a cluster-scoped report", () => {
    const object = bucket({ acl: "public" }, { name: "a", uid: "u" });
    const response = operate(guardrails([noPublic]), {
      [watchedResource]: [object],
      "reports/": [],
    });
    const report = reportsIn(response)["parapet-u"];
    expect(textAt(report, ["kind"])).toBe("ClusterPolicyReport");
  });
});

const validatingOther = validating("other", "true", {
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] },
      ],
    },
  },
});

describe("resources that the input asks for", () => {
  test("are fetched as they are selected", () => {
    const byLabel = checking([noPublic], { matchLabels: { a: "b" }, namespace: "team-a" });
    expect(selectorsOf(operate(byLabel, {}))["check/0"]).toMatchObject({
      kind: "Bucket",
      matchLabels: { labels: { a: "b" } },
      namespace: "team-a",
    });
    const byName = selectorsOf(operate(checking([noPublic], { name: "x" }), {}))["check/0"];
    expect(byName).toMatchObject({ matchName: "x" });
    const all = selectorsOf(operate(checking(), {}))["check/0"];
    expect([all?.matchName, all?.matchLabels]).toEqual([undefined, undefined]);
  });

  test("are judged once each, whatever order they come in", () => {
    const objects = [live("b"), live("a", { acl: "public" })];
    const both = operate(checking(), {
      "check/0": objects,
      [watchedResource]: [live("b")],
      ...none,
    });
    const other = operate(checking(), { "check/0": objects.toReversed(), ...none });
    expect(both.output).toMatchObject({ checked: 2, summary: { pass: 1, fail: 1 } });
    expect(reportsIn(other)).toEqual(reportsIn(both));
    expect(Object.keys(reportsIn(both)).sort()).toEqual(["parapet-uid-a", "parapet-uid-b"]);
  });

  test("beyond what an Operation's status holds are left for the next run, which goes on there", () => {
    const objects = Array.from({ length: reportsMax + 15 }, (_, i) => live(`r${1000 + i}`));
    const first = operate(checking(), { "check/0": objects, ...none });
    expect(first.output).toMatchObject({ reportsWritten: reportsMax, reportsLeft: 15 });
    expect(first.results.map(({ severity }) => severity)).toEqual([2]);
    const written = Object.values(reportsIn(first));
    const second = operate(checking(), { "check/0": objects, "reports/team-a": written });
    expect(Object.keys(reportsIn(second))).toHaveLength(15);
    const everything = [...written, ...Object.values(reportsIn(second))];
    const third = operate(checking(), { "check/0": objects, "reports/team-a": everything });
    expect(reportsIn(third)).toEqual({});
  });

  test("can be Secrets, of which nothing but the verdict is told", () => {
    const policy = validating("no-token", "false", {
      spec: {
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              resources: ["secrets"],
              operations: ["CREATE"],
            },
          ],
        },
        validations: [
          { expression: "false", messageExpression: "'has ' + string(object.data.token)" },
        ],
        auditAnnotations: [{ key: "token", valueExpression: "string(object.data.token)" }],
      },
    });
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s", namespace: "team-a", uid: "s" },
      data: { token: "aHVudGVyMg==" },
    };
    const response = operate(guardrails([policy]), { [watchedResource]: [secret], ...none });
    expect(summaryOf(reportsIn(response)["parapet-s"])).toMatchObject({ fail: 1 });
    expect(JSON.stringify(response)).not.toContain("aHVudGVyMg");
  });
});

describe("what it cannot know", () => {
  test("objects of kinds that are not fetched are unknown here, not absent", () => {
    const alone = validating(
      "alone",
      "size(resource.List('s3.aws.m.upbound.io/v1beta1', 'buckets', 'team-a').items) < 2",
    );
    const response = operate(checking([alone]), { "check/0": [live("a")], ...none });
    expect(summaryOf(reportsIn(response)["parapet-uid-a"])).toMatchObject({ error: 1, pass: 0 });
  });

  test("a policy of the cluster that cannot be used is named", () => {
    const source = {
      matchLabels: { a: "b" },
      kinds: [{ apiVersion: "policies.kyverno.io/v1", kind: "ValidatingPolicy" }],
    };
    const broken = { ...validating("broken", "(((") };
    const labelled = { ...broken, metadata: { name: "broken", labels: { a: "b" } } };
    const response = operate(guardrails([noPublic], {}, { fromCluster: source }), {
      [watchedResource]: [live("a")],
      "policies/policies.kyverno.io/v1/ValidatingPolicy": [labelled],
      ...none,
    });
    const unusable: unknown = response.output?.["unusablePolicies"];
    expect(unusable).toEqual([expect.stringContaining("broken")]);
    expect(response.results[0]?.message).toContain("broken");
  });

  test("check in a composition is refused: nothing would be held", () => {
    const request = RunFunctionRequest.fromPartial({
      input: checking(),
      observed: { composite: { resource: composite() } },
    });
    const bytes = Buffer.from(RunFunctionRequest.encode(request).finish());
    const { results } = RunFunctionResponse.decode(handler(nowMs)(bytes));
    expect(results.map(({ reason, message }) => [reason, message])).toEqual([
      ["InvalidInput", "check: works in an Operation only"],
    ]);
  });
});
