// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: what came is counted in Redis, where all replicas count together.
import type { Redis } from "ioredis";
import type { RedisTarget } from "#responder/adapters/redis-connection";
import { connectProducer } from "#responder/adapters/redis-connection";

/** Counts that outlive a process, and one text for each replica. Held to one contract: received-counts.test.ts. */
export type ReceivedCounts = {
  readonly add: (counts: ReadonlyMap<string, number>) => Promise<void>;
  readonly read: () => Promise<ReadonlyMap<string, number>>;
  readonly save: (name: string, text: string) => Promise<void>;
  readonly load: (name: string) => Promise<string | undefined>;
  readonly close: () => void;
};

/** Counts of one process, for an embedded queue: a restart begins anew. */
export function makeMemoryCounts(): ReceivedCounts {
  const counts = new Map<string, number>();
  const texts = new Map<string, string>();
  return {
    add: (more) => {
      for (const [key, count] of more) counts.set(key, (counts.get(key) ?? 0) + count);
      return Promise.resolve();
    },
    read: () => Promise.resolve(new Map(counts)),
    save: (name, text) => {
      texts.set(name, text);
      return Promise.resolve();
    },
    load: (name) => Promise.resolve(texts.get(name)),
    close: () => undefined,
  };
}

/** What nobody added to for so long is forgotten. */
const keptSeconds = 30 * 24 * 3_600;

/** Counts in one hash beside the queue; each call ends within about a second. */
export function makeRedisCounts(
  target: RedisTarget,
  name: string,
  onError: (error: Error) => void,
): ReceivedCounts {
  const connection = connectProducer(target);
  connection.on("error", onError);
  // One slot for all of it, as the queue has.
  const prefix = `${target.at.kind === "cluster" ? "{bull}" : "bull"}:${name}-losses`;
  const hash = `${prefix}:received`;
  return {
    add: async (counts) => {
      if (counts.size === 0) return;
      const transaction = connection.multi();
      for (const [key, count] of counts) transaction.hincrby(hash, key, count);
      const replies = await transaction.expire(hash, keptSeconds).exec();
      const failed = replies?.find(([error]) => error !== null)?.[0];
      if (failed instanceof Error) throw failed;
    },
    read: async () => {
      const all: Awaited<ReturnType<Redis["hgetall"]>> = await connection.hgetall(hash);
      return new Map(Object.entries(all).map(([key, count]) => [key, Number(count)]));
    },
    save: async (who, text) => {
      await connection.set(`${prefix}:state:${who}`, text, "EX", keptSeconds);
    },
    load: async (who) => (await connection.get(`${prefix}:state:${who}`)) ?? undefined,
    close: () => connection.disconnect(),
  };
}
