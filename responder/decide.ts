// SPDX-License-Identifier: Apache-2.0
import type { ApprovalView, Renewal } from "#responder/approval";
import { isIsolation, outlivesTarget, removesTarget } from "#responder/plan";
import type { Remediation, RemediationEvent, Status } from "#responder/remediation";
import type { NetworkFacts } from "#responder/verification/networks";
import { unverifiableFor } from "#responder/verification/try-again";

/** What is true now, read just before the decision. */
export type Facts = {
  readonly nowMs: number;
  /** The global stop: nothing new is done while it is on. Taking back stays possible. */
  readonly stopped: boolean;
  readonly approval: ApprovalView;
  /** False: the record's plan is not what its digest names, so that nobody approved it. */
  readonly isPlanWhole: boolean;
  /** More time that people agreed to. */
  readonly renewal: Renewal | undefined;
  /** `unknown` when the live object could not be read: then nothing is done. */
  readonly target: "present" | "gone" | "unknown";
  /** Why the target must not be touched, looked up just before anything is begun; '' or undefined for no reason. */
  readonly protectedBy?: string | undefined;
  /** How long an applied change is given before it counts as realised. */
  readonly settleMs: number;
  /** Whether traffic may be tried to tell whether an isolation has its effect. */
  readonly mayProbe: boolean;
  /** Whether what people approved can be planned anew, to see that it still is the plan. */
  readonly mayReplan?: boolean;
  /** What is known of the network by now; undefined: no more than before. */
  readonly network?: Pick<NetworkFacts, "established" | "enforces">;
};

export type Decision =
  | { readonly do: "nothing"; readonly reason: string; readonly wakeAtMs: number | undefined }
  | {
      readonly do: "move";
      readonly event: RemediationEvent;
      readonly status?: Partial<Status>;
    }
  /** Plan anew what people approved: begin it where it is the same, refuse it where it is not. */
  | { readonly do: "replan" }
  /** Make the plan's changes, or check that they are made; then read back. */
  | { readonly do: "act" }
  /** Check that what was applied still holds, then move on by what is found. */
  | { readonly do: "check" }
  | { readonly do: "undo"; readonly by: string; readonly reason: string; readonly message: string };

/** The one next step of a remediation. Pure and total: the worker does it and asks again. */
export function decide(remediation: Remediation, facts: Facts): Decision {
  const { state } = remediation.status;
  if (facts.target === "unknown") return rest("the target could not be read");
  switch (state) {
    case "Observed":
      return facts.target === "gone" ? gone() : lapse(remediation, facts);
    case "Proposed":
      return facts.target === "gone" ? gone() : decideProposed(remediation, facts);
    case "Approved":
      return facts.target === "gone" ? gone() : decideApproved(remediation, facts);
    case "Applying":
      return decideApplying(remediation, facts);
    case "Applied":
    case "Realised":
    case "Verified":
    case "Unverifiable":
      return decideInForce(remediation, facts);
    case "Failed":
      return decideFailed(remediation, facts);
    case "Denied":
    case "Expired":
    case "Undone":
    case "TargetGone":
      return rest(`${state} is final`);
    default:
      return state satisfies never;
  }
}

const rest = (reason: string, wakeAtMs?: number): Decision => ({
  do: "nothing",
  reason,
  wakeAtMs,
});

const gone = (): Decision => ({
  do: "move",
  event: {
    kind: "targetGone",
    reason: "TargetGone",
    message: "the target no longer exists under its uid",
    by: "parapet",
  },
});

const undoGone = (): Decision => ({
  do: "undo",
  by: "parapet",
  reason: "TargetGone",
  message: "the target no longer exists under its uid",
});

function lapse(remediation: Remediation, facts: Facts): Decision {
  const { expiresAtMs } = remediation.status;
  if (expiresAtMs === undefined || facts.nowMs < expiresAtMs) {
    return rest("waits for review", expiresAtMs);
  }
  const message = "nobody decided in time";
  return {
    do: "move",
    event: { kind: "expired", reason: "NoDecisionInTime", message, by: "parapet" },
  };
}

function decideProposed(remediation: Remediation, facts: Facts): Decision {
  const { approval } = facts;
  switch (approval.kind) {
    case "denied":
      return {
        do: "move",
        event: { kind: "denied", reason: "Denied", message: approval.reason, by: approval.by },
      };
    case "approved":
      return {
        do: "move",
        event: { kind: "approved", reason: "Approved", message: approval.reason, by: approval.by },
      };
    case "none":
      return lapse(remediation, facts);
    default:
      return approval satisfies never;
  }
}

function decideApproved(remediation: Remediation, facts: Facts): Decision {
  const { approval } = facts;
  if (approval.kind === "denied") {
    return {
      do: "move",
      event: { kind: "denied", reason: "Denied", message: approval.reason, by: approval.by },
    };
  }
  if (remediation.mode !== "Automatic" && approval.kind === "none") {
    const message = "the approval was deleted or ran out before anything was done";
    return {
      do: "move",
      event: { kind: "denied", reason: "ApprovalWithdrawn", message, by: "parapet" },
    };
  }
  if (!facts.isPlanWhole) {
    const message = "the plan is another than its digest names: nobody approved this one";
    return { do: "move", event: { kind: "denied", reason: "PlanChanged", message, by: "parapet" } };
  }
  if ((facts.protectedBy ?? "") !== "") {
    const message = `protected since it was planned: ${facts.protectedBy}`;
    return { do: "move", event: { kind: "denied", reason: "Protected", message, by: "parapet" } };
  }
  if (facts.stopped) return rest("the global stop is on");
  // What acts by itself was planned a moment ago, and nobody was shown another plan.
  if (remediation.mode !== "Automatic" && facts.mayReplan === true) return { do: "replan" };
  return {
    do: "move",
    event: { kind: "begun", reason: "Acting", message: "intent recorded", by: "parapet" },
  };
}

/** What is half done goes on, unless its target is gone, or what it waits for takes too long and a person or the stop speaks first. */
function decideApplying(remediation: Remediation, facts: Facts): Decision {
  const { plan, target, status } = remediation;
  const mayOutlive = removesTarget(plan) || outlivesTarget(plan, target);
  if (facts.target === "gone" && !mayOutlive) return undoGone();
  if (status.attempts === 0) return { do: "act" };
  if (facts.approval.kind === "denied") {
    const { by, reason } = facts.approval;
    return { do: "undo", by, reason: "Denied", message: reason };
  }
  if (facts.stopped) return rest("the global stop is on");
  if (status.expiresAtMs !== undefined && facts.nowMs >= status.expiresAtMs) {
    const message = `not possible in time: ${status.lastError}`;
    return { do: "undo", by: "parapet", reason: "NotPossibleInTime", message };
  }
  return { do: "act" };
}

function decideInForce(remediation: Remediation, facts: Facts): Decision {
  const { status } = remediation;
  if (status.undo !== undefined) {
    return { do: "undo", message: "", by: status.undo.by, reason: status.undo.reason };
  }
  if (removesTarget(remediation.plan) && (facts.target === "gone" || status.state === "Verified")) {
    return decideRemoved(remediation, facts);
  }
  if (facts.target === "gone" && !outlivesTarget(remediation.plan, remediation.target)) {
    // What was put right for good needs no taking back when its object is deleted later.
    return isForGood(remediation) ? rest("done for good") : undoGone();
  }
  const end = endOf(remediation, facts) ?? renewed(remediation, facts);
  if (end !== undefined) return end;
  const settledAtMs = (closedAtMs(status) ?? status.appliedAtMs ?? facts.nowMs) + facts.settleMs;
  if (status.state === "Applied") {
    return facts.nowMs < settledAtMs ? rest("settles", settledAtMs) : { do: "check" };
  }
  // Probes are pods of our own: nothing new is made while the stop is on.
  const probes = facts.mayProbe && !facts.stopped && isIsolation(remediation.plan);
  if (status.state === "Realised" && probes) return { do: "check" };
  if (status.state === "Unverifiable" && isIsolation(remediation.plan)) {
    return decideAgain(status, facts);
  }
  return rest("in force", status.expiresAtMs);
}

/** Looked at again when its time has come, or when what is known of the network by now takes its cause away. */
function decideAgain(status: Status, facts: Facts): Decision {
  const reason = unverifiableFor(status);
  const { network } = facts;
  const isAnswered =
    (reason === "EstablishedConnections" && network?.established === "end") ||
    (reason === "PolicyIgnored" && network !== undefined && network.enforces !== "no");
  const dueMs = isAnswered ? 0 : status.retry?.atMs;
  if (dueMs === undefined) return rest("in force", status.expiresAtMs);
  if (facts.stopped) return rest("the global stop is on", status.expiresAtMs);
  if (facts.nowMs >= dueMs) return { do: "check" };
  return rest("tried again later", Math.min(dueMs, status.expiresAtMs ?? Infinity));
}

/** The target is gone because that was the plan (Verified says so, `facts` may be a second behind): checked once, then closed, unless something else of the plan lasts. */
function decideRemoved(remediation: Remediation, facts: Facts): Decision {
  const { status, plan, target } = remediation;
  if (status.state === "Applied") return { do: "check" };
  if (!outlivesTarget(plan, target)) return undoGone();
  return (
    endOf(remediation, facts) ?? renewed(remediation, facts) ?? rest("in force", status.expiresAtMs)
  );
}

/** More time, where people agreed to more than it has. What is for good needs none. */
function renewed({ status }: Remediation, { renewal }: Facts): Decision | undefined {
  if (renewal === undefined || status.expiresAtMs === undefined) return undefined;
  if (renewal.untilMs <= status.expiresAtMs) return undefined;
  const until = new Date(renewal.untilMs).toISOString();
  const message = `until ${until}, by Approval ${renewal.name}: ${renewal.reason}`;
  return {
    do: "move",
    event: { kind: "renewed", reason: "Renewed", message, by: renewal.by },
    status: { expiresAtMs: renewal.untilMs },
  };
}

/** Why what is in force must end now, undefined when it need not. */
function endOf(remediation: Remediation, facts: Facts): Decision | undefined {
  const { status } = remediation;
  if (facts.approval.kind === "denied") {
    const { by, reason } = facts.approval;
    return { do: "undo", by, reason: "Denied", message: reason };
  }
  if (
    remediation.mode !== "Automatic" &&
    facts.approval.kind === "none" &&
    facts.approval.withdrawn &&
    !isForGood(remediation)
  ) {
    const message = "the approval was deleted";
    return { do: "undo", by: "parapet", reason: "ApprovalWithdrawn", message };
  }
  const endMs = Math.max(status.expiresAtMs ?? 0, facts.renewal?.untilMs ?? 0);
  if (status.expiresAtMs !== undefined && facts.nowMs >= endMs) {
    const message = "its time is over";
    return { do: "undo", by: "parapet", reason: "Expired", message };
  }
  return undefined;
}

function decideFailed(remediation: Remediation, facts: Facts): Decision {
  if (remediation.status.undo !== undefined) return decideInForce(remediation, facts);
  if (facts.target === "gone") return undoGone();
  // What failed gets no more time: nothing of it is in force as it was planned.
  const end = endOf(remediation, { ...facts, renewal: undefined });
  return end ?? rest("failed", remediation.status.expiresAtMs);
}

/** What was re-opened meanwhile settles anew from when it was closed again. */
const closedAtMs = ({ history }: Status): number | undefined =>
  history.findLast(({ from, to }) => from === "Unverifiable" && to === "Applied")?.atMs;

/** A rollback has no end: an approval that is tidied away later must not bring the drift back; a Deny still does. */
const isForGood = (remediation: Remediation): boolean =>
  remediation.status.appliedAtMs !== undefined && remediation.status.expiresAtMs === undefined;
