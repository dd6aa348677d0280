// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { uidOf } from "#policy/kubernetes/kinds";
import {
  makeReport,
  reportKind,
  reportName,
  type ReportEntry,
  type ReportGroup,
} from "#policy/report/policy-report";
import type { RuleResult } from "#policy/report/result";
import { canonicalJson } from "./canonical.ts";
import type { Selector } from "./wire/response.ts";

const reportLabels = { "parapet.dev/report": "check" };

/** The reports that exist, one requirement for each namespace: a single one by its name, as a watch brings one resource. */
export function reportSelectors(
  subjects: readonly JsonObject[],
  groups: readonly ReportGroup[],
): ReadonlyMap<string, Selector> {
  const byNamespace = [...Map.groupBy(subjects, namespaceOf)];
  const entries = groups.flatMap((group) =>
    byNamespace.map(([namespace, [first, ...others]]) => {
      const { apiVersion, kind } = reportKind(group, namespace);
      const match =
        first !== undefined && others.length === 0
          ? { name: nameOfReport(first) }
          : { labels: reportLabels };
      const selector: Selector = {
        apiVersion,
        kind,
        match,
        namespace: namespace === "" ? undefined : namespace,
      };
      const prefix = group === "wgpolicyk8s.io" ? "reports" : "openreports";
      return [`${prefix}/${namespace}`, selector] as const;
    }),
  );
  return new Map(entries);
}

/** Not the bare UID: that is the name of Kyverno's own report on the resource. */
const nameOfReport = (subject: JsonObject): string =>
  uidOf(subject) === "" ? reportName(subject) : `parapet-${uidOf(subject)}`;

export function reportOn(
  subject: JsonObject,
  results: readonly RuleResult[],
  { group, nowMs }: { readonly group: ReportGroup; readonly nowMs: number },
): JsonObject {
  const uid = uidOf(subject);
  const owner = {
    apiVersion: textAt(subject, ["apiVersion"]),
    kind: textAt(subject, ["kind"]),
    name: textAt(subject, ["metadata", "name"]),
    uid,
  };
  return makeReport({
    group,
    name: nameOfReport(subject),
    namespace: namespaceOf(subject),
    scope: subject,
    entries: results.map((result): ReportEntry => ({ result, resource: subject })),
    nowMs,
    labels: reportLabels,
    // The report goes with its resource: an Operation cannot delete anything.
    ...(uid === "" ? {} : { ownerReferences: [owner] }),
  });
}

/**
 * What a report says, whenever it was said. Every Operation applies under a name of its own, and each becomes an owner of
 * the fields for good: a report that says the same is better not applied again.
 */
export function verdictText(report: JsonObject): string {
  const results = field(report, "results");
  const timeless = (isArray(results) ? results : []).map((each): Json => {
    if (!isObject(each)) return each;
    const { timestamp: _, ...rest } = each;
    return rest;
  });
  return canonicalJson({ summary: field(report, "summary") ?? {}, results: timeless });
}

/** The name of a report among the Operation's resources; two reports on one resource have the same name. */
export const resourceNameOf = (report: JsonObject): string => {
  const name = textAt(report, ["metadata", "name"]);
  return textAt(report, ["apiVersion"]).startsWith("openreports.io/")
    ? `${name}.openreports`
    : name;
};

export const namespaceOf = (object: JsonObject): string =>
  textAt(object, ["metadata", "namespace"]);
