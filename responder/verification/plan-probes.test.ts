// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import { isAllowListed, planProbes } from "#responder/verification/plan-probes";
import type { Attempt } from "#responder/verification/probe";
import { podState, probePod } from "#responder/verification/probe-pod";
import { exampleRemediation } from "#test/support/example-remediation";

const remediation = exampleRemediation({ name: "x", state: "Realised" });

const metadata = (name: string, labels: JsonObject): JsonObject => ({
  name,
  uid: `uid-${name}`,
  namespace: "prod",
  labels,
  ownerReferences: [{ kind: "ReplicaSet", name: "web", uid: "rs-1", controller: true }],
});

const pod = (name: string, address: string, more: JsonObject = {}): JsonObject => ({
  metadata: metadata(name, { app: "web" }),
  spec: { nodeName: "node-7", containers: [{ ports: [{ containerPort: 8080 }] }] },
  status: {
    podIPs: [{ ip: address }],
    conditions: [{ type: "Ready", status: "True" }],
  },
  ...more,
});

const isolatedLabels = {
  app: "web",
  "isolate.parapet.dev/r1": "uid-a",
  "statefulset.kubernetes.io/pod-name": "a",
};
const target = pod("a", "10.0.0.1", {
  metadata: metadata("a", isolatedLabels),
});

const destinations = (others: readonly JsonObject[], of: JsonObject = target): string => {
  const planned = planProbes(remediation, of, others, false);
  if (!planned.ok) return planned.reason;
  return planned.request.destinations
    .map(({ to, address, port }) => `${to} ${address}:${port}`)
    .join(", ");
};

const rows = [
  {
    reason: "The control is another ready pod of the same controller.",
    others: [target, pod("c", "10.0.0.3"), pod("b", "10.0.0.2")],
    want: "target 10.0.0.1:8080, twin 10.0.0.2:8080",
  },
  {
    reason: "One that is isolated itself is no control.",
    others: [pod("b", "10.0.0.2", { metadata: metadata("b", isolatedLabels) })],
    want: "target 10.0.0.1:8080",
  },
  {
    reason: "Nor one of another workload.",
    others: [pod("b", "10.0.0.2", { metadata: { name: "b", uid: "b" } })],
    want: "target 10.0.0.1:8080",
  },
  {
    reason: "Nor one that is not ready.",
    others: [pod("b", "10.0.0.2", { status: { podIPs: [{ ip: "10.0.0.2" }] } })],
    want: "target 10.0.0.1:8080",
  },
  {
    reason:
      "What declares no port is tried on one where nothing listens: a refusal shows that it was reached.",
    others: [],
    of: { ...target, spec: { containers: [{}] } },
    want: "target 10.0.0.1:4917",
  },
  {
    reason: "Both families are tried.",
    others: [],
    of: { ...target, status: { podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] } },
    want: "target 10.0.0.1:8080, target fd00::1:8080",
  },
  {
    reason: "No address, nothing to try.",
    others: [],
    of: { ...target, status: {} },
    want: "the pod has no address",
  },
  {
    reason: "An address that is none never becomes an argument.",
    others: [],
    of: { ...target, status: { podIPs: [{ ip: "10.0.0.1 --eval=x" }] } },
    want: "the pod has no address",
  },
  {
    reason: "No policy covers a node's network.",
    others: [],
    of: { ...target, spec: { hostNetwork: true } },
    want: "the pod uses its node's network, which no policy covers",
  },
];

describe("what is tried", () => {
  it.each(rows)("$reason", ({ others, want, of }) => {
    expect(destinations(others, of)).toBe(want);
  });

  it("is another experiment each time that the isolation was found in force anew", () => {
    const idAt = (...realisedMs: readonly number[]): string => {
      const history = realisedMs.map((atMs) => ({
        atMs,
        from: "Applied" as const,
        to: "Realised" as const,
        reason: "R",
        message: "",
        by: "parapet",
      }));
      const renewed = { ...history[0], atMs: 999, from: "Realised" as const };
      const entries = history[0] === undefined ? [] : [...history, { ...history[0], ...renewed }];
      const status = { ...remediation.status, history: entries };
      const planned = planProbes({ ...remediation, status }, target, [], false);
      return planned.ok ? planned.request.id : "";
    };
    expect(idAt(1)).not.toBe(idAt(1, 5));
    expect(idAt(1)).toBe(`${remediation.uid} 1`);
  });

  it("from the isolated side is a stand-in on its node, with its labels but no pod's own", () => {
    const planned = planProbes(remediation, target, [], true);
    expect(planned.ok ? planned.request.standIns : undefined).toEqual({
      namespace: remediation.target.namespace,
      node: "node-7",
      labels: { app: "web" },
      isolation: { "isolate.parapet.dev/r1": "uid-a" },
    });
  });

  const peer = (namespace: string): JsonObject => ({
    namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
  });
  const inward: Attempt = {
    from: "client",
    to: "target",
    address: "10.0.0.1",
    port: 8080,
    outcome: "connected",
  };
  const outward: Attempt = { ...inward, from: "isolated", to: "listener", address: "10.1.2.3" };
  const lists: readonly {
    readonly reason: string;
    readonly spec: JsonObject;
    readonly attempt?: Attempt;
    readonly want: boolean;
  }[] = [
    {
      reason: "Its address is allowed in.",
      spec: { ingress: [{ from: [{ ipBlock: { cidr: "10.1.0.0/16" } }] }] },
      want: true,
    },
    {
      reason: "Another network is.",
      spec: { ingress: [{ from: [{ ipBlock: { cidr: "10.2.0.0/16" } }] }] },
      want: false,
    },
    {
      reason: "Its namespace is allowed in.",
      spec: { ingress: [{ from: [peer("parapet-probes")] }] },
      want: true,
    },
    { reason: "Another is.", spec: { ingress: [{ from: [peer("dns")] }] }, want: false },
    {
      reason: "Only DNS is allowed from everywhere: that is no excuse for another port.",
      spec: {
        ingress: [
          { from: [{ ipBlock: { cidr: "0.0.0.0/0" } }], ports: [{ protocol: "UDP", port: 53 }] },
        ],
      },
      want: false,
    },
    {
      reason: "What is allowed out is not allowed in.",
      spec: { egress: [{ to: [peer("parapet-probes")] }] },
      want: false,
    },
    {
      reason: "Nor the other way.",
      spec: { ingress: [{ from: [peer("parapet-probes")] }] },
      attempt: outward,
      want: false,
    },
    {
      reason: "Allowed out.",
      spec: { egress: [{ to: [peer("parapet-probes")] }] },
      attempt: outward,
      want: true,
    },
    {
      reason: "What did not get through needs no excuse.",
      spec: { ingress: [{ from: [peer("parapet-probes")] }] },
      attempt: { ...inward, outcome: "timeout" },
      want: false,
    },
    {
      reason: "The twin is not isolated: that it is reached is no matter of the list.",
      spec: { ingress: [{ from: [peer("parapet-probes")] }] },
      attempt: { ...inward, to: "twin" },
      want: false,
    },
  ];

  it.each(lists)("is told from a hole: $reason", ({ spec, attempt = inward, want }) => {
    const manifest: JsonObject = {
      kind: "NetworkPolicy",
      metadata: { namespace: "prod", name: "parapet-x" },
      spec: {
        podSelector: { matchLabels: { "isolate.parapet.dev/x": "uid" } },
        policyTypes: ["Ingress", "Egress"],
        ...spec,
      },
    };
    const type = { apiVersion: "", kind: "", resource: "", namespaced: true };
    const changes = [{ kind: "apply", type, manifest }] as const;
    const plan = {
      digest: "",
      residualAllows: [],
      notes: [],
      actions: [{ action: "isolate", changes }],
    };
    const probes = { namespace: "parapet-probes", sources: ["10.1.2.3"] };
    expect(isAllowListed(plan, probes, attempt)).toBe(want);
  });
});

const states = [
  { reason: "Nobody has seen it.", status: {}, want: "starting not seen by any node" },
  {
    reason: "It needs an address to be of use.",
    status: { phase: "Running" },
    want: "starting Running",
  },
  {
    reason: "Now it can be tried.",
    status: { phase: "Running", podIP: "10.0.0.4" },
    want: "running",
  },
  {
    reason: "An image that cannot be had will not be had by waiting.",
    status: {
      phase: "Pending",
      containerStatuses: [{ state: { waiting: { reason: "ImagePullBackOff" } } }],
    },
    want: "broken ImagePullBackOff",
  },
  {
    reason: "A report is read as any input: what is none is no report.",
    status: {
      phase: "Succeeded",
      containerStatuses: [
        {
          state: {
            terminated: {
              reason: "Completed",
              message: '{"tries":[{"role":"target","outcome":"great"}]}',
            },
          },
        },
      ],
    },
    want: "broken ended without a report: Completed",
  },
  {
    reason: "A deadline ended it.",
    status: { phase: "Failed", reason: "DeadlineExceeded" },
    want: "broken ended without a report: DeadlineExceeded",
  },
  {
    reason: "It told what came of it.",
    status: {
      phase: "Succeeded",
      containerStatuses: [{ state: { terminated: { message: '{"listening":true,"tries":[]}' } } }],
    },
    want: "ended",
  },
];

describe("a probe pod", () => {
  it.each(states)("$want: $reason", ({ status, want }) => {
    const state = podState({ status });
    expect("why" in state ? `${state.kind} ${state.why}` : state.kind).toBe(want);
  });

  it("serves nobody, is adopted by nobody and outlives nobody", () => {
    const settings = { namespace: "p", image: "i", command: ["node"] };
    const made = probePod(settings, {
      name: "n",
      namespace: "prod",
      id: "id",
      part: "isolated",
      args: [],
      labels: { app: "web" },
      standIn: { node: "node-7", owner: { namespace: "prod", name: "r", uid: "u" } },
    });
    expect(at(made, ["spec", "readinessGates"])).toEqual([
      { conditionType: "parapet.dev/never-ready" },
    ]);
    expect(at(made, ["metadata", "ownerReferences", 0])).toMatchObject({
      kind: "Remediation",
      controller: true,
    });
    expect(at(made, ["spec", "automountServiceAccountToken"])).toBe(false);
    expect(at(made, ["spec", "activeDeadlineSeconds"])).toBe(120);
    expect(textAt(made, ["spec", "nodeName"])).toBe("node-7");
  });
});
