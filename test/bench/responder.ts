// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { types } from "#responder/cluster";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { eventually, freePort, start } from "#test/support/processes";
import { startRedis } from "#test/support/redis";
import { repository } from "#test/support/shared";

/** One line of the table. */
export type Row = { readonly what: string; readonly figure: string; readonly aim: string };

const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
const latencies = (ms: readonly number[]): string => {
  const sorted = [...ms].sort((a, b) => a - b);
  return `p50 ${percentile(sorted, 0.5).toFixed(1)} p99 ${percentile(sorted, 0.99).toFixed(1)} ms`;
};

function post(agent: Agent, url: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${intakeToken}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const outgoing = request(url, { method: "POST", agent, headers }, (reply) => {
      reply.resume();
      reply.once("end", () => resolve(reply.statusCode ?? 0));
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** Posts `count` alerts, `concurrency` at a time, or evenly at `perSecond`; gives each one's latency. */
async function load(
  url: string,
  options: { readonly count: number; readonly concurrency: number; readonly perSecond?: number },
): Promise<{ readonly ms: readonly number[]; readonly seconds: number; readonly refused: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.concurrency });
  const ms: number[] = [];
  let refused = 0;
  let next = 0;
  const startedAt = performance.now();
  const one = async (i: number): Promise<void> => {
    const at = performance.now();
    const status = await post(agent, url, shellAlert("nowhere", "web", Date.now(), i));
    ms.push(performance.now() - at);
    if (status !== 202) refused += 1;
  };
  if (options.perSecond === undefined) {
    const lane = async (): Promise<void> => {
      while (next < options.count) await one(next++);
    };
    await Promise.all(Array.from({ length: options.concurrency }, lane));
  } else {
    const all: Promise<void>[] = [];
    while (next < options.count) {
      const due = Math.floor(((performance.now() - startedAt) / 1_000) * options.perSecond);
      while (next < Math.min(due, options.count)) all.push(one(next++));
      await sleep(1);
    }
    await Promise.all(all);
  }
  agent.destroy();
  return { ms, seconds: (performance.now() - startedAt) / 1_000, refused };
}

/** The intake alone: an API server that is not there, so nothing but acceptance is measured. */
async function intake(kind: "redis" | "pglite"): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "parapet-bench-"));
  const redis = kind === "redis" ? await startRedis() : undefined;
  if (kind === "redis" && redis === undefined) return [];
  const [port, operations] = [await freePort(), await freePort()];
  const child = start("responder", "node", [join(repository, "responder/main.ts")], {
    logFile: join(directory, "log"),
    cwd: repository,
    env: {
      PARAPET_INTAKE_LISTEN: `127.0.0.1:${port}`,
      PARAPET_OPERATIONS_LISTEN: `127.0.0.1:${operations}`,
      PARAPET_INTAKE_TOKEN: intakeToken,
      PARAPET_DATA: join(directory, "data"),
      PARAPET_KUBECONFIG: deadKubeconfig(directory),
      PARAPET_EMBEDDED_QUEUE: "pglite",
      ...(redis === undefined ? {} : { PARAPET_REDIS_URL: redis.url }),
    },
  });
  try {
    await eventually("ready", async () => {
      if (child.exitCode() !== null) throw new Error(child.log().slice(-500));
      return (await fetch(`http://127.0.0.1:${operations}/readyz`)).ok;
    });
    const url = `http://127.0.0.1:${port}/falco`;
    const scale = kind === "redis" ? 1 : 0.1;
    await load(url, { count: 1_000 * scale, concurrency: 20 });
    const paced = await load(url, {
      count: 2_500 * scale,
      concurrency: 50,
      perSecond: 500 * scale,
    });
    const burst = await load(url, { count: 10_000 * scale, concurrency: 50 });
    const name = kind === "redis" ? "Redis" : "PGlite";
    return [
      {
        what: `alert accepted, ${name}, ${500 * scale}/s`,
        figure: `${latencies(paced.ms)}, ${paced.refused} refused`,
        aim: kind === "redis" ? "p99 < 5 ms" : "laptop",
      },
      {
        what: `alerts accepted per second, ${name}, 50 connections`,
        figure: `${Math.round(burst.ms.length / burst.seconds)}/s, ${latencies(burst.ms)}`,
        aim: kind === "redis" ? ">= 2,000/s" : "laptop",
      },
    ];
  } finally {
    await child.stop("SIGKILL");
    await redis?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function deadKubeconfig(directory: string): string {
  const file = join(directory, "kubeconfig");
  const config = {
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: "https://127.0.0.1:1" } }],
    users: [{ name: "x", user: { token: "x" } }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** From the post of an alert to the moment its isolation was read back, as the records say. */
async function isolation(scene: ResponderScene): Promise<readonly Row[]> {
  const limits = { perNamespace: 1_000, perWorkload: 1_000 };
  await scene.people.create(types.responsePolicy, shellPolicy("Automatic", { limits }));
  await sleep(500);
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const run = async (namespace: string, pods: number, alerts: number, perSecond?: number) => {
    await scene.people.create(types.namespace, namespaceObject(namespace));
    for (let i = 0; i < pods; i++) await makePod(scene.people, namespace, `pod-${i}`);
    const startMs = Date.now();
    const sent: Promise<number>[] = [];
    for (let i = 0; i < alerts; i++) {
      sent.push(post(agent, scene.url(), shellAlert(namespace, `pod-${i % pods}`, startMs, i)));
      if (perSecond !== undefined) await sleep(1_000 / perSecond);
    }
    await Promise.all(sent);
    const acceptedMs = Date.now() - startMs;
    const all = await eventually(
      "all isolated and counted",
      async () => {
        const found = await scene.remediations(namespace);
        const done = found.filter((one) => one.status.appliedAtMs !== undefined);
        const counted = found.reduce((sum, one) => sum + one.status.alerts.count, 0);
        return done.length === pods && counted === alerts ? found : false;
      },
      120_000,
    );
    const ms = all.map((one) => (one.status.appliedAtMs ?? 0) - one.seenAtMs);
    const last = Math.max(...all.map((one) => one.status.appliedAtMs ?? 0)) - startMs;
    return { ms, last, acceptedMs, drained: Date.now() - startMs };
  };
  await run("shop-warm", 10, 10, 20);
  const paced = await run("shop-paced", 100, 100, 5);
  const burst = await run("shop-burst", 200, 2_000);
  agent.destroy();
  return [
    {
      what: "alert accepted -> isolation read back, 100 pods at 5/s",
      figure: latencies(paced.ms),
      aim: "p99 < 100 ms (Talon 18 s)",
    },
    {
      what: "2,000 alerts for 200 pods at once: accepted / all isolated / all counted",
      figure: `${burst.acceptedMs} / ${burst.last} / ${burst.drained} ms`,
      aim: "< 5 s (Talon 6.7 / 78.5 / 798 s)",
    },
  ];
}

/** From exec to /readyz, with the API server and Redis up; the median of five. */
async function startUp(scene: ResponderScene): Promise<readonly Row[]> {
  const ms: number[] = [];
  for (let i = 0; i < 5; i++) {
    const at = performance.now();
    const child = await scene.startResponder({}, `start-${i}`);
    ms.push(performance.now() - at);
    await child.stop("SIGTERM");
  }
  const sorted = ms.sort((a, b) => a - b);
  const figure = `median ${Math.round(sorted[2] ?? 0)} ms, worst ${Math.round(sorted[4] ?? 0)} ms`;
  return [{ what: "responder, start to ready", figure, aim: "< 1 s" }];
}

/** All figures of the responder; without a control plane or Redis only what can be had. */
export async function benchResponder(): Promise<readonly Row[]> {
  const rows: Row[] = [...(await intake("redis")), ...(await intake("pglite"))];
  const scene = await startResponderScene();
  if (scene === undefined) return rows;
  try {
    rows.push(...(await startUp(scene)));
    const child = await scene.startResponder();
    rows.push(...(await isolation(scene)));
    await child.stop("SIGTERM");
    return rows;
  } finally {
    await scene.stop();
  }
}

if (import.meta.main) {
  for (const row of await benchResponder()) {
    process.stdout.write(`${row.what.padEnd(76)} ${row.figure.padEnd(44)} ${row.aim}\n`);
  }
  process.exit(0);
}
