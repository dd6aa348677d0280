// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { authenticate } from "#responder/config/credentials";
import {
  type Cluster,
  failure,
  nameOf,
  type Reply,
  uidOf,
  type WatchEvent,
} from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { makeLocks } from "#responder/locks";
import { resolveTarget } from "#responder/target";
import { toAlert } from "#responder/intake/alert";
import { type Change, makeWatcher } from "#responder/watcher";
import { makeWorkQueue } from "#responder/work-queue";
import { good } from "#test/support/cluster-contract";
import { eventually } from "#test/support/processes";

describe("the work queue", () => {
  it("never works on one key twice at once, and once more for what came meanwhile", async () => {
    const running = new Map<string, () => void>();
    const runs: string[] = [];
    let clashes = 0;
    const queue = makeWorkQueue({
      concurrency: 3,
      handle: async (key) => {
        if (running.has(key)) clashes += 1;
        await new Promise<void>((resolve) => running.set(key, resolve));
        running.delete(key);
        runs.push(key);
        return undefined;
      },
      onError: () => undefined,
    });
    const keys = ["a", "b", "c", "d"];
    const addAll = () => keys.forEach((key) => queue.add(key));
    addAll();
    await eventually("three are at work", () => running.size === 3);
    const begun = [...running.keys()];
    for (let i = 0; i < 20; i++) {
      addAll();
      await sleep(1);
    }
    expect([...running.keys()]).toEqual(begun);
    await eventually("done", () => {
      for (const end of running.values()) end();
      return queue.size() === 0;
    });
    expect(clashes).toBe(0);
    // Once more each that was at work when it was asked for again; the one that waited was asked for all along.
    const times = keys.map((key) => runs.filter((one) => one === key).length);
    expect(times).toEqual(keys.map((key) => (begun.includes(key) ? 2 : 1)));
    await queue.stop();
  });

  it("tries again after a failure, later each time, and takes the earliest wish", async () => {
    const at: number[] = [];
    let failures = 0;
    const queue = makeWorkQueue({
      concurrency: 1,
      handle: (key) => {
        if (key === "timer") {
          at.push(performance.now());
          return Promise.resolve(undefined);
        }
        failures += 1;
        return failures < 2 ? Promise.reject(new Error("no")) : Promise.resolve(undefined);
      },
      onError: () => undefined,
    });
    const startedAt = performance.now();
    queue.add("timer", 10_000);
    queue.add("timer", 30);
    queue.add("timer", 5_000);
    queue.add("failing");
    await eventually("both", () => at.length === 1 && failures === 2);
    expect((at[0] ?? 0) - startedAt).toBeLessThan(2_000);
    await queue.stop();
    queue.add("timer");
    await sleep(5);
    expect(at).toHaveLength(1);
  });
});

describe("locks", () => {
  it("are given in order, one at a time", async () => {
    const locks = makeLocks();
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3].map(async (n) => {
        const release = await locks.take("x");
        order.push(n);
        await sleep(2);
        order.push(-n);
        release();
        release();
      }),
    );
    expect(order).toEqual([1, -1, 2, -2, 3, -3]);
  });
});

const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };
const named = (name: string, data: JsonObject = {}): JsonObject => ({
  metadata: { name, namespace: "x" },
  data,
});

describe("a watcher", () => {
  /** A cluster whose watch can be cut, with a reason, or made blind for a while. */
  function interrupted(cluster: Cluster) {
    let cut: ((reply: Reply<undefined>) => void) | undefined;
    const watch: Cluster["watch"] = (type, query, onEvent: (event: WatchEvent) => void, signal) => {
      const end = Promise.withResolvers<Reply<undefined>>();
      const inner = new AbortController();
      signal.addEventListener("abort", () => inner.abort());
      cut = (reply) => {
        inner.abort();
        end.resolve(reply);
      };
      return Promise.race([end.promise, cluster.watch(type, query, onEvent, inner.signal)]);
    };
    return { cluster: { ...cluster, watch }, cut: (reply: Reply<undefined>) => cut?.(reply) };
  }

  it("misses nothing over broken and outdated watches, and sees an object made anew as another", async () => {
    const memory = makeMemoryCluster(() => 0);
    const writer = memory.client("kubectl");
    const { cluster, cut } = interrupted(memory.client());
    const changes: Change[] = [];
    const failures: string[] = [];
    const watcher = makeWatcher({
      cluster,
      type: configMap,
      onChange: (change) => changes.push(change),
      onFailure: (message) => failures.push(message),
    });
    const first = good(await writer.create(configMap, named("a")));
    await watcher.synced;
    await eventually("seen", () => watcher.get("x/a") !== undefined);
    cut(failure("Unavailable", "reset"));
    good(await writer.remove(configMap, nameOf(first), uidOf(first)));
    const second = good(await writer.create(configMap, named("a", { v: "2" })));
    await eventually("the second", () => uidOf(watcher.get("x/a") ?? {}) === uidOf(second));
    cut(failure("Gone", "too old"));
    good(await writer.remove(configMap, nameOf(second), uidOf(second)));
    good(await writer.create(configMap, named("b")));
    await eventually(
      "b alone",
      () => watcher.all().length === 1 && watcher.get("x/b") !== undefined,
    );
    const told = changes.map(
      ({ key, before, after }) =>
        `${key} ${before === undefined ? "" : "was"}${after === undefined ? " gone" : " is"}`,
    );
    expect(told).toEqual(["x/a  is", "x/a was gone", "x/a  is", "x/a was gone", "x/b  is"]);
    expect(failures).toEqual(["watch of configmaps: Unavailable: reset"]);
    await watcher.stop();
  });

  it("waits for an API server that is down, and tells", async () => {
    const memory = makeMemoryCluster(() => 0);
    memory.setUp(false);
    const failures: string[] = [];
    const watcher = makeWatcher({
      cluster: memory.client(),
      type: configMap,
      onChange: () => undefined,
      onFailure: (message) => failures.push(message),
    });
    await eventually("a complaint", () => failures.length > 0);
    expect(watcher.isSynced()).toBe(false);
    memory.setUp(true);
    await watcher.synced;
    await watcher.stop();
  });
});

const token = { PARAPET_INTAKE_TOKEN: "0123456789abcdef" };
const configs = [
  {
    reason: "Nothing is taken from just anybody.",
    file: {},
    env: {},
    problem: "intake: name at least one",
  },
  { reason: "A token in the environment is enough.", file: {}, env: token, problem: undefined },
  { reason: "An unknown setting.", file: { intakes: {} }, env: token, problem: "intakes" },
  {
    reason: "A short secret.",
    file: {},
    env: { PARAPET_INTAKE_TOKEN: "short" },
    problem: "intake.tokens.0",
  },
  {
    reason: "A secret in two places.",
    file: { intake: { tokens: [{ name: "a", value: "0123456789abcdef", file: "/x" }] } },
    env: {},
    problem: "exactly one",
  },
  {
    reason: "A port that is none.",
    file: { intake: { listen: "127.0.0.1:99999" } },
    env: token,
    problem: "intake.listen",
  },
  { reason: "A time that is none.", file: { settle: "soon" }, env: token, problem: "settle" },
  {
    reason: "Names of certificates that nobody signs.",
    file: { intake: { clientNames: ["a"] } },
    env: token,
    problem: "intake.clientNames",
  },
  {
    reason: "A console without TLS for all the world.",
    file: {
      review: { listen: "0.0.0.0:1", reviewers: [{ name: "a", value: "0123456789abcdef" }] },
    },
    env: token,
    problem: "review.tls",
  },
  {
    reason: "The environment wins.",
    file: { intake: { listen: "nonsense" } },
    env: { ...token, PARAPET_INTAKE_LISTEN: "[::1]:1" },
    problem: undefined,
  },
  { reason: "A list is no configuration.", file: [], env: token, problem: "must be a mapping" },
] as const;

describe("the configuration", () => {
  it.each(configs)("$reason", ({ file, env, problem }) => {
    const parsed = parseConfig(file, env);
    const problems = parsed.ok ? "" : parsed.problems.join("\n");
    expect(parsed.ok).toBe(problem === undefined);
    expect(problems).toContain(problem ?? "");
  });

  it("tells every problem at once", () => {
    const parsed = parseConfig({ settle: "x", alertAgeMax: "y", queue: { concurrency: 0 } }, {});
    // And that nobody is named who may send.
    expect(parsed.ok ? 0 : parsed.problems.length).toBe(4);
  });
});

describe("who sends", () => {
  const credentials = {
    tokens: [{ name: "a", token: "token-of-a-0123456" }],
    basic: [],
    certificateNames: [],
    certificates: true,
  };
  it.each([
    ["Bearer token-of-a-0123456", undefined, "a"],
    ["bearer token-of-a-0123456", undefined, "a"],
    ["Bearer  token-of-a-0123456", undefined, undefined],
    ["token-of-a-0123456", undefined, undefined],
    ["Basic !!!", undefined, undefined],
    [undefined, { names: ["node"] }, "certificate node"],
    [undefined, undefined, undefined],
  ])("%s", (authorization, certificate, want) => {
    expect(authenticate(credentials, authorization, certificate)).toBe(want);
  });
});

const pod = (more: JsonObject = {}): JsonObject => ({
  metadata: {
    name: "web",
    namespace: "shop",
    uid: "u1",
    creationTimestamp: "2026-07-04T20:00:00Z",
  },
  spec: { nodeName: "node-1" },
  status: { containerStatuses: [{ containerID: "containerd://0123456789ab0000" }] },
  ...more,
});
const targets = [
  { reason: "The pod of that name.", fields: {}, want: "pod" },
  { reason: "Its container fits.", fields: { "container.id": "0123456789ab" }, want: "pod" },
  {
    reason: "A container of another pod.",
    fields: { "container.id": "ffffffffffff" },
    want: "container is none",
  },
  { reason: "The uid fits.", fields: { "k8s.pod.uid": "u1" }, want: "pod" },
  {
    reason: "A pod of the same name and another uid.",
    fields: { "k8s.pod.uid": "u2" },
    want: "another one",
  },
  {
    reason: "A pod made after the alert.",
    fields: {},
    time: "2026-07-04T19:00:00Z",
    want: "created after",
  },
  {
    reason:
      "A StatefulSet's pod made anew within seconds of its predecessor's alert is another pod.",
    fields: {},
    time: "2026-07-04T19:59:58Z",
    want: "created after",
  },
  {
    reason: "Clocks may differ where a container proves the pod.",
    fields: { "container.id": "0123456789ab" },
    time: "2026-07-04T19:59:58Z",
    want: "pod",
  },
  { reason: "The pod's node.", fields: {}, hostname: "node-1", want: "pod" },
  {
    reason: "The same node by its full name.",
    fields: {},
    hostname: "node-1.example.org",
    want: "pod",
  },
  {
    reason: "Another host, and nothing that proves the pod.",
    fields: {},
    hostname: "node-2",
    want: "not the pod's node",
  },
  {
    reason: "Falco's hostname may be that of its own pod: a container proves more.",
    fields: { "container.id": "0123456789ab" },
    hostname: "falco-x7k2p",
    want: "pod",
  },
] as const;

describe("the target of an alert", () => {
  it.each(targets)("$reason", async (row) => {
    const alert = toAlert({
      rule: "r",
      source: "syscall",
      time: "time" in row ? row.time : "2026-07-04T21:00:00Z",
      hostname: "hostname" in row ? row.hostname : "node-1",
      output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": "web", ...row.fields },
    });
    if (typeof alert === "string") throw new Error(alert);
    const found = good(
      await resolveTarget(() => Promise.resolve({ ok: true, value: pod() }), alert),
    );
    expect(found.kind === "unresolved" ? found.reason : found.kind).toContain(row.want);
  });

  it("that cannot be read is no answer", async () => {
    const alert = toAlert({
      rule: "r",
      output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": "web" },
    });
    if (typeof alert === "string") throw new Error(alert);
    const reply = await resolveTarget(() => Promise.resolve(failure("Unavailable", "down")), alert);
    expect(reply).toMatchObject({ ok: false, code: "Unavailable" });
  });
});
