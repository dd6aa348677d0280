// SPDX-License-Identifier: Apache-2.0
import type { ObjectName } from "#responder/cluster";
import type { Plan, Target } from "#responder/plan";
import type { Evidence } from "#responder/verification/evidence";

export const states = [
  "Observed",
  "Proposed",
  "Approved",
  "Applying",
  "Applied",
  "Realised",
  "Verified",
  "Unverifiable",
  "Failed",
  "Denied",
  "Expired",
  "Undone",
  "TargetGone",
] as const;
export type State = (typeof states)[number];

export const modes = ["Observe", "Propose", "Automatic"] as const;
export type Mode = (typeof modes)[number];

export type Cause = {
  readonly source: "Falco" | "Drift";
  /** The Falco rule, or the kind of drift. */
  readonly rule: string;
  readonly priority: string;
  /** Of the first alert or of the drift; later alerts of the same cause are counted in the status. */
  readonly fingerprint: string;
  /** Who did it, as far as it is known; '' when unknown. A hint unless it says otherwise. */
  readonly actor: string;
  /** One line for people: the alert's output, or the difference. */
  readonly message: string;
};

export type HistoryEntry = {
  readonly atMs: number;
  readonly from: State | "";
  readonly to: State;
  /** CamelCase, never changes. */
  readonly reason: string;
  readonly message: string;
  /** Who caused the step: a person's name from an Approval, or `parapet`. */
  readonly by: string;
};

export type Status = {
  readonly state: State;
  readonly history: readonly HistoryEntry[];
  readonly alerts: AlertCount;
  /** The approval that was acted on. */
  readonly approval: { readonly name: string; readonly by: string } | undefined;
  /** Set before anything is taken back: intent before the act. */
  readonly undo:
    | { readonly atMs: number; readonly by: string; readonly reason: string }
    | undefined;
  /** When a proposal lapses, or when an applied remediation is undone. */
  readonly expiresAtMs: number | undefined;
  readonly appliedAtMs: number | undefined;
  /** Failed tries of the present step. */
  readonly attempts: number;
  readonly lastError: string;
  /** What was looked at to tell whether the changes have their effect, oldest first. */
  readonly evidence: readonly Evidence[];
  /** When it is tried again whether what is Unverifiable holds after all, and how often it was; undefined: not by the clock. */
  readonly retry?: { readonly count: number; readonly atMs: number } | undefined;
  /** What people were told of, as marks of notices.ts. */
  readonly told: readonly string[];
};

export type AlertCount = {
  readonly count: number;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** Short fingerprints of the newest alerts, so that one delivered twice is counted once. */
  readonly recent: readonly string[];
};

/** One response to one finding. */
export type Remediation = {
  readonly name: ObjectName;
  readonly uid: string;
  readonly resourceVersion: string;
  /** By the API server's clock, as those of Approvals; undefined where it never was an object. */
  readonly createdAtMs?: number;
  readonly target: Target;
  /** Controller of the target as `Kind/name`, for limits; '' for none. */
  readonly workload: string;
  readonly cause: Cause;
  /** Name of the ResponsePolicy. */
  readonly policy: string;
  readonly mode: Mode;
  /** Undefined when nothing could be planned; then it is for review only. */
  readonly plan: Plan | undefined;
  /** How long what is applied stays in force. */
  readonly ttlMs: number;
  /** When the cause was first known to us. */
  readonly seenAtMs: number;
  /** When a proposal lapses. */
  readonly decideBeforeMs: number;
  readonly status: Status;
};

/** The status of a remediation that has none yet: a function of its spec, so a crash after its creation loses nothing. */
export function initialStatus(spec: Omit<Remediation, "status">): Status {
  const state = spec.plan === undefined || spec.mode === "Observe" ? "Observed" : "Proposed";
  const automatic = state === "Proposed" && spec.mode === "Automatic";
  const entry: HistoryEntry = {
    atMs: spec.seenAtMs,
    from: "",
    to: automatic ? "Approved" : state,
    reason: automatic ? "AutomaticByPolicy" : state,
    message: automatic ? `policy ${spec.policy} acts without asking` : "",
    by: "parapet",
  };
  return {
    state: entry.to,
    history: [entry],
    alerts: {
      count: 1,
      firstSeenMs: spec.seenAtMs,
      lastSeenMs: spec.seenAtMs,
      recent: [shortFingerprint(spec.cause.fingerprint)],
    },
    approval: undefined,
    undo: undefined,
    expiresAtMs: spec.decideBeforeMs,
    appliedAtMs: undefined,
    attempts: 0,
    lastError: "",
    evidence: [],
    told: [],
  };
}

/** Of the alerts counted last; more than are ever under way at once. */
export const recentMax = 250;

export const shortFingerprint = (fingerprint: string): string => fingerprint.slice(0, 12);

/** Counts alerts of the same cause, each once however often the queue delivers it. */
export function countAlerts(
  alerts: AlertCount,
  more: readonly { readonly fingerprint: string; readonly atMs: number }[],
): AlertCount {
  const recent = [...alerts.recent];
  let { count, lastSeenMs } = alerts;
  for (const { fingerprint, atMs } of more) {
    const short = shortFingerprint(fingerprint);
    if (recent.includes(short)) continue;
    recent.push(short);
    count += 1;
    lastSeenMs = Math.max(lastSeenMs, atMs);
  }
  return { ...alerts, count, lastSeenMs, recent: recent.slice(-recentMax) };
}

export type EventKind =
  | "approved"
  | "denied"
  | "expired"
  | "begun"
  | "applied"
  | "settled"
  | "verified"
  | "unverifiable"
  /** What is in force was found re-opened, or changed by somebody. */
  | "reopened"
  /** And is again as it was planned: it settles anew. */
  | "closedAgain"
  /** Somebody gave it more time; the state stays. */
  | "renewed"
  | "failed"
  | "undone"
  | "targetGone";

export type RemediationEvent = {
  readonly kind: EventKind;
  readonly reason: string;
  readonly message: string;
  readonly by: string;
};

const afterApply = {
  undone: "Undone",
  targetGone: "TargetGone",
  failed: "Failed",
} as const satisfies Partial<Record<EventKind, State>>;

/** Which event leads where; an event that a state does not list is refused and changes nothing. */
export const transitions: Readonly<Record<State, Partial<Record<EventKind, State>>>> = {
  Observed: { expired: "Expired", targetGone: "TargetGone" },
  Proposed: {
    approved: "Approved",
    denied: "Denied",
    expired: "Expired",
    targetGone: "TargetGone",
  },
  Approved: {
    begun: "Applying",
    denied: "Denied",
    expired: "Expired",
    targetGone: "TargetGone",
  },
  Applying: { applied: "Applied", ...afterApply },
  Applied: {
    settled: "Realised",
    verified: "Verified",
    unverifiable: "Unverifiable",
    reopened: "Unverifiable",
    renewed: "Applied",
    ...afterApply,
  },
  Realised: {
    verified: "Verified",
    unverifiable: "Unverifiable",
    reopened: "Unverifiable",
    renewed: "Realised",
    ...afterApply,
  },
  Verified: {
    unverifiable: "Unverifiable",
    reopened: "Unverifiable",
    renewed: "Verified",
    ...afterApply,
  },
  Unverifiable: {
    // Tried again: it holds after all, or not, for another reason or for good.
    settled: "Realised",
    verified: "Verified",
    unverifiable: "Unverifiable",
    reopened: "Unverifiable",
    closedAgain: "Applied",
    renewed: "Unverifiable",
    ...afterApply,
  },
  // What a failed act left behind can still be taken back.
  Failed: { undone: "Undone", targetGone: "TargetGone" },
  Denied: {},
  Expired: {},
  Undone: {},
  TargetGone: {},
};

/** States that no event leaves. */
export const isFinal = (state: State): boolean => Object.keys(transitions[state]).length === 0;

/** States in which our changes are, or may be, in the cluster. */
export const mayBeInForce: Readonly<Record<State, boolean>> = {
  Observed: false,
  Proposed: false,
  Approved: false,
  Applying: true,
  Applied: true,
  Realised: true,
  Verified: true,
  Unverifiable: true,
  Failed: true,
  Denied: false,
  Expired: false,
  Undone: false,
  TargetGone: false,
};

/** Entries kept in `status.history`; the audit log has all. */
export const historyMax = 40;

export type Moved =
  | { readonly ok: true; readonly status: Status }
  | { readonly ok: false; readonly reason: string };

/** The status after an event. Total: an event that the state does not allow is a reason, not an exception. */
export function advance(status: Status, event: RemediationEvent, nowMs: number): Moved {
  const to = transitions[status.state][event.kind];
  if (to === undefined) {
    return { ok: false, reason: `${event.kind} is not possible in state ${status.state}` };
  }
  const entry: HistoryEntry = {
    atMs: nowMs,
    from: status.state,
    to,
    reason: event.reason,
    message: event.message,
    by: event.by,
  };
  const history = [...status.history, entry].slice(-historyMax);
  const begun = {
    attempts: 0,
    lastError: "",
    retry: event.kind === "renewed" ? status.retry : undefined,
  };
  return { ok: true, status: { ...status, state: to, history, ...begun } };
}
