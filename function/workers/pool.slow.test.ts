// SPDX-License-Identifier: Apache-2.0
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "#test/support/processes";
import { composite, encodeRequest, guardrails, noPublic } from "#test/support/run-function";
import { repository } from "#test/support/shared";
import { CallError, type Caller } from "../call-error.ts";
import { makeMeter, type Meter } from "../meter.ts";
import { WireError } from "../wire/reader.ts";
import { Pool, type PoolSpec } from "./pool.ts";

// Real threads; the faults are planted in test/support/faulty-thread.ts.

const script = (path: string): URL => pathToFileURL(`${repository}/${path}`);
const faulty = script("test/support/faulty-thread.ts");

const present: Caller = { hasGone: () => false, onGone: () => undefined };
const pools: Pool[] = [];
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.stop();
});

type Scene = { readonly pool: Pool; readonly meter: Meter; readonly log: readonly string[] };

function startPool(spec: Partial<PoolSpec> = {}): Scene {
  const meter = makeMeter(() => performance.now());
  const log: string[] = [];
  const pool = new Pool({
    entry: faulty,
    count: 2,
    heapMbMax: 64,
    // Only for those that are about the limit: a busy machine may let a thread wait for long.
    callMsMax: 60_000,
    settings: { approvalNamespace: "" },
    loadLocal: () => Promise.reject(new Error("nothing here is cheap")),
    meter,
    log: (level, message, fields) => log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    clock: () => performance.now(),
    ...spec,
  });
  pools.push(pool);
  return { pool, meter, log };
}

const figure = (meter: Meter, series: string): number =>
  Number(
    meter
      .text()
      .split("\n")
      .find((line) => line.startsWith(`parapet_function_${series} `))
      ?.split(" ")
      .at(-1),
  );

/** What became of a call: its answer's text, or the problem. */
async function outcome(pool: Pool, text: string, caller = present): Promise<string> {
  try {
    return (await pool.answer(Buffer.from(text), caller)).toString();
  } catch (error) {
    if (error instanceof CallError) return error.problem;
    throw error;
  }
}

const ready = ({ meter }: Scene, count = 2) =>
  eventually("the workers are ready", () => Promise.resolve(figure(meter, "workers") === count));

const request = (uid: string): string =>
  encodeRequest({
    input: guardrails([noPublic]),
    composite: { ...composite(), metadata: { name: "x", uid } },
  }).toString("latin1");

describe("calls", () => {
  test("are spread over the workers when there are several at once", async () => {
    const scene = startPool();
    await ready(scene);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => outcome(scene.pool, "slow:30")),
    );
    expect(new Set(answers).size).toBe(2);
  });

  test("of one composite meet the same worker, and composites different ones", async () => {
    const scene = startPool();
    await ready(scene);
    const answersOf = async (uid: string) => {
      const answers = [];
      for (let i = 0; i < 5; i++) {
        const bytes = Buffer.from(request(uid), "latin1");
        answers.push((await scene.pool.answer(bytes, present)).toString());
      }
      return new Set(answers);
    };
    const used = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const answers = await answersOf(`uid-${i}`);
      expect(answers.size).toBe(1);
      for (const each of answers) used.add(each);
    }
    expect(used.size).toBe(2);
  });

  test("that wait for a caller who has gone are never begun", async () => {
    const scene = startPool({ count: 1 });
    await ready(scene, 1);
    let hasGone = false;
    const busy = [outcome(scene.pool, "slow:200"), outcome(scene.pool, "slow:1")];
    const cancelled = outcome(scene.pool, "fault:exit", { ...present, hasGone: () => hasGone });
    hasGone = true;
    expect(await cancelled).toBe("cancelled");
    expect((await Promise.all(busy)).every((each) => each.startsWith("thread"))).toBe(true);
    expect(figure(scene.meter, 'workers_lost_total{reason="crash"}')).toBe(0);
  });

  test("beyond what may wait are refused at once, and those that wait for too long in time", async () => {
    const scene = startPool({ count: 1, callMsMax: 2_000 });
    await ready(scene, 1);
    const busy = [outcome(scene.pool, "slow:20000"), outcome(scene.pool, "slow:20000")];
    const all = await Promise.all(Array.from({ length: 5000 }, () => outcome(scene.pool, "x")));
    expect(all.filter((each) => each === "refused").length).toBeGreaterThan(900);
    expect(await Promise.all(busy)).toContain("stopped");
    await ready(scene, 1);
    expect(await outcome(scene.pool, "after")).toContain("thread");
    expect(figure(scene.meter, "calls_waiting")).toBe(0);
  });
});

describe("a worker", () => {
  const faults: Record<string, { reason: string; ask: string; problem: string; lost: string }> = {
    hangs: {
      reason: "A call that never ends must not keep its worker, nor end in a verdict.",
      ask: "fault:hang",
      problem: "stopped",
      lost: "late",
    },
    exits: {
      reason: "Whoever asks again gets another worker.",
      ask: "fault:exit",
      problem: "lost",
      lost: "crash",
    },
    "needs too much memory": {
      reason: "The same request would need as much again: trying again is no cure.",
      ask: "fault:memory",
      problem: "stopped",
      lost: "memory",
    },
  };
  test.each(Object.entries(faults))(
    "that %s is replaced, and only its call gets an error",
    async (_, { ask, problem, lost }) => {
      // Those behind one that hangs wait for its end and for a new worker, twice the limit in sum.
      const scene = startPool({ count: 1, callMsMax: lost === "late" ? 12_000 : 60_000 });
      await ready(scene, 1);
      const bad = outcome(scene.pool, ask);
      const behind = outcome(scene.pool, "behind");
      const waiting = outcome(scene.pool, "waiting");
      expect(await bad).toBe(problem);
      expect(await behind).toContain("thread");
      expect(await waiting).toContain("thread");
      expect(figure(scene.meter, `workers_lost_total{reason="${lost}"}`)).toBe(1);
      expect(figure(scene.meter, "workers")).toBe(1);
      expect(scene.log).toEqual([
        `error a worker ended and is replaced ${JSON.stringify({ worker: 0, reason: lost })}`,
      ]);
    },
  );

  test("lives on after an unexpected error, whose text goes nowhere", async () => {
    const scene = startPool({ count: 1 });
    await ready(scene, 1);
    const before = await outcome(scene.pool, "before");
    expect(await outcome(scene.pool, "fault:throw")).toBe("failed");
    expect(await outcome(scene.pool, "after")).toBe(before);
    expect(scene.log.join()).toContain("the handler failed");
    expect(scene.log.join()).not.toContain("hunter2");
  });

  test("that cannot start is tried again in peace, and calls are told", async () => {
    const entry = script("test/support/no-such-file.ts");
    const scene = startPool({ count: 1, entry, callMsMax: 500 });
    expect(await outcome(scene.pool, "x")).toBe("refused");
    expect(figure(scene.meter, 'workers_lost_total{reason="crash"}')).toBeLessThan(4);
  });
});

test("bytes that are no request are told apart from other errors", async () => {
  const scene = startPool({ entry: script("function/main.ts") });
  await expect(scene.pool.answer(Buffer.from("garbage"), present)).rejects.toThrow(WireError);
});

test("calls that cost less than handing them over are evaluated on the spot, and dear ones not again", async () => {
  let asked = 0;
  // What a call costs here is what the test says, and not what else the machine has to do.
  let nowMs = 0;
  const scene = startPool({
    entry: script("function/main.ts"),
    clock: () => nowMs,
    loadLocal: () => {
      asked++;
      let costMs = 0;
      return Promise.resolve({
        evaluate: () => {
          nowMs += costMs;
          costMs = 5;
          return Buffer.from("local");
        },
        gauges: () => ({ remembered_resources: 7 }),
      });
    },
  });
  const bytes = Buffer.from(request("uid"), "latin1");
  const answers: string[] = [];
  for (let i = 0; i < 400 && !answers.includes("local"); i++) {
    answers.push((await scene.pool.answer(bytes, present)).toString("latin1"));
  }
  expect([answers.includes("local"), asked]).toEqual([true, 1]);
  expect(figure(scene.meter, "remembered_resources")).toBeGreaterThanOrEqual(7);
  // One dear call may be chance, two are not.
  expect((await scene.pool.answer(bytes, present)).toString()).toBe("local");
  expect((await scene.pool.answer(bytes, present)).toString()).toBe("local");
  expect((await scene.pool.answer(bytes, present)).toString("latin1")).not.toBe("local");
});
