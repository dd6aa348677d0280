// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { type Reply, failure, keyOf, types } from "#responder/cluster";
import { dueNotices, noticeKinds, toldMax, withTold } from "#responder/notify/notices";
import type { Telling } from "#responder/notify/notification";
import { makeNotifier, type Notifier } from "#responder/notify/notifier";
import type { HistoryEntry, Remediation, State } from "#responder/remediation";
import { readRemediation, remediationJson, statusJson } from "#responder/record/remediation-record";
import { eventOf, makeTargetEvents } from "#responder/notify/target-events";
import { exampleRemediation } from "#test/support/example-remediation";
import { eventually } from "#test/support/processes";

const nowMs = Date.UTC(2026, 10, 22, 10, 0, 0);
const minute = 60_000;

function example(state: State, status: Partial<Remediation["status"]> = {}): Remediation {
  const one = exampleRemediation({ name: "one", state });
  return { ...one, status: { ...one.status, ...status } };
}

const stepFrom = (from: State, reason: string, atMs: number): HistoryEntry => ({
  atMs,
  from,
  to: "Unverifiable",
  reason,
  message: "",
  by: "parapet",
});

describe("what is told when", () => {
  it.each([
    {
      reason: "A proposal waits for somebody.",
      one: example("Proposed", { expiresAtMs: nowMs + 24 * 60 * minute }),
      want: ["Proposed"],
      wakeInMs: 24 * 60 * minute - 10 * minute,
    },
    {
      reason: "What was told is not told again.",
      one: example("Proposed", { expiresAtMs: nowMs + 60 * minute, told: ["Proposed"] }),
      want: [],
      wakeInMs: 50 * minute,
    },
    {
      reason: "Nobody decided, and it lapses soon.",
      one: {
        ...example("Proposed", { expiresAtMs: nowMs + 5 * minute, told: ["Proposed"] }),
        seenAtMs: nowMs - 60 * minute,
      },
      want: ["ExpiresSoon 2026-11-22T10:05:00.000Z"],
      wakeInMs: undefined,
    },
    {
      reason: "An isolation ends soon: somebody may want to renew it.",
      one: example("Verified", {
        appliedAtMs: nowMs - 60 * minute,
        expiresAtMs: nowMs + 9 * minute,
      }),
      want: ["ExpiresSoon 2026-11-22T10:09:00.000Z"],
      wakeInMs: undefined,
    },
    {
      reason: "A renewed one ends at another time, so it is told again.",
      one: example("Verified", {
        appliedAtMs: nowMs - 60 * minute,
        expiresAtMs: nowMs + 9 * minute,
        told: ["ExpiresSoon 2026-11-22T09:09:00.000Z"],
      }),
      want: ["ExpiresSoon 2026-11-22T10:09:00.000Z"],
      wakeInMs: undefined,
    },
    {
      reason: "Of four minutes only the last is soon.",
      one: example("Applied", { appliedAtMs: nowMs, expiresAtMs: nowMs + 4 * minute }),
      want: [],
      wakeInMs: 3 * minute,
    },
    {
      reason: "What lasts until somebody undoes it never ends soon.",
      one: example("Applied", { appliedAtMs: nowMs, expiresAtMs: undefined }),
      want: [],
      wakeInMs: undefined,
    },
    {
      reason: "What is being taken back needs no renewal.",
      one: example("Verified", {
        appliedAtMs: nowMs - 60 * minute,
        expiresAtMs: nowMs + minute,
        undo: { atMs: nowMs, by: "jane", reason: "Denied" },
      }),
      want: [],
      wakeInMs: undefined,
    },
    {
      reason: "A failure is for people.",
      one: example("Failed", { expiresAtMs: undefined }),
      want: ["Failed"],
      wakeInMs: undefined,
    },
    {
      reason: "So is an isolation that does not hold; since when is part of the mark.",
      one: example("Unverifiable", { expiresAtMs: undefined }),
      want: ["Unverifiable 2026-11-22T09:58:00.000Z"],
      wakeInMs: undefined,
    },
    {
      reason: "That it was opened is news where before it could only not be tried.",
      one: example("Unverifiable", {
        expiresAtMs: undefined,
        history: [
          stepFrom("Realised", "NotProbed", 1),
          stepFrom("Unverifiable", "Reopened", 2),
          stepFrom("Unverifiable", "Renewed", 3),
        ],
      }),
      want: ["Unverifiable 1970-01-01T00:00:00.002Z"],
      wakeInMs: undefined,
    },
    {
      reason: "That the last try failed as the first did is in the history, and no news.",
      one: example("Unverifiable", {
        expiresAtMs: undefined,
        history: [
          stepFrom("Realised", "NotProbed", 1),
          stepFrom("Unverifiable", "Renewed", 2),
          stepFrom("Unverifiable", "NotProbed", 3),
        ],
      }),
      want: ["Unverifiable 1970-01-01T00:00:00.001Z"],
      wakeInMs: undefined,
    },
    {
      reason: "For review only: there is nothing to decide.",
      one: { ...example("Proposed"), plan: undefined },
      want: [],
      wakeInMs: undefined,
    },
    { reason: "Closed.", one: example("Undone"), want: [], wakeInMs: undefined },
  ])("$reason", ({ one, want, wakeInMs }) => {
    const due = dueNotices(one, 10 * minute, nowMs);
    expect(due.notices.map(({ mark }) => mark)).toEqual(want);
    expect(due.wakeAtMs === undefined ? undefined : due.wakeAtMs - nowMs).toBe(wakeInMs);
  });

  it("keeps the newest marks, however often something is renewed", () => {
    let told: readonly string[] = [];
    for (let i = 0; i < 100; i++) told = withTold(told, [`ExpiresSoon ${i}`]);
    expect(told).toHaveLength(toldMax);
    expect(withTold(told, ["ExpiresSoon 99"])).toEqual(told);
  });
});

/** A notifier over a cluster in memory that holds these remediations; the cache is what the cluster holds. */
async function startScene(count: number, state: State = "Proposed") {
  const memory = makeMemoryCluster(() => nowMs);
  const cluster = memory.client();
  const cache = new Map<string, Remediation>();
  const refresh = async (): Promise<void> => {
    const listed = await cluster.list(types.remediation, {});
    for (const item of listed.ok ? listed.value.items : []) {
      const read = readRemediation(item);
      if (typeof read !== "string") cache.set(keyOf(read.name), read);
    }
  };
  for (let i = 0; i < count; i++) {
    const one = exampleRemediation({ name: `r${i}`, state });
    const made = await cluster.create(types.remediation, remediationJson(one, `f${i}`));
    if (!made.ok) throw new Error(made.message);
    const status = statusJson({ ...one.status, expiresAtMs: nowMs + 24 * 60 * minute });
    await cluster.replaceStatus(types.remediation, { ...made.value, status });
  }
  await refresh();
  const sent: { readonly to: string; readonly telling: Telling }[] = [];
  const waits: number[] = [];
  const outcomes: string[] = [];
  let clock = nowMs;
  const answers: Reply<undefined>[] = [];
  const start = (identity: string, perMinute = 20): Notifier =>
    makeNotifier({
      cluster,
      send: (to, telling) => {
        sent.push({ to, telling });
        return Promise.resolve(answers.shift() ?? { ok: true, value: undefined });
      },
      audienceOf: (policy) => ({
        to: policy === "isolate-shells" ? ["ops"] : [],
        on: noticeKinds,
      }),
      remediation: (key) => cache.get(key),
      now: () => clock,
      wait: async (ms) => {
        waits.push(ms);
        if (ms >= 1_000) clock += ms;
        await refresh();
      },
      log: () => {},
      counted: ({ outcome }) => outcomes.push(outcome),
      settings: { namespace: "parapet-system", identity, soonMs: 10 * minute, perMinute },
    });
  const lookAtAll = (notifier: Notifier): void => {
    for (const key of cache.keys()) notifier.look(key);
  };
  return { cluster, cache, refresh, sent, waits, outcomes, answers, start, lookAtAll };
}

describe("the notifier", () => {
  it("tells once and marks it, so that a restart tells nobody again", async () => {
    const scene = await startScene(1);
    const first = scene.start("one");
    scene.lookAtAll(first);
    scene.lookAtAll(first);
    await eventually("marked", async () => {
      await scene.refresh();
      return scene.cache.get("prod/r0")?.status.told.includes("Proposed");
    });
    await first.stop();
    const second = scene.start("one");
    scene.lookAtAll(second);
    await second.stop();
    expect(scene.sent.map(({ to, telling }) => [to, telling.notice])).toEqual([
      ["ops", "Proposed"],
    ]);
    expect((await scene.cluster.list(types.lease, {})).ok).toBe(true);
  });

  it("tells once among two replicas", async () => {
    const scene = await startScene(3);
    const both = [scene.start("one"), scene.start("two")];
    for (const one of both) scene.lookAtAll(one);
    await eventually("all marked", async () => {
      await scene.refresh();
      return [...scene.cache.values()].every(({ status }) => status.told.length > 0);
    });
    await Promise.all(both.map((one) => one.stop()));
    const names = scene.sent.map(({ telling }) => telling.remediations[0].name.name);
    expect(names.sort()).toEqual(["r0", "r1", "r2"]);
  });

  it("tells of a flood in one message, and of no more than it may in a minute", async () => {
    const scene = await startScene(200);
    const notifier = scene.start("one", 5);
    scene.lookAtAll(notifier);
    await eventually("all marked", async () => {
      await scene.refresh();
      return [...scene.cache.values()].every(({ status }) => status.told.length > 0);
    });
    await notifier.stop();
    expect(scene.sent.map(({ telling }) => telling.remediations.length)).toEqual([200]);
  });

  it.each([
    {
      reason: "A destination that is down for a moment is tried again.",
      answers: [failure("Unavailable", "down"), failure("Unavailable", "down")],
      sent: 3,
      outcomes: ["sent"],
      told: ["Proposed"],
    },
    {
      reason: "One that refuses is not.",
      answers: [failure("Invalid", "410")],
      sent: 1,
      outcomes: ["failed"],
      told: [],
    },
    {
      reason: "One that is down for half an hour is told once it is back.",
      answers: Array.from({ length: 33 }, () => failure("Unavailable", "down")),
      sent: 34,
      outcomes: ["sent"],
      told: ["Proposed"],
    },
    {
      reason: "One that stays down is given up after a bounded number of tries.",
      answers: Array.from({ length: 100 }, () => failure("Unavailable", "down")),
      sent: 49,
      outcomes: ["failed"],
      told: [],
    },
  ])("$reason", async ({ answers, sent, outcomes, told }) => {
    const scene = await startScene(1);
    scene.answers.push(...answers);
    const notifier = scene.start("one");
    scene.lookAtAll(notifier);
    await eventually("an outcome", () => scene.outcomes.length > 0);
    scene.lookAtAll(notifier);
    await notifier.stop();
    await scene.refresh();
    expect(scene.sent).toHaveLength(sent);
    expect(scene.outcomes).toEqual(outcomes);
    expect(scene.cache.get("prod/r0")?.status.told).toEqual(told);
  });

  it("says nothing of what was decided while the message waited", async () => {
    const scene = await startScene(1);
    const notifier = scene.start("one");
    scene.lookAtAll(notifier);
    const live = await scene.cluster.get(types.remediation, { namespace: "prod", name: "r0" });
    if (!live.ok) throw new Error(live.message);
    const approved = exampleRemediation({ name: "r0", state: "Approved" });
    await scene.cluster.replaceStatus(types.remediation, {
      ...live.value,
      status: statusJson(approved.status),
    });
    await notifier.stop();
    expect(scene.sent).toEqual([]);
  });
});

describe("Events on the target", () => {
  it("say what is proposed and how to approve it, under a name of their own", () => {
    const one = example("Proposed");
    const [entry] = one.status.history;
    if (entry === undefined) throw new Error("no history");
    const event = eventOf(one, entry);
    expect(event?.manifest).toMatchObject({
      involvedObject: { kind: "Pod", name: "web-7f9c", uid: "3b1c-55" },
      reason: "ParapetProposed",
      type: "Warning",
      message: expect.stringContaining(
        "parapet approve one -n prod (Remediation prod/one)",
      ) as unknown,
    });
    expect(eventOf(one, entry)?.name).toBe(event?.name);
    expect(eventOf(one, { ...entry, atMs: 1 })?.name).not.toBe(event?.name);
  });

  it.each([
    { reason: "Renewed: the state stays.", from: "Verified", to: "Verified" },
    { reason: "A step on the way.", from: "Approved", to: "Applying" },
  ] as const)("are not written of every step: $reason", ({ from, to }) => {
    const one = example("Verified");
    const entry = { atMs: nowMs, from, to, reason: "X", message: "", by: "parapet" };
    expect(eventOf(one, entry)).toBeUndefined();
  });

  it("are bounded in a burst, and written once", async () => {
    const memory = makeMemoryCluster(() => nowMs);
    let dropped = 0;
    const events = makeTargetEvents({
      cluster: memory.client(),
      now: () => nowMs,
      log: () => {},
      dropped: () => (dropped += 1),
    });
    for (let i = 0; i < 1_500; i++) {
      const one = { ...exampleRemediation({ name: `r${i}`, state: "Applied" }), uid: `u${i}` };
      events.look(one);
      if (i === 0) events.look(one);
    }
    expect(dropped).toBe(500);
    await eventually("some are written", async () => {
      const listed = await memory.client().list(types.event, {});
      return listed.ok && listed.value.items.length >= 3;
    });
    events.stop();
    const old = exampleRemediation({ name: "old", state: "Applied", lastSeenMs: 0 });
    events.look(old);
    expect(dropped).toBe(500);
  });
});
