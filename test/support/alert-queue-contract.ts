// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import type { AlertQueue, StoredAlert } from "#responder/intake/alert-queue";
import { Hopeless } from "#responder/intake/alert-queue";
import { eventually } from "#test/support/processes";

export const storedAlert = (fingerprint: string, more: Partial<StoredAlert> = {}): StoredAlert => ({
  fingerprint,
  receivedAtMs: 1_783_198_004_180,
  sender: "falco",
  priority: "Notice",
  text: `{"rule":"r","output":"a \\u003c b \\ud83d\\ude00","evt.num":9007199254740993}`,
  ...more,
});

/** What every AlertQueue must do, whatever is behind it. `open` gives a new and empty one. */
export function queueContract(open: () => Promise<AlertQueue>): void {
  const using = async (use: (queue: AlertQueue) => Promise<void>): Promise<void> => {
    const queue = await open();
    try {
      await use(queue);
    } finally {
      await queue.close();
    }
  };

  it("hands over what was added, unchanged, also when it was added before the start", () =>
    using(async (queue) => {
      const sent = [storedAlert("a1"), storedAlert("b2", { bytes: "/w==" })];
      await queue.add(sent);
      const got: StoredAlert[] = [];
      queue.start((alert) => {
        got.push(alert);
        return Promise.resolve();
      });
      await queue.add([storedAlert("c3")]);
      await eventually("three", () => got.length === 3);
      const sorted = got.sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
      expect(sorted).toEqual([...sent, storedAlert("c3")]);
    }));

  it("wakes a worker that waits, without its polling", () =>
    using(async (queue) => {
      const got: number[] = [];
      queue.start(() => {
        got.push(performance.now());
        return Promise.resolve();
      });
      // BullMQ's workers poll every five seconds where no notification reaches them, first at 4.7 s from then.
      await sleep(300);
      const addedAt = performance.now();
      await queue.add([storedAlert("a1")]);
      await eventually("handled", () => got.length === 1);
      expect((got[0] ?? 0) - addedAt).toBeLessThan(4_000);
    }));

  it("keeps one of alerts with one fingerprint, before and after it was handled", () =>
    using(async (queue) => {
      await queue.add([storedAlert("a1"), storedAlert("a1", { sender: "falcosidekick" })]);
      await queue.add([storedAlert("a1")]);
      const got: string[] = [];
      queue.start((alert) => {
        got.push(alert.sender);
        return Promise.resolve();
      });
      await eventually("one", () => got.length === 1);
      await queue.add([storedAlert("a1"), storedAlert("z9")]);
      await eventually("another", () => got.length === 2);
      expect(got).toEqual(["falco", "falco"]);
    }));

  it("hands an alert over again when its handler fails, and none twice at once", () =>
    using(async (queue) => {
      let running = 0;
      let most = 0;
      let tries = 0;
      queue.start(async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running -= 1;
        tries += 1;
        if (tries < 3) throw new Error("not yet");
      });
      await queue.add([storedAlert("a1")]);
      await eventually("three tries", () => tries === 3);
      expect(most).toBe(1);
    }));

  it("sets a hopeless alert aside and goes on", () =>
    using(async (queue) => {
      const got: string[] = [];
      queue.start((alert) => {
        got.push(alert.fingerprint);
        return alert.fingerprint === "bad"
          ? Promise.reject(new Hopeless("cannot be read"))
          : Promise.resolve();
      });
      await queue.add([storedAlert("bad"), storedAlert("good")]);
      await eventually("set aside", async () => (await queue.depth()).failed === 1);
      await eventually("handled", () => got.includes("good"));
      expect(got.filter((one) => one === "bad")).toHaveLength(1);
    }));

  it("works on many at once, and loses none of 300", () =>
    using(async (queue) => {
      const got = new Set<string>();
      const all = Array.from({ length: 300 }, (_, i) => storedAlert(`n${i}`));
      queue.start((alert) => {
        got.add(alert.fingerprint);
        return Promise.resolve();
      });
      // A queue that is slow may say that it is not certain; whoever adds then does so again, as the spool does.
      const add = (some: readonly StoredAlert[]) =>
        eventually("taken", () => queue.add(some).then(() => true));
      await Promise.all([add(all.slice(0, 250)), ...all.slice(250).map((one) => add([one]))]);
      await eventually("all", () => got.size === 300);
      await eventually("an empty queue", async () => {
        const depth = await queue.depth();
        return depth.waiting + depth.active + depth.delayed === 0;
      });
    }));
}
