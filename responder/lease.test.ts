// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { takeLease } from "#responder/lease";

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
  const first = await takeLease(cluster, { ...lease, holder: "a", nowMs: startMs });
  expect(first.ok).toBe(true);
  const second = await takeLease(cluster, { ...lease, holder, nowMs: startMs + laterMs });
  expect(second.ok).toBe(taken);
});
