// SPDX-License-Identifier: Apache-2.0
import type { HistoryEntry, Remediation } from "#responder/remediation";
import { mayBeInForce } from "#responder/remediation";
import { iso } from "#responder/record/remediation-record";

/** What people are told of without a policy's action saying so. */
export const noticeKinds = [
  /** A plan waits for an approval. */
  "Proposed",
  /** A proposal is about to lapse, or what is in force to be taken back. */
  "ExpiresSoon",
  /** An act failed for good. */
  "Failed",
  /** What is in force was looked at and does not hold, or cannot be shown to. */
  "Unverifiable",
] as const;
export type NoticeKind = (typeof noticeKinds)[number];

export type Notice = {
  readonly kind: NoticeKind;
  /** Stands in the status once somebody was told; with the time of an expiry, so that a renewed one is told again. */
  readonly mark: string;
};

export type Due = {
  readonly notices: readonly Notice[];
  /** When the next one may become due by the clock alone; undefined: never. */
  readonly wakeAtMs: number | undefined;
};

/** Of a short time only its last quarter is soon. */
const soonShare = 4;

/** What is to be told of a remediation now and was not yet. Pure; the status says what was told before. */
export function dueNotices(remediation: Remediation, soonMs: number, nowMs: number): Due {
  const { status, plan } = remediation;
  const found: Notice[] = [];
  const { state, expiresAtMs } = status;
  if (state === "Proposed" && plan !== undefined) found.push({ kind: state, mark: state });
  if (state === "Failed") found.push({ kind: state, mark: state });
  if (state === "Unverifiable") {
    const since = status.history.findLast(isNews)?.atMs;
    found.push({ kind: state, mark: `${state} ${since === undefined ? "" : iso(since)}` });
  }
  const isEnding = (state === "Proposed" && plan !== undefined) || isInForce(remediation);
  const soonAtMs = isEnding && expiresAtMs !== undefined ? soonAt(remediation, soonMs) : undefined;
  if (soonAtMs !== undefined && soonAtMs <= nowMs) {
    found.push({ kind: "ExpiresSoon", mark: `ExpiresSoon ${iso(expiresAtMs ?? 0)}` });
  }
  return {
    notices: found.filter(({ mark }) => !status.told.includes(mark)),
    wakeAtMs: soonAtMs !== undefined && soonAtMs > nowMs ? soonAtMs : undefined,
  };
}

/** Found Unverifiable, or for another reason than before: that it is open is news where before it only could not be tried. */
function isNews({ to, from, reason }: HistoryEntry, index: number, all: readonly HistoryEntry[]) {
  if (to !== "Unverifiable" || reason === "Renewed") return false;
  const before = all.slice(0, index).findLast((one) => one.reason !== "Renewed");
  return from !== to || before?.reason !== reason;
}

const isInForce = ({ status }: Remediation): boolean =>
  mayBeInForce[status.state] && status.undo === undefined && status.state !== "Failed";

function soonAt({ status, seenAtMs }: Remediation, soonMs: number): number {
  const endMs = status.expiresAtMs ?? 0;
  const fromMs = status.appliedAtMs ?? seenAtMs;
  return endMs - Math.min(soonMs, Math.max(0, endMs - fromMs) / soonShare);
}

/** Marks kept in a status: of long-lived ones that are renewed again and again the oldest go. */
export const toldMax = 20;

/** The marks with those of what has just been told. */
export const withTold = (told: readonly string[], more: readonly string[]): readonly string[] =>
  [...told, ...more.filter((mark) => !told.includes(mark))].slice(-toldMax);
