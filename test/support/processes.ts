// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type Child = {
  readonly pid: number;
  readonly name: string;
  /** What the process wrote so far, both streams. */
  readonly log: () => string;
  readonly exitCode: () => number | null;
  /** It accepts connections and never answers; resolves once it has come to a stand. */
  readonly freeze: () => Promise<void>;
  readonly thaw: () => void;
  /** Resolves once the process is gone; SIGKILL after `graceMs`. */
  readonly stop: (signal?: NodeJS.Signals, graceMs?: number) => Promise<void>;
};

const living = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/** Starts a program with its output in `logFile`; it dies with this process, however that ends. */
export function start(
  name: string,
  command: string,
  args: readonly string[],
  options: {
    readonly logFile: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  },
): Child {
  const out = openSync(options.logFile, "a");
  const child = spawn(command, args, {
    stdio: ["ignore", out, out],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  closeSync(out);
  living.add(child);
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  }).then(() => living.delete(child));
  if (child.pid === undefined) throw new Error(`cannot start ${name}: ${command}`);
  return {
    pid: child.pid,
    name,
    log: () => readFileSync(options.logFile, "utf8"),
    exitCode: () => child.exitCode ?? (child.signalCode === null ? null : -1),
    freeze: async () => {
      child.kill("SIGSTOP");
      await eventually(`${name} stands still`, () => standsStill(child.pid ?? 0));
    },
    thaw: () => void child.kill("SIGCONT"),
    stop: async (signal = "SIGKILL", graceMs = 5_000) => {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}

/** A signal to stop is heard by one thread when it gets the processor, and the others work on until then: each has to be asked. */
function standsStill(pid: number): boolean {
  const threads = `/proc/${pid}/task`;
  if (!existsSync(threads)) return true;
  return readdirSync(threads).every((thread) => {
    // The name in parentheses may have spaces; the state is the first letter after it.
    const stat = readFileSync(`${threads}/${thread}/stat`, "utf8");
    return stat.charAt(stat.lastIndexOf(")") + 2) === "T";
  });
}

/** Ports that this process gave out: a server that is killed comes back on its own. */
const given = new Set<number>();

/**
 * A TCP port of the loopback interface that nobody has, and that stays free until its server is there, and while it is
 * restarted: below 32768, where Linux gives ports to nobody who did not name one (ip_local_port_range), neither to
 * outgoing connections nor to servers that take any.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(20_000, 32_768);
    if (given.has(port) || !(await canListen(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error("no free TCP port");
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const good = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (good) {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }
  return good;
}

/**
 * Polls until `probe` gives a value other than undefined or false. The limit is for what will never come: it costs nothing
 * where it comes at once, and leaves time to a machine that is ten times slower.
 * @throws with `what` and the last error when `timeoutMs` has passed.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 90_000,
  everyMs = 25,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    }
    await sleep(everyMs);
  }
}

/** Whether somebody listens on a port of loopback, and, where there is something to say, answers to it as expected. */
export function answers(
  port: number,
  talk?: { readonly say: string; readonly hear: string },
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new Socket();
    const done = (good: boolean) => {
      socket.destroy();
      resolve(good);
    };
    socket.setTimeout(500, () => done(false));
    socket.once("error", () => done(false));
    if (talk === undefined) {
      socket.connect(port, "127.0.0.1", () => done(true));
      return;
    }
    socket.once("data", (data) => done(data.toString("utf8").startsWith(talk.hear)));
    socket.connect(port, "127.0.0.1", () => socket.write(talk.say));
  });
}
