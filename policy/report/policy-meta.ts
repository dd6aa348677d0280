// SPDX-License-Identifier: Apache-2.0
import { at, field, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import type {
  EnforcementAction,
  PolicyRef,
  Result,
  RuleResult,
  Severity,
  Source,
} from "#policy/report/result";

/** What a policy's own metadata says about all of its results. */
export type PolicyMeta = {
  readonly ref: PolicyRef;
  readonly annotations: Readonly<Record<string, string>>;
  readonly severity: Severity | undefined;
  readonly category: string | undefined;
  /** false turns fails into warns (Kyverno, pkg/utils/report/results.go). */
  readonly scored: boolean;
  readonly source: Source;
};

const severities: readonly string[] = [
  "critical",
  "high",
  "medium",
  "low",
  "info",
] satisfies readonly Severity[];

const isSeverity = (text: string): text is Severity => severities.includes(text);

/** Reads name and annotations of a policy document; wrong types count as absent. */
export function policyMeta(document: JsonObject, source: Source): PolicyMeta {
  const annotations = stringMap(at(document, ["metadata", "annotations"]));
  const severity = textOf(annotations, "policies.kyverno.io/severity");
  const category = textOf(annotations, "policies.kyverno.io/category");
  return {
    ref: policyRef(document),
    annotations,
    severity: isSeverity(severity) ? severity : undefined,
    category: category === "" ? undefined : category,
    scored: textOf(annotations, "policies.kyverno.io/scored") !== "false",
    source,
  };
}

export function policyRef(document: JsonObject): PolicyRef {
  return {
    apiVersion: textAt(document, ["apiVersion"]),
    kind: textAt(document, ["kind"]),
    namespace: textAt(document, ["metadata", "namespace"]),
    name: textAt(document, ["metadata", "name"]),
  };
}

/** The string entries of an object. Look keys up with Object.hasOwn: the object has a prototype. */
export function stringMap(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return {};
  const entries = Object.keys(value).flatMap((key): readonly [string, string][] => {
    const entry = field(value, key);
    return typeof entry === "string" ? [[key, entry]] : [];
  });
  return Object.fromEntries(entries);
}

const textOf = (map: Readonly<Record<string, string>>, key: string): string =>
  Object.hasOwn(map, key) ? (map[key] ?? "") : "";

export type ResultParts = {
  readonly rule: string;
  readonly type: RuleResult["type"];
  readonly result: Result;
  readonly message: string;
  readonly action: EnforcementAction;
  readonly properties?: Readonly<Record<string, string>>;
  readonly exceptions?: readonly string[];
  readonly unsupported?: string;
};

/** A result of the policy, with what its metadata adds: an unscored fail is a warn. */
export function makeResult(meta: PolicyMeta, parts: ResultParts): RuleResult {
  return {
    policy: meta.ref,
    rule: parts.rule,
    type: parts.type,
    result: parts.result === "fail" && !meta.scored ? "warn" : parts.result,
    message: parts.message,
    action: parts.action,
    severity: meta.severity,
    category: meta.category,
    scored: meta.scored,
    source: meta.source,
    properties: parts.properties ?? noProperties,
    exceptions: parts.exceptions ?? noNames,
    unsupported: parts.unsupported,
  };
}

const noProperties: Readonly<Record<string, string>> = Object.freeze({});
const noNames: readonly string[] = Object.freeze([]);
