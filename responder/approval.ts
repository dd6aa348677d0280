// SPDX-License-Identifier: Apache-2.0
import { ttlMsMax } from "#responder/actions/parameters";

/** A person's recorded yes or no to one plan of one remediation. */
export type Approval = {
  readonly namespace: string;
  readonly name: string;
  /** Of the remediation it is for. */
  readonly remediation: string;
  readonly planDigest: string;
  readonly decision: "Approve" | "Deny";
  readonly approvedBy: string;
  readonly reason: string;
  readonly createdAtMs: number;
  /** Undefined: valid as long as it exists. */
  readonly expiresAtMs: number | undefined;
  /** Given: a yes to more time for what is in force, and to nothing else. */
  readonly renewUntilMs: number | undefined;
};

/** What all approvals of a remediation say together. */
export type ApprovalView =
  | {
      readonly kind: "none";
      /** True when the approval that was acted on is no longer there. */
      readonly withdrawn: boolean;
    }
  | {
      readonly kind: "approved";
      readonly name: string;
      readonly by: string;
      readonly reason: string;
    }
  | { readonly kind: "denied"; readonly by: string; readonly reason: string };

export type ApprovalQuestion = {
  readonly namespace: string;
  readonly remediation: string;
  readonly planDigest: string;
  readonly nowMs: number;
  /** Name of the approval that was acted on, if any; several are joined by commas. */
  readonly actedOn: string | undefined;
  /** Different people who must approve; one unless told otherwise. */
  readonly approvers?: number;
  /** When the record was made, if it is known: what was said before that was about another of its name. */
  readonly recordedAtMs?: number | undefined;
  /** Who caused the finding; an approval of theirs counts for nothing. '' when unknown. */
  readonly actor: string;
};

/**
 * Reads the approvals: any Deny for this plan wins, else the oldest valid Approves of so many people other than the actor.
 * An approval for another digest, another remediation or another namespace says nothing.
 */
export function viewApprovals(
  approvals: readonly Approval[],
  question: ApprovalQuestion,
): ApprovalView {
  const bound = boundTo(approvals, question);
  const denial = bound.find((approval) => approval.decision === "Deny");
  if (denial !== undefined) {
    return { kind: "denied", by: denial.approvedBy, reason: denial.reason };
  }
  const valid = bound.filter(
    (approval) => approval.renewUntilMs === undefined && counts(approval, question),
  );
  const needed = question.approvers ?? 1;
  const counted = valid
    .filter((one, i) => valid.findIndex((other) => other.approvedBy === one.approvedBy) === i)
    .slice(0, needed);
  if (counted.length >= needed) {
    const joined = (of: (approval: Approval) => string): string => counted.map(of).join(",");
    return {
      kind: "approved",
      name: joined((one) => one.name),
      by: joined((one) => one.approvedBy),
      reason: counted.map((one) => one.reason).join("; "),
    };
  }
  // One that merely ran out after it was acted on is no withdrawal: the remediation has its own expiry.
  const withdrawn =
    question.actedOn !== undefined &&
    !approvalNames(question.actedOn).every((name) => bound.some((one) => one.name === name));
  return { kind: "none", withdrawn };
}

/** More time for what is in force, that enough people agreed to. */
export type Renewal = {
  readonly untilMs: number;
  readonly by: string;
  readonly name: string;
  readonly reason: string;
};

/**
 * The furthest time that so many different people other than the actor agreed to, each at most {@link ttlMsMax} after their
 * Approval was made: a renewal needs as many as the plan itself. Deleting one takes no time away again; a Deny ends all.
 */
export function viewRenewal(
  approvals: readonly Approval[],
  question: ApprovalQuestion,
): Renewal | undefined {
  const furthest = new Map<string, { readonly approval: Approval; readonly untilMs: number }>();
  for (const approval of boundTo(approvals, question)) {
    const { renewUntilMs, decision, approvedBy } = approval;
    if (renewUntilMs === undefined || decision === "Deny" || !counts(approval, question)) continue;
    const untilMs = Math.min(renewUntilMs, approval.createdAtMs + ttlMsMax);
    if (untilMs > (furthest.get(approvedBy)?.untilMs ?? 0)) {
      furthest.set(approvedBy, { approval, untilMs });
    }
  }
  const needed = question.approvers ?? 1;
  const agreed = [...furthest.values()].sort((a, b) => b.untilMs - a.untilMs).slice(0, needed);
  const last = agreed.at(-1);
  if (last === undefined || agreed.length < needed) return undefined;
  const joined = (of: (approval: Approval) => string, separator: string): string =>
    agreed.map((one) => of(one.approval)).join(separator);
  return {
    untilMs: last.untilMs,
    by: joined((one) => one.approvedBy, ","),
    name: joined((one) => one.name, ","),
    reason: joined((one) => one.reason, "; "),
  };
}

/** A clock that was set back by more must catch up before somebody can decide. */
const clockMs = 300_000;

/** Those for exactly this plan, the oldest first. */
const boundTo = (approvals: readonly Approval[], question: ApprovalQuestion): readonly Approval[] =>
  approvals
    .filter(
      (approval) =>
        approval.namespace === question.namespace &&
        approval.remediation === question.remediation &&
        approval.planDigest === question.planDigest &&
        approval.createdAtMs + clockMs >= (question.recordedAtMs ?? 0),
    )
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1));

/** Whether it still holds, and is not by the one who caused the finding. */
const counts = (approval: Approval, question: ApprovalQuestion): boolean =>
  (approval.expiresAtMs === undefined || question.nowMs < approval.expiresAtMs) &&
  (question.actor === "" || approval.approvedBy !== question.actor);

/** The names in a status' `approval.name`: Kubernetes names hold no comma. */
export const approvalNames = (joined: string): readonly string[] => joined.split(",");
