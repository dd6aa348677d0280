// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeRedisQueue } from "#responder/adapters/bull-queue";
import { readConfigFiles } from "#responder/adapters/config-files";
import { checkRedis } from "#responder/adapters/redis-check";
import { makeRedisCounts } from "#responder/adapters/received-counts";
import { makeRedisBeginnings } from "#responder/adapters/redis-beginnings";
import { redisAt, type RedisTarget } from "#responder/adapters/redis-connection";
import { openSpool } from "#responder/adapters/spool";
import { parseConfig } from "#responder/config/config";
import type { StoredAlert } from "#responder/intake/alert-queue";
import { makeIntake } from "#responder/intake/intake";
import { makeMetrics } from "#responder/metrics";
import { queueContract, storedAlert } from "#test/support/alert-queue-contract";
import { beginning, beginningsContract, modeOf, upTo } from "#test/support/beginnings-contract";
import { makeAuthority } from "#test/support/certificates";
import { eventually } from "#test/support/processes";
import { receivedCountsContract } from "#test/support/received-counts-contract";
import { redisServer, startRedis, type TestRedis } from "#test/support/redis";
import {
  makeRedisGroup,
  type RedisGroup,
  type RedisProcess,
  startCluster,
  startSentinels,
} from "#test/support/redis-topologies";

const hasRedis = redisServer() !== undefined;
const directory = mkdtempSync(join(tmpdir(), "parapet-topologies-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let number = 0;
const options = () => ({ name: `q-${(number += 1)}`, concurrency: 20, onError: () => undefined });

/** Two replicas' counts of what has begun, connected. */
async function openBeginnings(target: RedisTarget) {
  const { name } = options();
  const ports = { isThere: () => Promise.resolve(true), onError: () => undefined };
  const open = () => makeRedisBeginnings(target, name, ports);
  const both = [open(), open()] as const;
  for (const one of both) {
    await eventually("connected", async () => (await one.begin(beginning("x"), upTo(0))).ok);
  }
  return both;
}

/** Adds one alert and hands it over again: the whole way through a queue. */
async function roundTrip(target: RedisTarget): Promise<string[]> {
  const queue = makeRedisQueue(target, options());
  try {
    await eventually("taken", async () => {
      await queue.add([storedAlert("x1")]);
      return true;
    });
    const got: string[] = [];
    queue.start((alert) => {
      got.push(alert.fingerprint);
      return Promise.resolve();
    });
    await eventually("handed over", () => got.length === 1);
    return got;
  } finally {
    await queue.close();
  }
}

describe.skipIf(!hasRedis)("Redis with TLS and access lists", () => {
  let group: RedisGroup;
  let server: RedisProcess;
  const authority = makeAuthority(join(directory, "ca"));
  const stranger = makeAuthority(join(directory, "stranger"), "somebody else");
  const pem = (file: string): string => readFileSync(file, "utf8");
  const pair = authority.issue("parapet", { names: ["parapet"] });
  const clientPair = { cert: pem(pair.certFile), key: pem(pair.keyFile) };
  const tls = { ca: pem(authority.caFile), ...clientPair, serverName: "redis.example" };

  beforeAll(async () => {
    const made = makeRedisGroup();
    if (made === undefined) throw new Error("no Redis");
    group = made;
    const users = join(directory, "users.acl");
    const rights = "~bull:* &* +@all -@admin -@dangerous";
    writeFileSync(
      users,
      [
        "user default on >pw-of-admin ~* &* +@all",
        // As narrow as BullMQ can work with: the rights that package/install/intake.md names.
        `user parapet on >pw-of-parapet ${rights} +info +config|get`,
        `user blind on >pw-of-blind ${rights} +info`,
        `user narrow on >pw-of-narrow ${rights}`,
        "",
      ].join("\n"),
    );
    const certificate = authority.issue("redis", { names: ["redis.example"] });
    server = await group.launch(
      "tls",
      [
        ...["--tls-cert-file", certificate.certFile, "--tls-key-file", certificate.keyFile],
        ...["--tls-ca-cert-file", authority.caFile, "--tls-auth-clients", "yes"],
        ...["--aclfile", users],
      ],
      {
        password: "pw-of-admin",
        tls: { ca: pem(authority.caFile), ...clientPair, servername: "redis.example" },
      },
    );
  });
  afterAll(() => group?.stop());

  const at = (): RedisTarget["at"] => ({ kind: "url", url: `rediss://127.0.0.1:${server.port}` });
  const whole = (): RedisTarget => ({
    at: at(),
    username: "parapet",
    password: "pw-of-parapet",
    tls,
    replicas: 0,
  });

  it("takes and hands over alerts with a client certificate and a user of its own", async () => {
    expect(await roundTrip(whole())).toEqual(["x1"]);
  });

  it.each([
    { reason: "A wrong password.", change: { password: "wrong" } },
    { reason: "An unknown user.", change: { username: "nobody" } },
    {
      reason: "No client certificate.",
      change: { tls: { ca: tls.ca, serverName: tls.serverName } },
    },
    { reason: "Another authority.", change: { tls: { ...tls, ca: pem(stranger.caFile) } } },
    {
      reason: "Another name in the certificate.",
      change: { tls: { ...tls, serverName: "other" } },
    },
  ])("refuses alerts, and hangs nobody: $reason", async ({ change }) => {
    const told: string[] = [];
    const queue = makeRedisQueue(
      { ...whole(), ...change },
      { ...options(), onError: (error) => told.push(error.message) },
    );
    const startedAt = performance.now();
    await expect(queue.add([storedAlert("x1")])).rejects.toBeInstanceOf(Error);
    expect(performance.now() - startedAt).toBeLessThan(3_500);
    await queue.close();
    expect(told.join(" ")).not.toContain("pw-of");
  });

  it("is checked with the rights that the guide names", async () => {
    const queue = makeRedisQueue(whole(), options());
    await eventually("checked", async () => (await queue.check()).length === 0);
    await queue.close();
  });

  it.each([
    { reason: "INFO does not tell.", more: {}, want: ["CannotCheck"] },
    { reason: "It need not be known.", more: { appendfsync: "everysec" as const }, want: [] },
  ])(
    "without CONFIG the syncing of writes is unknown, and the rest is not: $reason",
    async ({ more, want }) => {
      const target = { ...whole(), username: "blind", password: "pw-of-blind", ...more };
      const queue = makeRedisQueue(target, options());
      const problems = await eventually("checked", () => queue.check());
      await queue.close();
      expect(problems.map((problem) => problem.code)).toEqual(want);
      for (const { message } of problems) expect(message).toContain("config|get");
    },
  );

  it("says so where nothing may be asked", async () => {
    const client = new Redis({
      host: "127.0.0.1",
      port: server.port,
      username: "narrow",
      password: "pw-of-narrow",
      enableReadyCheck: false,
      tls: { ca: tls.ca, ...clientPair, servername: tls.serverName },
    });
    const problems = await checkRedis(client, whole());
    client.disconnect();
    expect(problems.map((problem) => problem.code)).toEqual(["CannotCheck"]);
  });
});

describe.skipIf(!hasRedis)("A single Redis", () => {
  it("is told another password when the Secret is rotated", async () => {
    const group = makeRedisGroup();
    if (group === undefined) throw new Error("no Redis");
    try {
      const server = await group.launch("single", []);
      await overRotation([server], ([node]) => ({ redisUrl: `redis://${node}` }));
    } finally {
      await group.stop();
    }
  });
});

describe.skipIf(!hasRedis)("Redis' settings", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    const started = await startRedis();
    if (started === undefined) throw new Error("no Redis");
    redis = started;
  });
  afterAll(() => redis?.stop());

  it.each([
    { reason: "As they must be.", set: {}, more: {}, want: [] },
    {
      reason: "No append-only file.",
      set: { appendonly: "no" },
      more: {},
      want: ["AppendOnlyOff"],
    },
    {
      reason: "A cache that evicts.",
      set: { "maxmemory-policy": "allkeys-lru" },
      more: {},
      want: ["Evicts"],
    },
    {
      reason: "Both, and a replica that is not there.",
      set: { appendonly: "no", "maxmemory-policy": "volatile-ttl" },
      more: { replicas: 1 },
      want: ["AppendOnlyOff", "Evicts", "TooFewReplicas"],
    },
    {
      reason: "A power cut loses the last second.",
      set: { appendfsync: "everysec" },
      more: {},
      want: ["FsyncEverySecond"],
    },
    {
      reason: "Little room is left.",
      set: { maxmemory: "1000000" },
      more: {},
      want: ["NearlyFull"],
    },
    {
      reason: "It may.",
      set: { appendfsync: "everysec" },
      more: { appendfsync: "everysec" as const },
      want: [],
    },
    {
      reason: "A replica has it too.",
      set: { appendfsync: "no" },
      more: { replicas: 1 },
      want: ["TooFewReplicas"],
    },
    {
      reason: "The system writes when it likes.",
      set: { appendfsync: "no" },
      more: { appendfsync: "everysec" as const },
      want: ["FsyncOff"],
    },
  ])("are told with what to do: $reason", async ({ set, more, want }) => {
    const client = new Redis(redis.url);
    for (const [name, value] of Object.entries({
      appendonly: "yes",
      appendfsync: "always",
      maxmemory: "0",
      "maxmemory-policy": "noeviction",
      ...set,
    })) {
      await client.config("SET", name, value);
    }
    client.disconnect();
    const queue = makeRedisQueue({ ...redisAt(redis.url), ...more }, options());
    const problems = await eventually("checked", () => queue.check());
    await queue.close();
    expect(problems.map((problem) => problem.code)).toEqual(want);
    for (const { message } of problems)
      expect(message).toMatch(/set append|set maxmemory|raise maxmemory|: alerts go to/);
  });

  describe("beside counts of what came", () => {
    receivedCountsContract(() =>
      makeRedisCounts(redisAt(redis.url), options().name, () => undefined),
    );
  });

  describe("beside what has begun", () => {
    beginningsContract(() => openBeginnings(redisAt(redis.url)));

    const isThere = (there: boolean) => () => Promise.resolve(there);
    it.each([
      {
        reason: "Under way, or written and not told of yet.",
        ageMs: 59_000,
        there: false,
        want: "Propose",
      },
      {
        reason: "A crash between count and record.",
        ageMs: 61_000,
        there: false,
        want: "Automatic",
      },
      {
        reason: "A record that our watch is late with.",
        ageMs: 61_000,
        there: true,
        want: "Propose",
      },
      { reason: "No watch is that late.", ageMs: 601_000, there: true, want: "Automatic" },
    ])("$want beside one of $ageMs ms: $reason", async ({ ageMs, there, want }) => {
      const { name } = options();
      const client = new Redis(redis.url);
      const key = `bull:${name}-begun:p`;
      await client.hset(key, "shop/web-1", `${Date.now() - ageMs} ReplicaSet/web`);
      const ports = { isThere: isThere(there), onError: () => undefined };
      const counted = makeRedisBeginnings(redisAt(redis.url), name, ports);
      const answer = await counted.begin(beginning("web-2"), upTo(1));
      const fields = await client.hkeys(key);
      expect([modeOf(answer), fields.includes("shop/web-2")]).toEqual([want, want === "Automatic"]);
      expect(want !== "Automatic" || !fields.includes("shop/web-1")).toBe(true);
      expect(want !== "Automatic" || (await client.pttl(key)) > 600_000).toBe(true);
      counted.close();
      client.disconnect();
    });

    it("nothing begins while Redis hangs, and it is said why; what was cut short begins later, once", async () => {
      const [a, b] = await openBeginnings(redisAt(redis.url));
      await redis.freeze();
      const denied = await a.begin(beginning("web-1"), upTo(1));
      redis.thaw();
      expect(denied).toMatchObject({ ok: false, code: "Unavailable" });
      expect(denied.ok ? "" : denied.message).toContain("limits are counted in Redis");
      const again = await eventually("counted again", async () => {
        const reply = await a.begin(beginning("web-1"), upTo(1));
        return reply.ok && reply.value.mode;
      });
      expect([again, modeOf(await b.begin(beginning("web-2"), upTo(1)))]).toEqual([
        "Automatic",
        "Propose",
      ]);
      a.close();
      b.close();
    });
  });

  it("asked for while Redis hangs, or is dead, are refused in time", async () => {
    const queue = makeRedisQueue(redisAt(redis.url), options());
    await eventually("checked", () => queue.check());
    await redis.freeze();
    const startedAt = performance.now();
    await expect(queue.check()).rejects.toBeInstanceOf(Error);
    redis.thaw();
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    await queue.close();
  });

  it("without the replicas that were asked for takes no alert", async () => {
    const queue = makeRedisQueue({ ...redisAt(redis.url), replicas: 1 }, options());
    await eventually("connected", () => queue.check());
    await expect(queue.add([storedAlert("x1")])).rejects.toThrow("0 of 1 replicas");
    await queue.close();
  });
});

/** The user that the queue comes as, on some servers; `rotate` gives it another password there and ends its connections. */
function rotating(nodes: readonly RedisProcess[]) {
  const file = join(mkdtempSync(join(directory, "secret-")), "password");
  const onEach = (...command: [string, ...string[]]) =>
    Promise.all(nodes.map((node) => node.client.call(...command)));
  const set = (password: string) =>
    onEach("ACL", "SETUSER", "parapet", "resetpass", `>${password}`);
  return {
    file,
    begin: async (password: string): Promise<void> => {
      writeFileSync(file, `${password}\n`);
      await set(password);
      await onEach("ACL", "SETUSER", "parapet", "on", "~*", "&*", "+@all");
    },
    rotate: async (password: string): Promise<void> => {
      await set(password);
      await onEach("CLIENT", "KILL", "USER", "parapet");
    },
  };
}

/** A queue as the configuration gives it goes on with another password, without a restart. */
async function overRotation(
  nodes: readonly RedisProcess[],
  where: (nodes: readonly string[]) => object,
): Promise<void> {
  const { file, begin, rotate } = rotating(nodes);
  await begin("the-first-one");
  const how = where(nodes.map((one) => `127.0.0.1:${one.port}`));
  const redis = { username: "parapet", password: { file } };
  const tokens = [{ name: "a", value: "0123456789abcdef" }];
  const parsed = parseConfig({ intake: { tokens }, queue: withRedis(how, redis) }, {});
  const read = parsed.ok ? await readConfigFiles(parsed.config) : undefined;
  const target = read?.ok === true ? read.files.redis : undefined;
  if (target === undefined) throw new Error("no target");
  const queue = makeRedisQueue(target, options());
  const counted = makeRedisCounts(target, options().name, () => undefined);
  const handled: string[] = [];
  const take = (alert: string) =>
    eventually("taken", async () => {
      await queue.add([storedAlert(alert)]);
      return true;
    });
  await take("x1");
  queue.start((alert) => {
    handled.push(alert.fingerprint);
    return Promise.resolve();
  });
  await eventually("handed over", () => handled.includes("x1"));
  await rotate("the-second-one");
  // The Secret reaches the file some time later.
  await eventually("refused", () =>
    queue.add([storedAlert("x2")]).then(
      () => false,
      () => true,
    ),
  );
  writeFileSync(file, "the-second-one\n");
  await take("x3");
  await eventually("handed over again", () => handled.includes("x3"));
  await eventually("counted", () => counted.add(new Map([["a", 1]])).then(() => true));
  counted.close();
  await queue.close();
}

const withRedis = (how: object, redis: object): object =>
  "redisUrl" in how ? { ...how, redis } : { redis: { ...redis, ...how } };

/**
 * An intake that is sent alerts all the while, and what its queue handed over. `target` fails over in the middle: what was
 * answered with 202 is handed over, each once.
 */
async function overFailover(
  target: RedisTarget,
  fail: () => Promise<void>,
  promoted: () => Promise<boolean>,
): Promise<{ readonly accepted: number; readonly spooled: number }> {
  const queue = makeRedisQueue(target, options());
  const metrics = makeMetrics();
  const spool = await openSpool(mkdtempSync(join(directory, "spool-")), 1 << 26);
  const ports = { queue, spool, spoolBytesMax: 1 << 26, metrics, log: () => undefined };
  const intake = makeIntake({ ...ports, now: Date.now });
  const handled = new Map<string, number>();
  await eventually("connected", () => queue.check());
  queue.start((alert: StoredAlert) => {
    handled.set(alert.text, (handled.get(alert.text) ?? 0) + 1);
    return Promise.resolve();
  });
  const accepted: string[] = [];
  const sending = { on: true };
  let sent = 0;
  const send = async (): Promise<void> => {
    while (sending.on) {
      const time = `2026-07-04T20:46:44.${String((sent += 1)).padStart(9, "0")}Z`;
      const text = `{"rule":"r","priority":"Notice","time":"${time}"}`;
      const reply = await intake.accept(Buffer.from(text), "falco");
      if (reply.status === 202) accepted.push(text);
      await sleep(2);
    }
  };
  const lanes = [send(), send(), send(), send()];
  const ticking = setInterval(() => void intake.drain(), 100);
  await sleep(500);
  await fail();
  await eventually("another master", () => promoted());
  await sleep(500);
  sending.on = false;
  await Promise.all(lanes);
  await eventually("the spool is empty", () => spool.isEmpty());
  await eventually("all handled", () => accepted.every((text) => handled.has(text)));
  clearInterval(ticking);
  await queue.close();
  await spool.close();
  expect(accepted.length).toBe(sent);
  const spooled = Number(/parapet_alerts_spooled_total (\d+)/.exec(metrics.text())?.[1] ?? 0);
  return { accepted: accepted.length, spooled };
}

async function anyMaster(replicas: readonly RedisProcess[]): Promise<boolean> {
  const roles = await Promise.all(replicas.map((one) => one.client.role()));
  return roles.some(([role]) => role === "master");
}

describe.skipIf(!hasRedis)("Redis behind Sentinel", () => {
  let redis: Awaited<ReturnType<typeof startSentinels>>;
  const target = (): RedisTarget => ({
    at: {
      kind: "sentinel",
      name: "main",
      nodes: (redis?.sentinels ?? []).map((one) => ({ host: "127.0.0.1", port: one.port })),
    },
    replicas: 1,
  });
  beforeAll(async () => {
    redis = await startSentinels();
  });
  afterAll(() => redis?.group.stop());

  queueContract(async () => {
    const queue = makeRedisQueue(target(), options());
    await eventually("connected", () => queue.check());
    return queue;
  });

  beginningsContract(() => openBeginnings(target()));

  it("is told another password when the Secret is rotated", () =>
    overRotation(
      [redis?.master, ...(redis?.replicas ?? [])].filter((one) => one !== undefined),
      () => ({
        sentinel: {
          name: "main",
          nodes: redis?.sentinels.map((one) => `127.0.0.1:${one.port}`),
        },
      }),
    ));

  it("fails over while alerts come, and loses none that was accepted", async () => {
    const { accepted, spooled } = await overFailover(
      target(),
      async () => redis?.master.child.stop("SIGKILL"),
      () => anyMaster(redis?.replicas ?? []),
    );
    expect(accepted).toBeGreaterThan(100);
    // While there was no master, and while its successor had no replica that could have them too.
    expect(spooled).toBeGreaterThan(0);
  });
});

describe.skipIf(!hasRedis)("Redis Cluster", () => {
  receivedCountsContract(() => makeRedisCounts(target(0), options().name, () => undefined));
  beginningsContract(() => openBeginnings(target(1)));

  let redis: Awaited<ReturnType<typeof startCluster>>;
  const target = (replicas: number): RedisTarget => ({
    at: {
      kind: "cluster",
      nodes: (redis?.nodes ?? []).map((one) => ({ host: "127.0.0.1", port: one.port })),
    },
    replicas,
  });
  beforeAll(async () => {
    redis = await startCluster();
  });
  afterAll(() => redis?.group.stop());

  queueContract(async () => {
    const queue = makeRedisQueue(target(1), options());
    await eventually("connected", () => queue.check());
    return queue;
  });

  it("is told another password when the Secret is rotated", () =>
    overRotation(redis?.nodes ?? [], (nodes) => ({ cluster: { nodes } })));

  it("fails over while alerts come, and loses none that was accepted", async () => {
    const { accepted } = await overFailover(
      target(0),
      async () => redis?.master.child.stop("SIGKILL"),
      () => anyMaster(redis?.replicas ?? []),
    );
    expect(accepted).toBeGreaterThan(100);
  });
});
