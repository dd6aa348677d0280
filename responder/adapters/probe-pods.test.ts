// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, isArray, textAt } from "#policy/json";
import { sha256 } from "#responder/finding";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { makeProbePods } from "#responder/adapters/probe-pods";
import { type Cluster, failure, nameOf, types, uidOf } from "#responder/cluster";
import type { Attempt, ProbeRequest, Progress } from "#responder/verification/probe";
import { probePartLabel } from "#responder/verification/probe-pod";
import { good } from "#test/support/cluster-contract";

// The runner of test/cluster/verification.test.ts, on a cluster in memory whose kubelet is a table: what no real node does
// on demand happens here.

const request: ProbeRequest = {
  id: "uid-of-the-remediation",
  remediation: { namespace: "shop", name: "shell-web", uid: "uid-r" },
  destinations: [
    { to: "target", address: "10.0.0.1", port: 8080 },
    { to: "twin", address: "10.0.0.2", port: 8080 },
  ],
  standIns: {
    namespace: "shop",
    node: "node-1",
    labels: { app: "web" },
    isolation: { "isolate.parapet.dev/r": "uid-1" },
  },
};

type Fault = { readonly part: string; readonly status: JsonObject };

function scene(
  given: { readonly faults?: readonly Fault[]; readonly client?: (real: Cluster) => Cluster } = {},
) {
  const clock = { ms: Date.parse("2026-11-22T10:00:00Z") };
  const memory = makeMemoryCluster(() => clock.ms);
  const cluster = memory.client();
  const options = {
    cluster: given.client?.(cluster) ?? cluster,
    namespace: "probes",
    image: "registry.example/responder:1",
    command: ["node", "probe.ts"],
    standInNamespaces: ["shop"],
    concurrency: 2,
    now: () => clock.ms,
  };
  const runner = makeProbePods(options);
  const pods = async (): Promise<readonly JsonObject[]> =>
    good(await cluster.list(types.pod, {})).items;
  /** One round of a kubelet: what starts runs, what ran has ended, as the table says. */
  const kubelet = async (): Promise<void> => {
    for (const [index, pod] of (await pods()).entries()) {
      const part = textAt(pod, ["metadata", "labels", probePartLabel]);
      const fault = given.faults?.find((one) => one.part === part);
      const status = fault?.status ?? next(pod, part, index);
      good(await cluster.replace(types.pod, { ...pod, status }));
    }
  };
  const drive = async (steps = 40): Promise<Exclude<Progress, { kind: "running" }>> => {
    for (let step = 0; step < steps; step++) {
      const progress = good(await runner.step(request));
      if (progress.kind !== "running") return progress;
      clock.ms += 1_000;
      await kubelet();
    }
    throw new Error("no end");
  };
  return { clock, cluster, runner, options, pods, kubelet, drive };
}

function next(pod: JsonObject, part: string, index: number): JsonObject {
  const podIP = `10.9.0.${index + 1}`;
  if (textAt(pod, ["status", "phase"]) === "") return { phase: "Running", podIP };
  if (part === "listener") return { ...ran(pod), phase: "Running" };
  return ended(pod, part);
}

const ran = (pod: JsonObject): JsonObject => ({ podIP: textAt(pod, ["status", "podIP"]) });

function ended(pod: JsonObject, part: string): JsonObject {
  const args = at(pod, ["spec", "containers", 0, "args"]);
  const tries = (isArray(args) ? args : []).flatMap((arg) => {
    const match = /^--try=(\w+)@(.+):(\d+)$/.exec(typeof arg === "string" ? arg : "");
    if (match === null) return [];
    const [, role = "", address = "", port = ""] = match;
    const isCut = part === "isolated" || role === "target" || role === "isolated";
    return [{ role, address, port: Number(port), outcome: isCut ? "timeout" : "connected" }];
  });
  const message = JSON.stringify({ listening: part !== "client", tries });
  return {
    ...ran(pod),
    phase: "Succeeded",
    containerStatuses: [{ state: { terminated: { message } } }],
  };
}

const text = ({ from, to, outcome }: Attempt): string => `${from} ${to} ${outcome}`;

describe("probe pods", () => {
  it("try both ways with controls, each part once it knows whom to try, and leave nothing", async () => {
    const { drive, pods, runner } = scene();
    const done = await drive();
    expect(done.kind === "done" ? done.attempts.map(text).sort() : done).toEqual([
      "client control connected",
      "client isolated timeout",
      "client target timeout",
      "client twin connected",
      "control listener connected",
      "isolated listener timeout",
    ]);
    expect((await pods()).map((pod) => nameOf(pod).namespace).sort()).toEqual([
      "probes",
      "probes",
      "shop",
      "shop",
    ]);
    await runner.end(request);
    expect(await pods()).toEqual([]);
    await runner.end(request);
  });

  it("of an experiment before a change say nothing about the one after it", async () => {
    const { drive, runner } = scene();
    await drive();
    // What was left of it, as when the API server was away at its end, is not taken for an answer.
    const later = { ...request, id: "uid-of-the-remediation later" };
    expect(good(await runner.step(later)).kind).toBe("running");
  });

  it("are so many at once and no more, and one that was given up makes room in time", async () => {
    const { runner, clock, pods } = scene();
    const of = (id: string): ProbeRequest => ({ ...request, id });
    const waitsFor = async (id: string): Promise<string> => {
      const progress = good(await runner.step(of(id)));
      return progress.kind === "running" ? progress.waitsFor : progress.kind;
    };
    expect([await waitsFor("a"), await waitsFor("b"), await waitsFor("c")]).toEqual([
      "the listener pod",
      "the listener pod",
      "its turn",
    ]);
    expect(await pods()).toHaveLength(2);
    await runner.end(of("a"));
    expect(await waitsFor("c")).toBe("the listener pod");
    expect(await waitsFor("d")).toBe("its turn");
    clock.ms += 301_000;
    expect(await waitsFor("d")).toBe("the listener pod");
  });

  it("are a client alone where no pod may stand in", async () => {
    const { runner, pods, kubelet } = scene();
    const alone = { ...request, standIns: undefined };
    expect(good(await runner.step(alone)).kind).toBe("running");
    await kubelet();
    await kubelet();
    const done = good(await runner.step(alone));
    expect(done.kind === "done" ? done.attempts.map(text) : done).toEqual([
      "client target timeout",
      "client twin connected",
    ]);
    expect(await pods()).toHaveLength(1);
    expect(runner.mayStandIn("shop")).toBe(true);
    expect(runner.mayStandIn("elsewhere")).toBe(false);
  });

  it("go on where another replica stopped, however often it is asked", async () => {
    const { runner, options, kubelet, pods } = scene();
    for (let round = 0; round < 12; round++) {
      // Each step by a replica that knows nothing.
      const progress = good(await makeProbePods(options).step(request));
      if (progress.kind === "done") break;
      await Promise.all([runner.step(request), makeProbePods(options).step(request)]);
      if (round % 2 === 1) await kubelet();
    }
    expect(await pods()).toHaveLength(4);
    expect(good(await runner.step(request)).kind).toBe("done");
  });

  const faults = [
    {
      reason: "The image cannot be had.",
      fault: {
        part: "client",
        status: {
          phase: "Pending",
          containerStatuses: [{ state: { waiting: { reason: "ImagePullBackOff" } } }],
        },
      },
      want: "the client pod: ImagePullBackOff",
    },
    {
      reason: "No node takes it.",
      fault: { part: "listener", status: { phase: "Pending" } },
      want: "the listener pod: did not run within 60 s: Pending",
    },
    {
      reason: "The node refuses a stand-in.",
      fault: { part: "control", status: { phase: "Failed", reason: "OutOfcpu" } },
      want: "the control pod: ended without a report: OutOfcpu",
    },
    {
      reason: "A stand-in that could not listen proves nothing by being silent.",
      fault: {
        part: "isolated",
        status: {
          phase: "Succeeded",
          podIP: "10.9.0.7",
          containerStatuses: [
            { state: { terminated: { message: '{"listening":false,"tries":[]}' } } },
          ],
        },
      },
      want: "the isolated stand-in could not listen",
    },
    {
      reason:
        "A program that never ends is not waited for: the listener is the first that is too old.",
      fault: { part: "client", status: { phase: "Running", podIP: "10.9.0.8" } },
      want: "the listener pod: does not end",
    },
  ];

  it.each(faults)("say why there is no answer: $reason", async ({ fault, want }) => {
    const { drive } = scene({ faults: [fault] });
    expect(await drive(200)).toEqual({ kind: "impossible", reason: want, passing: true });
  });

  it("go on when another twin would be taken by now", async () => {
    const { runner, kubelet } = scene();
    const alone = { ...request, standIns: undefined };
    await runner.step(alone);
    await kubelet();
    await kubelet();
    const [target, twin] = request.destinations;
    if (target === undefined || twin === undefined) throw new Error("no destinations");
    const moved = { ...alone, destinations: [target, { ...twin, address: "10.0.0.77" }] };
    const done = good(await runner.step(moved));
    expect(done.kind === "done" ? done.attempts.map(text) : done).toEqual([
      "client target timeout",
      "client twin connected",
    ]);
    // Where the target is another, what was tried says nothing about it.
    const elsewhere = { ...alone, destinations: [{ ...target, address: "10.0.0.88" }, twin] };
    const other = good(await runner.step(elsewhere));
    expect(other.kind === "done" ? other.attempts.map(text) : other).toEqual([
      "client twin connected",
    ]);
  });

  const strangers = [
    {
      reason: "Another program says what it likes.",
      path: ["image"],
      value: "evil/1",
      want: "another image",
    },
    {
      reason: "So does another command.",
      path: ["command"],
      value: ["sh"],
      want: "another command",
    },
    { reason: "Or other arguments.", path: ["args"], value: ["--listen=1"], want: "another args" },
    {
      reason: "Node does what its environment says.",
      path: ["env"],
      value: [{ name: "NODE_OPTIONS", value: "--import=x" }],
      want: "its container has env",
    },
    {
      reason: "Or what is mounted over it.",
      path: ["volumeMounts"],
      value: [{}],
      want: "has volumeMounts",
    },
  ];
  it.each(strangers)("of somebody else are no evidence: $reason", async ({ path, value, want }) => {
    const { cluster, drive, kubelet, runner } = scene();
    await runner.step(request);
    await kubelet();
    await runner.step(request);
    const name = {
      namespace: "shop",
      name: `parapet-probe-${sha256(request.id).slice(0, 12)}-control`,
    };
    const live = good(await cluster.get(types.pod, name));
    const key = `/spec/containers/0/${path[0]}`;
    good(await cluster.patch(types.pod, nameOf(live), [{ op: "add", path: key, value }]));
    const done = await drive();
    // The next pod would be made by the same hands.
    expect(done).toMatchObject({ kind: "impossible", passing: false });
    expect(done.kind === "impossible" ? done.reason : "").toContain(want);
  });

  const refusals = [
    {
      reason: "A quota that is used up is Forbidden too, and has room later.",
      code: "Forbidden",
      passing: true,
    },
    {
      reason: "A pod that the server calls invalid is the same at the next try.",
      code: "Invalid",
      passing: false,
    },
    { reason: "The namespace has to be made by somebody.", code: "NotFound", passing: false },
  ] as const;
  it.each(refusals)("that may not be made are an answer: $reason", async ({ code, passing }) => {
    const refused = scene({
      client: (real) => ({ ...real, create: () => Promise.resolve(failure(code, "said no")) }),
    });
    const reason = `the listener pod cannot be made: ${code}: said no`;
    expect(await refused.drive()).toEqual({ kind: "impossible", reason, passing });
  });

  it("have no answer from an API server that is away", async () => {
    const away = scene({
      client: (real) => ({ ...real, get: () => Promise.resolve(failure("Unavailable", "away")) }),
    });
    expect(await away.runner.step(request)).toMatchObject({ ok: false, code: "Unavailable" });
  });

  it("that a crash left behind are swept when they are old, and nobody else's", async () => {
    const { runner, cluster, clock, pods } = scene();
    await runner.step(request);
    good(
      await cluster.create(types.pod, {
        metadata: { namespace: "probes", name: "theirs", labels: { app: "web" } },
      }),
    );
    expect(await runner.sweep()).toBe(0);
    clock.ms += 301_000;
    expect(await runner.sweep()).toBe(1);
    const left = await pods();
    expect(left.map((pod) => nameOf(pod).name)).toEqual(["theirs"]);
    expect(uidOf(left[0] ?? {})).not.toBe("");
  });
});
