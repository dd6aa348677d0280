// SPDX-License-Identifier: Apache-2.0
import type { Beginning } from "#responder/beginnings";
import { keyOf } from "#responder/cluster";
import { removesTarget } from "#responder/plan";
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
  /** Of the same policy, decided a moment ago: those that are among the records already count as what they are there. */
  readonly begun?: readonly Beginning[];
  /** Remediations that exist in the cluster; needed where the limits name one for it. */
  readonly everywhere?: readonly Remediation[];
  readonly isStale: boolean;
  readonly isProtected: boolean;
  /** Why it is protected; '' for: its namespace is. */
  readonly protectedBy?: string;
  /** People who must approve; two of them cannot be left out. */
  readonly approvers?: number;
  /** Why it would leave too few ready pods; '' when it would not. */
  readonly tooFewReady?: string;
  /** Undefined: what has ended counts no more. */
  readonly nowMs?: number;
  readonly stopped: boolean;
};

/**
 * How far a response may go by itself. What is over a limit, too old or stopped is asked of a person instead of done;
 * in a protected namespace it is only recorded.
 */
export function allow(question: BudgetQuestion): Allowance {
  if (question.mode === "Observe") return { mode: "Observe", reason: "the policy only observes" };
  if (question.isProtected) {
    const by = question.protectedBy ?? "";
    return {
      mode: "Observe",
      reason: by === "" ? `namespace ${question.namespace} is protected` : by,
    };
  }
  if (question.mode === "Propose") return { mode: "Propose", reason: "the policy proposes" };
  if (question.stopped) return { mode: "Propose", reason: "the global stop is on" };
  if (question.isStale) return { mode: "Propose", reason: "the alert is old or has no time" };
  if ((question.approvers ?? 1) > 1) {
    return { mode: "Propose", reason: "it changes more than the workload: two people approve it" };
  }
  if ((question.tooFewReady ?? "") !== "") {
    return { mode: "Propose", reason: question.tooFewReady ?? "" };
  }
  return withinLimits(question);
}

function withinLimits(question: BudgetQuestion): Allowance {
  const counts = (remediation: Remediation): boolean => isCounted(question, remediation);
  const { perCluster } = question.limits;
  const records = new Set((question.everywhere ?? question.others).map((one) => keyOf(one.name)));
  const begun = (question.begun ?? []).filter((one) => !records.has(keyOf(one.name)));
  if (perCluster !== undefined) {
    const count = (question.everywhere ?? question.others).filter(counts).length + begun.length;
    if (count >= perCluster) {
      return { mode: "Propose", reason: `${count} are in force in the cluster already` };
    }
  }
  const inForce = [
    ...question.others.filter(counts),
    ...begun.filter((one) => one.name.namespace === question.namespace),
  ];
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

/**
 * In force, or about to be; or done within the cool-down, where nothing of it lasts: a pod that was deleted is not in force any more, nor is
 * what was put right for good, and it is never closed but by its retention.
 */
function isCounted(question: BudgetQuestion, remediation: Remediation): boolean {
  const { state, appliedAtMs, expiresAtMs } = remediation.status;
  if (remediation.policy !== question.policy || remediation.plan === undefined) return false;
  const isOld =
    question.nowMs === undefined ||
    appliedAtMs === undefined ||
    question.nowMs - appliedAtMs >= question.limits.cooldown;
  const isForGood = state === "Verified" && appliedAtMs !== undefined && expiresAtMs === undefined;
  if (isForGood && question.nowMs !== undefined) return !isOld;
  if (mayBeInForce[state] || state === "Approved") return true;
  return state === "TargetGone" && removesTarget(remediation.plan) && !isOld;
}
