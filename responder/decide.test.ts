// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ttlMsMax } from "#responder/actions/parameters";
import type { Approval, ApprovalView, Renewal } from "#responder/approval";
import { viewApprovals, viewRenewal } from "#responder/approval";
import { type Decision, decide, type Facts } from "#responder/decide";
import {
  advance,
  countAlerts,
  type EventKind,
  historyMax,
  initialStatus,
  isFinal,
  mayBeInForce,
  type Remediation,
  type State,
  states,
  transitions,
} from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = 1_000_000;
const none: ApprovalView = { kind: "none", withdrawn: false };
const withdrawn: ApprovalView = { kind: "none", withdrawn: true };
const approved: ApprovalView = { kind: "approved", name: "a", by: "jane", reason: "" };
const denied: ApprovalView = { kind: "denied", by: "joe", reason: "no" };
const facts: Facts = {
  nowMs,
  stopped: false,
  approval: none,
  target: "present",
  settleMs: 100,
  mayProbe: false,
  renewal: undefined,
  isPlanWhole: true,
};

function renewal(untilMs: number): Renewal {
  return { untilMs, by: "jane", name: "r", reason: "still looking" };
}

function remediation(
  state: State,
  more: Partial<Remediation["status"]> = {},
  mode: Remediation["mode"] = "Propose",
): Remediation {
  const example = exampleRemediation({ name: "x", state });
  const expiresAtMs = nowMs + 500;
  const appliedAtMs = mayBeInForce[state] && state !== "Applying" ? nowMs - 1_000 : undefined;
  return {
    ...example,
    mode,
    status: { ...example.status, undo: undefined, expiresAtMs, appliedAtMs, ...more },
  };
}

const text = (decision: Decision): string => {
  switch (decision.do) {
    case "nothing":
      return `nothing until ${decision.wakeAtMs ?? "asked"}`;
    case "move":
      return `move ${decision.event.kind} ${decision.event.reason} by ${decision.event.by}${decision.status?.expiresAtMs === undefined ? "" : ` until ${decision.status.expiresAtMs}`}`;
    case "undo":
      return `undo ${decision.reason} by ${decision.by}`;
    case "act":
    case "replan":
    case "check":
      return decision.do;
    default:
      return decision satisfies never;
  }
};

const unverifiableBecause = (reason: string) =>
  ({ atMs: 0, from: "Realised", to: "Unverifiable", reason, message: "", by: "parapet" }) as const;

const decisions = [
  {
    reason: "What may pass by itself waits for its next try,",
    state: "Unverifiable",
    status: { retry: { count: 1, atMs: nowMs + 100 } },
    want: `nothing until ${nowMs + 100}`,
  },
  {
    reason: "and is tried.",
    state: "Unverifiable",
    status: { retry: { count: 1, atMs: nowMs } },
    want: "check",
  },
  {
    reason: "Probes are pods of our own: none is made while the stop is on.",
    state: "Unverifiable",
    status: { retry: { count: 1, atMs: nowMs } },
    facts: { stopped: true },
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "What lasts is not tried by the clock.",
    state: "Unverifiable",
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "Its time is over, whatever is still to be tried.",
    state: "Unverifiable",
    status: { retry: { count: 1, atMs: nowMs + 1_000 } },
    facts: { nowMs: nowMs + 500 },
    want: "undo Expired by parapet",
  },
  {
    reason: "The self-test came later than the isolation, and saw open connections end.",
    state: "Unverifiable",
    status: { history: [unverifiableBecause("EstablishedConnections")] },
    facts: { network: { established: "end", enforces: "yes" } },
    want: "check",
  },
  {
    reason: "They live on, as before.",
    state: "Unverifiable",
    status: { history: [unverifiableBecause("EstablishedConnections")] },
    facts: { network: { established: "live on", enforces: "yes" } },
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "A network that enforces policies was put in.",
    state: "Unverifiable",
    status: { history: [unverifiableBecause("PolicyIgnored")] },
    facts: { network: { established: "unknown", enforces: "unknown" } },
    want: "check",
  },
  { reason: "Nobody has decided yet.", state: "Proposed", want: `nothing until ${nowMs + 500}` },
  {
    reason: "A yes is taken up.",
    state: "Proposed",
    facts: { approval: approved },
    want: "move approved Approved by jane",
  },
  {
    reason: "A no ends it.",
    state: "Proposed",
    facts: { approval: denied },
    want: "move denied Denied by joe",
  },
  {
    reason: "No answer is a no in the end.",
    state: "Proposed",
    facts: { nowMs: nowMs + 500 },
    want: "move expired NoDecisionInTime by parapet",
  },
  {
    reason: "A dead pod needs no isolation.",
    state: "Proposed",
    facts: { target: "gone", approval: approved },
    want: "move targetGone TargetGone by parapet",
  },
  {
    reason: "A failed read must never lead to a write.",
    state: "Approved",
    facts: { target: "unknown", approval: approved },
    want: "nothing until asked",
  },
  {
    reason: "Intent is recorded before the act.",
    state: "Approved",
    facts: { approval: approved },
    want: "move begun Acting by parapet",
  },
  {
    reason: "What people approved is planned anew before it is begun.",
    state: "Approved",
    facts: { approval: approved, mayReplan: true },
    want: "replan",
  },
  {
    reason: "Not while the global stop is on.",
    state: "Approved",
    facts: { approval: approved, mayReplan: true, stopped: true },
    want: "nothing until asked",
  },
  {
    reason: "What acts by itself is not held up.",
    state: "Approved",
    mode: "Automatic",
    facts: { mayReplan: true },
    want: "move begun Acting by parapet",
  },
  {
    reason: "An approval that is gone by now is none.",
    state: "Approved",
    facts: { approval: withdrawn },
    want: "move denied ApprovalWithdrawn by parapet",
  },
  {
    reason: "One that ran out before the act is none either.",
    state: "Approved",
    want: "move denied ApprovalWithdrawn by parapet",
  },
  {
    reason: "A record whose plan is not what people approved is never acted on.",
    state: "Approved",
    facts: { approval: approved, isPlanWhole: false },
    want: "move denied PlanChanged by parapet",
  },
  {
    reason: "Nor by itself.",
    state: "Approved",
    mode: "Automatic",
    facts: { isPlanWhole: false },
    want: "move denied PlanChanged by parapet",
  },
  {
    reason: "Automatic needs no approval.",
    state: "Approved",
    mode: "Automatic",
    want: "move begun Acting by parapet",
  },
  {
    reason: "The global stop stops what is not begun.",
    state: "Approved",
    mode: "Automatic",
    facts: { stopped: true },
    want: "nothing until asked",
  },
  {
    reason: "A Deny stops an automatic one too.",
    state: "Approved",
    mode: "Automatic",
    facts: { approval: denied },
    want: "move denied Denied by joe",
  },
  {
    reason: "After a crash between intent and outcome the act is taken up again.",
    state: "Applying",
    want: "act",
  },
  {
    reason: "Half done on a pod that is gone is cleaned up.",
    state: "Applying",
    facts: { target: "gone" },
    want: "undo TargetGone by parapet",
  },
  {
    reason: "Just applied needs its settle time.",
    state: "Applied",
    status: { appliedAtMs: nowMs },
    facts: { approval: approved },
    want: `nothing until ${nowMs + 100}`,
  },
  {
    reason: "Settled is looked at again.",
    state: "Applied",
    facts: { approval: approved },
    want: "check",
  },
  {
    reason: "In force until its time is over.",
    state: "Realised",
    facts: { approval: approved },
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "Everything expires.",
    state: "Realised",
    facts: { nowMs: nowMs + 500, approval: approved },
    want: "undo Expired by parapet",
  },
  {
    reason: "An approval that ran out after the act is not withdrawn.",
    state: "Realised",
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "One that was deleted is.",
    state: "Realised",
    facts: { approval: withdrawn },
    want: "undo ApprovalWithdrawn by parapet",
  },
  {
    reason: "A later no takes it back.",
    state: "Realised",
    facts: { approval: denied },
    want: "undo Denied by joe",
  },
  {
    reason: "The stop does not keep anybody from taking back.",
    state: "Realised",
    facts: { approval: denied, stopped: true },
    want: "undo Denied by joe",
  },
  {
    reason: "What is unverified still ends in time.",
    state: "Unverifiable",
    facts: { nowMs: nowMs + 500 },
    want: "undo Expired by parapet",
  },
  {
    reason: "An undo that was begun is finished, whatever is said since.",
    state: "Realised",
    status: { undo: { atMs: 1, by: "joe", reason: "Denied" } },
    facts: { approval: approved },
    want: "undo Denied by joe",
  },
  {
    reason: "A rollback is for good: tidying the approval away brings no drift back.",
    state: "Verified",
    status: { expiresAtMs: undefined },
    facts: { approval: withdrawn },
    want: "nothing until asked",
  },
  {
    reason: "Nor does the deletion of its object.",
    state: "Verified",
    status: { expiresAtMs: undefined },
    facts: { target: "gone" },
    want: "nothing until asked",
  },
  {
    reason: "A Deny of a rollback does.",
    state: "Verified",
    status: { expiresAtMs: undefined },
    facts: { approval: denied },
    want: "undo Denied by joe",
  },
  {
    reason: "More time that somebody agreed to is given.",
    state: "Verified",
    facts: { approval: approved, renewal: renewal(nowMs + 5_000) },
    want: `move renewed Renewed by jane until ${nowMs + 5_000}`,
  },
  {
    reason: "Also when its time has just run out and nobody looked.",
    state: "Realised",
    facts: { nowMs: nowMs + 600, renewal: renewal(nowMs + 5_000) },
    want: `move renewed Renewed by jane until ${nowMs + 5_000}`,
  },
  {
    reason: "Less time than it has is none.",
    state: "Realised",
    facts: { renewal: renewal(nowMs + 100) },
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "A renewal runs out as well.",
    state: "Realised",
    facts: { nowMs: nowMs + 5_000, renewal: renewal(nowMs + 5_000) },
    status: { expiresAtMs: nowMs + 5_000 },
    want: "undo Expired by parapet",
  },
  {
    reason: "A no beats more time.",
    state: "Realised",
    facts: { approval: denied, renewal: renewal(nowMs + 5_000) },
    want: "undo Denied by joe",
  },
  {
    reason: "An undo that was begun is not renewed.",
    state: "Realised",
    status: { undo: { atMs: 1, by: "joe", reason: "Denied" } },
    facts: { renewal: renewal(nowMs + 5_000) },
    want: "undo Denied by joe",
  },
  {
    reason: "More time is no yes to begin.",
    state: "Proposed",
    facts: { renewal: renewal(nowMs + 5_000) },
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "What failed gets no more time.",
    state: "Failed",
    facts: { nowMs: nowMs + 500, renewal: renewal(nowMs + 5_000) },
    want: "undo Expired by parapet",
  },
  {
    reason: "What is for good needs none.",
    state: "Verified",
    status: { expiresAtMs: undefined },
    facts: { renewal: renewal(nowMs + 5_000) },
    want: "nothing until asked",
  },
  {
    reason: "What failed waits for a person, or its end.",
    state: "Failed",
    want: `nothing until ${nowMs + 500}`,
  },
  {
    reason: "And is cleaned up then.",
    state: "Failed",
    facts: { nowMs: nowMs + 500 },
    want: "undo Expired by parapet",
  },
  {
    reason: "An observed one lapses.",
    state: "Observed",
    facts: { nowMs: nowMs + 500 },
    want: "move expired NoDecisionInTime by parapet",
  },
] as const;

describe("the next step of a remediation", () => {
  it.each(decisions)("$state: $reason", (row) => {
    const mode = "mode" in row ? row.mode : "Propose";
    const status = "status" in row ? row.status : {};
    const given = { ...facts, ...("facts" in row ? row.facts : {}) };
    expect(text(decide(remediation(row.state, status, mode), given))).toBe(row.want);
  });

  it("is defined for every state and every fact, moves only as the table allows, and never acts on a guess", () => {
    const cases = states.flatMap((state) =>
      [none, withdrawn, approved, denied].flatMap((approval) =>
        (["present", "gone", "unknown"] as const).flatMap((target) =>
          [true, false].flatMap((stopped) =>
            (["Propose", "Automatic"] as const).flatMap((mode) =>
              [nowMs, nowMs + 10_000].map((at) => ({
                state,
                mode,
                given: { ...facts, nowMs: at, stopped, approval, target },
              })),
            ),
          ),
        ),
      ),
    );
    expect(cases).toHaveLength(13 * 4 * 3 * 2 * 2 * 2);
    const wrong = cases.filter(({ state, mode, given }) => {
      const decision = decide(remediation(state, {}, mode), given);
      if (isFinal(state) || given.target === "unknown") return decision.do !== "nothing";
      if (decision.do === "move") return transitions[state][decision.event.kind] === undefined;
      if (decision.do === "undo") return !mayBeInForce[state];
      return decision.do === "act" && state !== "Applying";
    });
    expect(wrong).toEqual([]);
  });
});

describe("a status", () => {
  const kinds: readonly EventKind[] = [
    "approved",
    "denied",
    "expired",
    "begun",
    "applied",
    "settled",
    "verified",
    "unverifiable",
    "renewed",
    "failed",
    "undone",
    "targetGone",
  ];
  const event = (kind: EventKind) => ({ kind, reason: "R", message: "m", by: "b" });

  it("takes every event in every state, or says why not and stays", () => {
    for (const state of states) {
      for (const kind of kinds) {
        const { status } = remediation(state);
        const moved = advance(status, event(kind), nowMs);
        const to = transitions[state][kind];
        expect(moved.ok).toBe(to !== undefined);
        expect(moved.ok ? moved.status.state : state).toBe(to ?? state);
      }
    }
  });

  it("leaves no final state", () => {
    expect(states.filter(isFinal)).toEqual(["Denied", "Expired", "Undone", "TargetGone"]);
  });

  it("keeps its history, bounded", () => {
    let { status } = remediation("Realised");
    for (let i = 0; i < 100; i++) {
      const moved = advance(status, event(i % 2 === 0 ? "unverifiable" : "verified"), i);
      if (moved.ok) ({ status } = moved);
    }
    expect(status.history).toHaveLength(historyMax);
    expect(status.history.at(-1)).toMatchObject({ atMs: 99, by: "b", reason: "R" });
  });

  it("counts an alert once however often it comes", () => {
    const start = { count: 1, firstSeenMs: 5, lastSeenMs: 5, recent: ["aaaaaaaaaaaa"] };
    const more = ["a", "b", "b", "c", "a"].map((letter, i) => ({
      fingerprint: letter.repeat(64),
      atMs: 10 + i,
    }));
    expect(countAlerts(start, more)).toEqual({
      count: 3,
      firstSeenMs: 5,
      lastSeenMs: 13,
      recent: ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"],
    });
  });

  it("of a new record follows from its spec", () => {
    const spec = exampleRemediation({ name: "x", state: "Proposed" });
    expect(initialStatus(spec).state).toBe("Proposed");
    expect(initialStatus({ ...spec, mode: "Automatic" }).state).toBe("Approved");
    expect(initialStatus({ ...spec, mode: "Observe" }).state).toBe("Observed");
    expect(initialStatus({ ...spec, mode: "Automatic", plan: undefined }).state).toBe("Observed");
  });
});

const yes: Approval = {
  namespace: "prod",
  name: "a",
  remediation: "x",
  planDigest: "sha256:1",
  decision: "Approve",
  approvedBy: "jane",
  reason: "",
  createdAtMs: 1,
  expiresAtMs: undefined,
  renewUntilMs: undefined,
};
const question = {
  namespace: "prod",
  remediation: "x",
  planDigest: "sha256:1",
  nowMs,
  actedOn: undefined,
  actor: "",
};

describe("approvals", () => {
  it.each([
    { reason: "A yes for this plan.", approvals: [yes], want: "approved" },
    { reason: "None.", approvals: [], want: "none" },
    {
      reason: "For another plan: the plan changed.",
      approvals: [{ ...yes, planDigest: "sha256:2" }],
      want: "none",
    },
    { reason: "For another remediation.", approvals: [{ ...yes, remediation: "y" }], want: "none" },
    {
      reason: "From another namespace, where other people have rights.",
      approvals: [{ ...yes, namespace: "dev" }],
      want: "none",
    },
    { reason: "Run out.", approvals: [{ ...yes, expiresAtMs: nowMs }], want: "none" },
    {
      reason: "Not yet run out.",
      approvals: [{ ...yes, expiresAtMs: nowMs + 1 }],
      want: "approved",
    },
    {
      reason: "One no beats any yes.",
      approvals: [yes, { ...yes, name: "b", decision: "Deny" as const }],
      want: "denied",
    },
    { reason: "Nobody approves what they caused.", approvals: [yes], actor: "jane", want: "none" },
    {
      reason: "But may deny it.",
      approvals: [{ ...yes, decision: "Deny" as const }],
      actor: "jane",
      want: "denied",
    },
  ])("$reason", ({ approvals, want, ...more }) => {
    expect(viewApprovals(approvals, { ...question, ...more }).kind).toBe(want);
  });

  it("that were acted on and are gone count as withdrawn, those that ran out do not", () => {
    expect(viewApprovals([], { ...question, actedOn: "a" })).toEqual(withdrawn);
    expect(viewApprovals([{ ...yes, expiresAtMs: 1 }], { ...question, actedOn: "a" })).toEqual(
      none,
    );
  });
});

describe("a renewal", () => {
  const more = { ...yes, renewUntilMs: nowMs + 1_000 };
  const rows: readonly {
    readonly reason: string;
    readonly approvals: readonly Approval[];
    readonly question?: Partial<typeof question> & { readonly approvers?: number };
    readonly want: number | undefined;
  }[] = [
    { reason: "A person asks for more time.", approvals: [more], want: nowMs + 1_000 },
    { reason: "An ordinary yes is none.", approvals: [yes], want: undefined },
    {
      reason: "The furthest counts, in whatever order they come.",
      approvals: [{ ...more, name: "b", renewUntilMs: nowMs + 3_000 }, more],
      want: nowMs + 3_000,
    },
    {
      reason: "Of another plan.",
      approvals: [{ ...more, planDigest: "sha256:2" }],
      want: undefined,
    },
    {
      reason: "By the one who caused it.",
      approvals: [more],
      question: { actor: "jane" },
      want: undefined,
    },
    {
      reason: "Nobody can give more than the longest time, counted from when they said so.",
      approvals: [{ ...more, createdAtMs: nowMs, renewUntilMs: nowMs + 10 * ttlMsMax }],
      want: nowMs + ttlMsMax,
    },
    {
      reason: "What two must approve two must renew.",
      approvals: [more],
      question: { approvers: 2 },
      want: undefined,
    },
    {
      reason: "One person twice is one person.",
      approvals: [more, { ...more, name: "b" }],
      question: { approvers: 2 },
      want: undefined,
    },
    {
      reason: "Both agreed to the nearer of their times.",
      approvals: [more, { ...more, name: "b", approvedBy: "ann", renewUntilMs: nowMs + 400 }],
      question: { approvers: 2 },
      want: nowMs + 400,
    },
    {
      reason: "Not used in time.",
      approvals: [{ ...more, expiresAtMs: nowMs }],
      want: undefined,
    },
  ];

  it.each(rows)("$reason", ({ approvals, question: other, want }) => {
    expect(viewRenewal(approvals, { ...question, ...other })?.untilMs).toBe(want);
  });

  it("is no yes to begin", () => {
    expect(viewApprovals([more], question).kind).toBe("none");
  });
});
