// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type EmbeddedRedis = { readonly url: string; readonly stop: () => Promise<void> };

const readyMsMax = 10_000;

/**
 * A redis-server of our own on a socket in the data directory, with an append-only file: for a laptop. undefined when the program is
 * not on PATH. One that a killed responder left behind is used again.
 */
export async function startEmbeddedRedis(directory: string): Promise<EmbeddedRedis | undefined> {
  const folder = resolve(directory);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const socket = join(folder, "redis.sock");
  const url = `unix://${socket}`;
  if (await answers(socket)) return { url, stop: () => Promise.resolve() };
  const child = spawn(
    "redis-server",
    [
      ...["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder],
      ...["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
      ...["--maxmemory-policy", "noeviction", "--daemonize", "no"],
    ],
    { stdio: "ignore" },
  );
  const started = await new Promise<boolean>((done) => {
    child.once("error", () => done(false));
    child.once("spawn", () => done(true));
  });
  if (!started) return undefined;
  const tries = readyMsMax / 20;
  for (let i = 0; i < tries && child.exitCode === null; i++) {
    if (await answers(socket)) return { url, stop: () => stop(child) };
    await sleep(20);
  }
  await stop(child);
  throw new Error(`redis-server did not start in ${folder}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  child.kill("SIGTERM");
  await gone;
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    const finish = (good: boolean): void => {
      socket.destroy();
      done(good);
    };
    socket.setTimeout(500, () => finish(false));
    socket.once("error", () => finish(false));
    socket.once("data", (data) => finish(data.toString("utf8").startsWith("+PONG")));
    socket.once("connect", () => socket.write("PING\r\n"));
  });
}
