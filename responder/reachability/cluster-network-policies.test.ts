// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { chainsAt, parseWorld } from "#responder/reachability/policy-world";
import { endAt, endOfPod, packetBy, podView, tcp } from "#responder/reachability/scene";
import { judgePacket } from "#responder/reachability/stage";
import type { Direction, Packet } from "#responder/reachability/traffic";

// What the API's documentation says beyond what the oracle of test/cluster judges: ties, named ports of the older kinds,
// names and nodes that policies alone do not show.
const overview = "https://network-policy-api.sigs.k8s.io/api-overview/";
const reference = "https://network-policy-api.sigs.k8s.io/reference/spec/";
const types = "https://github.com/kubernetes-sigs/network-policy-api/tree/v0.2.0/apis/";

const target = podView("shop", { app: "cart" });
const other = podView("bank", { app: "ledger" });
const world = endAt("198.51.100.9");
const node = endAt("192.0.2.7", { node: { pool: "edge" } });

const made = (kind: string, version: string, name: string, spec: JsonObject): JsonObject => ({
  apiVersion: `policy.networking.k8s.io/${version}`,
  kind,
  metadata: { name },
  spec: { subject: { namespaces: {} }, ...spec },
});
const cluster = (name: string, priority: number, spec: JsonObject): JsonObject =>
  made("ClusterNetworkPolicy", "v1alpha2", name, { tier: "Admin", priority, ...spec });
const admin = (name: string, priority: number, spec: JsonObject): JsonObject =>
  made("AdminNetworkPolicy", "v1alpha1", name, { priority, ...spec });
const baseline = (spec: JsonObject): JsonObject =>
  made("BaselineAdminNetworkPolicy", "v1alpha1", "default", spec);
const networkPolicy = (ingress: Json): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "np", namespace: "shop" },
  spec: { podSelector: {}, policyTypes: ["Ingress"], ingress },
});
const from = (action: string, more: JsonObject = {}): Json => ({
  action,
  from: [{ namespaces: {} }],
  ...more,
});
const fromPod = (port = 80) => tcp(endOfPod(other), endOfPod(target), port);

type Row = {
  readonly reason: string;
  readonly source: string;
  readonly policies: readonly JsonObject[];
  readonly packet?: Packet;
  readonly direction?: Direction;
  readonly want: "allow" | "deny" | "either";
};

const rows: readonly Row[] = [
  {
    reason: "Policies of one priority have no order.",
    source: `${types}v1alpha2`,
    policies: [
      cluster("a", 5, { ingress: [from("Accept")] }),
      cluster("b", 5, { ingress: [from("Deny")] }),
    ],
    want: "either",
  },
  {
    reason: "Policies of one priority that agree leave no doubt.",
    source: `${types}v1alpha2`,
    policies: [
      cluster("a", 5, { ingress: [from("Deny")] }),
      cluster("b", 5, { ingress: [from("Deny")] }),
    ],
    want: "deny",
  },
  {
    reason: "The lower priority comes first.",
    source: overview,
    policies: [
      cluster("a", 9, { ingress: [from("Accept")] }),
      cluster("b", 8, { ingress: [from("Deny")] }),
    ],
    want: "deny",
  },
  {
    reason: "An admin Allow cannot be overridden by a NetworkPolicy.",
    source: overview,
    policies: [admin("a", 5, { ingress: [from("Allow")] }), networkPolicy([])],
    want: "allow",
  },
  {
    reason: "An admin Deny cannot either.",
    source: overview,
    policies: [admin("a", 5, { ingress: [from("Deny")] }), networkPolicy([{}])],
    want: "deny",
  },
  {
    reason: "Pass delegates to the NetworkPolicies, past admin policies of a higher number.",
    source: overview,
    policies: [
      admin("a", 5, { ingress: [from("Pass")] }),
      admin("b", 6, { ingress: [from("Deny")] }),
      networkPolicy([{}]),
    ],
    want: "allow",
  },
  {
    reason: "A NetworkPolicy overrides the baseline.",
    source: overview,
    policies: [baseline({ ingress: [from("Deny")] }), networkPolicy([{}])],
    want: "allow",
  },
  {
    reason: "Where none selects the pod the baseline counts.",
    source: overview,
    policies: [baseline({ ingress: [from("Deny")] })],
    want: "deny",
  },
  {
    reason: "And a passed packet reaches it.",
    source: overview,
    policies: [admin("a", 5, { ingress: [from("Pass")] }), baseline({ ingress: [from("Deny")] })],
    want: "deny",
  },
  {
    reason: "A named port is a port of that name on the destination.",
    source: reference,
    policies: [admin("a", 5, { ingress: [from("Deny", { ports: [{ namedPort: "http" }] })] })],
    packet: fromPod(8080),
    want: "deny",
  },
  {
    reason: "Not another port of the same pod.",
    source: reference,
    policies: [admin("a", 5, { ingress: [from("Deny", { ports: [{ namedPort: "http" }] })] })],
    packet: fromPod(80),
    want: "allow",
  },
  {
    reason: "A port range holds both its ends.",
    source: reference,
    policies: [
      admin("a", 5, {
        ingress: [
          from("Deny", { ports: [{ portRange: { protocol: "TCP", start: 70, end: 80 } }] }),
        ],
      }),
    ],
    want: "deny",
  },
  {
    reason: "A port's protocol is TCP when left out of a range.",
    source: `${types}v1alpha1`,
    policies: [
      admin("a", 5, { ingress: [from("Deny", { ports: [{ portRange: { start: 1, end: 99 } }] })] }),
    ],
    packet: packetBy("UDP", endOfPod(other), endOfPod(target), 53),
    want: "allow",
  },
  {
    reason: "Ingress peers are pods: nothing is said about what comes from outside.",
    source: reference,
    policies: [cluster("a", 5, { ingress: [from("Deny")] })],
    packet: tcp(world, endOfPod(target)),
    want: "allow",
  },
  {
    reason: "Nodes by their labels.",
    source: reference,
    policies: [
      cluster("a", 5, {
        egress: [{ action: "Deny", to: [{ nodes: { matchLabels: { pool: "edge" } } }] }],
      }),
    ],
    packet: tcp(endOfPod(target), node),
    direction: "Egress",
    want: "deny",
  },
  {
    reason: "Not other nodes.",
    source: reference,
    policies: [
      cluster("a", 5, {
        egress: [{ action: "Deny", to: [{ nodes: { matchLabels: { pool: "core" } } }] }],
      }),
    ],
    packet: tcp(endOfPod(target), node),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "The addresses of a name are known to the cluster's resolver alone.",
    source: `${types}v1alpha2`,
    policies: [
      cluster("a", 5, {
        egress: [
          { action: "Accept", to: [{ domainNames: ["example.org"] }] },
          { action: "Deny", to: [{ networks: ["0.0.0.0/0"] }] },
        ],
      }),
    ],
    packet: tcp(endOfPod(target), world),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "A peer of a newer kind may be anybody.",
    source: `${types}v1alpha2`,
    policies: [cluster("a", 5, { ingress: [{ action: "Deny", from: [{ serviceAccounts: {} }] }] })],
    want: "either",
  },
  {
    reason: "An action that is not known here may be any.",
    source: `${types}v1alpha2`,
    policies: [networkPolicy([]), cluster("a", 5, { ingress: [from("Mirror")] })],
    want: "either",
  },
  {
    reason: "A subject that names neither namespaces nor pods may be the pod.",
    source: `${types}v1alpha2`,
    policies: [cluster("a", 5, { subject: {}, ingress: [from("Deny")] })],
    want: "either",
  },
];

describe("ClusterNetworkPolicy and the kinds before it, as their documentation describes them", () => {
  it.each(rows)("$reason", ({ policies, packet = fromPod(), direction = "Ingress", want }) => {
    const [stages = []] = chainsAt(parseWorld(policies), target, direction);
    const { allow, deny } = judgePacket(stages, packet);
    expect(allow && deny ? "either" : allow ? "allow" : "deny").toBe(want);
  });
});
