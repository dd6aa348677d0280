// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import {
  type Cluster,
  failure,
  keyOf,
  type ObjectName,
  type ResourceType,
  types,
  uidOf,
} from "#responder/cluster";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { makeLocks } from "#responder/locks";
import { isIsolation, type Plan } from "#responder/plan";
import { planDifference } from "#responder/plan-difference";
import { planResponse } from "#responder/plan-response";
import { findOpen } from "#responder/record/remediation-store";
import { readRemediation, remediationJson, statusJson } from "#responder/record/remediation-record";
import type { Remediation } from "#responder/remediation";
import { makeReplan } from "#responder/replan";
import { parseResponsePolicy } from "#responder/response-policy";
import { good } from "#test/support/cluster-contract";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = Date.parse("2026-11-22T10:00:00Z");
const podName = { namespace: "shop", name: "web-1" };
const policyName = { namespace: "", name: "isolate-shells" };

const policy = (actions: readonly JsonObject[]): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: policyName,
  spec: {
    match: { falco: { rules: ["Terminal shell in container"] } },
    do: actions,
    mode: "Propose",
    proposalTtl: "2h",
  },
});

const allowAll = (name: string, port: number): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name, namespace: "shop" },
  spec: { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ ports: [{ port }] }] },
});

/** A pod, a policy of people and a record that waits for its act: what was shown, and then approved. */
async function scene(actions: readonly JsonObject[] = [{ isolate: { ttl: "1h" } }]) {
  const cluster = makeMemoryCluster(() => nowMs).client("kubectl");
  const pod = good(
    await cluster.create(types.pod, {
      metadata: { ...podName, labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "nginx" }] },
      status: { phase: "Running", podIP: "10.0.0.1" },
    }),
  );
  const live = good(await cluster.create(types.responsePolicy, policy(actions)));
  good(await cluster.create(types.networkPolicy, allowAll("metrics", 9090)));
  const parsed = parseResponsePolicy(live);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const example = exampleRemediation({ name: "web-1-0123456789", state: "Approved" });
  const target = { apiVersion: "v1", kind: "Pod", ...podName, uid: uidOf(pod) };
  const network = makeReadNetwork(cluster, () => nowMs, { freshMs: 0 });
  const planned = good(
    await planResponse(
      {
        target,
        pod,
        remediation: example.name.name,
        read: cluster.get,
        listIn: () => Promise.resolve({ ok: true, value: [] }),
        network,
      },
      parsed.policy.spec,
    ),
  );
  const record = {
    ...example,
    name: { namespace: "shop", name: example.name.name },
    policy: policyName.name,
    target,
    plan: planned.plan,
    ttlMs: planned.ttlMs,
  };
  const made = good(await cluster.create(types.remediation, remediationJson(record, "finding")));
  good(
    await cluster.replaceStatus(types.remediation, { ...made, status: statusJson(record.status) }),
  );
  return { cluster, pod, network };
}

const drop = async (cluster: Cluster, type: ResourceType, name: ObjectName): Promise<void> => {
  const live = good(await cluster.get(type, name));
  good(await cluster.remove(type, name, uidOf(live)));
};

type Scene = Awaited<ReturnType<typeof scene>>;

async function records(cluster: Cluster): Promise<readonly Remediation[]> {
  const listed = good(await cluster.list(types.remediation, {}));
  return listed.items.map(readRemediation).filter((one) => typeof one !== "string");
}

async function replanned({ cluster, network }: Scene, reads: Partial<Cluster> = {}) {
  const [approved] = await records(cluster);
  if (approved === undefined) throw new Error("no record");
  const through: Cluster = { ...cluster, ...reads };
  const replan = makeReplan({
    cluster: through,
    getPodNow: () => through.get(types.pod, podName),
    remediations: () => [],
    audit: () => Promise.resolve(),
    now: () => nowMs,
    networkNow: network,
    networkNotes: () => ["the network ends open connections"],
    wake: () => undefined,
  });
  const reply = await replan(approved);
  const event = reply.ok ? reply.value.event : undefined;
  return {
    text: reply.ok ? `${event?.kind} ${event?.reason}` : `failed ${reply.code}`,
    message: event?.message ?? "",
    others: (await records(cluster)).filter((one) => one.uid !== approved.uid),
  };
}

const meanwhile: readonly {
  readonly reason: string;
  readonly actions?: readonly JsonObject[];
  readonly happens: (scene: Scene) => Promise<unknown>;
  readonly want: string;
  readonly says?: readonly string[];
  readonly proposes?: boolean;
}[] = [
  {
    reason: "Nothing happened: it is begun.",
    happens: () => Promise.resolve(),
    want: "begun Acting",
  },
  {
    reason: "A label that nothing selects by changes no plan, nor does another pod's policy.",
    happens: async ({ cluster }) => {
      good(
        await cluster.patch(types.pod, podName, [
          { op: "add", path: "/metadata/labels/seen", value: "yes" },
        ]),
      );
      const other = allowAll("other", 1);
      const spec = { podSelector: { matchLabels: { app: "db" } }, ingress: [{}] };
      good(await cluster.create(types.networkPolicy, { ...other, spec }));
    },
    want: "begun Acting",
  },
  {
    reason: "One policy more lets something through: the approver did not see that.",
    happens: ({ cluster }) => cluster.create(types.networkPolicy, allowAll("backdoor", 4444)),
    want: "denied PlanChanged",
    says: ["stays open now: Ingress by NetworkPolicy shop/backdoor", "4444"],
    proposes: true,
  },
  {
    reason: "One less: what is shown is what is done, so it is shown again.",
    happens: ({ cluster }) =>
      drop(cluster, types.networkPolicy, { namespace: "shop", name: "metrics" }),
    want: "denied PlanChanged",
    says: ["open no more: Ingress by NetworkPolicy shop/metrics"],
    proposes: true,
  },
  {
    reason: "The policy that it came from allows a network by now.",
    happens: ({ cluster }) =>
      cluster.patch(types.responsePolicy, policyName, [
        { op: "add", path: "/spec/do/0/isolate/allow", value: [{ cidr: "192.0.2.1/32" }] },
      ]),
    want: "denied PlanChanged",
    says: [
      "otherwise: apply NetworkPolicy shop/parapet-web-1-0123456789 (spec.egress, spec.ingress)",
    ],
    proposes: true,
  },
  {
    reason: "Or does something else as well.",
    happens: ({ cluster }) =>
      cluster.patch(types.responsePolicy, policyName, [
        { op: "add", path: "/spec/do/1", value: { delete: {} } },
      ]),
    want: "denied PlanChanged",
    says: ["as well: delete Pod shop/web-1"],
    proposes: true,
  },
  {
    reason: "A value that the plan sets is somebody else's by now.",
    actions: [{ annotate: { annotations: { tier: "none" } } }],
    happens: ({ cluster }) =>
      cluster.patch(types.pod, podName, [
        { op: "add", path: "/metadata/annotations", value: { tier: "gold" } },
      ]),
    want: "denied PlanChanged",
    says: ["otherwise: set metadata.annotations.tier on Pod shop/web-1"],
    proposes: true,
  },
  {
    reason: "A pod that has ended cannot be isolated: there is nothing to propose.",
    happens: async ({ cluster }) =>
      good(
        await cluster.patch(types.pod, podName, [
          { op: "replace", path: "/status/phase", value: "Succeeded" },
        ]),
      ),
    want: "denied PlanChanged",
    says: ["not possible any more: isolate: the pod has ended"],
  },
  {
    reason: "Nobody knows what a policy would do that is gone.",
    happens: ({ cluster }) => drop(cluster, types.responsePolicy, policyName),
    want: "denied PlanChanged",
    says: ["its ResponsePolicy isolate-shells is gone"],
  },
  {
    reason: "Nor one with mistakes.",
    happens: ({ cluster }) =>
      cluster.patch(types.responsePolicy, policyName, [
        { op: "add", path: "/spec/prove", value: true },
      ]),
    want: "denied PlanChanged",
    says: ["its ResponsePolicy isolate-shells has mistakes"],
  },
  {
    reason: "The pod is another one of its name.",
    happens: async ({ cluster, pod }) => {
      good(await cluster.remove(types.pod, podName, uidOf(pod), { graceSeconds: 0 }));
      good(await cluster.create(types.pod, { metadata: podName, spec: {} }));
    },
    want: "targetGone TargetGone",
  },
];

describe("what people approved, planned anew", () => {
  it.each(meanwhile)("$want: $reason", async ({ actions, happens, want, says, proposes }) => {
    const made = await scene(actions);
    await happens(made);
    const { text, message, others } = await replanned(made);
    expect(text).toBe(want);
    for (const part of says ?? []) expect(message).toContain(part);
    expect(others).toHaveLength(proposes === true ? 1 : 0);
    const [next] = others;
    if (next === undefined) return;
    expect(message).toContain(`Remediation ${next.name.name} proposes what is right now`);
    expect(next).toMatchObject({ mode: "Propose", policy: "isolate-shells" });
    expect(next.status.state).toBe("Proposed");
    expect(next.decideBeforeMs - nowMs).toBe(2 * 3_600_000);
    expect(next.plan?.notes.at(-1)).toContain("takes the place of Remediation web-1-0123456789");
    const isTold = next.plan?.notes[0] === "the network ends open connections";
    expect(isTold).toBe(isIsolation(next.plan));
    // The new plan is one that can be approved: planned again it is the same.
    const [first] = await records(made.cluster);
    if (first === undefined) throw new Error("no record");
    expect(next.plan?.digest).not.toBe(first.plan?.digest);
    good(await made.cluster.remove(types.remediation, first.name, first.uid));
    expect((await replanned(made)).text).toBe("begun Acting");
  });

  it("counts later alerts to the new proposal, not to the one that was refused a moment ago", async () => {
    const made = await scene();
    const { cluster } = made;
    good(await cluster.create(types.networkPolicy, allowAll("backdoor", 4444)));
    const { others } = await replanned(made);
    const [first] = (await records(cluster)).filter((one) => one.status.state === "Approved");
    if (first === undefined) throw new Error("no record");
    const closed = { atMs: nowMs, from: "Approved", to: "Denied", reason: "PlanChanged" } as const;
    const history = [...first.status.history, { ...closed, message: "", by: "parapet" }];
    const status = statusJson({ ...first.status, state: "Denied", history });
    const live = good(await cluster.get(types.remediation, first.name));
    good(await cluster.replaceStatus(types.remediation, { ...live, status }));
    const ports = {
      cluster,
      knownOf: () => [],
      remediationsIn: () => [],
      locks: makeLocks(),
      audit: () => Promise.resolve(),
      wake: () => undefined,
      now: () => nowMs,
    };
    const options = { cooldownMs: 600_000, prefix: "web-1" };
    const found = good(await findOpen(ports, "shop", "finding", options));
    expect(found).toEqual({ kind: "open", name: others[0]?.name });
  });

  it("is proposed once, however often a crash repeats it", async () => {
    const made = await scene();
    good(await made.cluster.create(types.networkPolicy, allowAll("backdoor", 4444)));
    const first = await replanned(made);
    const second = await replanned(made);
    expect(second).toEqual(first);
    expect(second.others).toHaveLength(1);
  });

  it.each(["get", "list"] as const)(
    "is neither begun nor refused while the server does not answer a %s",
    async (verb) => {
      const made = await scene();
      const away = () => Promise.resolve(failure("Unavailable", "away"));
      const { text, others } = await replanned(
        {
          ...made,
          network: makeReadNetwork({ ...made.cluster, [verb]: away }, () => nowMs, { freshMs: 0 }),
        },
        { [verb]: away },
      );
      expect(text).toBe("failed Unavailable");
      expect(others).toEqual([]);
    },
  );
});

describe("the difference of two plans", () => {
  const [base] = [exampleRemediation({ name: "r", state: "Proposed" }).plan];
  const plan = (more: Partial<Plan>): Plan => {
    if (base === undefined) throw new Error("no plan");
    return { ...base, ...more };
  };

  it("is none where only the notes are others", () => {
    expect(planDifference(plan({}), plan({ notes: ["x"] }))).toBe("");
  });

  it("is told for another order of the same changes too", () => {
    expect(planDifference(plan({}), plan({ digest: "sha256:b" }))).toBe("its actions are others");
  });

  it("names a few of many", () => {
    const [allow] = plan({}).residualAllows;
    if (allow === undefined) throw new Error("no allow");
    const many = Array.from({ length: 50 }, (_, i) => ({ ...allow, name: `allow-${i}` }));
    const text = planDifference(plan({}), plan({ residualAllows: [allow, ...many] }));
    expect(text).toContain("and 44 more");
    expect(keyOf({ namespace: "", name: "x" })).toBe("x");
  });
});
