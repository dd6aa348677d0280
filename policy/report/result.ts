// SPDX-License-Identifier: Apache-2.0

/** The five results of Kyverno's and the PolicyReport's vocabulary. */
export type Result = "pass" | "fail" | "warn" | "error" | "skip";

export type PolicyRef = {
  readonly apiVersion: string;
  readonly kind: string;
  /** '' for cluster-scoped policies. */
  readonly namespace: string;
  readonly name: string;
};

/** What a violation leads to: Enforce stops the change, Warn tells the requester, Audit only reports. */
export type EnforcementAction = "Audit" | "Warn" | "Enforce";

export type Severity = "critical" | "high" | "medium" | "low" | "info";

/** The reporting `source` of a result, as Kyverno writes it into PolicyReports (pkg/utils/report/results.go). */
export type Source =
  | "kyverno"
  | "KyvernoValidatingPolicy"
  | "KyvernoMutatingPolicy"
  | "KyvernoGeneratingPolicy"
  | "KyvernoImageValidatingPolicy"
  | "KyvernoDeletingPolicy"
  | "ValidatingAdmissionPolicy"
  | "MutatingAdmissionPolicy";

/** Outcome of one rule on one resource. */
export type RuleResult = {
  readonly policy: PolicyRef;
  /** Rule name as Kyverno reports it: `autogen-x` for generated rules, '' for kinds without rules. */
  readonly rule: string;
  readonly type: "Validation" | "Mutation" | "Generation" | "ImageVerify" | "Deletion";
  readonly result: Result;
  readonly message: string;
  readonly action: EnforcementAction;
  readonly severity: Severity | undefined;
  readonly category: string | undefined;
  /** false where the policy's annotation turned its fails into warns. */
  readonly scored: boolean;
  readonly source: Source;
  readonly properties: Readonly<Record<string, string>>;
  /** Names of the exceptions that decided this result; empty when none did. */
  readonly exceptions: readonly string[];
  /** Why the rule could not be evaluated exactly; such a result is an `error` and blocks under Enforce. */
  readonly unsupported: string | undefined;
};
