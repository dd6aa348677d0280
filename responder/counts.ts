// SPDX-License-Identifier: Apache-2.0
import type { Counts } from "#responder/reconcile";

type Pending = {
  readonly fingerprint: string;
  readonly atMs: number;
  readonly done: PromiseWithResolvers<void>;
};

/** Alerts wait so long for others of the same remediation, so that a burst costs few writes. */
const gatherMs = 150;

export type Counter = Counts & {
  /** Resolves when the alert is in the remediation's status; rejects when it cannot get there now. */
  readonly count: (key: string, fingerprint: string, atMs: number) => Promise<void>;
  /** Gives up on all that wait: their alerts stay in the queue. */
  readonly stop: () => void;
};

/** Gathers the alerts that remediations count, until the worker of each writes them along. */
export function makeCounter(wake: (key: string, inMs: number) => void): Counter {
  const waiting = new Map<string, Pending[]>();
  const taken = new Map<string, Pending[]>();
  return {
    count: (key, fingerprint, atMs) => {
      const done = Promise.withResolvers<void>();
      const list = waiting.get(key) ?? [];
      list.push({ fingerprint, atMs, done });
      waiting.set(key, list);
      wake(key, gatherMs);
      return done.promise;
    },
    take: (key) => {
      const all = [...(taken.get(key) ?? []), ...(waiting.get(key) ?? [])];
      waiting.delete(key);
      if (all.length > 0) taken.set(key, all);
      return all;
    },
    settle: (key, written) => {
      const list = taken.get(key) ?? [];
      taken.delete(key);
      if (written) for (const one of list) one.done.resolve();
      else if (list.length > 0) waiting.set(key, [...list, ...(waiting.get(key) ?? [])]);
    },
    stop: () => {
      for (const list of [...waiting.values(), ...taken.values()]) {
        for (const one of list) one.done.reject(new Error("the responder stops"));
      }
      waiting.clear();
      taken.clear();
    },
  };
}
