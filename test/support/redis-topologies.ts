// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";
import { type Child, eventually, freePort, start } from "#test/support/processes";
import { redisServer } from "#test/support/redis";

/** One redis-server, and a client that may do everything with it. */
export type RedisProcess = {
  readonly port: number;
  readonly child: Child;
  readonly client: Redis;
};

type Options = Pick<RedisOptions, "username" | "password" | "tls">;

/** Several redis-servers that belong together, in one folder; `stop` ends all that were started. */
export type RedisGroup = {
  readonly directory: string;
  readonly launch: (
    name: string,
    flags: readonly string[],
    client?: Options,
  ) => Promise<RedisProcess>;
  /** A sentinel that watches the master called `main`. */
  readonly sentinel: (name: string, masterPort: number) => Promise<RedisProcess>;
  readonly stop: () => Promise<void>;
};

/** undefined where no redis-server is on PATH. */
export function makeRedisGroup(): RedisGroup | undefined {
  const command = redisServer();
  if (command === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "parapet-redis-"));
  const running: RedisProcess[] = [];

  const ready = async (child: Child, port: number, options: Options) => {
    const client = new Redis({ host: "127.0.0.1", port, retryStrategy: () => 50, ...options });
    client.on("error", () => undefined);
    const one = { port, child, client };
    running.push(one);
    await eventually(`redis-server on ${port}`, async () => {
      if (child.exitCode() !== null) return "ended";
      return (await client.ping()) === "PONG";
    });
    if (child.exitCode() === null) return one;
    client.disconnect();
    return undefined;
  };
  /** Another port when somebody else took the one that was free a moment ago. */
  const onFreePort = async (
    name: string,
    options: Options,
    launch: (port: number) => Child,
  ): Promise<RedisProcess> => {
    for (let tries = 0; tries < 5; tries++) {
      const port = await freePort();
      const one = await ready(launch(port), port, options);
      if (one !== undefined) return one;
    }
    throw new Error(
      `${name} does not start: ${readFileSync(join(directory, `${name}.log`), "utf8")}`,
    );
  };
  return {
    directory,
    launch: (name, flags, options = {}) => {
      const folder = join(directory, name);
      mkdirSync(folder);
      const isPlain = options.tls === undefined;
      return onFreePort(name, options, (port) =>
        start(
          name,
          command,
          [
            ...(isPlain ? ["--port", `${port}`] : ["--tls-port", `${port}`, "--port", "0"]),
            ...["--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"],
            ...["--appendfsync", "always"],
            ...["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0", ...flags],
          ],
          { logFile: join(directory, `${name}.log`) },
        ),
      );
    },
    sentinel: (name, masterPort) =>
      onFreePort(name, {}, (port) => {
        const file = join(directory, `${name}.conf`);
        writeFileSync(
          file,
          [
            `port ${port}`,
            "bind 127.0.0.1",
            `dir ${directory}`,
            `sentinel monitor main 127.0.0.1 ${masterPort} 2`,
            "sentinel down-after-milliseconds main 400",
            "sentinel failover-timeout main 2000",
            "",
          ].join("\n"),
        );
        return start(name, command, [file, "--sentinel"], {
          logFile: join(directory, `${name}.log`),
        });
      }),
    stop: async () => {
      for (const one of running) {
        one.client.disconnect();
        await one.child.stop("SIGKILL");
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export type Replicated = {
  readonly group: RedisGroup;
  readonly master: RedisProcess;
  readonly replicas: readonly RedisProcess[];
};

/** A master with two replicas, so that one is left after a failover, and three sentinels that know of all. */
export async function startSentinels(): Promise<
  (Replicated & { readonly sentinels: readonly RedisProcess[] }) | undefined
> {
  const group = makeRedisGroup();
  if (group === undefined) return undefined;
  const master = await group.launch("master", []);
  const replicas = [];
  for (const name of ["r1", "r2"]) {
    replicas.push(await group.launch(name, ["--replicaof", `127.0.0.1 ${master.port}`]));
  }
  for (const one of replicas) await follows(one);
  const sentinels = [];
  for (const name of ["s1", "s2", "s3"]) sentinels.push(await group.sentinel(name, master.port));
  for (const one of sentinels) {
    await eventually("a sentinel knows the replicas and the others", async () => {
      const told = await one.client.call("SENTINEL", "MASTER", "main");
      const text = JSON.stringify(told);
      return text.includes('"num-slaves","2"') && text.includes('"num-other-sentinels","2"');
    });
  }
  return { group, master, replicas, sentinels };
}

const follows = (replica: RedisProcess): Promise<unknown> =>
  eventually("a replica follows", async () =>
    (await replica.client.info("replication")).includes("master_link_status:up"),
  );

/** Three masters with a third of the slots each, and a replica of the one that has the queue's keys (`{bull}`). */
export async function startCluster(): Promise<
  (Replicated & { readonly nodes: readonly RedisProcess[] }) | undefined
> {
  const group = makeRedisGroup();
  if (group === undefined) return undefined;
  const flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "700"];
  const masters: RedisProcess[] = [];
  for (const name of ["a", "b", "c"]) masters.push(await group.launch(name, flags));
  const replica = await group.launch("replica", flags);
  const [first] = masters;
  if (first === undefined) throw new Error("no node");
  const bounds = [0, 5_461, 10_922, 16_384];
  for (const [i, node] of masters.entries()) {
    await node.client.call("CLUSTER", "SET-CONFIG-EPOCH", `${i + 1}`);
    const [from = 0, to = 0] = bounds.slice(i);
    await node.client.call("CLUSTER", "ADDSLOTSRANGE", `${from}`, `${to - 1}`);
    await first.client.call("CLUSTER", "MEET", "127.0.0.1", `${node.port}`);
  }
  await first.client.call("CLUSTER", "MEET", "127.0.0.1", `${replica.port}`);
  const slot = Number(await first.client.call("CLUSTER", "KEYSLOT", "{bull}"));
  const master = masters[bounds.findLastIndex((from) => from <= slot)] ?? first;
  const id = String(await master.client.call("CLUSTER", "MYID"));
  await eventually("the replica has a master", async () => {
    await replica.client.call("CLUSTER", "REPLICATE", id);
    return true;
  });
  for (const node of [...masters, replica]) {
    await eventually("the cluster is whole", async () =>
      String(await node.client.call("CLUSTER", "INFO")).includes("cluster_state:ok"),
    );
  }
  await follows(replica);
  return { group, master, replicas: [replica], nodes: [...masters, replica] };
}
