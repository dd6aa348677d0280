// SPDX-License-Identifier: Apache-2.0
import type { Allowance } from "#responder/budget";
import { keyOf, type ObjectName, type Reply } from "#responder/cluster";

/** A response that was just decided to act by itself, and whose record the watch may not have brought yet. */
export type Beginning = {
  readonly policy: string;
  readonly name: ObjectName;
  readonly workload: string;
};

/** How far a response may go, with those that have begun beside it. Asked again when another replica began one meanwhile. */
export type Ask = (begun: readonly Beginning[]) => Allowance;

/**
 * What counts against limits before it is in the records: alerts of many pods come at once, on every replica, and each would find
 * nothing in force. In adapters/redis-beginnings.ts where replicas share a Redis; held to one contract suite.
 */
export type Beginnings = {
  /**
   * Asks with the beginnings of the same policy that are known, and counts this one in the same go where the answer is to act. Safe
   * to repeat: one that a crash cut short is counted once. Unavailable when it cannot be counted: then nothing is to be done.
   */
  readonly begin: (one: Beginning, ask: Ask) => Promise<Reply<Allowance>>;
  readonly close: () => void;
};

/** Whether a record may exist; true when it cannot be told. */
export type IsThere = (name: ObjectName) => Promise<boolean>;

/** A beginning whose record is not there after this time never came to one. */
export const writtenMs = 60_000;

/** No watch is behind by more than this: it is told of the record, or begins anew. */
export const keptMs = 600_000;

/** Asks without counting where a response does not act anyway, or where nothing acts. */
export async function allowAndBegin(
  beginnings: Beginnings | undefined,
  one: Beginning,
  ask: Ask,
): Promise<Reply<Allowance>> {
  const alone = ask([]);
  if (alone.mode !== "Automatic" || beginnings === undefined) return { ok: true, value: alone };
  return beginnings.begin(one, ask);
}

/** For one process: nothing is awaited between the question and the count. */
export function makeBeginnings(now: () => number): Beginnings {
  const begun = new Map<string, Beginning & { readonly atMs: number }>();
  return {
    begin: (one, ask) => {
      for (const [key, { atMs }] of begun)
        if (Math.abs(now() - atMs) > writtenMs) begun.delete(key);
      const value = ask(othersOf(one, [...begun.values()]));
      if (value.mode === "Automatic") begun.set(keyOf(one.name), { ...one, atMs: now() });
      return Promise.resolve({ ok: true, value });
    },
    close: () => begun.clear(),
  };
}

/** Those of the same policy without the one itself: it may have been counted before a crash. */
export const othersOf = (one: Beginning, begun: readonly Beginning[]): readonly Beginning[] =>
  begun.filter(({ policy, name }) => policy === one.policy && keyOf(name) !== keyOf(one.name));
