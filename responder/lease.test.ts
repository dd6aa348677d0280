// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { failure, types } from "#responder/cluster";
import { takeLease } from "#responder/lease";
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
