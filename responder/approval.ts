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
  /** Name of the approval that was acted on, if any. */
  readonly actedOn: string | undefined;
  /** Who caused the finding; an approval of theirs counts for nothing. '' when unknown. */
  readonly actor: string;
};

/**
 * Reads the approvals: any Deny for this plan wins, else the oldest valid Approve of somebody other than the actor.
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
  const valid = bound.find(
    (approval) =>
      (approval.expiresAtMs === undefined || question.nowMs < approval.expiresAtMs) &&
      (question.actor === "" || approval.approvedBy !== question.actor),
  );
  if (valid !== undefined) {
    return { kind: "approved", name: valid.name, by: valid.approvedBy, reason: valid.reason };
  }
  // One that merely ran out after it was acted on is no withdrawal: the remediation has its own expiry.
  const withdrawn =
    question.actedOn !== undefined && !bound.some((approval) => approval.name === question.actedOn);
  return { kind: "none", withdrawn };
}
