// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { at } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { ResultParts } from "#policy/report/policy-meta";
import { makeReport, reportName, summarize } from "#policy/report/policy-report";
import type { ReportSpec } from "#policy/report/policy-report";
import type { RuleResult } from "#policy/report/result";

const meta = (annotations: JsonObject) =>
  policyMeta(
    {
      apiVersion: "policies.kyverno.io/v1",
      kind: "ValidatingPolicy",
      metadata: { name: "labels", annotations },
    },
    "KyvernoValidatingPolicy",
  );
const made = (parts: Partial<ResultParts>, annotations: JsonObject = {}): RuleResult =>
  makeResult(meta(annotations), {
    rule: "",
    type: "Validation",
    result: "fail",
    message: "no label",
    action: "Audit",
    ...parts,
  });
const pod = (name: string, uid = ""): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "team", ...(uid === "" ? {} : { uid }) },
});
const report = (entries: ReportSpec["entries"], more: Partial<ReportSpec> = {}): JsonObject =>
  makeReport({
    group: "wgpolicyk8s.io",
    name: "r",
    namespace: "team",
    entries,
    nowMs: 1_700_000_000_999,
    ...more,
  });

test("a report says what, on what, how bad and when", () => {
  const annotations = {
    "policies.kyverno.io/severity": "high",
    "policies.kyverno.io/category": "Labels",
  };
  const entry = { result: made({ properties: { a: "b" } }, annotations), resource: pod("x", "u1") };
  expect(report([entry])).toEqual({
    apiVersion: "wgpolicyk8s.io/v1alpha2",
    kind: "PolicyReport",
    metadata: {
      name: "r",
      namespace: "team",
      labels: { "app.kubernetes.io/managed-by": "parapet" },
    },
    summary: { pass: 0, fail: 1, warn: 0, error: 0, skip: 0 },
    results: [
      {
        source: "KyvernoValidatingPolicy",
        policy: "labels",
        message: "no label",
        result: "fail",
        scored: true,
        category: "Labels",
        severity: "high",
        timestamp: { seconds: 1_700_000_000, nanos: 0 },
        resources: [{ apiVersion: "v1", kind: "Pod", namespace: "team", name: "x", uid: "u1" }],
        properties: { a: "b" },
      },
    ],
  });
});

test("both groups come from one writer: kinds, version and source differ", () => {
  const entries = [{ result: made({}), resource: pod("x") }];
  const open = report(entries, { group: "openreports.io", namespace: "" });
  expect([open["apiVersion"], open["kind"], open["source"]]).toEqual([
    "openreports.io/v1alpha1",
    "ClusterReport",
    "parapet",
  ]);
  expect(open["results"]).toEqual(report(entries)["results"]);
});

test("the order of entries does not matter: a report is a value", () => {
  const entries = ["c", "a", "b"].map((name) => ({ result: made({}), resource: pod(name) }));
  expect(report(entries)).toEqual(report([...entries].reverse()));
});

test("a report of one resource names it once, as its scope", () => {
  const written = report([{ result: made({}), resource: pod("x") }], { scope: pod("x") });
  expect(at(written, ["scope", "name"])).toBe("x");
  expect(at(written, ["results", 0, "resources"])).toBeUndefined();
});

test("an unscored policy's fail is a warn, and is counted as one", () => {
  const result = made({}, { "policies.kyverno.io/scored": "false" });
  expect([result.result, result.scored]).toEqual(["warn", false]);
  expect(summarize([result]).warn).toBe(1);
});

test("reportProperties replace messages, the general one first", () => {
  const message = (properties: Record<string, string>) =>
    at(report([{ result: made({ properties }), resource: pod("x") }]), ["results", 0, "message"]);
  expect(message({ failMessage: "F" })).toBe("F");
  expect(message({ passMessage: "P" })).toBe("no label");
  expect(message({ failMessage: "F", message: "M" })).toBe("M");
});

test("a bound on results keeps the worst and still counts all", () => {
  const entries = (["pass", "fail", "skip"] as const).map((result, index) => ({
    result: made({ result }),
    resource: pod(`p${index}`),
  }));
  const written = report(entries, { resultsMax: 1 });
  expect(at(written, ["results", 0, "result"])).toBe("fail");
  expect(at(written, ["results", 1])).toBeUndefined();
  expect(written["summary"]).toEqual({ pass: 1, fail: 1, warn: 0, error: 0, skip: 1 });
});

test("exceptions and unsupported parts are properties, so that readers of reports see them", () => {
  const result = made({ exceptions: ["ns/one", "ns/two"], unsupported: "needs a registry" });
  const properties = at(report([{ result, resource: pod("x") }]), ["results", 0, "properties"]);
  expect(properties).toEqual({ exceptions: "one,two", unsupported: "needs a registry" });
});

test("a report is named by UID, or stably where there is none yet", () => {
  expect(reportName(pod("x", "1234"))).toBe("1234");
  expect(reportName(pod("x"))).toMatch(/^parapet-[0-9a-f]{24}$/);
  expect(reportName(pod("x"))).toBe(reportName(pod("x")));
  expect(reportName(pod("x"))).not.toBe(reportName(pod("y")));
});
