// SPDX-License-Identifier: Apache-2.0

/** One holder for each key at a time, in the order they asked. */
export type Locks = {
  /** Resolves with the release, which may be called more than once. */
  readonly take: (key: string) => Promise<() => void>;
};

export function makeLocks(): Locks {
  const tails = new Map<string, Promise<void>>();
  return {
    take: async (key) => {
      const before = tails.get(key);
      const mine = Promise.withResolvers<void>();
      tails.set(key, mine.promise);
      await before;
      return () => {
        if (tails.get(key) === mine.promise) tails.delete(key);
        mine.resolve();
      };
    },
  };
}
