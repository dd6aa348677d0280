// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { types } from "#responder/cluster";
import { probePartLabel } from "#responder/verification/probe-pod";
import { runSelfTest, type SelfTest } from "#responder/verification/self-test";
import { good } from "#test/support/cluster-contract";

// On a cluster in memory with a clock of its own; test/cluster/verification.test.ts has the same with real packets.

type Held = { readonly echoedMs: number; readonly newMs: number } | undefined;

async function run(given: {
  readonly held: (direction: string) => Held;
  /** Milliseconds after its start at which the listener dies. */
  readonly listenerMs?: number;
  readonly stoppedAfter?: number;
}): Promise<{ readonly test: SelfTest; readonly left: number; readonly tookMs: number }> {
  const clock = { ms: 0, waits: 0 };
  const cluster = makeMemoryCluster(() => clock.ms).client();
  const born = new Map<string, number>();
  const kubelet = async (): Promise<void> => {
    const policies = good(await cluster.list(types.networkPolicy, {})).items;
    for (const pod of good(await cluster.list(types.pod, {})).items) {
      const part = textAt(pod, ["metadata", "labels", probePartLabel]);
      const uid = textAt(pod, ["metadata", "uid"]);
      const atMs = born.get(uid) ?? clock.ms;
      born.set(uid, atMs);
      const direction = textAt(policies[0], ["spec", "policyTypes", 0]);
      const isOver = clock.ms - atMs >= (part === "holder" ? 50_000 : (given.listenerMs ?? 1e9));
      const status = isOver ? ended(part, given.held(direction)) : running;
      if (textAt(pod, ["status", "phase"]) === status["phase"]) continue;
      good(await cluster.replace(types.pod, { ...pod, status }));
    }
  };
  const test = await runSelfTest({
    cluster,
    namespace: "probes",
    image: "i",
    command: ["node"],
    id: "abc",
    holdMs: 50_000,
    now: () => clock.ms,
    stopped: () => clock.waits > (given.stoppedAfter ?? Infinity),
    wait: async (ms) => {
      clock.ms += ms;
      clock.waits += 1;
      await kubelet();
    },
  });
  const pods = good(await cluster.list(types.pod, {})).items.length;
  const policies = good(await cluster.list(types.networkPolicy, {})).items.length;
  return { test, left: pods + policies, tookMs: clock.ms };
}

const running: JsonObject = { phase: "Running", podIP: "10.0.0.1" };

function ended(part: string, held: Held): JsonObject {
  const report = {
    listening: part === "listener",
    tries: [],
    ...(held === undefined ? {} : { held: { ...held, forMs: 50_000 } }),
  };
  const message = JSON.stringify(report);
  return { phase: "Succeeded", containerStatuses: [{ state: { terminated: { message } } }] };
}

const rows = [
  {
    reason: "Cut where it arrives and where it leaves.",
    held: () => ({ echoedMs: 4_000, newMs: 4_000 }),
    want: "a start-up self-test saw new connections cut, and open ones within 4 s",
  },
  {
    reason: "Only egress is ignored.",
    held: (direction: string) =>
      direction === "Egress"
        ? { echoedMs: 49_900, newMs: 49_900 }
        : { echoedMs: 4_000, newMs: 4_000 },
    want: "a start-up self-test denied Egress by a NetworkPolicy, and new connections passed all the same",
  },
  {
    reason: "Two pods that cannot talk tell nothing.",
    held: () => undefined,
    want: "Ingress: two pods cannot talk to each other without a policy",
  },
  {
    reason: "A listener that died looks like a policy that cuts everything.",
    held: () => ({ echoedMs: 20_000, newMs: 20_000 }),
    listenerMs: 20_000,
    want: "Ingress: the listener ended early",
  },
];

describe("a self-test", () => {
  it.each(rows)("$reason", async ({ want, ...given }) => {
    const { test, left } = await run(given);
    expect(test.kind === "unknown" ? test.reason : test.text).toBe(want);
    expect(left).toBe(0);
  });

  it("that is stopped leaves nothing", async () => {
    const { left, tookMs } = await run({ held: () => undefined, stoppedAfter: 10 });
    expect(left).toBe(0);
    expect(tookMs).toBeLessThan(20_000);
  });

  it("has pods whose deadline is later than its own end", async () => {
    const clock = { ms: 0 };
    const cluster = makeMemoryCluster(() => clock.ms).client();
    const made: JsonObject[] = [];
    await runSelfTest({
      cluster: {
        ...cluster,
        create: (type, object) => {
          made.push(object);
          return cluster.create(type, object);
        },
      },
      namespace: "probes",
      image: "i",
      command: ["node"],
      id: "abc",
      holdMs: 300_000,
      now: () => clock.ms,
      stopped: () => false,
      wait: (ms) => {
        clock.ms += ms;
        return Promise.resolve();
      },
    });
    expect(Number(at(made[0], ["spec", "activeDeadlineSeconds"]))).toBeGreaterThan(390);
  });
});
