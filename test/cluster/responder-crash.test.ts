// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, isObject, type JsonObject, textAt } from "#policy/json";
import { makeRedisQueue } from "#responder/adapters/bull-queue";
import { readAlerts } from "#responder/intake/alert";
import { types } from "#responder/cluster";
import { fingerprint } from "#responder/finding";
import { type Remediation, shortFingerprint } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";
import { makeWatcher, type Watcher } from "#responder/watcher";
import { kubernetesBinaries } from "#test/cluster/binaries";
import {
  decideFor,
  foreignState,
  installLives,
  type Life,
  lives,
  makeForeign,
  namespaceOf,
} from "#test/cluster/responder-crash-lives";
import {
  type Proxy,
  type Seen,
  startApiProxy,
  startRedisProxy,
} from "#test/cluster/responder-crash-proxy";
import { auditedWrites, auditPolicy, etcdHistory } from "#test/cluster/responder-crash-witness";
import {
  intakeToken,
  type ResponderScene,
  shellAlert,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { type Child, eventually } from "#test/support/processes";
import { redisServer } from "#test/support/redis";

/*
 * How this proves that nothing is lost and nothing is done twice, whatever is killed when.
 *
 * Where crashes hurt is not spread evenly over time: it is between a write and the knowledge that it was made. So most kill points are
 * named by the write they are at: every life of a response (isolation, approval and undo, expiry, eviction, deletion, quarantine, scaling,
 * cordoning, a chain of actions, rollback of drift) is lived once unharmed, and the writes it makes are counted. Each of them gives
 * two points: the responder is killed before the write reaches the API server, and after the API server has made it but before the
 * responder has the answer. A proxy between the two does it exactly there. The points are drawn by a seeded shuffle; beside them are
 * kills at answers of Redis, at random times, and of Redis, the API server and etcd themselves. Lives overlap, so a kill that
 * aims at one hits others anywhere.
 *
 * The witnesses are not the responder's own records: etcd's history holds every write of every key that was ever committed; the API
 * server's audit log says which of them were the responder's; and the senders know which alerts were answered 202.
 */

const isPossible = kubernetesBinaries() !== undefined && redisServer() !== undefined;
/** Kill points of one run; more by PARAPET_KILL_POINTS. The seed repeats them. */
const rounds = Number(process.env["PARAPET_KILL_POINTS"] ?? "210");
const seed = Number(process.env["PARAPET_SEED"] ?? "20261122");

type Point =
  | { readonly kind: "write"; readonly nth: number; readonly when: "before" | "after" }
  | { readonly kind: "answer"; readonly nth: number }
  | { readonly kind: "time"; readonly victim: Victim; readonly ms: number };
type Victim = "responder" | "redis" | "api" | "etcd";
type Round = { readonly life: Life; readonly token: string; readonly point: Point };

/** mulberry32 */
function makeRandom(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** The kill points of a run: one in forty kills a server, one in seven is at an answer of Redis or at a random time, the rest at a write. */
function deal(counts: ReadonlyMap<string, number>): readonly Round[] {
  const random = makeRandom(seed);
  const shuffled = <T>(items: readonly T[]): readonly T[] => {
    const left = [...items];
    return items
      .map(() => left.splice(random(left.length), 1)[0])
      .filter((one) => one !== undefined);
  };
  const all = lives.flatMap((life) =>
    Array.from({ length: counts.get(life.name) ?? 0 }, (_, nth) =>
      (["before", "after"] as const).map((when) => ({
        life,
        point: { kind: "write", nth, when } as const,
      })),
    ).flat(),
  );
  const deck = [...shuffled(all), ...shuffled(all)];
  const servers = ["redis", "api", "redis", "redis", "etcd"] as const;
  return Array.from({ length: rounds }, (_, i) => {
    const token = `t${String(i).padStart(4, "0")}x`;
    const alerted = lives.filter((life) => life.pod !== undefined);
    const anyLife = alerted[random(alerted.length)] ?? alerted[0];
    const next = deck[i];
    if (anyLife === undefined || next === undefined) throw new Error("no lives");
    if (i % 20 === 13) {
      const victim = servers[Math.floor(i / 20) % servers.length] ?? "redis";
      return { life: anyLife, token, point: { kind: "time", victim, ms: random(300) } };
    }
    if (i % 7 === 3) {
      const point: Point =
        random(3) === 0
          ? { kind: "time", victim: "responder", ms: random(400) }
          : { kind: "answer", nth: random(12) };
      return { life: anyLife, token, point };
    }
    return { ...next, token };
  });
}

const leaseOf = (uid: string): string =>
  `parapet-target-${createHash("sha256").update(uid).digest("hex").slice(0, 32)}`;

const labelOf = (seen: Seen): string => {
  const parts = seen.path.split("/").filter((part) => part !== "");
  const from =
    parts.indexOf("namespaces") >= 0 ? parts.indexOf("namespaces") + 2 : parts[0] === "api" ? 2 : 3;
  const [resource = "", , subresource] = parts.slice(from);
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  return `${seen.method} ${what}${seen.dryRun ? " (dry run)" : ""}`;
};

describe.skipIf(!isPossible)("the responder under kill -9", () => {
  let scene: ResponderScene;
  let responder: Child | undefined;
  let apiProxy: Proxy;
  let redisProxy: Proxy;
  let watcher: Watcher;
  let folder: string;
  let hook: Server;
  /** Writes of each token, in their order, and whose lease is whose. */
  const writes = new Map<string, string[]>();
  const leases = new Map<string, string>();
  const told: string[] = [];
  /** Short fingerprints of the alerts that were answered 202, by token. */
  const accepted = new Map<string, Set<string>>();
  const current = new Map<string, Remediation>();
  const decided = new Set<string>();
  let armed: { readonly round: Round; seen: number } | undefined;
  let struck = Promise.withResolvers<string>();
  const numbers = new WeakMap<Seen, number>();

  const kill = (what: string): true => {
    armed = undefined;
    void responder?.stop("SIGKILL");
    struck.resolve(what);
    return true;
  };

  const tokenOf = (seen: Seen): string | undefined => {
    const lease = /parapet-target-[0-9a-f]{32}/.exec(`${seen.path} ${seen.body}`)?.[0];
    if (lease !== undefined) return leases.get(lease);
    return (
      /[rt]\d{4}x/.exec(seen.path)?.[0] ?? /"name":"(?:parapet-)?([rt]\d{4}x)/.exec(seen.body)?.[1]
    );
  };

  const strike = (seen: Seen, when: "before" | "after"): boolean => {
    const token = tokenOf(seen);
    if (token === undefined) return false;
    if (when === "before") {
      writes.set(token, [...(writes.get(token) ?? []), labelOf(seen)]);
      if (seen.path.endsWith("/remediations")) {
        const body: unknown = JSON.parse(seen.body);
        if (isObject(body)) leases.set(leaseOf(textAt(body, ["spec", "target", "uid"])), token);
      }
    }
    if (armed?.round.token !== token || armed.round.point.kind !== "write") return false;
    const { point } = armed.round;
    if (when === "before") numbers.set(seen, armed.seen++);
    return (
      numbers.get(seen) === point.nth && point.when === when && kill(`${when} ${labelOf(seen)}`)
    );
  };

  const onAnswer = (): boolean => {
    if (armed?.round.point.kind !== "answer") return false;
    return armed.seen++ === armed.round.point.nth && kill("answer of Redis");
  };

  const restart = async (): Promise<void> => {
    await responder?.stop("SIGKILL");
    const kubeconfig = join(folder, "kubeconfig");
    const own = readFileSync(scene.plane.kubeconfigAs("responder"), "utf8");
    writeFileSync(kubeconfig, own.replace(scene.plane.url, `https://127.0.0.1:${apiProxy.port}`));
    const address = hook.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    responder = await scene.startResponder(
      {
        settle: "50ms",
        drift: { resources: [{ apiVersion: "v1", kind: "ConfigMap" }] },
        notify: { destinations: [{ name: "ops", url: `http://127.0.0.1:${port}/` }] },
      },
      "one",
      {
        PARAPET_KUBECONFIG: kubeconfig,
        PARAPET_REDIS_URL: `redis://127.0.0.1:${redisProxy.port}`,
      },
    );
  };

  /** Posts one alert as a sender that tries once and knows what was answered. */
  const post = async (life: Life, token: string, number: number): Promise<void> => {
    if (life.pod === undefined) return;
    const body = shellAlert(
      namespaceOf(life),
      life.pod(token),
      Date.now(),
      number,
      life.node?.(token),
    );
    const status = await fetch(scene.url(), {
      method: "POST",
      headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
      body,
    }).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      () => 0,
    );
    const [read] = readAlerts(Buffer.from(body)).alerts;
    if (status !== 202 || read === undefined) return;
    const known = accepted.get(token) ?? new Set();
    accepted.set(token, known.add(shortFingerprint(fingerprint(read.alert, 0))));
  };

  const begin = async (life: Life, token: string): Promise<void> => {
    if (life.cause === undefined) await post(life, token, 1);
    else await life.cause(scene, token);
  };

  /** Decides for people, as soon as it can. */
  const decideAll = async (): Promise<void> => {
    for (const [key, remediation] of current) {
      const life = lives.find((one) => namespaceOf(one) === remediation.name.namespace);
      const wish = `${key} ${remediation.status.state}`;
      if (life === undefined || decided.has(wish)) continue;
      const isDecided = await decideFor(scene, life, remediation).then(
        () => true,
        () => false,
      );
      if (isDecided) decided.add(wish);
    }
  };

  const isDone = (life: Life, token: string): boolean =>
    ofToken(life, token).some((one) => life.isDone(one));
  const ofToken = (life: Life, token: string): readonly Remediation[] =>
    [...current.values()].filter(
      (one) =>
        one.name.namespace === namespaceOf(life) &&
        one.target.name.startsWith(token) &&
        one.target.uid !== "",
    );

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "parapet-kills-"));
    writeFileSync(join(folder, "audit-policy.json"), JSON.stringify(auditPolicy));
    const started = await startResponderScene([
      `--audit-policy-file=${join(folder, "audit-policy.json")}`,
      `--audit-log-path=${join(folder, "audit.log")}`,
      "--etcd-compaction-interval=0",
    ]);
    if (started === undefined) throw new Error("no control plane or Redis");
    scene = started;
    hook = createServer((request, response) => {
      request.setEncoding("utf8");
      let body = "";
      request.on("data", (chunk: string) => {
        body += chunk;
      });
      request.on("end", () => {
        told.push(/[rt]\d{4}x/.exec(body)?.[0] ?? "");
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => {
      hook.listen(0, "127.0.0.1", resolve);
    });
    const { url, caFile, authority } = scene.plane;
    const certificate = authority.issue("proxy", { names: ["IP:127.0.0.1"] });
    apiProxy = await startApiProxy({ url, caFile, certificate, strike });
    redisProxy = await startRedisProxy(scene.redis.port, onAnswer);
    await installLives(scene);
    await makeForeign(scene);
    watcher = makeWatcher({
      cluster: scene.people,
      type: types.remediation,
      onChange: ({ key, after }) => {
        const read = after === undefined ? "" : readRemediation(after);
        if (typeof read === "string") current.delete(key);
        else current.set(key, read);
      },
      onFailure: () => undefined,
    });
    await restart();
  });
  afterAll(async () => {
    await watcher?.stop();
    await responder?.stop("SIGKILL");
    await apiProxy?.close();
    await redisProxy?.close();
    hook?.close();
    await scene?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it("lives every life unharmed, and so tells the kill points", async () => {
    await Promise.all(
      lives.map(async (life, i) => {
        const token = `r${String(i).padStart(4, "0")}x`;
        await life.prepare(scene, token);
        // What drift is seen in needs a first look before.
        if (life.cause !== undefined) await sleep(500);
        await begin(life, token);
      }),
    );
    const missing = (): readonly string[] =>
      lives
        .filter((life, i) => !isDone(life, `r${String(i).padStart(4, "0")}x`))
        .map((life) => life.name);
    await eventually("all lives have come to their end", async () => {
      await decideAll();
      return missing().length === 0;
    }).catch((error: unknown) => {
      const states = [...current.values()].map((one) => JSON.stringify(one.status));
      throw new Error(`not done: ${missing().join(", ")}\n${states.join("\n")}`, { cause: error });
    });
  });

  it(`loses nothing and does nothing twice over ${rounds} seeded kill points of responder, Redis, API server and etcd`, async () => {
    const counts = new Map(
      lives.map((life, i) => [
        life.name,
        (writes.get(`r${String(i).padStart(4, "0")}x`) ?? []).length,
      ]),
    );
    const plan = deal(counts);
    const before = await foreignState(scene);
    const hits: string[] = [];
    const kinds = new Map<string, number>();
    const prepared = (round: Round | undefined): Promise<void> =>
      round === undefined ? Promise.resolve() : round.life.prepare(scene, round.token);
    await prepared(plan[0]);
    for (const [i, round] of plan.entries()) {
      struck = Promise.withResolvers();
      const startedAt = performance.now();
      armed = { round, seen: 0 };
      const { life, token, point } = round;
      void begin(life, token).catch(() => undefined);
      void post(life, token, 2);
      const hit = point.kind === "time" ? killAt(point.victim, point.ms) : struck.promise;
      const deciding = keepDeciding();
      // A life may make a write less this time, as when a count goes along with a state: then it is killed at its end.
      const end = point.kind === "time" ? undefined : atEnd(life, token);
      const what = await Promise.race([hit, ...(end === undefined ? [] : [end.reached])]);
      end?.stop();
      armed = undefined;
      deciding.stop();
      const kind = what.startsWith("at its end") ? "end" : point.kind;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      hits.push(`${life.name}: ${what}`);
      if (point.kind === "time" && point.victim !== "responder") await bringBack(point.victim);
      const isDead = !(point.kind === "time" && point.victim !== "responder");
      await Promise.all([isDead ? restart() : undefined, prepared(plan[i + 1])]);
      await post(life, token, 3);
      if (process.env["PARAPET_KILL_LOG"] !== undefined)
        process.stderr.write(
          `${i} ${hits.at(-1)} ${Math.round(performance.now() - startedAt)} ms\n`,
        );
    }
    await everythingIsDone(plan);
    await verify(plan, before);
    console.log(
      `kill points: ${JSON.stringify(Object.fromEntries(kinds))}, ${new Set(hits).size} different ones`,
    );
    // What was aimed at is hit: else the points are no longer where the writes are.
    expect(kinds.get("end") ?? 0).toBeLessThan(rounds / 4);
  }, 3_600_000);

  async function killAt(victim: Victim, ms: number): Promise<string> {
    await sleep(ms);
    if (victim === "redis") await scene.redis.kill();
    else if (victim === "api") await scene.plane.killApiServer();
    else if (victim === "etcd") await scene.plane.killEtcd();
    else await responder?.stop("SIGKILL");
    return `${victim} after a time`;
  }

  async function bringBack(victim: Victim): Promise<void> {
    if (victim === "redis") await scene.redis.restart();
    else if (victim === "api") await scene.plane.restartApiServer();
    else if (victim === "etcd") await scene.plane.restartEtcd();
  }

  /** The responder is killed when the life is over, or does not get there. */
  function atEnd(
    life: Life,
    token: string,
  ): { readonly reached: Promise<string>; readonly stop: () => void } {
    const state = { on: true };
    const wait = async (): Promise<string> => {
      const deadline = Date.now() + 60_000;
      while (state.on && Date.now() < deadline && !isDone(life, token)) await sleep(20);
      await sleep(50);
      if (state.on) await responder?.stop("SIGKILL");
      return "at its end";
    };
    return {
      reached: wait(),
      stop: () => {
        state.on = false;
      },
    };
  }

  function keepDeciding(): { readonly stop: () => void } {
    const state = { on: true };
    const loop = async (): Promise<void> => {
      while (state.on) {
        await decideAll();
        await sleep(20);
      }
    };
    void loop();
    return {
      stop: () => {
        state.on = false;
      },
    };
  }

  async function everythingIsDone(plan: readonly Round[]): Promise<void> {
    const queue = makeRedisQueue(scene.redis.url, {
      name: "parapet-alerts",
      concurrency: 1,
      onError: () => undefined,
    });
    const open = (): readonly string[] =>
      plan
        .filter(({ life, token }) => !isDone(life, token))
        .map(({ life, token }) => `${life.name} ${token}`);
    const lost = (): readonly string[] => {
      const counted = new Map<string, string>();
      for (const one of current.values())
        for (const short of one.status.alerts.recent) counted.set(short, one.name.name);
      return [...accepted].flatMap(([token, all]) =>
        [...all].filter((short) => !counted.has(short)).map((short) => `${token} ${short}`),
      );
    };
    await eventually(
      "every accepted alert has its outcome",
      async () => {
        await decideAll();
        const { waiting, active, delayed, failed } = await queue.depth();
        return open().length + lost().length + waiting + active + delayed + failed === 0;
      },
      200_000,
      100,
    ).catch(async (error: unknown) => {
      const depth = JSON.stringify(await queue.depth());
      const states = plan
        .filter(({ life, token }) => !isDone(life, token))
        .map(({ life, token }) => ofToken(life, token).map((one) => JSON.stringify(one.status)));
      throw new Error(
        `open: ${open().join(", ")}; lost: ${lost().join(", ")}; queue: ${depth}; ${states.join("\n")}`,
        { cause: error },
      );
    });
    await queue.close();
  }

  async function verify(plan: readonly Round[], before: readonly JsonObject[]): Promise<void> {
    const history = await etcdHistory(scene.plane.etcdUrl);
    const audited = auditedWrites(join(folder, "audit.log"));
    const wrong: string[] = [];
    for (const { life, token } of plan) {
      const mine = ofToken(life, token);
      // A StatefulSet that was scaled back has a new pod of the old name: a target of its own, to an alert that comes late.
      const targets = new Set(mine.map((one) => one.target.uid)).size;
      if (mine.length !== targets || targets === 0 || (targets > 1 && life.name !== "scale")) {
        wrong.push(`${token}: ${mine.length} remediations of ${targets} targets`);
      }
      // The responder's writes to everything but its own records, as the API server tells them.
      const done = new Map<string, number>();
      for (const write of audited.filter((one) => one.name.includes(token))) {
        if (["remediations", "remediations/status", "events"].includes(write.resource)) continue;
        const key = `${write.verb} ${write.resource}`;
        done.set(key, (done.get(key) ?? 0) + 1);
      }
      for (const [key, count] of done)
        if (count > (life.writes[key] ?? 0) * targets)
          wrong.push(`${token}: ${count} times ${key}`);
      // What etcd holds, over its whole history.
      for (const [key, { puts, deletes }] of history) {
        if (!key.includes(token)) continue;
        if (key.startsWith("/registry/networkpolicies/")) {
          const undone = life.writes["delete networkpolicies"] ?? 0;
          if (puts !== 1 || deletes !== undone)
            wrong.push(`${key}: ${puts} puts, ${deletes} deletes`);
        }
        if (/\/remediations\//.test(key) && deletes > 0) wrong.push(`${key}: a record was deleted`);
        // What people are told by Events they are told once.
        if (/^\/registry\/events\/.*[rt]\d{4}x(?:-0)?-[0-9a-f]{10}\./.test(key) && puts > 1) {
          wrong.push(`${key}: ${puts} writes`);
        }
      }
      const policies = [...history.keys()].filter(
        (key) => key.startsWith(`/registry/networkpolicies/`) && key.includes(token),
      );
      if (policies.length !== (life.writes["create networkpolicies"] ?? 0)) {
        wrong.push(`${token}: isolated ${policies.length} times`);
      }
      for (const [key, puts] of Object.entries(life.committed(token))) {
        const found = history.get(`/registry/${key}`)?.puts;
        if (found !== puts) wrong.push(`${key}: ${found} writes, ${puts} expected`);
      }
      // At most one message more than one, where the kill came between the message and its mark.
      const messages = told.filter((one) => one === token).length;
      const wanted = life.name === "chain" ? [1, 2] : [0];
      if (!wanted.includes(messages)) wrong.push(`${token}: told ${messages} times`);
    }
    expect(wrong).toEqual([]);
    // Nothing else was written to: each write is about a target, or in the responder's own kinds.
    const own = ["remediations", "remediations/status", "leases", "responsepolicies/status"];
    const stray = audited.filter(
      (one) => !own.includes(one.resource) && !/[rt]\d{4}x/.test(one.name),
    );
    expect(stray).toEqual([]);
    expect(await foreignState(scene)).toEqual(before);
    expect(audited.length).toBeGreaterThan(plan.length * 5);
    expect(at(before[0], ["metadata", "resourceVersion"])).toBeDefined();
  }
});
