// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { field, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { objectKey, uidOf } from "#policy/kubernetes/kinds";
import type { Result, RuleResult } from "#policy/report/result";

/** The two groups that reports exist in; their fields have the same names. */
export const reportGroups = ["wgpolicyk8s.io", "openreports.io"] as const;
export type ReportGroup = (typeof reportGroups)[number];

/** One result and the resource that it is about. */
export type ReportEntry = { readonly result: RuleResult; readonly resource: JsonObject };

export type ReportSpec = {
  readonly group: ReportGroup;
  readonly name: string;
  /** '' makes a cluster-scoped report. */
  readonly namespace: string;
  /** What all results are about; entries then carry no resources of their own, as in Kyverno's reports per resource. */
  readonly scope?: JsonObject;
  readonly entries: readonly ReportEntry[];
  /** Written as the time of every result, in milliseconds since 1970. */
  readonly nowMs: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly JsonObject[];
  /** Most results written, worst first; the summary counts all of them. */
  readonly resultsMax?: number;
};

export type Summary = Readonly<Record<Result, number>>;

const managedBy = { "app.kubernetes.io/managed-by": "parapet" };

/**
 * Writes a PolicyReport (wgpolicyk8s.io/v1alpha2) or Report (openreports.io/v1alpha1), cluster-scoped without a
 * namespace. The same entries give the same report, in the order of Kyverno's (pkg/utils/report/results.go): policy,
 * rule, source, then the resource.
 */
export function makeReport(spec: ReportSpec): JsonObject {
  const open = spec.group === "openreports.io";
  const sorted = [...spec.entries].sort(compareEntries);
  const kept = new Set([...sorted].sort(worstFirst).slice(0, spec.resultsMax));
  const written = sorted.filter((entry) => kept.has(entry));
  return {
    ...reportKind(spec.group, spec.namespace),
    metadata: {
      name: spec.name,
      ...(spec.namespace === "" ? {} : { namespace: spec.namespace }),
      labels: { ...managedBy, ...spec.labels },
      ...(spec.ownerReferences === undefined ? {} : { ownerReferences: spec.ownerReferences }),
    },
    // Only the openreports kinds have a source of the whole report.
    ...(open ? { source: "parapet" } : {}),
    ...(spec.scope === undefined ? {} : { scope: referenceTo(spec.scope) }),
    summary: summarize(spec.entries.map((entry) => entry.result)),
    results: written.map((entry) => makeEntry(entry, spec)),
  };
}

/** What the reports of a group are called in a namespace, or cluster-scoped for ''. */
export function reportKind(
  group: ReportGroup,
  namespace: string,
): { readonly apiVersion: string; readonly kind: string } {
  const open = group === "openreports.io";
  const kind = open ? "Report" : "PolicyReport";
  return {
    apiVersion: open ? "openreports.io/v1alpha1" : "wgpolicyk8s.io/v1alpha2",
    kind: namespace === "" ? `Cluster${kind}` : kind,
  };
}

/** How many results there are of each kind. */
export function summarize(results: readonly RuleResult[]): Summary {
  const count = (kind: Result): number => results.filter(({ result }) => result === kind).length;
  return {
    pass: count("pass"),
    fail: count("fail"),
    warn: count("warn"),
    error: count("error"),
    skip: count("skip"),
  };
}

/** The name of a resource's own report: its UID, or a stable one where it has none yet. */
export function reportName(scope: JsonObject): string {
  const uid = uidOf(scope);
  if (uid !== "") return uid;
  const identity = [textAt(scope, ["apiVersion"]), textAt(scope, ["kind"]), objectKey(scope)];
  return `parapet-${createHash("sha256").update(identity.join("\n")).digest("hex").slice(0, 24)}`;
}

/** An ObjectReference. */
export function referenceTo(object: JsonObject): JsonObject {
  const parts: readonly (readonly [string, string])[] = [
    ["apiVersion", textAt(object, ["apiVersion"])],
    ["kind", textAt(object, ["kind"])],
    ["namespace", textAt(object, ["metadata", "namespace"])],
    ["name", textAt(object, ["metadata", "name"])],
    ["uid", uidOf(object)],
  ];
  return Object.fromEntries(parts.filter(([, value]) => value !== ""));
}

function makeEntry({ result, resource }: ReportEntry, spec: ReportSpec): JsonObject {
  const { policy, severity, category } = result;
  const properties = propertiesOf(result);
  return {
    source: result.source,
    policy: policy.namespace === "" ? policy.name : `${policy.namespace}/${policy.name}`,
    ...filled("rule", result.rule),
    ...filled("message", messageOf(result)),
    result: result.result,
    scored: result.scored,
    ...filled("category", category ?? ""),
    ...filled("severity", severity ?? ""),
    timestamp: { seconds: Math.floor(spec.nowMs / 1000), nanos: 0 },
    ...(spec.scope === undefined ? { resources: [referenceTo(resource)] } : {}),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
  };
}

const filled = (key: string, value: string): JsonObject => (value === "" ? {} : { [key]: value });

/** A policy's reportProperties may state other messages: one for its result, or one for all. */
function messageOf({ result, message, properties }: RuleResult): string {
  const stated = (key: string): string =>
    Object.hasOwn(properties, key) ? (properties[key] ?? "") : "";
  return stated("message") || stated(`${result}Message`) || message;
}

function propertiesOf(result: RuleResult): JsonObject {
  const names = result.exceptions.map((key) => key.slice(key.lastIndexOf("/") + 1));
  const entries: (readonly [string, Json])[] = [
    ...Object.entries(result.properties),
    ...(names.length === 0 ? [] : [["exceptions", names.join(",")] as const]),
    ...(result.unsupported === undefined ? [] : [["unsupported", result.unsupported] as const]),
  ];
  return Object.fromEntries(entries.sort(([a], [b]) => compareText(a, b)));
}

/** By code units, so that it is the same everywhere. */
const compareText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

function compareEntries(a: ReportEntry, b: ReportEntry): number {
  const order = sortKeys(a).map((key, index) => compareText(key, sortKeys(b)[index] ?? ""));
  return order.find((sign) => sign !== 0) ?? 0;
}

const sortKeys = ({ result, resource }: ReportEntry): readonly string[] => [
  `${result.policy.namespace}/${result.policy.name}`,
  result.rule,
  result.source,
  textAt(resource, ["apiVersion"]),
  textAt(resource, ["kind"]),
  objectKey(resource),
  textAt(field(resource, "metadata"), ["uid"]),
  result.result,
  result.message,
];

const badness: Readonly<Record<Result, number>> = { fail: 0, error: 1, warn: 2, skip: 3, pass: 4 };

const worstFirst = (a: ReportEntry, b: ReportEntry): number =>
  badness[a.result.result] - badness[b.result.result];
