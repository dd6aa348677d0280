// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from "node:events";
import { Worker } from "node:worker_threads";
import type { PgNotification, PgPool, PgPoolClient } from "bullmq";
import type { PgliteAnswer, PgliteRequest } from "#responder/adapters/pglite-worker";

type Result = { readonly rows: readonly unknown[]; readonly rowCount: number };

/** Postgres error codes pass through, so that BullMQ recognises them. */
class DatabaseError extends Error {
  readonly code: string;
  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

export type PglitePool = { readonly pool: PgPool; readonly close: () => Promise<void> };

/**
 * PGlite behind node-postgres' pool interface, as far as BullMQ uses it: one connection, so queries run one after the other and
 * a transaction keeps the others out from BEGIN to COMMIT. The search path is BullMQ's schema.
 */
export async function openPglite(directory: string): Promise<PglitePool> {
  const worker = new Worker(new URL("./pglite-worker.ts", import.meta.url), {
    workerData: directory,
  });
  const waiting = new Map<number, PromiseWithResolvers<Result>>();
  const notifications = new EventEmitter();
  const ready = Promise.withResolvers<void>();
  let ids = 0;
  worker.on("message", (answer: PgliteAnswer) => {
    switch (answer.kind) {
      case "ready":
        return ready.resolve();
      case "notification":
        return void notifications.emit("notification", answer);
      case "result":
        waiting.get(answer.id)?.resolve(answer);
        return void waiting.delete(answer.id);
      case "error":
        waiting.get(answer.id)?.reject(new DatabaseError(answer.message, answer.code));
        return void waiting.delete(answer.id);
      default:
        return answer satisfies never;
    }
  });
  const fail = (error: Error): void => {
    ready.reject(error);
    for (const one of waiting.values()) one.reject(error);
    waiting.clear();
  };
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error("the embedded database has stopped")));
  const ask = (
    kind: PgliteRequest["kind"],
    text: string,
    params: readonly unknown[],
  ): Promise<Result> => {
    const request: PgliteRequest = { id: ++ids, kind, text, params };
    const answer = Promise.withResolvers<Result>();
    waiting.set(request.id, answer);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    worker.postMessage(request);
    return answer.promise;
  };
  await ready.promise;
  return {
    pool: makePool(ask, notifications),
    close: async () => {
      await ask("close", "", []).catch(() => undefined);
      await worker.terminate();
    },
  };
}

type Ask = (
  kind: PgliteRequest["kind"],
  text: string,
  params: readonly unknown[],
) => Promise<Result>;

function makePool(ask: Ask, notifications: EventEmitter): PgPool {
  let tail: Promise<void> = Promise.resolve();
  const lock = async (): Promise<() => void> => {
    const mine = Promise.withResolvers<void>();
    const before = tail;
    tail = mine.promise;
    await before;
    return mine.resolve;
  };
  notifications.setMaxListeners(0);
  const makeClient = (): PgPoolClient => {
    const emitter = new EventEmitter();
    const forward = (message: PgNotification): void => void emitter.emit("notification", message);
    let unlock: (() => void) | undefined;
    const query = async (text: string, params: readonly unknown[] = []): Promise<Result> => {
      const statement = withoutComments(text);
      const listen = /^LISTEN\s+"?([^";\s]+)"?/i.exec(statement)?.[1];
      const inTransaction = unlock !== undefined;
      unlock ??= await lock();
      try {
        if (listen === undefined) return await ask("query", text, params);
        notifications.removeListener("notification", forward).on("notification", forward);
        return await ask("listen", listen, []);
      } finally {
        const begins = /^(?:BEGIN|START TRANSACTION)/i.test(statement);
        const ends = /^(?:COMMIT|ROLLBACK|END)\b(?!\s+TO)/i.test(statement);
        if (inTransaction ? ends : !begins) {
          unlock();
          unlock = undefined;
        }
      }
    };
    const release = (): void => {
      notifications.removeListener("notification", forward);
      unlock?.();
      unlock = undefined;
    };
    return clientOf(emitter, query, release);
  };
  const events = new EventEmitter();
  const shared = (text: string, params?: readonly unknown[]) => {
    const client = makeClient();
    return client.query<never>(text, params).finally(() => client.release());
  };
  const pool = {
    connect: () => Promise.resolve(makeClient()),
    query: shared,
    end: () => Promise.resolve(),
    on: (event: string, listener: (...args: unknown[]) => void) => {
      events.on(event, listener);
      return pool;
    },
    removeAllListeners: (event?: string) => {
      events.removeAllListeners(event);
      return pool;
    },
    options: { keepAlive: true },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- generic in the rows, which only the caller knows
  return pool as unknown as PgPool;
}

/** BullMQ's statements come with a comment before them. */
const withoutComments = (text: string): string => text.replace(/^(?:\s*--[^\n]*\n)*\s*/, "");

function clientOf(
  emitter: EventEmitter,
  query: (text: string, params?: readonly unknown[]) => Promise<Result>,
  release: () => void,
): PgPoolClient {
  const client = {
    query,
    release,
    on: (event: string, listener: (...args: unknown[]) => void) => {
      emitter.on(event, listener);
      return client;
    },
    removeListener: (event: string, listener: (...args: unknown[]) => void) => {
      emitter.removeListener(event, listener);
      return client;
    },
    removeAllListeners: (event?: string) => {
      emitter.removeAllListeners(event);
      return client;
    },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as for the pool
  return client as unknown as PgPoolClient;
}
