// SPDX-License-Identifier: Apache-2.0
import { keyOf, type ObjectName } from "#responder/cluster";

/** A response that was just decided to act by itself, and whose record the watch has not brought yet. */
export type Beginning = {
  readonly policy: string;
  readonly name: ObjectName;
  readonly workload: string;
};

/** What counts against limits before it is in the records: alerts of many pods come at once, and each would find nothing in force. */
export type Beginnings = {
  /** Those of a policy that none of these records is. */
  readonly of: (
    policy: string,
    records: readonly { readonly name: ObjectName }[],
  ) => readonly Beginning[];
  /** To be called in one go with the count that allowed it: nothing may come between. */
  readonly add: (one: Beginning) => void;
  /** Its record was not written. */
  readonly drop: (name: ObjectName) => void;
};

/** A record that the watch has not brought after this time was not written, or has ended. */
const keptMs = 60_000;

export function makeBeginnings(now: () => number): Beginnings {
  const begun = new Map<string, Beginning & { readonly atMs: number }>();
  return {
    of: (policy, records) => {
      for (const { name } of records) begun.delete(keyOf(name));
      for (const [key, one] of begun) if (Math.abs(now() - one.atMs) > keptMs) begun.delete(key);
      return [...begun.values()].filter((one) => one.policy === policy);
    },
    add: (one) => begun.set(keyOf(one.name), { ...one, atMs: now() }),
    drop: (name) => begun.delete(keyOf(name)),
  };
}
