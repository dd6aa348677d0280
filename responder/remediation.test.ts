// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { viewApprovals, viewRenewal, type Approval } from "#responder/approval";
import { decide, type Facts } from "#responder/decide";
import {
  advance,
  type EventKind,
  historyMax,
  isFinal,
  mayBeInForce,
  type Remediation,
  states,
  type Status,
  transitions,
} from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";

/** Numbers below `max`, the same in every run. */
function makeRandom(seed: number): (max: number) => number {
  let state = seed;
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * max);
  };
}

function pick<T>(random: (max: number) => number, all: readonly T[]): T {
  const one = all[random(all.length)];
  if (one === undefined) throw new Error("nothing to pick from");
  return one;
}

const kinds: readonly EventKind[] = [
  "approved",
  "denied",
  "expired",
  "begun",
  "applied",
  "settled",
  "verified",
  "unverifiable",
  "reopened",
  "closedAgain",
  "renewed",
  "failed",
  "undone",
  "targetGone",
];
/** Written out, so that a new kind of event is not left out of what follows. */
const named = new Set(Object.values(transitions).flatMap((row) => Object.keys(row)));

const statusIn = (state: Status["state"]): Status => ({
  ...exampleRemediation({ name: "x", state }).status,
  state,
  history: [],
  undo: undefined,
});

describe("any events in any order", () => {
  it("know every kind of event", () => {
    expect([...named].sort()).toEqual([...kinds].sort());
  });

  it.each(states)(
    "from %s: nothing throws, the history only grows, and what is final stays",
    (state) => {
      for (let seed = 0; seed < 20; seed++) {
        const random = makeRandom(seed * 31 + states.indexOf(state));
        let status = statusIn(state);
        let steps = 0;
        // A clock that is set back and forth: the order of the steps is the history's own.
        let nowMs = Date.UTC(2026, 10, 22);
        for (let i = 0; i < 80; i++) {
          const kind = pick(random, kinds);
          nowMs += random(7_200_000) - 3_600_000;
          const moved = advance(status, { kind, reason: "R", message: `${i}`, by: "b" }, nowMs);
          if (!moved.ok) {
            expect(transitions[status.state][kind]).toBeUndefined();
            continue;
          }
          steps += 1;
          expect(isFinal(status.state)).toBe(false);
          expect(moved.status.state).toBe(transitions[status.state][kind]);
          expect(moved.status.history.at(-1)).toMatchObject({
            from: status.state,
            message: `${i}`,
          });
          expect(moved.status.history.slice(0, -1)).toEqual(
            status.history.length < historyMax ? status.history : status.history.slice(1),
          );
          // What was never begun is never in force, and what was in force never waits for a person again.
          if (mayBeInForce[status.state]) {
            expect(["Observed", "Proposed", "Approved", "Denied", "Expired"]).not.toContain(
              moved.status.state,
            );
          }
          status = moved.status;
        }
        expect(status.history.length).toBe(Math.min(steps, historyMax));
      }
    },
  );
});

describe("decisions over any course of facts", () => {
  const facts = (random: (max: number) => number, nowMs: number): Facts => ({
    nowMs,
    stopped: random(4) === 0,
    approval: pick(random, [
      { kind: "none", withdrawn: false },
      { kind: "none", withdrawn: true },
      { kind: "approved", name: "a", by: "jane", reason: "" },
      { kind: "denied", by: "joe", reason: "no" },
    ] as const),
    isPlanWhole: random(5) > 0,
    renewal:
      random(3) === 0
        ? { untilMs: nowMs + random(10_000) - 5_000, by: "jane", name: "r", reason: "" }
        : undefined,
    target: pick(random, ["present", "present", "gone", "unknown"] as const),
    protectedBy: random(5) === 0 ? "a label" : "",
    settleMs: random(2_000),
    mayProbe: random(2) === 0,
  });

  it("never move against the table, never act on a guess or without a yes, and end what was begun to be taken back", () => {
    for (let seed = 0; seed < 400; seed++) {
      const random = makeRandom(seed);
      const example = exampleRemediation({ name: "x", state: "Proposed" });
      const mode = pick(random, ["Propose", "Automatic"] as const);
      let one: Remediation = { ...example, mode, status: statusIn(pick(random, states)) };
      let nowMs = Date.UTC(2026, 10, 22);
      for (let step = 0; step < 40; step++) {
        nowMs += random(6_000) - 1_000;
        const now = facts(random, nowMs);
        const decision = decide(one, now);
        const { status } = one;
        if (now.target === "unknown" || isFinal(status.state)) expect(decision.do).toBe("nothing");
        if (decision.do === "act") expect(status.state).toBe("Applying");
        if (status.undo !== undefined && mayBeInForce[status.state] && now.target !== "unknown") {
          const isLeft = status.state === "Applying" || decision.do === "undo";
          expect(isLeft).toBe(true);
        }
        if (decision.do === "undo") {
          const undo = { atMs: nowMs, by: decision.by, reason: decision.reason };
          one = { ...one, status: { ...status, undo } };
          continue;
        }
        if (decision.do !== "move") continue;
        if (decision.event.kind === "begun") {
          expect(now).toMatchObject({ stopped: false, isPlanWhole: true, target: "present" });
          expect(mode === "Automatic" || now.approval.kind === "approved").toBe(true);
        }
        const moved = advance(status, decision.event, nowMs);
        if (!moved.ok) throw new Error(moved.reason);
        one = { ...one, status: { ...moved.status, ...decision.status } };
      }
    }
  });
});

describe("the very instant", () => {
  const atMs = Date.UTC(2026, 10, 22, 12, 0, 0);
  const yes: Approval = {
    namespace: "n",
    name: "a",
    remediation: "r",
    planDigest: "d",
    decision: "Approve",
    approvedBy: "jane",
    reason: "",
    createdAtMs: atMs - 1_000,
    expiresAtMs: atMs,
    renewUntilMs: undefined,
  };
  const asked = (nowMs: number) => ({
    namespace: "n",
    remediation: "r",
    planDigest: "d",
    nowMs,
    actedOn: undefined,
    actor: "",
  });

  it.each([
    { reason: "An approval holds until its end.", nowMs: atMs - 1, want: "approved" },
    { reason: "And not at it.", nowMs: atMs, want: "none" },
  ])("$reason", ({ nowMs, want }) => {
    expect(viewApprovals([yes], asked(nowMs)).kind).toBe(want);
  });

  it("a renewal to an instant ends at that instant", () => {
    const more = { ...yes, expiresAtMs: undefined, renewUntilMs: atMs };
    const renewal = viewRenewal([more], asked(atMs - 1));
    expect(renewal?.untilMs).toBe(atMs);
    const example = exampleRemediation({ name: "x", state: "Verified" });
    const inForce: Remediation = {
      ...example,
      mode: "Automatic",
      status: { ...example.status, state: "Verified", undo: undefined, expiresAtMs: atMs },
    };
    const at = (nowMs: number): string =>
      decide(inForce, {
        nowMs,
        stopped: false,
        approval: { kind: "none", withdrawn: false },
        isPlanWhole: true,
        renewal,
        target: "present",
        settleMs: 0,
        mayProbe: false,
      }).do;
    expect([at(atMs - 1), at(atMs), at(atMs + 1)]).toEqual(["nothing", "undo", "undo"]);
  });
});
