// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { residualAllows } from "#responder/reachability/residual";
import { podView } from "#responder/reachability/scene";

const target = podView("shop", { app: "cart", isolated: "yes" });

const networkPolicy = (name: string, spec: JsonObject, namespace = "shop"): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name, namespace },
  spec: { podSelector: {}, ...spec },
});
const plan = [
  networkPolicy("ours", {
    podSelector: { matchLabels: { isolated: "yes" } },
    policyTypes: ["Ingress", "Egress"],
  }),
];
const admin = (name: string, priority: number, rules: JsonObject): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  metadata: { name },
  spec: { tier: "Admin", priority, subject: { namespaces: {} }, ...rules },
});
const from = (action: string, more: JsonObject = {}): Json => ({
  action,
  from: [{ namespaces: {} }],
  ...more,
});
const to = (action: string, networks: readonly string[]): Json => ({ action, to: [{ networks }] });
const everywhere = ["0.0.0.0/0", "::/0"];
const cilium = (spec: JsonObject): JsonObject => ({
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name: "c", namespace: "shop" },
  spec: { endpointSelector: {}, ...spec },
});
const calico = (name: string, order: number, ingress: Json): JsonObject => ({
  apiVersion: "projectcalico.org/v3",
  kind: "GlobalNetworkPolicy",
  metadata: { name },
  spec: { order, selector: "all()", types: ["Ingress"], ingress },
});

type Row = {
  readonly reason: string;
  readonly policies: readonly JsonObject[];
  readonly plan?: readonly JsonObject[];
  readonly want: readonly string[];
};

const rows: readonly Row[] = [
  { reason: "A NetworkPolicy alone on the pod closes it.", policies: [], want: [] },
  {
    reason: "Without any policy everything passes, which no rule says.",
    policies: [],
    plan: [],
    want: ["allows // Egress to anywhere, all ports", "allows // Ingress from anywhere, all ports"],
  },
  {
    reason: "An allow of another policy stays, whatever its selector.",
    policies: [
      networkPolicy("web", { ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }] }),
    ],
    want: ["allows NetworkPolicy/shop/web Ingress from namespace shop, TCP/80"],
  },
  {
    reason: "A policy of another namespace says nothing about the pod.",
    policies: [networkPolicy("web", { ingress: [{}] }, "elsewhere")],
    want: [],
  },
  {
    reason: "An empty section and a pod that is not selected allow nothing.",
    policies: [
      networkPolicy("a", { ingress: [] }),
      networkPolicy("b", { podSelector: { matchLabels: { app: "web" } }, ingress: [{}] }),
    ],
    want: [],
  },
  {
    reason: "A selector that cannot be read may select.",
    policies: [
      networkPolicy("a", {
        podSelector: { matchExpressions: [{ key: "x", operator: "Near" }] },
        ingress: [{}],
      }),
    ],
    want: ["mayAllow NetworkPolicy/shop/a Ingress from anywhere, all ports"],
  },
  {
    reason: "An Admin Accept comes before any NetworkPolicy.",
    policies: [admin("monitoring", 5, { ingress: [from("Accept")] })],
    want: ["allows ClusterNetworkPolicy//monitoring Ingress from all pods, all ports"],
  },
  {
    reason: "An Admin Accept under an Admin Deny of the same is shadowed.",
    policies: [
      admin("monitoring", 5, {
        ingress: [from("Accept", { protocols: [{ tcp: { destinationPort: { number: 80 } } }] })],
      }),
      admin("locked", 4, { ingress: [from("Deny")] }),
    ],
    want: [],
  },
  {
    reason: "Of one priority either may count.",
    policies: [
      admin("a", 4, { ingress: [from("Accept")] }),
      admin("b", 4, { ingress: [from("Deny")] }),
    ],
    want: ["mayAllow ClusterNetworkPolicy//a Ingress from all pods, all ports"],
  },
  {
    reason: "Denies of egress to all networks shadow every egress allow, to pods as well.",
    policies: [
      admin("locked", 4, { egress: [to("Deny", everywhere)] }),
      networkPolicy("web", {
        policyTypes: ["Egress"],
        egress: [{}, { to: [{ namespaceSelector: {} }] }],
      }),
    ],
    want: [],
  },
  {
    reason: "Denies of IPv4 alone leave IPv6 open.",
    policies: [
      admin("locked", 4, { egress: [to("Deny", ["0.0.0.0/0"])] }),
      networkPolicy("web", { policyTypes: ["Egress"], egress: [{}] }),
    ],
    want: ["mayAllow NetworkPolicy/shop/web Egress to anywhere, all ports"],
  },
  {
    reason: "A Deny of ingress from pods leaves what comes from outside.",
    policies: [
      admin("locked", 4, { ingress: [from("Deny")] }),
      networkPolicy("web", { ingress: [{ from: [{ ipBlock: { cidr: "192.0.2.0/24" } }] }] }),
    ],
    want: ["mayAllow NetworkPolicy/shop/web Ingress from 192.0.2.0/24, all ports"],
  },
  {
    reason: "A Pass before a Deny sends traffic past it.",
    policies: [
      admin("exempt", 1, { ingress: [from("Pass")] }),
      admin("locked", 4, { ingress: [from("Deny")] }),
      networkPolicy("web", { ingress: [{ from: [{ podSelector: {} }] }] }),
    ],
    want: ["mayAllow NetworkPolicy/shop/web Ingress from namespace shop, all ports"],
  },
  {
    reason: "The baseline tier is not reached: a NetworkPolicy selects the pod.",
    policies: [
      {
        apiVersion: "policy.networking.k8s.io/v1alpha1",
        kind: "BaselineAdminNetworkPolicy",
        metadata: { name: "default" },
        spec: { subject: { namespaces: {} }, ingress: [from("Allow")] },
      },
    ],
    want: [],
  },
  {
    reason: "Cilium's allows add to a NetworkPolicy's.",
    policies: [
      cilium({
        egress: [
          { toEntities: ["world"], toPorts: [{ ports: [{ port: "443", protocol: "TCP" }] }] },
        ],
      }),
    ],
    want: ["allows CiliumNetworkPolicy/shop/c Egress to outside the cluster, TCP/443"],
  },
  {
    reason: "Names that only Cilium's agent resolves may allow.",
    policies: [cilium({ egress: [{ toFQDNs: [{ matchName: "example.org" }] }] })],
    want: ["mayAllow CiliumNetworkPolicy/shop/c Egress to domain example.org, all ports"],
  },
  {
    reason: "Cilium's denies shadow the allows of NetworkPolicies.",
    policies: [
      cilium({ ingressDeny: [{ fromEntities: ["all"] }] }),
      networkPolicy("web", { ingress: [{}] }),
    ],
    want: [],
  },
  {
    reason: "Calico's policies of a lower order come before Kubernetes'.",
    policies: [calico("open", 5, [{ action: "Allow", source: { nets: ["192.0.2.0/24"] } }])],
    want: [
      "allows GlobalNetworkPolicy.projectcalico.org//open Ingress from 192.0.2.0/24, all ports",
    ],
  },
  {
    reason: "A Calico Deny of a lower order shadows them.",
    policies: [
      calico("closed", 4, [{ action: "Deny" }]),
      calico("open", 5, [{ action: "Allow", source: { nets: ["192.0.2.0/24"] } }]),
      networkPolicy("web", { ingress: [{}] }),
    ],
    want: [],
  },
  {
    reason:
      "Where policies of two implementations exist, a deny of one does not vouch for the other.",
    policies: [
      calico("closed", 4, [{ action: "Deny" }]),
      cilium({ ingress: [{ fromEntities: ["cluster"] }] }),
    ],
    want: ["allows CiliumNetworkPolicy/shop/c Ingress from all pods or nodes, all ports"],
  },
  {
    reason: "A Deny of one port leaves the others of a range.",
    policies: [
      admin("locked", 4, {
        ingress: [from("Deny", { protocols: [{ tcp: { destinationPort: { number: 80 } } }] })],
      }),
      networkPolicy("web", {
        ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 79, endPort: 80 }] }],
      }),
    ],
    want: ["mayAllow NetworkPolicy/shop/web Ingress from namespace shop, TCP/79-80"],
  },
  {
    reason: "A Deny of some pods leaves the others.",
    policies: [
      admin("locked", 4, {
        ingress: [{ action: "Deny", from: [{ namespaces: { matchLabels: { team: "a" } } }] }],
      }),
      networkPolicy("web", { ingress: [{ from: [{ podSelector: {} }] }] }),
    ],
    want: ["mayAllow NetworkPolicy/shop/web Ingress from namespace shop, all ports"],
  },
  {
    reason: "A Deny of the very same pods, written in another order, shadows the allow.",
    policies: [
      admin("locked", 4, {
        ingress: [
          { action: "Deny", from: [{ namespaces: { matchLabels: { team: "a", zone: "b" } } }] },
        ],
      }),
      networkPolicy("web", {
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { zone: "b", team: "a" } } }] }],
      }),
    ],
    want: [],
  },
  {
    reason: "What another's Deny excepts stays open.",
    policies: [
      cilium({
        egressDeny: [
          { toCIDRSet: [{ cidr: "0.0.0.0/0", except: ["192.0.2.0/24"] }, { cidr: "::/0" }] },
          { toEntities: ["cluster"] },
        ],
      }),
      networkPolicy("web", { policyTypes: ["Egress"], egress: [{}] }),
    ],
    want: ["mayAllow NetworkPolicy/shop/web Egress to anywhere, all ports"],
  },
  {
    reason: "A Pass leads out of a tier that drops the rest, into the next.",
    policies: [
      {
        apiVersion: "projectcalico.org/v3",
        kind: "Tier",
        metadata: { name: "security" },
        spec: { order: 10 },
      },
      {
        apiVersion: "projectcalico.org/v3",
        kind: "GlobalNetworkPolicy",
        metadata: { name: "security.pass" },
        spec: {
          tier: "security",
          selector: "all()",
          types: ["Ingress"],
          ingress: [{ action: "Pass" }],
        },
      },
      networkPolicy("web", { ingress: [{}] }),
    ],
    want: ["allows NetworkPolicy/shop/web Ingress from anywhere, all ports"],
  },
  {
    reason: "Without a Pass such a tier closes the pod before Kubernetes' policies.",
    policies: [
      {
        apiVersion: "projectcalico.org/v3",
        kind: "Tier",
        metadata: { name: "security" },
        spec: { order: 10 },
      },
      {
        apiVersion: "projectcalico.org/v3",
        kind: "GlobalNetworkPolicy",
        metadata: { name: "security.drop" },
        spec: { tier: "security", selector: "all()", types: ["Ingress"] },
      },
      networkPolicy("web", { ingress: [{}] }),
    ],
    want: [],
  },
  {
    reason: "Nor the other way round.",
    policies: [
      calico("open", 4, [{ action: "Allow", source: { nets: ["192.0.2.0/24"] } }]),
      cilium({ ingressDeny: [{ fromEntities: ["all"] }] }),
    ],
    want: [
      "allows GlobalNetworkPolicy.projectcalico.org//open Ingress from 192.0.2.0/24, all ports",
    ],
  },
  {
    reason: "A mesh opens nothing that the network closes.",
    policies: [
      {
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: "all", namespace: "shop" },
        spec: { rules: [{}] },
      },
    ],
    want: [],
  },
  {
    reason: "What the network lets in, the mesh's allows let on.",
    policies: [
      networkPolicy("web", { ingress: [{}] }),
      {
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: "all", namespace: "shop" },
        spec: { rules: [{}] },
      },
    ],
    want: [
      "mayAllow AuthorizationPolicy/shop/all Ingress from anywhere, TCP",
      "allows NetworkPolicy/shop/web Ingress from anywhere, all ports",
    ],
  },
  {
    reason:
      "A denial of all pods stops no allow by a selector: it may select a network set, whose addresses are outside.",
    policies: [
      calico("no-pods", 1, [{ action: "Deny", source: { selector: "all()" } }]),
      calico("friends", 2, [{ action: "Allow", source: { selector: "trusted == 'yes'" } }]),
      calico("rest", 3, [{ action: "Deny" }]),
    ],
    want: [
      "mayAllow GlobalNetworkPolicy.projectcalico.org//friends Ingress from trusted == 'yes' or network sets that it selects, all ports",
    ],
  },
  {
    reason: "Our own allow-list is intended.",
    policies: [],
    plan: [
      networkPolicy("ours", {
        policyTypes: ["Ingress", "Egress"],
        egress: [{ to: [{ ipBlock: { cidr: "192.0.2.1/32" } }] }],
      }),
    ],
    want: [],
  },
];

describe("the residual allows of an isolated pod", () => {
  it.each(rows)("$reason", ({ policies, plan: planned = plan, want }) => {
    const found = residualAllows(target, policies, planned).map(
      ({ policy, direction, detail, certainty }) =>
        `${certainty} ${policy.kind}/${policy.namespace}/${policy.name} ${direction} ${detail}`,
    );
    expect(found).toEqual(want);
  });

  it("gives a reason for whatever is not sure", () => {
    const all = rows.flatMap((row) => residualAllows(target, row.policies, row.plan ?? plan));
    expect(all.filter((one) => one.certainty === "mayAllow" && one.reason === "")).toEqual([]);
  });

  it("is the same for policies in any order", () => {
    for (const { policies, plan: planned = plan } of rows) {
      const reversed = [...policies].reverse();
      expect(residualAllows(target, reversed, planned)).toEqual(
        residualAllows(target, policies, planned),
      );
    }
  });
});
