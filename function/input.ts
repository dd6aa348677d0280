// SPDX-License-Identifier: Apache-2.0
import { field, type Json } from "#policy/json";
import type { Problem } from "#policy/problem";
import { reportGroups, type ReportGroup } from "#policy/report/policy-report";
import { makeReader, type Reader } from "./input-reader.ts";

export const inputApiVersion = "parapet.fn.crossplane.io/v1beta1";
export const inputKind = "Guardrails";

/** What happens to a change that an Enforce policy does not allow. */
export const onViolations = ["Hold", "Fatal", "Report"] as const;
export type OnViolation = (typeof onViolations)[number];

/** What the guard states in every managed resource, so that nobody else can own it. */
export const pins = [
  "managementPolicies",
  "paused",
  "deletionPolicy",
  "providerConfigRef",
  "writeConnectionSecretToRef",
] as const;
export type Pin = (typeof pins)[number];

export type SourceKind = { readonly apiVersion: string; readonly kind: string };

export type FromCluster = {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly kinds: readonly SourceKind[];
  readonly namespaces: readonly string[];
};

/** Existing resources of one kind: one by name, those with labels, or all. */
export type CheckSource = SourceKind & {
  readonly match:
    | { readonly name: string }
    | { readonly labels: Readonly<Record<string, string>> }
    | undefined;
  /** undefined for cluster-scoped kinds, and for all namespaces. */
  readonly namespace: string | undefined;
};

export type Guardrails = {
  /** Policy documents as they were written; the compiler judges them. */
  readonly inline: readonly Json[];
  readonly fromCluster: FromCluster | undefined;
  readonly exceptionNamespaces: readonly string[];
  readonly onViolation: OnViolation;
  readonly pin: readonly Pin[];
  /** Also write `status.parapet` of the composite; worth it only where the XRD declares the field. */
  readonly writeStatus: boolean;
  /** Record on every resource what is applied; else only where a policy compares with the old object. */
  readonly recordApplied: boolean;
  /** Existing resources that an Operation judges. */
  readonly check: readonly CheckSource[];
  /** The kinds of reports that an Operation writes. */
  readonly reportGroups: readonly ReportGroup[];
};

export type ParsedInput =
  | { readonly ok: true; readonly guardrails: Guardrails }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Kinds that may be fetched, with those that live in namespaces; what is not listed would fail the whole pipeline. */
export const sourceKinds: Readonly<Record<string, "cluster" | "namespaced" | "exception">> = {
  "v1 ConfigMap": "namespaced",
  "kyverno.io/v1 ClusterPolicy": "cluster",
  "kyverno.io/v1 Policy": "namespaced",
  "kyverno.io/v2 PolicyException": "exception",
  "policies.kyverno.io/v1 ValidatingPolicy": "cluster",
  "policies.kyverno.io/v1 MutatingPolicy": "cluster",
  "policies.kyverno.io/v1 GeneratingPolicy": "cluster",
  "policies.kyverno.io/v1 NamespacedValidatingPolicy": "namespaced",
  "policies.kyverno.io/v1 NamespacedMutatingPolicy": "namespaced",
  "policies.kyverno.io/v1 NamespacedGeneratingPolicy": "namespaced",
  "policies.kyverno.io/v1 PolicyException": "exception",
  "policies.kyverno.io/v1beta1 ValidatingPolicy": "cluster",
  "policies.kyverno.io/v1beta1 MutatingPolicy": "cluster",
  "policies.kyverno.io/v1beta1 GeneratingPolicy": "cluster",
  "policies.kyverno.io/v1beta1 NamespacedValidatingPolicy": "namespaced",
  "policies.kyverno.io/v1beta1 NamespacedMutatingPolicy": "namespaced",
  "policies.kyverno.io/v1beta1 NamespacedGeneratingPolicy": "namespaced",
  "policies.kyverno.io/v1beta1 PolicyException": "exception",
  "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy": "cluster",
  "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding": "cluster",
  "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy": "cluster",
  "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding": "cluster",
  "admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicy": "cluster",
  "admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicyBinding": "cluster",
};

export const scopeOf = ({ apiVersion, kind }: SourceKind) => {
  const name = `${apiVersion} ${kind}`;
  return Object.hasOwn(sourceKinds, name) ? sourceKinds[name] : undefined;
};

/** Parses the step's input; every problem is named by its path and says what is allowed. */
export function parseInput(input: Json | undefined): ParsedInput {
  const problems: Problem[] = [];
  const reader = makeReader(problems);
  const root = reader.object(input, "input");
  reader.known(root, "", [
    "apiVersion",
    "kind",
    "metadata",
    "policies",
    "onViolation",
    "pin",
    "writeStatus",
    "recordApplied",
    "check",
  ]);
  reader.oneOf(root["apiVersion"], "apiVersion", [inputApiVersion]);
  reader.oneOf(root["kind"], "kind", [inputKind]);
  const policies = reader.object(root["policies"], "policies");
  reader.known(policies, "policies", ["inline", "fromCluster", "exceptionNamespaces"]);
  const inline = reader.list(policies["inline"], "policies.inline");
  for (const [index, document] of inline.entries()) {
    reader.object(document, `policies.inline[${index}]`);
  }
  const fromCluster = readFromCluster(reader, policies["fromCluster"]);
  const exceptionNamespaces = reader.texts(
    policies["exceptionNamespaces"],
    "policies.exceptionNamespaces",
  );
  const guardrails: Guardrails = {
    inline,
    fromCluster,
    exceptionNamespaces,
    onViolation: reader.choice(root["onViolation"], "onViolation", onViolations) ?? "Hold",
    pin: readPins(reader, root["pin"]),
    writeStatus: reader.boolean(root["writeStatus"], "writeStatus"),
    recordApplied: reader.boolean(root["recordApplied"], "recordApplied"),
    check: readCheck(reader, root["check"]),
    reportGroups: readReportGroups(reader, root["check"]),
  };
  if (problems.length === 0) checkTogether(guardrails, problems);
  return problems.length === 0 ? { ok: true, guardrails } : { ok: false, problems };
}

function readFromCluster(reader: Reader, value: Json | undefined): FromCluster | undefined {
  if (value === undefined || value === null) return undefined;
  const path = "policies.fromCluster";
  const source = reader.object(value, path);
  reader.known(source, path, ["matchLabels", "kinds", "namespaces"]);
  const matchLabels = readLabels(reader, source["matchLabels"], `${path}.matchLabels`);
  const kinds = reader.list(source["kinds"], `${path}.kinds`).map((item, index) => {
    const at = `${path}.kinds[${index}]`;
    const each = reader.object(item, at);
    reader.known(each, at, ["apiVersion", "kind"]);
    const apiVersion = reader.text(each["apiVersion"], `${at}.apiVersion`);
    const kind = reader.text(each["kind"], `${at}.kind`);
    if (apiVersion !== "" && kind !== "") {
      reader.oneOf(`${apiVersion} ${kind}`, at, Object.keys(sourceKinds));
    }
    return { apiVersion, kind };
  });
  return {
    matchLabels,
    kinds,
    namespaces: reader.texts(source["namespaces"], `${path}.namespaces`),
  };
}

function readLabels(
  reader: Reader,
  value: Json | undefined,
  path: string,
): Readonly<Record<string, string>> {
  const labels = Object.entries(reader.object(value, path));
  return Object.fromEntries(
    labels.map(([key, label]) => [key, reader.text(label, `${path}[${JSON.stringify(key)}]`)]),
  );
}

function readCheck(reader: Reader, value: Json | undefined): readonly CheckSource[] {
  if (value === undefined || value === null) return [];
  const check = reader.object(value, "check");
  reader.known(check, "check", ["resources", "reports"]);
  return reader.list(check["resources"], "check.resources").map((item, index) => {
    const path = `check.resources[${index}]`;
    const each = reader.object(item, path);
    reader.known(each, path, ["apiVersion", "kind", "name", "matchLabels", "namespace"]);
    const text = (key: string) => reader.text(each[key], `${path}.${key}`);
    const { name, matchLabels, namespace } = each;
    const labels = readLabels(reader, matchLabels, `${path}.matchLabels`);
    if (name !== undefined && matchLabels !== undefined) {
      reader.say(path, "has a name and matchLabels; Crossplane takes one of them");
    }
    const byLabels = matchLabels === undefined ? undefined : { labels };
    return {
      apiVersion: text("apiVersion"),
      kind: text("kind"),
      match: name === undefined ? byLabels : { name: text("name") },
      namespace: namespace === undefined ? undefined : text("namespace"),
    };
  });
}

function readReportGroups(reader: Reader, value: Json | undefined): readonly ReportGroup[] {
  const groups = reader
    .list(field(value, "reports"), "check.reports")
    .map((item, index) => reader.choice(item, `check.reports[${index}]`, reportGroups))
    .filter((group) => group !== undefined);
  return groups.length === 0 ? ["wgpolicyk8s.io"] : [...new Set(groups)];
}

function readPins(reader: Reader, value: Json | undefined): readonly Pin[] {
  return reader
    .list(value, "pin")
    .map((item, index) => reader.choice(item, `pin[${index}]`, pins))
    .filter((pin) => pin !== undefined);
}

/** Rules between fields: a source that would find nothing, or more than its author means, is refused. */
function checkTogether(guardrails: Guardrails, problems: Problem[]): void {
  const { fromCluster, exceptionNamespaces } = guardrails;
  const say = (path: string, message: string) =>
    problems.push({ document: "input", path, message });
  if (fromCluster === undefined) {
    if (guardrails.inline.length === 0) {
      say("policies", "names no policy: give inline documents, fromCluster, or both");
    }
    return;
  }
  if (Object.keys(fromCluster.matchLabels).length === 0) {
    say(
      "policies.fromCluster.matchLabels",
      "must name at least one label, else every object of the kinds is a policy",
    );
  }
  if (fromCluster.kinds.length === 0) {
    say("policies.fromCluster.kinds", "must name at least one kind that the API server serves");
  }
  for (const [index, each] of fromCluster.kinds.entries()) {
    const path = `policies.fromCluster.kinds[${index}]`;
    const scope = scopeOf(each);
    if (scope === "namespaced" && fromCluster.namespaces.length === 0) {
      say(
        path,
        `${each.kind} lives in namespaces, so policies.fromCluster.namespaces must list those that may hold policies`,
      );
    }
    if (scope === "exception" && exceptionNamespaces.length === 0) {
      say(path, "PolicyException counts only from policies.exceptionNamespaces, which lists none");
    }
  }
}
