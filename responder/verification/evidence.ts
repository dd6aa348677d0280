// SPDX-License-Identifier: Apache-2.0

/** What was looked at. */
export const checks = [
  "ReadBack",
  "BackendStatus",
  "SettleTime",
  "Connections",
  "Probe",
  "Control",
] as const;
export type Check = (typeof checks)[number];

/** `Unknown`: it was asked and there was no answer, or nobody could be asked; the detail says which. */
export const findings = ["Holds", "Fails", "Unknown"] as const;
export type Finding = (typeof findings)[number];

/** One thing that was looked at to tell whether a remediation has its effect. */
export type Evidence = {
  readonly atMs: number;
  readonly check: Check;
  readonly finding: Finding;
  /** What exactly, and what came of it, for people. */
  readonly detail: string;
};

/** Entries kept in a status; the audit log has all. */
export const evidenceMax = 30;
/** Characters of one entry's detail. */
export const detailMax = 512;

/** The old entries with the new ones, the newest kept. */
export const withEvidence = (
  before: readonly Evidence[],
  more: readonly Evidence[],
): readonly Evidence[] =>
  [...before, ...more.map((one) => ({ ...one, detail: one.detail.slice(0, detailMax) }))].slice(
    -evidenceMax,
  );
