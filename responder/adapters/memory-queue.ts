// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import type { AlertQueue, StoredAlert } from "#responder/intake/alert-queue";
import { Hopeless } from "#responder/intake/alert-queue";

/** Pause before an alert whose handler threw is handed over again. */
const retryMs = 20;

/** A queue for tests: nothing survives the process. `setUp(false)` makes it refuse, as a Redis that is away. */
export function makeMemoryQueue(): AlertQueue & { readonly setUp: (up: boolean) => void } {
  const known = new Set<string>();
  const waiting: StoredAlert[] = [];
  const failed: StoredAlert[] = [];
  const running = new Set<Promise<void>>();
  let handle: ((alert: StoredAlert) => Promise<void>) | undefined;
  let up = true;
  let closed = false;

  const work = async (alert: StoredAlert, handler: NonNullable<typeof handle>): Promise<void> => {
    while (!closed) {
      try {
        return await handler(alert);
      } catch (error) {
        if (error instanceof Hopeless) {
          failed.push(alert);
          return;
        }
        await sleep(retryMs);
      }
    }
  };
  const pump = (): void => {
    if (handle === undefined || closed) return;
    for (const alert of waiting.splice(0)) {
      const done = work(alert, handle).finally(() => running.delete(done));
      running.add(done);
    }
  };
  return {
    add: (alerts) => {
      if (!up || closed) return Promise.reject(new Error("the queue is away"));
      for (const alert of alerts) {
        if (known.has(alert.fingerprint)) continue;
        known.add(alert.fingerprint);
        waiting.push(alert);
      }
      pump();
      return Promise.resolve();
    },
    start: (handler) => {
      handle = handler;
      pump();
    },
    depth: () =>
      Promise.resolve({
        waiting: waiting.length,
        active: running.size,
        delayed: 0,
        failed: failed.length,
      }),
    check: () => (up ? Promise.resolve([]) : Promise.reject(new Error("the queue is away"))),
    close: async () => {
      closed = true;
      await Promise.all(running);
    },
    description: "in memory; nothing survives the process",
    setUp: (now) => {
      up = now;
    },
  };
}
