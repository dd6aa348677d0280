// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { failure, types } from "#responder/cluster";
import { type Lease, takeLease } from "#responder/lease";
import { good } from "#test/support/cluster-contract";

const startMs = Date.UTC(2026, 10, 22, 12, 0, 0);

it.each([
  { reason: "It was just taken.", laterMs: 1_000, holder: "b", taken: false },
  { reason: "Clocks of two replicas differ a little.", laterMs: -5_000, holder: "b", taken: false },
  { reason: "Its holder died.", laterMs: 16_000, holder: "b", taken: true },
  { reason: "The clock was set forward.", laterMs: 7_200_000, holder: "b", taken: true },
  {
    reason: "Its dead holder's clock was two hours ahead.",
    laterMs: -7_200_000,
    holder: "b",
    taken: true,
  },
  { reason: "The holder itself came back.", laterMs: 1_000, holder: "a", taken: true },
])("a lease is taken over: $taken. $reason", async ({ laterMs, holder, taken }) => {
  const cluster = makeMemoryCluster(() => startMs).client();
  const lease = { namespace: "parapet-system", target: "uid-1" };
  const first = await takeLease(cluster, { ...lease, holder: "a", now: () => startMs });
  expect(first.ok).toBe(true);
  const now = (): number => startMs + laterMs;
  const second = await takeLease(cluster, { ...lease, holder, now });
  expect(second.ok).toBe(taken);
  for (const one of [first, second]) if (one.ok) await one.value.release();
});

// Leases are renewed by timers; a test that waited for them would depend on the machine.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A lease of replica `a`, on a clock that both share. */
async function heldByA() {
  let clockMs = startMs;
  const now = (): number => clockMs;
  const cluster = makeMemoryCluster(now).client();
  let isUp = true;
  const flaky: typeof cluster = {
    ...cluster,
    replace: (...call) =>
      isUp ? cluster.replace(...call) : Promise.resolve(failure("Unavailable", "away")),
  };
  const lease = { namespace: "parapet-system", target: "uid-1" };
  const first = good(await takeLease(flaky, { ...lease, holder: "a", now }));
  return {
    first,
    pass: async (ms: number) => {
      clockMs += ms;
      await vi.advanceTimersByTimeAsync(ms);
    },
    setUp: (up: boolean) => {
      isUp = up;
    },
    takeAs: (holder: string) => takeLease(cluster, { ...lease, holder, now }),
    count: async () => good(await cluster.list(types.lease, {})).items.length,
  };
}

it("a lease is renewed as long as its holder works", async () => {
  const { first, pass, takeAs, count } = await heldByA();
  for (let i = 0; i < 12; i++) await pass(5_000);
  expect(first.isHeld()).toBe(true);
  expect(await takeAs("b")).toMatchObject({ ok: false, code: "Busy" });
  await first.release();
  expect(await count()).toBe(0);
});

it("a lease that cannot be renewed is given up before another replica may take it", async () => {
  const { first, pass, setUp, takeAs } = await heldByA();
  setUp(false);
  await pass(11_000);
  expect(first.isHeld()).toBe(true);
  expect(await takeAs("b")).toMatchObject({ ok: false, code: "Busy" });
  await pass(1_500);
  expect(first.isHeld()).toBe(false);
  expect(await takeAs("b")).toMatchObject({ ok: false, code: "Busy" });
  await pass(3_000);
  const second = good(await takeAs("b"));
  // And once it is taken, its old holder neither renews nor deletes it.
  setUp(true);
  await pass(5_000);
  expect(first.isHeld()).toBe(false);
  expect(second.isHeld()).toBe(true);
  await first.release();
  expect(await takeAs("a")).toMatchObject({ ok: false, code: "Busy" });
  await second.release();
});

/** Numbers below `max`, the same in every run. */
function makeRandom(seed: number): (max: number) => number {
  let state = seed;
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * max);
  };
}

it("two replicas never hold one target at once, whatever fails in whatever order, with clocks that differ by seconds", async () => {
  let times = 0;
  for (let seed = 0; seed < 60; seed++) {
    const random = makeRandom(seed);
    let clockMs = startMs;
    const memory = makeMemoryCluster(() => clockMs).client();
    const replicas = ["a", "b"].map((holder) => {
      const skewMs = random(2_900) - 1_450;
      const state = { isUp: true };
      const away = () => Promise.resolve(failure("Unavailable", "away"));
      const cluster: typeof memory = {
        ...memory,
        create: (...call) => (state.isUp ? memory.create(...call) : away()),
        get: (...call) => (state.isUp ? memory.get(...call) : away()),
        replace: (...call) => (state.isUp ? memory.replace(...call) : away()),
        remove: (...call) => (state.isUp ? memory.remove(...call) : away()),
      };
      const held: Lease[] = [];
      const now = (): number => clockMs + skewMs;
      return { holder, state, cluster, held, now };
    });
    for (let step = 0; step < 60; step++) {
      const one = replicas[random(2)];
      if (one === undefined) continue;
      const what = random(5);
      if (what === 0) one.state.isUp = !one.state.isUp;
      else if (what === 1) {
        // Within one process nobody asks again while it has the target (perform.ts, busy).
        if (one.held.length > 0) continue;
        const target = { namespace: "parapet-system", target: "uid-1" };
        const lease = await takeLease(one.cluster, { ...target, ...one });
        if (lease.ok) one.held.push(lease.value);
      } else if (what === 2) await one.held.pop()?.release();
      else {
        const ms = 500 + random(7_000);
        clockMs += ms;
        await vi.advanceTimersByTimeAsync(ms);
      }
      const holders = replicas.filter(({ held }) => held.some((lease) => lease.isHeld()));
      expect(holders.length).toBeLessThan(2);
      times += holders.length;
    }
    for (const { held } of replicas) for (const lease of held) await lease.release();
  }
  // Neither of them all the time would be no proof.
  expect(times).toBeGreaterThan(500);
});
