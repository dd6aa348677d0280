// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { failure, type ResourceType } from "#responder/cluster";
import { isolationPrefix, type Plan, type Target } from "#responder/plan";
import { readBackendStatus } from "#responder/verification/backend-status";

const target: Target = {
  apiVersion: "v1",
  kind: "Pod",
  namespace: "shop",
  name: "web-1",
  uid: "uid-1",
};
const adminPolicy: ResourceType = {
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "AdminNetworkPolicy",
  resource: "adminnetworkpolicies",
  namespaced: false,
};
const label = `${isolationPrefix}r1`;
const plan: Plan = {
  digest: "",
  residualAllows: [],
  notes: [],
  actions: [
    {
      action: "isolate",
      changes: [
        { kind: "apply", type: adminPolicy, manifest: { metadata: { name: "parapet-r1" } } },
        {
          kind: "edit",
          type: { apiVersion: "v1", kind: "Pod", resource: "pods", namespaced: true },
          namespace: "shop",
          name: "web-1",
          uid: "uid-1",
          edits: [{ path: ["metadata", "labels", label], to: "uid-1" }],
        },
      ],
    },
  ],
};

const condition = (type: string, status: string, more: JsonObject = {}): JsonObject => ({
  type,
  status,
  message: "why",
  ...more,
});

type Row = {
  readonly reason: string;
  readonly conditions?: readonly JsonObject[];
  readonly endpoint?: Json;
  readonly want: string;
};

const ready = {
  state: "ready",
  identity: { labels: ["k8s:app=web", `k8s:${label}=uid-1`] },
  policy: { ingress: { enforcing: true }, egress: { enforcing: true } },
};

const rows: readonly Row[] = [
  { reason: "Nobody says anything: only time can tell.", want: "silent" },
  {
    reason: "OVN-Kubernetes: every zone is ready.",
    conditions: [condition("Ready-In-Zone-a", "True"), condition("Ready-In-Zone-b", "True")],
    want: "realised",
  },
  {
    reason: "One zone is not: a pod of it is not isolated.",
    conditions: [condition("Ready-In-Zone-a", "True"), condition("Ready-In-Zone-b", "False")],
    want: "notYet",
  },
  {
    reason: "A word about an older generation is none about this one.",
    conditions: [condition("Ready-In-Zone-a", "True", { observedGeneration: 1 })],
    want: "notYet",
  },
  {
    reason: "Understood is not enforced.",
    conditions: [condition("Valid", "True")],
    want: "silent",
  },
  {
    reason: "What was not understood is never enforced.",
    conditions: [condition("Valid", "False")],
    want: "notYet",
  },
  { reason: "Cilium's agent has it in force for this pod.", endpoint: ready, want: "realised" },
  {
    reason: "Its programs are being made.",
    endpoint: { ...ready, state: "regenerating" },
    want: "notYet",
  },
  {
    reason: "A label filter that leaves our label out means that the policy never selects the pod.",
    endpoint: { ...ready, identity: { labels: ["k8s:app=web"] } },
    want: "notYet",
  },
  {
    reason: "One direction is not enforced.",
    endpoint: { ...ready, policy: { ingress: { enforcing: true }, egress: { enforcing: false } } },
    want: "notYet",
  },
];

describe("what the backend says", () => {
  it.each(rows)("$want: $reason", async ({ conditions = [], endpoint, want }) => {
    const cilium = { ...adminPolicy, kind: "CiliumEndpoint" };
    const reply = await readBackendStatus(
      {
        get: (type) =>
          Promise.resolve({
            ok: true,
            value:
              type.kind === "CiliumEndpoint"
                ? { status: endpoint ?? null }
                : { metadata: { name: "parapet-r1", generation: 2 }, status: { conditions } },
          }),
        typeOf: () =>
          Promise.resolve(
            endpoint === undefined ? failure("NotFound", "no") : { ok: true, value: cilium },
          ),
      },
      plan,
      target,
      5,
    );
    expect(reply).toMatchObject({ ok: true, value: { kind: want } });
    const evidence = reply.ok ? reply.value.evidence : [];
    expect(evidence.length > 0).toBe(want !== "silent" || conditions.length > 0);
  });
});
