// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answers, type Child, eventually, freePort, start } from "#test/support/processes";

export type TestRedis = {
  readonly port: number;
  readonly url: string;
  /** kill -9; data stays, `restart` brings it back on the same port. */
  readonly kill: () => Promise<void>;
  readonly restart: () => Promise<void>;
  /** SIGSTOP and SIGCONT: a server that accepts connections and never answers. */
  readonly freeze: () => Promise<void>;
  readonly thaw: () => void;
  readonly stop: () => Promise<void>;
};

/** undefined, with one loud line, where no redis-server is on PATH; with CI=true that throws. */
export function redisServer(): string | undefined {
  if (spawnSync("redis-server", ["--version"], { stdio: "ignore" }).status === 0)
    return "redis-server";
  const message =
    "SKIPPED: no redis-server on PATH (Debian: apt-get install redis-server); no Redis tests";
  if (process.env["CI"] === "true") throw new Error(message);
  console.warn(message);
  return undefined;
}

/** A real Redis on a free loopback port with an append-only file, as production runs it; ready in well under a second. */
export async function startRedis(flags: readonly string[] = []): Promise<TestRedis | undefined> {
  const command = redisServer();
  if (command === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "parapet-redis-"));
  const port = await freePort();
  const launch = () =>
    start(
      "redis-server",
      command,
      [
        ...["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""],
        ...[
          "--appendonly",
          "yes",
          "--appendfsync",
          "everysec",
          "--maxmemory-policy",
          "noeviction",
          ...flags,
        ],
      ],
      { logFile: join(directory, "redis.log") },
    );
  let child: Child = launch();
  const ready = () =>
    eventually("redis-server answers", () => answers(port, { say: "PING\r\n", hear: "+PONG" }));
  await ready();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill: () => child.stop("SIGKILL"),
    restart: async () => {
      await child.stop("SIGKILL");
      child = launch();
      await ready();
    },
    freeze: () => child.freeze(),
    thaw: () => child.thaw(),
    stop: async () => {
      await child.stop("SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
