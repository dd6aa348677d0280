// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: connections to Redis.
import { isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from "ioredis";

export type RedisNode = { readonly host: string; readonly port: number };

export type RedisTls = {
  /** PEM texts; without `ca` the system's authorities count. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate must have, where it is not that of the address. */
  readonly serverName?: string;
};

/** Itself, or asked for whenever a connection is made: what is rotated then needs no restart. */
export type Renewed<T> = T | (() => T);

/** Where Redis is and how we are known there. */
export type RedisTarget = {
  readonly at:
    | { readonly kind: "url"; readonly url: string }
    | {
        readonly kind: "sentinel";
        /** What the sentinels call the master. */
        readonly name: string;
        readonly nodes: readonly RedisNode[];
        readonly username?: string;
        readonly password?: Renewed<string>;
      }
    | { readonly kind: "cluster"; readonly nodes: readonly RedisNode[] };
  readonly username?: string;
  readonly password?: Renewed<string>;
  readonly database?: number;
  readonly tls?: Renewed<RedisTls>;
  /** An alert is accepted when so many replicas have it too: a master that dies takes with it what it had not passed on. */
  readonly replicas: number;
  /** The weakest `appendfsync` that will do where no replica has to have an alert too; `always` unless told. */
  readonly appendfsync?: "always" | "everysec";
};

/** A Redis by its address alone. */
export const redisAt = (url: string): RedisTarget => ({ at: { kind: "url", url }, replicas: 0 });

/** Longest wait for Redis to answer a command of the intake; then the spool takes the alert. */
export const commandMsMax = 1_000;

/** Longest wait for replicas: `WAIT`'s own limit, within the command's. */
export const replicasMsMax = 500;

/** All but what changes the types of answers. */
type Options = Omit<RedisOptions, "replyMapping" | "himportFieldsets">;

/** A connection to which commands are given; each of them ends within {@link commandMsMax}. */
export function connectProducer(target: RedisTarget): Redis | Cluster {
  const limits = {
    maxRetriesPerRequest: 1,
    // A Redis that accepts connections and does not answer would hold the check, and all behind it, for ever.
    enableReadyCheck: false,
    commandTimeout: commandMsMax,
    connectTimeout: commandMsMax,
  };
  if (target.at.kind === "cluster") return cluster(target, limits);
  return new Redis({ ...redisOptions(target), ...limits });
}

/** Resolves when commands can be given; rejects after `timeoutMs`. ioredis goes on trying to connect, whatever comes of this. */
export async function whenReady(connection: Redis | Cluster, timeoutMs: number): Promise<void> {
  if (connection.status === "ready") return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => reject(new Error(`not connected within ${timeoutMs} ms`)),
    timeoutMs,
  );
  connection.once("ready", resolve);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    connection.off("ready", resolve);
  }
}

/** What BullMQ's worker makes its two connections from: options, or a cluster's connection that it copies. */
export function consumerConnection(
  target: RedisTarget,
): Readonly<Record<string, unknown>> | Cluster {
  // Blocking commands may wait for as long as it takes.
  const limits = { maxRetriesPerRequest: null };
  return target.at.kind === "cluster"
    ? cluster(target, limits)
    : { ...redisOptions(target), ...limits };
}

function cluster(
  target: RedisTarget,
  limits: Pick<RedisOptions, "maxRetriesPerRequest" | "commandTimeout" | "connectTimeout">,
): Cluster {
  const nodes = target.at.kind === "cluster" ? target.at.nodes : [];
  const each: Omit<NonNullable<ClusterOptions["redisOptions"]>, "replyMapping"> = {
    ...auth(target),
    ...secrets(target),
    ...limits,
  };
  const connection = new Cluster([...nodes], {
    redisOptions: each,
    // The nodes name each other; a certificate holds the name as it is, not what it resolves to.
    dnsLookup: (address, callback) => callback(null, address),
    clusterRetryStrategy: (times) => retryMs(times),
    retryDelayOnFailover: 200,
    retryDelayOnClusterDown: 200,
    slotsRefreshTimeout: commandMsMax,
    slotsRefreshInterval: 10_000,
    enableReadyCheck: false,
  });
  // A node's first connection is made after this; it and the copies of it take the secrets from its options each time.
  connection.on("+node", (node: Redis) => {
    for (const name of ["password", "tls"] as const) {
      if (target[name] === undefined) continue;
      const get = () => secrets(target)[name];
      Object.defineProperty(node.options, name, { get, enumerable: true });
    }
  });
  // BullMQ's own connections: a plain copy would not hear of its nodes here.
  connection.duplicate = () => cluster(target, limits);
  return connection;
}

const retryMs = (times: number): number => Math.min(1_000, 50 * times);

/** ioredis options of a single Redis or of one behind Sentinel. */
function redisOptions(target: RedisTarget): Options {
  const common: Options = {
    ...auth(target),
    ...secrets(target),
    // A method of the options that the next connection is made from, as ioredis calls it.
    retryStrategy(times) {
      Object.assign(this, secrets(target));
      return retryMs(times);
    },
    ...(target.database === undefined ? {} : { db: target.database }),
    // A master that became a replica refuses writes; the address may belong to another by now.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  };
  if (target.at.kind === "sentinel") {
    const { name, nodes, username } = target.at;
    return {
      ...common,
      name,
      sentinels: nodes.map((node) => ({ ...node })),
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(target.tls === undefined ? {} : { enableTLSForSentinelMode: true }),
      sentinelCommandTimeout: commandMsMax,
      sentinelRetryStrategy(times) {
        Object.assign(this, secrets(target));
        return retryMs(times);
      },
      failoverDetector: true,
    };
  }
  return target.at.kind === "url" ? { ...urlOptions(target.at.url), ...common } : common;
}

/** ioredis options of a `redis://`, `rediss://` or `unix://` URL. */
function urlOptions(url: string): Options {
  const parsed = new URL(url);
  const user = {
    ...(parsed.username === "" ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === "" ? {} : { password: decodeURIComponent(parsed.password) }),
  };
  if (parsed.protocol === "unix:") return { path: decodeURIComponent(parsed.pathname), ...user };
  const database = Number(parsed.pathname.slice(1));
  return {
    host: bare(parsed.hostname),
    port: parsed.port === "" ? 6379 : Number(parsed.port),
    ...user,
    ...(Number.isInteger(database) && database > 0 ? { db: database } : {}),
    ...(parsed.protocol === "rediss:" ? { tls: nameOf(bare(parsed.hostname)) } : {}),
  };
}

/** For the server to choose its certificate by; addresses are no such name (RFC 6066). */
const nameOf = (host: string): TlsOptions => (isIP(host) === 0 ? { servername: host } : {});

const bare = (host: string): string => host.replace(/^\[|\]$/g, "");

const auth = (target: RedisTarget): Pick<RedisOptions, "username"> =>
  target.username === undefined ? {} : { username: target.username };

/** What may be another one at the next connection. */
function secrets({
  at,
  password,
  tls,
}: RedisTarget): Pick<RedisOptions, "password" | "tls" | "sentinelPassword" | "sentinelTLS"> {
  const options =
    tls === undefined ? undefined : tlsOptions(typeof tls === "function" ? tls() : tls);
  const isSentinel = at.kind === "sentinel";
  return {
    ...(password === undefined ? {} : { password: now(password) }),
    ...(options === undefined ? {} : { tls: options }),
    ...(isSentinel && at.password !== undefined ? { sentinelPassword: now(at.password) } : {}),
    ...(isSentinel && options !== undefined ? { sentinelTLS: options } : {}),
  };
}

const now = (one: Renewed<string>): string => (typeof one === "function" ? one() : one);

const tlsOptions = (tls: RedisTls): TlsOptions => ({
  minVersion: "TLSv1.2",
  ...(tls.ca === undefined ? {} : { ca: tls.ca }),
  ...(tls.cert === undefined ? {} : { cert: tls.cert }),
  ...(tls.key === undefined ? {} : { key: tls.key }),
  ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
});

/** For people and logs: no credentials. */
export function describeRedis(target: RedisTarget): string {
  const nodes = (all: readonly RedisNode[]): string =>
    all.map((node) => `${node.host}:${node.port}`).join(", ");
  switch (target.at.kind) {
    case "url": {
      const parsed = new URL(target.at.url);
      parsed.username = "";
      parsed.password = "";
      return `Redis at ${parsed.toString()}`;
    }
    case "sentinel":
      return `Redis ${target.at.name} behind Sentinel at ${nodes(target.at.nodes)}`;
    case "cluster":
      return `Redis Cluster at ${nodes(target.at.nodes)}`;
    default:
      return target.at satisfies never;
  }
}

/**
 * Resolves when as many replicas as the target asks for have what was written on this connection before; rejects when they
 * have not in time. In a cluster the node that owns `key` is asked: `WAIT` looks at its own connection only.
 */
export function makeWaitForReplicas(
  connection: Redis | Cluster,
  target: RedisTarget,
  key: string,
): () => Promise<void> {
  let slot: number | undefined;
  const owner = async (): Promise<Redis> => {
    if (!(connection instanceof Cluster)) return connection;
    slot ??= await connection.cluster("KEYSLOT", key);
    const address = connection.slots[slot]?.[0];
    const node = connection
      .nodes("master")
      .find((one) => `${one.options.host}:${one.options.port}` === address);
    if (node === undefined) throw new Error("no node has the queue's slot");
    return node;
  };
  return async () => {
    if (target.replicas === 0) return;
    const have = await (await owner()).wait(target.replicas, replicasMsMax);
    if (have < target.replicas) {
      throw new Error(`${have} of ${target.replicas} replicas have the alerts`);
    }
  };
}
