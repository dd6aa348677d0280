// SPDX-License-Identifier: Apache-2.0
import {
  createPostgresBackend,
  Queue,
  runMigrations,
  UnrecoverableError,
  withBackend,
} from "bullmq";
import { Worker } from "bullmq";
import { Cluster } from "ioredis";
import type {
  AlertQueue,
  QueueDepth,
  QueueProblem,
  StoredAlert,
} from "#responder/intake/alert-queue";
import { Hopeless } from "#responder/intake/alert-queue";
import type { PglitePool } from "#responder/adapters/pglite-pool";
import { checkRedis } from "#responder/adapters/redis-check";
import {
  commandMsMax,
  connectProducer,
  consumerConnection,
  describeRedis,
  makeWaitForReplicas,
  redisAt,
  type RedisTarget,
  whenReady,
} from "#responder/adapters/redis-connection";

/** A worker that dies loses its locks after this time, and its alerts are handed over again. */
const lockMs = 5_000;
/** How long a handled alert stays known, so that a second copy of it is the same one. */
const knownSecondsMax = 3_600;
const knownMax = 20_000;
/** Tries until an alert counts as hopeless: years, at the longest pause. */
const attemptsMax = 1_000_000;
const retryMsMin = 200;
const retryMsMax = 30_000;
/** Most alerts in one round trip. */
const bulkMax = 200;

const jobOptions = {
  attempts: attemptsMax,
  backoff: { type: "custom" },
  // By age: with a count as well Postgres is two to three times slower.
  removeOnFail: false,
} as const;

const workerOptions = {
  lockDuration: lockMs,
  stalledInterval: lockMs / 2,
  // A crash is no fault of the alert, however often it happens.
  maxStalledCount: 1_000_000,
  settings: {
    backoffStrategy: (attemptsMade: number) =>
      Math.min(retryMsMax, retryMsMin * 2 ** Math.min(attemptsMade - 1, 20)),
  },
};

export type BullOptions = {
  readonly name: string;
  readonly concurrency: number;
  readonly onError: (error: Error) => void;
};

/**
 * The queue in Redis: durable as its `appendfsync` says, which is over kill -9 of any process with `everysec` and over a power cut
 * with `always`; where replicas are asked for, over the loss of the master too.
 */
export function makeRedisQueue(given: RedisTarget | string, options: BullOptions): AlertQueue {
  const target = typeof given === "string" ? redisAt(given) : given;
  const producer = connectProducer(target);
  // BullMQ listens only while a queue is open; without a listener ioredis writes to the console.
  producer.on("error", options.onError);
  // In a cluster all keys of a queue must be in one slot: those that have one hash tag are.
  const prefix = target.at.kind === "cluster" ? "{bull}" : "bull";
  const openQueue = async (): Promise<AnyQueue> => {
    await whenReady(producer, commandMsMax);
    const queue = new Queue<StoredAlert>(options.name, {
      connection: producer,
      skipWaitingForReady: true,
      prefix,
    });
    queue.on("error", () => undefined);
    try {
      await withTimeout(queue.waitUntilReady(), 2 * commandMsMax);
      return queue;
    } catch (error) {
      // A Queue whose first contact failed never works again (BullMQ keeps the rejection): the next call makes another.
      queue.close().catch(() => undefined);
      throw error;
    }
  };
  const consumer = consumerConnection(target);
  if (consumer instanceof Cluster) consumer.on("error", options.onError);
  const makeWorker = (process: Process) =>
    new Worker<StoredAlert>(options.name, process, {
      connection: consumer,
      concurrency: options.concurrency,
      prefix,
      ...workerOptions,
    });
  const remove = { removeOnComplete: { age: knownSecondsMax, count: knownMax } };
  const made = makeQueue(openQueue, makeWorker, remove, options, {
    confirm: makeWaitForReplicas(producer, target, `${prefix}:${options.name}:id`),
    check: () => checkRedis(producer, target),
    description: describeRedis(target),
  });
  return {
    ...made,
    close: async () => {
      await made.close();
      producer.disconnect();
      if (consumer instanceof Cluster) consumer.disconnect();
    },
  };
}

/** BullMQ's Postgres backend on an embedded PGlite: for a laptop and demos, one process, about 50 alerts a second. */
export async function makePgliteQueue(
  database: PglitePool,
  options: BullOptions,
): Promise<AlertQueue> {
  const client = await database.pool.connect();
  await runMigrations(client, "bullmq");
  await client.query("SET search_path TO bullmq");
  client.release();
  const backend = withBackend(createPostgresBackend);
  const queue = new backend.Queue<StoredAlert>(options.name, { connection: database.pool });
  queue.on("error", options.onError);
  await queue.waitUntilReady();
  const makeWorker = (process: Process) =>
    new backend.Worker<StoredAlert>(options.name, process, {
      connection: database.pool,
      concurrency: options.concurrency,
      ...workerOptions,
    });
  const remove = { removeOnComplete: { age: knownSecondsMax } };
  const made = makeQueue(() => Promise.resolve(queue), makeWorker, remove, options, {
    confirm: () => Promise.resolve(),
    check: () => Promise.resolve([]),
    description: "embedded PGlite, laptop and demo only",
  });
  return {
    ...made,
    close: async () => {
      await made.close();
      await database.close();
    },
  };
}

type Process = (job: { readonly data: StoredAlert }) => Promise<void>;

/** What the two backends' queues and workers have in common, as used here. */
type AnyQueue = {
  readonly addBulk: (jobs: ReturnType<typeof toJob>[]) => Promise<unknown>;
  readonly getJobCounts: () => Promise<Record<string, number>>;
  readonly close: () => Promise<void>;
};
type AnyWorker = {
  readonly on: (event: "error", listener: (error: Error) => void) => unknown;
  readonly close: () => Promise<void>;
};

type Remove = { readonly removeOnComplete: { readonly age: number; readonly count?: number } };

const toJob = (alert: StoredAlert, remove: Remove) => ({
  name: "alert",
  data: alert,
  // An id of digits alone would be refused.
  opts: { jobId: `a-${alert.fingerprint}`, ...jobOptions, ...remove },
});

function makeQueue(
  openQueue: () => Promise<AnyQueue>,
  makeWorker: (process: Process) => AnyWorker,
  remove: Remove,
  options: BullOptions,
  backend: {
    /** Resolves when what was added is where it must be. */
    readonly confirm: () => Promise<void>;
    readonly check: () => Promise<readonly QueueProblem[]>;
    readonly description: string;
  },
): AlertQueue {
  let worker: AnyWorker | undefined;
  let opened: Promise<AnyQueue> | undefined;
  const queue = (): Promise<AnyQueue> => {
    opened ??= openQueue().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  // Connected before the first alert comes; a failure shows when one does.
  queue().catch(() => undefined);
  return {
    add: async (alerts) => {
      const to = await queue();
      for (let from = 0; from < alerts.length; from += bulkMax) {
        const part = alerts.slice(from, from + bulkMax);
        await withTimeout(to.addBulk(part.map((alert) => toJob(alert, remove))), 2 * commandMsMax);
      }
      await withTimeout(backend.confirm(), commandMsMax);
    },
    start: (handle) => {
      worker = makeWorker(async (job) => {
        try {
          await handle(job.data);
        } catch (error) {
          if (error instanceof Hopeless) throw new UnrecoverableError(error.message);
          throw error;
        }
      });
      worker.on("error", options.onError);
    },
    depth: async () => toDepth(await withTimeout((await queue()).getJobCounts(), 2 * commandMsMax)),
    check: () => withTimeout(backend.check(), 2 * commandMsMax),
    close: async () => {
      await worker?.close();
      const to = await opened?.catch(() => undefined);
      await to?.close();
    },
    description: backend.description,
  };
}

const toDepth = (counts: Record<string, number>): QueueDepth => ({
  waiting: (counts["waiting"] ?? 0) + (counts["prioritized"] ?? 0) + (counts["paused"] ?? 0),
  active: counts["active"] ?? 0,
  delayed: counts["delayed"] ?? 0,
  failed: counts["failed"] ?? 0,
});

/** The last guard against a call that never answers. */
async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
