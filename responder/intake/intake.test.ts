// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { openSpool, type Spool } from "#responder/adapters/spool";
import type { AlertQueue, StoredAlert } from "#responder/intake/alert-queue";
import { makeIntake } from "#responder/intake/intake";
import { makeMetrics } from "#responder/metrics";

const directory = mkdtempSync(join(tmpdir(), "parapet-intake-"));
const spools: Spool[] = [];
afterAll(async () => {
  for (const spool of spools) await spool.close();
  rmSync(directory, { recursive: true, force: true });
});

const body = (n: number, priority = "Notice"): Buffer =>
  Buffer.from(
    `{"rule":"r","priority":"${priority}","time":"2026-07-04T20:46:44.${String(n).padStart(9, "0")}Z"}`,
  );

type Options = {
  readonly queue?: Partial<AlertQueue>;
  readonly spool?: Spool;
  readonly spoolBytesMax?: number;
};

/** An intake on a queue whose order can be seen, a real spool and a clock that is set by hand. */
async function scene(options: Options = {}) {
  const memory = makeMemoryQueue();
  const order: string[] = [];
  const clock = { ms: 1_783_198_005_000 };
  const queue: AlertQueue = {
    ...memory,
    add: async (alerts) => {
      await memory.add(alerts);
      order.push(...alerts.map((alert) => alert.text));
    },
    ...options.queue,
  };
  const bytesMax = options.spoolBytesMax ?? 1 << 20;
  const spool = options.spool ?? (await openSpool(mkdtempSync(join(directory, "s-")), bytesMax));
  spools.push(spool);
  const metrics = makeMetrics();
  const told: string[] = [];
  const intake = makeIntake({
    queue,
    spool,
    spoolBytesMax: bytesMax,
    metrics,
    log: (level, message) => told.push(`${level} ${message}`),
    now: () => clock.ms,
  });
  return { intake, order, clock, spool, metrics, told, setUp: memory.setUp };
}

describe("an intake whose queue goes away and comes back", () => {
  it("hands alerts to the queue in the order in which they were accepted", async () => {
    const { intake, order, clock, spool, setUp } = await scene();
    const sent: string[] = [];
    const send = async (n: number): Promise<void> => {
      expect((await intake.accept(body(n), "falco")).status).toBe(202);
      sent.push(body(n).toString());
    };
    await send(1);
    setUp(false);
    for (let n = 2; n < 12; n++) await send(n);
    clock.ms += 5_000;
    // It is back, and has not been tried yet: what comes now is not to overtake what waits.
    setUp(true);
    for (let n = 12; n < 20; n++) await send(n);
    await intake.drain();
    for (let n = 20; n < 25; n++) await send(n);
    expect(order).toEqual(sent);
    expect(spool.isEmpty()).toBe(true);
  });

  it("makes nobody wait for a queue that hangs: only those that found out", async () => {
    const hanging: (() => void)[] = [];
    const { intake, clock } = await scene({
      queue: {
        add: () =>
          new Promise((_resolve, reject) =>
            hanging.push(() => reject(new Error("no answer within 2000 ms"))),
          ),
      },
    });
    const first = intake.accept(body(1), "falco");
    hanging.splice(0).forEach((end) => end());
    expect((await first).status).toBe(202);
    clock.ms += 60_000;
    for (let n = 2; n < 50; n++) expect((await intake.accept(body(n), "falco")).status).toBe(202);
    // Whoever had asked the queue would wait without end.
    expect(hanging).toEqual([]);
  });

  it("begins with what an earlier process left in the spool", async () => {
    const folder = mkdtempSync(join(directory, "left-"));
    const left: StoredAlert = {
      fingerprint: "left",
      receivedAtMs: 1,
      sender: "falco",
      priority: "Notice",
      text: "left",
    };
    const before = await openSpool(folder, 1 << 20);
    await before.append([left]);
    await before.close();
    const { intake, order } = await scene({ spool: await openSpool(folder, 1 << 20) });
    await intake.accept(body(1), "falco");
    await intake.drain();
    expect(order).toEqual(["left", body(1).toString()]);
  });

  it("does not drain again before the queue had its rest", async () => {
    let tries = 0;
    const { intake, clock } = await scene({
      queue: {
        add: () => {
          tries += 1;
          return Promise.reject(new Error("away"));
        },
      },
    });
    await intake.accept(body(1), "falco");
    for (let i = 0; i < 10; i++) await intake.drain();
    clock.ms += 1_000;
    for (let i = 0; i < 10; i++) await intake.drain();
    expect(tries).toBe(2);
  });
});

/** A spool whose disk is broken. */
const brokenSpool: Spool = {
  append: () => Promise.reject(new Error("EIO")),
  drain: () => Promise.reject(new Error("EIO")),
  isEmpty: () => false,
  bytes: () => 10,
  damaged: () => 0,
  close: () => Promise.resolve(),
};

describe("an intake whose disk fails", () => {
  it("gives the queue what the disk does not take", async () => {
    const { intake, order } = await scene({ spool: brokenSpool });
    expect((await intake.accept(body(1), "falco")).status).toBe(202);
    expect(order).toHaveLength(1);
  });

  it("says that alerts are lost when the queue is away too, counts them, and does not fill the log", async () => {
    const { intake, setUp, metrics, told } = await scene({ spool: brokenSpool });
    setUp(false);
    for (let n = 1; n <= 100; n++) expect((await intake.accept(body(n), "falco")).status).toBe(503);
    expect(metrics.text()).toContain('parapet_alerts_refused_total{reason="spool failed"} 100');
    expect(told.filter((line) => line === "error alerts are lost")).toHaveLength(1);
  });
});

describe("an intake whose spool fills", () => {
  it("sheds by priority, the most urgent last, and takes up again what it is sent later", async () => {
    const { intake, setUp, metrics, clock } = await scene({ spoolBytesMax: 20_000 });
    setUp(false);
    const priorities = ["Debug", "Notice", "Warning", "Error", "Critical"];
    const shedAt = new Map<string, number>();
    let n = 0;
    for (let round = 0; round < 60; round++) {
      for (const priority of priorities) {
        const { status } = await intake.accept(body((n += 1), priority), "falco");
        if (status === 503 && !shedAt.has(priority)) shedAt.set(priority, n);
      }
    }
    const order = [...shedAt].sort(([, a], [, b]) => a - b).map(([priority]) => priority);
    expect(order.indexOf("Debug")).toBe(0);
    expect(order.indexOf("Notice")).toBe(1);
    expect(order.at(-1)).toBe("Critical");
    expect(metrics.text()).toMatch(/refused_total\{reason="spool nearly full"\} [1-9]/);
    setUp(true);
    clock.ms += 2_000;
    await intake.drain();
    expect((await intake.accept(body(99_999, "Debug"), "falco")).status).toBe(202);
  });
});
