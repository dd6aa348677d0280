// SPDX-License-Identifier: Apache-2.0

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
  const bound = approvals
    .filter(
      (approval) =>
        approval.namespace === question.namespace &&
        approval.remediation === question.remediation &&
        approval.planDigest === question.planDigest,
    )
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1));
  const denial = bound.find((approval) => approval.decision === "Deny");
  if (denial !== undefined) {
    return { kind: "denied", by: denial.approvedBy, reason: denial.reason };
  }
  const valid = bound.filter(
    (approval) =>
      (approval.expiresAtMs === undefined || question.nowMs < approval.expiresAtMs) &&
      (question.actor === "" || approval.approvedBy !== question.actor),
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

/** The names in a status' `approval.name`: Kubernetes names hold no comma. */
export const approvalNames = (joined: string): readonly string[] => joined.split(",");
