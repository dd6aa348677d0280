// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePgliteQueue, makeRedisQueue } from "#responder/adapters/bull-queue";
import { startEmbeddedRedis } from "#responder/adapters/embedded-redis";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { openPglite, type PglitePool } from "#responder/adapters/pglite-pool";
import { queueContract, storedAlert } from "#test/support/alert-queue-contract";
import { eventually } from "#test/support/processes";
import { redisServer, startRedis, type TestRedis } from "#test/support/redis";

const directory = mkdtempSync(join(tmpdir(), "parapet-queue-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let number = 0;
const options = () => ({
  name: `q-${(number += 1)}`,
  concurrency: 20,
  onError: () => undefined,
});

describe("the queue in memory", () => {
  queueContract(() => Promise.resolve(makeMemoryQueue()));
});

describe.skipIf(redisServer() === undefined)("the queue in Redis", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    const started = await startRedis();
    if (started === undefined) throw new Error("no Redis");
    redis = started;
  });
  afterAll(() => redis?.stop());
  queueContract(() => Promise.resolve(makeRedisQueue(redis.url, options())));

  it("refuses within three seconds while Redis is dead or hangs, and takes alerts again after", async () => {
    const queue = makeRedisQueue(redis.url, options());
    await queue.add([storedAlert("before")]);
    const refusal = async (): Promise<number> => {
      const startedAt = performance.now();
      await expect(queue.add([storedAlert("x")])).rejects.toBeInstanceOf(Error);
      return performance.now() - startedAt;
    };
    await redis.kill();
    expect(await refusal()).toBeLessThan(3_000);
    await redis.restart();
    await eventually("taken again", async () => {
      await queue.add([storedAlert("after")]);
      return true;
    });
    await redis.freeze();
    expect(await refusal()).toBeLessThan(3_000);
    redis.thaw();
    const got = new Set<string>();
    queue.start((alert) => {
      got.add(alert.fingerprint);
      return Promise.resolve();
    });
    await eventually("both handed over", () => got.has("before") && got.has("after"));
    await queue.close();
  });

  it("begins to work when Redis comes up after it", async () => {
    await redis.kill();
    const queue = makeRedisQueue(redis.url, options());
    await expect(queue.add([storedAlert("early")])).rejects.toBeInstanceOf(Error);
    const got = new Set<string>();
    queue.start((alert) => {
      got.add(alert.fingerprint);
      return Promise.resolve();
    });
    await redis.restart();
    await eventually("taken", async () => {
      await queue.add([storedAlert("late")]);
      return true;
    });
    await eventually("handed over", () => got.has("late"));
    await queue.close();
  });
});

describe.skipIf(redisServer() === undefined)("a redis-server of our own", () => {
  it("keeps what it was given over its own end", async () => {
    const folder = join(directory, "embedded");
    const name = options();
    for (const fingerprint of ["one", "two"]) {
      const redis = await startEmbeddedRedis(folder);
      if (redis === undefined) throw new Error("no redis-server");
      const queue = makeRedisQueue(redis.url, name);
      await eventually("taken", async () => {
        await queue.add([storedAlert(fingerprint)]);
        return true;
      });
      const depth = await queue.depth();
      expect(depth.waiting).toBe(fingerprint === "one" ? 1 : 2);
      await queue.close();
      await redis.stop();
    }
  });
});

describe("the queue in PGlite", () => {
  let database: PglitePool;
  beforeAll(async () => {
    database = await openPglite(join(directory, "pglite"));
  });
  afterAll(() => database?.close());
  // Queues of their own names in one database: making a database takes seconds.
  queueContract(() =>
    makePgliteQueue({ pool: database.pool, close: () => Promise.resolve() }, options()),
  );
});
