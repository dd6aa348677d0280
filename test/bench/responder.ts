// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { types } from "#responder/cluster";
import type { Remediation } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";
import { makeWatcher } from "#responder/watcher";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { type Child, eventually, freePort, start } from "#test/support/processes";
import { startRedis } from "#test/support/redis";
import { buildResponderBundle } from "#test/support/responder-bundle";
import { repository } from "#test/support/shared";

/** One line of the table. */
export type Row = {
  readonly what: string;
  readonly figure: string;
  readonly aim: string;
  /** Falco Talon v0.3.0 on the same kind of machine, recorded; '' where it has no such thing. */
  readonly talon?: string;
};

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
        ...(kind === "redis" ? { talon: "in memory alone" } : {}),
      },
      {
        what: `alerts accepted per second, ${name}, 50 connections`,
        figure: `${Math.round(burst.ms.length / burst.seconds)}/s, ${latencies(burst.ms)}`,
        aim: kind === "redis" ? ">= 2,000/s" : "laptop",
        ...(kind === "redis" ? { talon: "300/s, in memory alone" } : {}),
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

/** All Remediations as a watch brings them: asking again and again for hundreds would be a load of its own. */
function watchRemediations(scene: ResponderScene) {
  const current = new Map<string, Remediation>();
  const watcher = makeWatcher({
    cluster: scene.people,
    type: types.remediation,
    onFailure: () => undefined,
    onChange: ({ key, after }) => {
      const read = after === undefined ? "" : readRemediation(after);
      if (typeof read === "string") current.delete(key);
      else current.set(key, read);
    },
  });
  return {
    in: (namespace: string): readonly Remediation[] =>
      [...current.values()].filter((one) => one.name.namespace === namespace),
    stop: watcher.stop,
  };
}
type Seen = ReturnType<typeof watchRemediations>;

/** Resident memory of a process in MB, now and at its highest. */
function memoryOf(child: Child): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const of = (name: string): number =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1_024);
  return { now: of("VmRSS"), most: of("VmHWM") };
}

async function makePods(scene: ResponderScene, namespace: string, pods: number): Promise<void> {
  await scene.people.create(types.namespace, namespaceObject(namespace));
  for (let i = 0; i < pods; i++) await makePod(scene.people, namespace, `pod-${i}`);
}

const isApplied = (one: Remediation): boolean => one.status.appliedAtMs !== undefined;
const counted = (all: readonly Remediation[]): number =>
  all.reduce((sum, one) => sum + one.status.alerts.count, 0);

type Load = { readonly pods: number; readonly alerts: number; readonly perSecond?: number };

/** Sends a load and waits for every pod to be isolated and every alert to be counted. */
async function respond(scene: ResponderScene, seen: Seen, namespace: string, load_: Load) {
  const { pods, alerts, perSecond } = load_;
  await makePods(scene, namespace, pods);
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
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
    () => {
      const found = seen.in(namespace);
      const isDone = found.filter(isApplied).length === pods && counted(found) === alerts;
      return isDone ? found : false;
    },
    300_000,
  );
  agent.destroy();
  const ms = all.map((one) => (one.status.appliedAtMs ?? 0) - one.seenAtMs);
  const last = Math.max(...all.map((one) => one.status.appliedAtMs ?? 0)) - startMs;
  return { ms, last, acceptedMs, drained: Date.now() - startMs };
}

/** As shipped: an isolation is looked at again once the network has had its time. */
const asShipped = { settle: "10s" };

/** From the post of an alert to the moment its isolation was read back, as the records say. */
async function isolation(scene: ResponderScene, seen: Seen, child: Child): Promise<readonly Row[]> {
  const before = memoryOf(child);
  await respond(scene, seen, "shop-warm", { pods: 10, alerts: 10, perSecond: 20 });
  const paced = await respond(scene, seen, "shop-paced", { pods: 100, alerts: 100, perSecond: 5 });
  const burst = await respond(scene, seen, "shop-burst", { pods: 200, alerts: 2_000 });
  const after = memoryOf(child);
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  return [
    {
      what: "alert accepted -> isolation read back, 100 pods at 5/s",
      figure: latencies(paced.ms),
      aim: "p99 < 100 ms",
      talon: "p50 8.4 s p99 18.2 s",
    },
    {
      what: "2,000 alerts for 200 pods at once: accepted / isolated / drained",
      figure: `${[burst.acceptedMs, burst.last, burst.drained].map(seconds).join(" / ")} s`,
      aim: "< 5 s",
      talon: "6.7 / 78.5 / 798 s",
    },
    {
      what: "memory: ready / after the burst / at most",
      figure: `${before.now} / ${after.now} / ${after.most} MB`,
      aim: "-",
      talon: "84 / 128 MB",
    },
  ];
}

/** 400 alerts for 200 pods, and kill -9 as soon as the last one is accepted. */
async function killed(
  scene: ResponderScene,
  seen: Seen,
  child: Child,
): Promise<{ readonly rows: readonly Row[]; readonly child: Child }> {
  const [pods, alerts] = [200, 400];
  await makePods(scene, "shop-killed", pods);
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const at = Date.now();
  const answers = Array.from({ length: alerts }, (_, i) =>
    post(agent, scene.url(), shellAlert("shop-killed", `pod-${i % pods}`, at, i)),
  );
  const accepted = (await Promise.all(answers)).filter((status) => status === 202).length;
  await child.stop("SIGKILL");
  agent.destroy();
  const killedAt = Date.now();
  const again = await scene.startResponder(asShipped);
  const all = await eventually(
    "all isolated and counted",
    () => {
      const found = seen.in("shop-killed");
      const isDone = found.filter(isApplied).length === pods && counted(found) >= accepted;
      return isDone ? found : false;
    },
    120_000,
  ).catch(() => seen.in("shop-killed"));
  const row = {
    what: "kill -9 with 400 accepted alerts under way: lost, pods isolated",
    figure: `${accepted - counted(all)} lost, ${all.filter(isApplied).length} of ${pods}, after ${Math.round((Date.now() - killedAt) / 100) / 10} s`,
    aim: "0 lost, 200",
    talon: "358 lost, 42 of 200, never",
  };
  return { rows: [row], child: again };
}

/** The same alert ten times, again after six seconds, and one text for three pods. */
async function repeated(scene: ResponderScene, seen: Seen): Promise<readonly Row[]> {
  await makePods(scene, "shop-same", 4);
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const same = shellAlert("shop-same", "pod-3", Date.now());
  for (let i = 0; i < 10; i++) await post(agent, scene.url(), same);
  await sleep(6_000);
  await post(agent, scene.url(), same);
  for (const pod of ["pod-0", "pod-1", "pod-2"]) {
    const alert = shellAlert("shop-same", pod, Date.now()).replace(`<-> ${pod}`, "<-> sh");
    await post(agent, scene.url(), alert);
  }
  const all = await eventually("all four", () => {
    const found = seen.in("shop-same").filter(isApplied);
    return found.length >= 4 && found;
  });
  agent.destroy();
  const acts = all.filter((one) => one.target.name === "pod-3").length;
  const texts = all.filter((one) => one.target.name !== "pod-3").length;
  return [
    {
      what: "one alert ten times, and again after 6 s: actions; one text for 3 pods: isolated",
      figure: `${acts}; ${texts}`,
      aim: "1; 3",
      talon: "2; 1",
    },
  ];
}

const composedBy = "apiextensions.crossplane.io/composed/0123456789abcdef";
const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };

/** 10,000 composed objects are watched, and some of them edited by hand. */
async function drift(scene: ResponderScene, seen: Seen): Promise<readonly Row[]> {
  const [objects, edits] = [10_000, 100];
  const connection = await fromKubeconfig(scene.plane.kubeconfig);
  const crossplane = makeApiServer(connection, composedBy);
  for (const namespace of ["drift-proposed", "drift-healed"]) {
    await scene.people.create(types.namespace, namespaceObject(namespace));
    const mode = namespace === "drift-healed" ? "Automatic" : "Propose";
    await scene.people.create(types.responsePolicy, {
      apiVersion: "parapet.dev/v1alpha1",
      kind: "ResponsePolicy",
      metadata: { name: namespace },
      spec: {
        match: { drift: { kinds: ["ConfigMap"] } },
        when: `drift.namespace == '${namespace}'`,
        do: [{ rollback: {} }],
        mode,
        limits: { perNamespace: 1_000, perWorkload: 1_000 },
      },
    });
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < objects / 2) {
        await crossplane.apply(configMap, {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: {
            name: `note-${next++}`,
            namespace,
            labels: { "crossplane.io/composite": "box" },
          },
          data: { text: "x".repeat(2_000) },
        });
      }
    };
    await Promise.all(Array.from({ length: 24 }, lane));
  }
  const resources = [{ apiVersion: "v1", kind: "ConfigMap" }];
  const child = await scene.startResponder({ drift: { resources } });
  await eventually(
    "all are known",
    async () => /^parapet_drift_watched 1/m.test(await scene.metrics()),
    120_000,
  );
  const ready = memoryOf(child);
  const run = async (namespace: string, isDone: (one: Remediation) => boolean) => {
    const doneAt = new Map<string, number>();
    const startedAt = new Map<string, number>();
    for (let i = 0; i < edits; i++) {
      const name = `note-${(i * 37) % (objects / 2)}`;
      const path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
      await scene.plane.api.mergePatch(path, { data: { extra: "by hand" } }, "kubectl-edit");
      startedAt.set(name, Date.now());
      await sleep(100);
    }
    await eventually(
      "every edit has its answer",
      () => {
        for (const one of seen.in(namespace)) {
          if (!isDone(one) || doneAt.has(one.target.name)) continue;
          doneAt.set(one.target.name, one.status.appliedAtMs ?? one.seenAtMs);
        }
        return doneAt.size === edits;
      },
      120_000,
    );
    return [...doneAt].map(([name, at]) => at - (startedAt.get(name) ?? at));
  };
  const proposed = await run("drift-proposed", () => true);
  const healed = await run("drift-healed", isApplied);
  await child.stop("SIGTERM");
  crossplane.close();
  return [
    {
      what: "drift edit -> proposed, of 10,000 objects of 2 KB",
      figure: latencies(proposed),
      aim: "p99 < 1 s",
      talon: "none",
    },
    {
      what: "drift edit -> put right and read back, of the same",
      figure: latencies(healed),
      aim: "p99 < 1 s",
      talon: "none",
    },
    {
      what: "memory with 10,000 objects watched",
      figure: `${ready.now} MB`,
      aim: "-",
      talon: "none",
    },
  ];
}

/** From exec to /readyz, with the API server and Redis up; the median of five. */
/** First starts, with nothing cached, in turns: as in the image, and from the sources. */
async function startUp(scene: ResponderScene): Promise<readonly Row[]> {
  const app = buildResponderBundle();
  const forms = [
    { what: "as in the image", program: join(app, "responder/main.js"), aim: "< 1 s" },
    { what: "from source", program: undefined, aim: "" },
  ].map((form) => ({ ...form, ms: new Array<number>() }));
  for (let i = 0; i < 5; i++) {
    for (const { what, program, ms } of forms) {
      const at = performance.now();
      const name = `start-${what.replaceAll(" ", "-")}-${i}`;
      const child = await scene.startResponder({}, name, {}, program);
      ms.push(performance.now() - at);
      await child.stop("SIGTERM");
    }
  }
  rmSync(join(app, ".."), { recursive: true, force: true });
  return forms.map(({ what, aim, ms }) => {
    const sorted = ms.sort((a, b) => a - b);
    const figure = `median ${Math.round(sorted[2] ?? 0)} ms, worst ${Math.round(sorted[4] ?? 0)} ms`;
    return { what: `responder, start to ready, ${what}`, figure, aim };
  });
}

/** All figures of the responder; without a control plane or Redis only what can be had. */
export async function benchResponder(): Promise<readonly Row[]> {
  const rows: Row[] = [...(await intake("redis")), ...(await intake("pglite"))];
  const scene = await startResponderScene();
  if (scene === undefined) return rows;
  try {
    rows.push(...(await startUp(scene)));
    const seen = watchRemediations(scene);
    const limits = { perNamespace: 1_000, perWorkload: 1_000 };
    await scene.people.create(types.responsePolicy, shellPolicy("Automatic", { limits }));
    const child = await scene.startResponder(asShipped);
    await sleep(500);
    rows.push(...(await isolation(scene, seen, child)));
    rows.push(...(await repeated(scene, seen)));
    const after = await killed(scene, seen, child);
    rows.push(...after.rows);
    await after.child.stop("SIGTERM");
    rows.push(...(await drift(scene, seen)));
    await seen.stop();
    return rows;
  } finally {
    await scene.stop();
  }
}

if (import.meta.main) {
  const line = (row: Row): string =>
    `${row.what.padEnd(82)} ${row.figure.padEnd(40)} ${row.aim.padEnd(14)} ${row.talon ?? ""}\n`;
  process.stdout.write(
    line({ what: "", figure: "parapet", aim: "aim", talon: "Falco Talon v0.3.0 (recorded)" }),
  );
  for (const row of await benchResponder()) process.stdout.write(line(row));
  process.exit(0);
}
