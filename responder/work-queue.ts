// SPDX-License-Identifier: Apache-2.0

/** What a handler wants to happen with its key next; undefined: nothing until it is added again. */
export type Again = { readonly inMs: number } | undefined;

export type WorkQueue = {
  /** Makes the key due, now or in `inMs`; the earliest wish counts. A key that is being worked on is run once more after. */
  readonly add: (key: string, inMs?: number) => void;
  /** Keys that wait or are being worked on. */
  readonly size: () => number;
  /** Takes no more; resolves when the handlers that run have ended. */
  readonly stop: () => Promise<void>;
};

/** First wait after a handler threw; doubled with each failure in a row. */
const backoffMsMin = 200;
const backoffMsMax = 30_000;
/** A longer setTimeout fires at once (2^31 ms); the key is simply looked at again. */
const timerMsMax = 3_600_000;

/**
 * Works on keys, never on one key twice at once, at most `concurrency` at a time. Keys are hints: the handler reads what is true.
 * Nothing is lost by a crash because the keys are found again in the cluster. A throwing handler is reported and tried again.
 */
export function makeWorkQueue(options: {
  readonly concurrency: number;
  readonly handle: (key: string) => Promise<Again>;
  readonly onError: (key: string, error: unknown) => void;
}): WorkQueue {
  const ready = new Set<string>();
  const active = new Map<string, Promise<void>>();
  const timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly atMs: number }>();
  const failures = new Map<string, number>();
  let stopped = false;

  const add = (key: string, inMs = 0): void => {
    if (stopped) return;
    const planned = timers.get(key);
    if (inMs <= 0) {
      clearTimeout(planned?.timer);
      timers.delete(key);
      ready.add(key);
      return pump();
    }
    const waitMs = Math.min(inMs, timerMsMax);
    const atMs = performance.now() + waitMs;
    if (planned !== undefined && planned.atMs <= atMs) return;
    clearTimeout(planned?.timer);
    const timer = setTimeout(() => {
      timers.delete(key);
      add(key);
    }, waitMs);
    timer.unref();
    timers.set(key, { timer, atMs });
  };

  const run = async (key: string) => {
    try {
      const again = await options.handle(key);
      failures.delete(key);
      if (again !== undefined) add(key, Math.max(1, again.inMs));
    } catch (error) {
      const failed = (failures.get(key) ?? 0) + 1;
      failures.set(key, failed);
      options.onError(key, error);
      add(key, backoffMs(failed));
    }
  };

  const pump = (): void => {
    for (const key of ready) {
      if (stopped || active.size >= options.concurrency) return;
      if (active.has(key)) continue;
      ready.delete(key);
      const done = run(key).finally(() => {
        active.delete(key);
        pump();
      });
      active.set(key, done);
    }
  };

  return {
    add,
    size: () => ready.size + active.size,
    stop: async () => {
      stopped = true;
      for (const { timer } of timers.values()) clearTimeout(timer);
      timers.clear();
      ready.clear();
      await Promise.all(active.values());
    },
  };
}

const backoffMs = (failed: number): number =>
  Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(failed - 1, 20));
