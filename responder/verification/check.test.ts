// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { makeChange } from "#responder/changes";
import { type Cluster, failure, nameOf, types, uidOf } from "#responder/cluster";
import { isolationPrefix, ownershipLabel, type Plan, type WriteChange } from "#responder/plan";
import type { Remediation, State, Status } from "#responder/remediation";
import { check, type VerificationPorts } from "#responder/verification/check";
import { networks, unknownNetwork, viewOf } from "#responder/verification/networks";
import type { ProbeRunner, Progress } from "#responder/verification/probe";
import { good } from "#test/support/cluster-contract";
import { exampleRemediation } from "#test/support/example-remediation";

const startMs = Date.parse("2026-11-22T10:00:00Z");
const owner = "shell-web";
const label = `${isolationPrefix}r1`;

type Given = {
  readonly state: State;
  readonly verification?: VerificationPorts;
  readonly laterMs?: number;
  readonly residual?: boolean;
  readonly status?: Partial<Status>;
  /** What happens to the cluster after the isolation was applied. */
  readonly meanwhile?: (cluster: Cluster, pod: JsonObject) => Promise<unknown>;
  readonly reads?: (cluster: Cluster) => Cluster;
};

async function checked(given: Given) {
  const clock = { ms: startMs };
  const cluster = makeMemoryCluster(() => clock.ms).client();
  const pod = good(
    await cluster.create(types.pod, {
      metadata: { namespace: "prod", name: "web-1", labels: { app: "web" } },
      spec: { nodeName: "node-1" },
      status: { phase: "Running", podIP: "10.0.0.1" },
    }),
  );
  const changes: readonly WriteChange[] = [
    {
      kind: "apply",
      type: types.networkPolicy,
      manifest: {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { namespace: "prod", name: "parapet-x", labels: { [ownershipLabel]: owner } },
        spec: { podSelector: { matchLabels: { [label]: uidOf(pod) } } },
      },
    },
    {
      kind: "edit",
      type: types.pod,
      ...nameOf(pod),
      uid: uidOf(pod),
      edits: [{ path: ["metadata", "labels", label], to: uidOf(pod) }],
    },
  ];
  for (const change of changes) good(await makeChange(cluster, change, owner, false));
  await given.meanwhile?.(cluster, pod);
  clock.ms += given.laterMs ?? 0;
  const example = exampleRemediation({ name: owner, state: given.state });
  const plan: Plan = {
    digest: "",
    notes: [],
    actions: [{ action: "isolate", changes }],
    residualAllows: given.residual === true ? (example.plan?.residualAllows ?? []) : [],
  };
  const remediation: Remediation = {
    ...example,
    target: { apiVersion: "v1", kind: "Pod", ...nameOf(pod), uid: uidOf(pod) },
    plan,
    status: { ...example.status, appliedAtMs: startMs, evidence: [], ...given.status },
  };
  const ports = {
    cluster: given.reads?.(cluster) ?? cluster,
    now: () => clock.ms,
    ...(given.verification === undefined ? {} : { verification: given.verification }),
  };
  const reply = await check(ports, remediation);
  if (!reply.ok) return { text: `failed ${reply.code}`, evidence: [] };
  const { event, status, againMs } = reply.value;
  const text = event === undefined ? `again in ${againMs}` : `${event.kind} ${event.reason}`;
  const evidence = (status.evidence ?? []).map((one) => `${one.check} ${one.finding}`);
  return { text, evidence, message: event?.message ?? "", status };
}

const ended: string[] = [];
const probing = (progress: Progress, name = "ovn-kubernetes"): VerificationPorts => {
  const runner: ProbeRunner = {
    mayStandIn: () => true,
    step: () => Promise.resolve({ ok: true, value: progress }),
    end: (request) => {
      ended.push(request.id);
      return Promise.resolve();
    },
    sweep: () => Promise.resolve(0),
  };
  return {
    network: () => viewOf(networks.filter((one) => one.name === name)),
    probes: { runner, namespace: "probes" },
  };
};

const at = { address: "10.0.0.1", port: 1 };
const closed: Progress = {
  kind: "done",
  sources: ["10.9.0.1"],
  attempts: [
    { from: "client", to: "target", ...at, outcome: "timeout" },
    { from: "client", to: "control", ...at, outcome: "connected" },
    { from: "isolated", to: "listener", ...at, outcome: "timeout" },
    { from: "control", to: "listener", ...at, outcome: "connected" },
  ],
};
const running: Progress = { kind: "running", againMs: 777, waitsFor: "the client pod" };
const withStatus = (status: "True" | "False") => (cluster: Cluster) => ({
  ...cluster,
  get: async (...args: Parameters<Cluster["get"]>) => {
    const reply = await cluster.get(...args);
    if (!reply.ok || args[0].kind !== "NetworkPolicy") return reply;
    const conditions = [{ type: "Ready-In-Zone-a", status }];
    return { ok: true as const, value: { ...reply.value, status: { conditions } } };
  },
});

const rows: readonly (Given & { readonly reason: string; readonly want: string })[] = [
  {
    reason: "Nothing but time has spoken, and nobody tries.",
    state: "Applied",
    want: "settled SettleTimeElapsed",
  },
  {
    reason: "The backend has spoken.",
    state: "Applied",
    reads: withStatus("True"),
    want: "settled BackendStatus",
  },
  {
    reason: "It says not yet: that is waited for,",
    state: "Applied",
    laterMs: 60_000,
    reads: withStatus("False"),
    want: "again in 2000",
  },
  {
    reason: "but not for ever.",
    state: "Applied",
    laterMs: 200_000,
    reads: withStatus("False"),
    want: "unverifiable NotRealised",
  },
  {
    reason: "Somebody opened the policy.",
    state: "Applied",
    meanwhile: (cluster) =>
      cluster.patch(types.networkPolicy, { namespace: "prod", name: "parapet-x" }, [
        { op: "add", path: "/spec/ingress", value: [{}] },
      ]),
    want: "unverifiable ChangedMeanwhile",
  },
  {
    reason: "Others let something through, and the plan said so.",
    state: "Applied",
    residual: true,
    want: "unverifiable ResidualAllows",
  },
  {
    reason: "People closed since what the plan left open.",
    state: "Applied",
    residual: true,
    status: {
      history: [
        {
          atMs: 1,
          from: "Unverifiable",
          to: "Applied",
          reason: "NothingLeftOpen",
          message: "",
          by: "parapet",
        },
      ],
    },
    want: "settled SettleTimeElapsed",
  },
  {
    reason: "Where policies are ignored no time and no status makes it so.",
    state: "Applied",
    reads: withStatus("True"),
    verification: probing(closed, "flannel"),
    want: "unverifiable PolicyIgnored",
  },
  {
    reason: "Realised comes before any try, so that a record says both.",
    state: "Applied",
    verification: probing(closed),
    want: "settled SettleTimeElapsed",
  },
  {
    reason: "Nobody waits for pods to start.",
    state: "Realised",
    verification: probing(running),
    want: "again in 777",
  },
  {
    reason: "Tried both ways with controls.",
    state: "Realised",
    verification: probing(closed),
    want: "verified Probed",
  },
  {
    reason: "The probes could not run.",
    state: "Realised",
    verification: probing({ kind: "impossible", reason: "ImagePullBackOff", passing: true }),
    want: "unverifiable NotProbed",
  },
  {
    reason: "What cannot be read is no answer.",
    state: "Realised",
    verification: probing(closed),
    reads: (cluster) => ({
      ...cluster,
      list: () => Promise.resolve(failure("Unavailable", "away")),
    }),
    want: "failed Unavailable",
  },
];

describe("the check of an isolation", () => {
  it.each(rows)("$want: $reason", async ({ want, ...given }) => {
    expect((await checked(given)).text).toBe(want);
  });

  it("keeps what it looked at, and says when nobody tried", async () => {
    const { evidence, message } = await checked({ state: "Applied" });
    expect(evidence).toEqual([
      "ReadBack Holds",
      "SettleTime Holds",
      "Connections Unknown",
      "Probe Unknown",
    ]);
    expect(message).toContain("no traffic was tried: no probes are configured");
    expect(unknownNetwork.established).toBe("unknown");
  });

  it("removes its pods whenever it has an answer, and only then", async () => {
    for (const [progress, times] of [
      [running, 0],
      [closed, 1],
      [{ kind: "impossible", reason: "x", passing: false }, 1],
    ] as const) {
      ended.length = 0;
      await checked({ state: "Realised", verification: probing(progress) });
      expect(ended).toHaveLength(times);
    }
  });
});

const unverifiable = (reason: string, count?: number): Partial<Status> => ({
  history: [
    {
      atMs: startMs,
      from: "Realised",
      to: "Unverifiable",
      reason,
      message: "",
      by: "parapet",
    },
  ],
  ...(count === undefined ? {} : { retry: { count, atMs: startMs } }),
});
const noRoom: Progress = { kind: "impossible", reason: "no node has room", passing: true };
const refused: Progress = { kind: "impossible", reason: "admission changed it", passing: false };
const twice = (progress: Progress, name?: string): VerificationPorts => ({
  ...probing(progress, name),
  tryAgain: { after: 10_000, times: 2 },
});

const again: readonly (Given & {
  readonly reason: string;
  readonly want: string;
  /** Of the retry that is left, as `count in ms`. */
  readonly retry?: string;
  readonly says?: string;
})[] = [
  {
    reason: "No room for a probe is a cause that passes: people are told that it is tried again.",
    state: "Realised",
    verification: twice(noRoom),
    want: "unverifiable NotProbed",
    retry: "0 in 10000",
    says: "no traffic was tried: no node has room; tried again by itself, at most 2 times",
  },
  {
    reason: "A pod that admission changes is the same pod at the next try.",
    state: "Realised",
    verification: twice(refused),
    want: "unverifiable NotProbed",
    says: "no traffic was tried: admission changed it",
  },
  {
    reason: "A further try that fails the same way is no news: nobody is told twice.",
    state: "Unverifiable",
    status: unverifiable("NotProbed", 0),
    verification: twice(noRoom),
    want: "again in 20000",
    retry: "1 in 20000",
  },
  {
    reason: "The last one says that it was the last.",
    state: "Unverifiable",
    status: unverifiable("NotProbed", 1),
    verification: twice(noRoom),
    want: "unverifiable NotProbed",
    says: "no traffic was tried: no node has room; tried again 2 times, and not any more",
  },
  {
    reason: "With no tries configured it stays as it was found.",
    state: "Realised",
    verification: { ...probing(noRoom), tryAgain: { after: 10_000, times: 0 } },
    want: "unverifiable NotProbed",
    says: "no traffic was tried: no node has room",
  },
  {
    reason: "It holds after all.",
    state: "Unverifiable",
    status: unverifiable("NotProbed", 1),
    verification: twice(closed),
    want: "verified Probed",
  },
  {
    reason: "Another cause is news.",
    state: "Unverifiable",
    status: unverifiable("NotProbed", 0),
    verification: twice(closed, "calico"),
    want: "unverifiable EstablishedConnections",
  },
  {
    reason: "A backend that was slow is asked again, and then probes follow.",
    state: "Unverifiable",
    status: unverifiable("NotRealised", 1),
    reads: withStatus("True"),
    verification: twice(closed),
    want: "settled BackendStatus",
  },
  {
    reason: "One that still says no is asked once more.",
    state: "Unverifiable",
    laterMs: 200_000,
    status: unverifiable("NotRealised", 0),
    reads: withStatus("False"),
    verification: twice(closed),
    want: "again in 20000",
    retry: "1 in 20000",
  },
  {
    reason: "Nobody tries any more: what time alone tells is said.",
    state: "Unverifiable",
    status: unverifiable("NotProbed", 0),
    want: "settled SettleTimeElapsed",
  },
];

describe("an isolation that could not be shown to hold", () => {
  it.each(again)("$want: $reason", async ({ want, retry, says, ...given }) => {
    const found = await checked(given);
    expect(found.text).toBe(want);
    const { retry: left } = found.status ?? {};
    const nowMs = startMs + (given.laterMs ?? 0);
    expect(left && `${left.count} in ${left.atMs - nowMs}`).toBe(retry);
    if (says !== undefined) expect(found.message).toBe(says);
  });
});
