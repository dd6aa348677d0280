// SPDX-License-Identifier: Apache-2.0
import type { Remediation, State } from "#responder/remediation";

/** A remediation as the console's tests need one: complete, with text that a page must escape. */
export function exampleRemediation(given: {
  readonly name: string;
  readonly state: State;
  readonly lastSeenMs?: number;
}): Remediation {
  const lastSeenMs = given.lastSeenMs ?? Date.UTC(2026, 10, 22, 9, 58, 0);
  return {
    name: { namespace: "prod", name: given.name },
    uid: `uid-${given.name}`,
    resourceVersion: "1",
    target: { apiVersion: "v1", kind: "Pod", namespace: "prod", name: "web-7f9c", uid: "3b1c-55" },
    workload: "ReplicaSet/web",
    cause: {
      source: "Falco",
      rule: "Terminal shell in container",
      priority: "Notice",
      fingerprint: "f".repeat(64),
      actor: "",
      message: "A shell was spawned: cmdline=bash -c <img src=x onerror=alert(1)>",
    },
    policy: "isolate-shells",
    mode: "Propose",
    plan: {
      digest: `sha256:${"a".repeat(64)}`,
      actions: [
        {
          action: "isolate",
          changes: [
            {
              kind: "apply",
              type: {
                apiVersion: "networking.k8s.io/v1",
                kind: "NetworkPolicy",
                resource: "networkpolicies",
                namespaced: true,
              },
              manifest: {
                apiVersion: "networking.k8s.io/v1",
                kind: "NetworkPolicy",
                metadata: { name: "parapet-isolate-3b1c", namespace: "prod" },
                spec: {
                  podSelector: { matchLabels: { a: "b" } },
                  policyTypes: ["Ingress", "Egress"],
                },
              },
            },
          ],
        },
      ],
      residualAllows: [
        {
          kind: "NetworkPolicy",
          namespace: "prod",
          name: "allow-dns",
          direction: "Egress",
          detail: "to pods k8s-app=kube-dns, UDP/53",
          certainty: "allows",
          reason: "",
        },
      ],
      notes: ["2 of 3 replicas stay in service"],
    },
    seenAtMs: lastSeenMs,
    decideBeforeMs: lastSeenMs + 86_400_000,
    ttlMs: 3_600_000,
    status: {
      state: given.state,
      history: [
        {
          atMs: lastSeenMs,
          from: "",
          to: given.state,
          reason: "AlertMatched",
          message: "",
          by: "parapet",
        },
      ],
      alerts: { count: 3, firstSeenMs: lastSeenMs - 60_000, lastSeenMs, recent: [] },
      approval: undefined,
      undo: undefined,
      expiresAtMs: lastSeenMs + 3_600_000,
      appliedAtMs: undefined,
      attempts: 0,
      lastError: "",
      evidence: [],
      told: [],
    },
  };
}
