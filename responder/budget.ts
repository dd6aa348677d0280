// SPDX-License-Identifier: Apache-2.0
import type { Mode, Remediation } from "#responder/remediation";
import { mayBeInForce } from "#responder/remediation";
import type { Limits } from "#responder/response-policy";

export type Allowance = { readonly mode: Mode; readonly reason: string };

export type BudgetQuestion = {
  readonly mode: Mode;
  readonly policy: string;
  readonly namespace: string;
  /** Owner of the target, as `Kind/name`; '' for none. */
  readonly workload: string;
  readonly limits: Limits;
  /** Remediations that exist in the namespace. */
  readonly others: readonly Remediation[];
  readonly isStale: boolean;
  readonly isProtected: boolean;
  readonly stopped: boolean;
};

/**
 * How far a response may go by itself. What is over a limit, too old or stopped is asked of a person instead of done;
 * in a protected namespace it is only recorded.
 */
export function allow(question: BudgetQuestion): Allowance {
  if (question.mode === "Observe") return { mode: "Observe", reason: "the policy only observes" };
  if (question.isProtected) {
    return { mode: "Observe", reason: `namespace ${question.namespace} is protected` };
  }
  if (question.mode === "Propose") return { mode: "Propose", reason: "the policy proposes" };
  if (question.stopped) return { mode: "Propose", reason: "the global stop is on" };
  if (question.isStale) return { mode: "Propose", reason: "the alert is old or has no time" };
  const inForce = question.others.filter(
    (remediation) =>
      remediation.policy === question.policy &&
      remediation.plan !== undefined &&
      (mayBeInForce[remediation.status.state] || remediation.status.state === "Approved"),
  );
  if (inForce.length >= question.limits.perNamespace) {
    return { mode: "Propose", reason: `${inForce.length} are in force in the namespace already` };
  }
  const same = inForce.filter((one) => one.workload === question.workload);
  if (question.workload !== "" && same.length >= question.limits.perWorkload) {
    return {
      mode: "Propose",
      reason: `${same.length} are in force for ${question.workload} already`,
    };
  }
  return { mode: "Automatic", reason: "within all limits" };
}
