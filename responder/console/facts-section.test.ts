// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Approval } from "#responder/approval";
import type { ChangeState } from "#responder/console/change-view";
import { factsSection } from "#responder/console/facts-section";
import { type State, type Status, states } from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = Date.UTC(2026, 10, 22, 10, 0, 0);
const minute = 60_000;

const approval: Approval = {
  namespace: "prod",
  name: "one-1f0c22aa",
  remediation: "one",
  planDigest: `sha256:${"a".repeat(64)}`,
  decision: "Approve",
  approvedBy: "jane",
  reason: "seen the plan",
  createdAtMs: nowMs - 22 * minute,
  expiresAtMs: undefined,
  renewUntilMs: undefined,
};

type Given = {
  readonly state: State;
  readonly status?: Partial<Status>;
  readonly approvals?: readonly Approval[];
  readonly live?: ChangeState;
};

/** The section as somebody reads it: a line for each fact. */
function factsOf({ state, status, approvals, live = "AsPlanned" }: Given): Record<string, string> {
  const one = exampleRemediation({ name: "one", state });
  const detail = {
    remediation: { ...one, status: { ...one.status, ...status } },
    approvals,
    viewOf: () => ({ state: live, hunks: [], isMasked: false }),
    done: "",
  };
  const { text } = factsSection(detail, nowMs);
  const plain = (part: string): string => part.replaceAll(/<[^>]*>/g, "").replaceAll(/\s+/g, " ");
  return Object.fromEntries(
    [...text.matchAll(/<dt>(.*?)<\/dt>\s*<dd[^>]*>(.*?)<\/dd>/gs)].map(
      ([, label = "", value = ""]) => [label, plain(value).trim()],
    ),
  );
}

const step = (to: State, minutesAgo: number, reason: string, message: string, by = "parapet") => ({
  atMs: nowMs - minutesAgo * minute,
  from: "Proposed" as const,
  to,
  reason,
  message,
  by,
});

describe("what whoever is called at night asks first", () => {
  it.each<{ reason: string; given: Given; want: Record<string, string> }>([
    {
      reason: "who said no, when and why",
      given: {
        state: "Denied",
        status: { history: [step("Denied", 3, "Denied", "a drill", "jane")] },
      },
      want: { Now: "Somebody said no; nothing was changed. a drill, by jane, 3 min ago" },
    },
    {
      reason: "why it is not known to hold",
      given: {
        state: "Unverifiable",
        status: { history: [step("Unverifiable", 9, "StillReachable", "10.0.0.1:80 answered")] },
      },
      want: {
        Now: "Done, but not shown to hold. StillReachable: 10.0.0.1:80 answered, 9 min ago",
      },
    },
    {
      reason: "what can be done about it, and when it is tried again by itself",
      given: {
        state: "Unverifiable",
        status: {
          history: [step("Unverifiable", 9, "NotProbed", "no node has room")],
          retry: { count: 2, atMs: nowMs + 4 * minute },
        },
      },
      want: {
        "What can be done":
          "The probe pods could not run: see the reason. Tried again in 4 min, for the 3. time.",
      },
    },
    {
      reason: "that probes are to be turned on, where it rests without them",
      given: {
        state: "Realised",
        status: {
          evidence: [{ atMs: nowMs, check: "Probe", finding: "Unknown", detail: "no probes" }],
        },
      },
      want: {
        "What can be done":
          "No traffic was tried, since no probes are configured: with verification.probes, the responder tries by pods of its own whether this holds (package/install/verification.md).",
      },
    },
    {
      reason: "who approved, from the record alone where the Approval is gone",
      given: { state: "Applied", status: { approval: { name: "one-1f0c22aa", by: "jane" } } },
      want: { Approved: "by jane" },
    },
    {
      reason: "and in which words, where it is still there",
      given: {
        state: "Applied",
        status: { approval: { name: "one-1f0c22aa", by: "jane" } },
        approvals: [approval],
      },
      want: { Approved: "by jane: seen the plan, 22 min ago" },
    },
    {
      reason: "that nobody was asked",
      given: {
        state: "Applied",
        status: { history: [step("Approved", 1, "AutomaticByPolicy", "")] },
      },
      want: { Approved: "by the policy, which acts without asking" },
    },
    {
      reason: "that it is being taken back, which a state does not say",
      given: {
        state: "Verified",
        status: { undo: { atMs: nowMs - 2 * minute, by: "jane", reason: "false alarm" } },
        live: "NotThere",
      },
      want: { "Being taken back": "false alarm by jane, 2 min ago" },
    },
    {
      reason: "why it was taken back, and by whom",
      given: {
        state: "Undone",
        status: {
          undo: { atMs: nowMs - 2 * minute, by: "jane", reason: "false alarm" },
          history: [step("Undone", 1, "Denied", "all taken back", "jane")],
        },
      },
      want: { Now: "Taken back. false alarm: all taken back, by jane, 1 min ago" },
    },
    {
      reason: "that what is in force is not there, whatever the state says",
      given: { state: "Verified", live: "NotThere" },
      want: { "In the cluster": "1 of 1 change not as planned: see the plan" },
    },
    {
      reason: "the newest finding of each kind of check",
      given: {
        state: "Unverifiable",
        status: {
          evidence: [
            { atMs: 1, check: "Probe", finding: "Fails", detail: "" },
            { atMs: 2, check: "Probe", finding: "Holds", detail: "" },
            { atMs: 3, check: "Connections", finding: "Unknown", detail: "" },
          ],
        },
      },
      want: { Checks: "of 2 kinds, 1 hold, 1 unknown: what was looked at" },
    },
    {
      reason: "what stays open",
      given: { state: "Proposed" },
      want: { "Stays open": "1 way that other policies leave" },
    },
    {
      reason: "until when",
      given: { state: "Verified" },
      want: { "Undone by itself": "in 58 min 2026-11-22 10:58:00 UTC" },
    },
  ])("$reason", ({ given, want }) => {
    expect(factsOf(given)).toMatchObject(want);
  });

  it.each([
    { reason: "a proposal is not there yet", given: { state: "Proposed", live: "NotThere" } },
    { reason: "what failed was perhaps never there", given: { state: "Failed", live: "NotThere" } },
    {
      reason: "what cannot be read is not known to be missing",
      given: { state: "Verified", live: "Unknown" },
    },
  ] as const)("nothing is called missing: $reason", ({ given }) => {
    expect(factsOf(given)).not.toHaveProperty("In the cluster");
  });

  it.each(states)("%s says what it means", (state) => {
    expect(factsOf({ state })["Now"]).toMatch(/^[A-Z].*\. /);
  });
});
