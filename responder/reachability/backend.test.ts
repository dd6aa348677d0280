// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { at, isArray, type JsonObject } from "#policy/json";
import {
  type Backend,
  type IsolationRequest,
  type ServedKind,
  chooseBackend,
} from "#responder/reachability/backend";
import { podView } from "#responder/reachability/scene";

const served: { readonly [backend: string]: ServedKind } = {
  ClusterNetworkPolicy: {
    group: "policy.networking.k8s.io",
    version: "v1alpha2",
    kind: "ClusterNetworkPolicy",
  },
  AdminNetworkPolicy: {
    group: "policy.networking.k8s.io",
    version: "v1alpha1",
    kind: "AdminNetworkPolicy",
  },
  Cilium: { group: "cilium.io", version: "v2", kind: "CiliumNetworkPolicy" },
  Calico: { group: "projectcalico.org", version: "v3", kind: "GlobalNetworkPolicy" },
};
const serving = (...names: string[]): readonly ServedKind[] =>
  names.flatMap((name) => {
    const kind = served[name];
    return kind === undefined ? [] : [kind];
  });

const request = (more: Partial<IsolationRequest> = {}): IsolationRequest => ({
  namespace: "shop",
  name: "parapet-r1",
  labels: { "parapet.dev/remediation": "r1" },
  annotations: {},
  selector: { key: "isolate.parapet.dev/r1", value: "uid-1" },
  allow: [],
  pod: podView("shop", { app: "cart" }),
  hostNetwork: false,
  served: [],
  policies: [],
  ...more,
});
const networkPolicy = (spec: JsonObject): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "open", namespace: "shop" },
  spec: { podSelector: {}, ...spec },
});
const openToPods = networkPolicy({ ingress: [{ from: [{ podSelector: {} }] }] });
const openOutwards = networkPolicy({ policyTypes: ["Egress"], egress: [{}] });
const openToWorld = networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: "0.0.0.0/0" } }] }] });
const collector = { kind: "network", cidr: "192.0.2.9/32" } as const;
const dns = { kind: "pods", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } } as const;

type Row = {
  readonly reason: string;
  readonly request: Partial<IsolationRequest>;
  readonly want: Backend;
  readonly open: number;
};

const rows: readonly Row[] = [
  {
    reason: "A NetworkPolicy where nothing else allows, whatever is served.",
    request: { served: serving("ClusterNetworkPolicy", "Cilium", "Calico") },
    want: "NetworkPolicy",
    open: 0,
  },
  {
    reason: "Nothing that denies is served: what stays open is said.",
    request: { policies: [openToPods] },
    want: "NetworkPolicy",
    open: 1,
  },
  {
    reason: "In-cluster ingress is denied in the Admin tier.",
    request: { policies: [openToPods], served: serving("ClusterNetworkPolicy") },
    want: "ClusterNetworkPolicy",
    open: 0,
  },
  {
    reason: "All egress is denied in the Admin tier.",
    request: { policies: [openOutwards], served: serving("ClusterNetworkPolicy") },
    want: "ClusterNetworkPolicy",
    open: 0,
  },
  {
    reason: "Ingress from outside cannot be denied there: no gain over a NetworkPolicy.",
    request: { policies: [openToWorld], served: serving("ClusterNetworkPolicy") },
    want: "NetworkPolicy",
    open: 1,
  },
  {
    reason: "Calico closes what ClusterNetworkPolicy cannot.",
    request: { policies: [openToWorld], served: serving("ClusterNetworkPolicy", "Calico") },
    want: "Calico",
    open: 0,
  },
  {
    reason: "So does Cilium.",
    request: { policies: [openToWorld], served: serving("Cilium") },
    want: "Cilium",
    open: 0,
  },
  {
    reason: "The kind before ClusterNetworkPolicy.",
    request: { policies: [openToPods], served: serving("AdminNetworkPolicy") },
    want: "AdminNetworkPolicy",
    open: 0,
  },
  {
    reason: "The newer kind before the older.",
    request: {
      policies: [openToPods],
      served: serving("AdminNetworkPolicy", "ClusterNetworkPolicy"),
    },
    want: "ClusterNetworkPolicy",
    open: 0,
  },
  {
    reason: "The allow-list is intended, by network and by pods.",
    request: {
      policies: [openToPods],
      served: serving("ClusterNetworkPolicy"),
      allow: [collector, dns],
    },
    want: "ClusterNetworkPolicy",
    open: 0,
  },
  {
    reason: "Calico's allow-list comes before its deny.",
    request: { policies: [openToWorld], served: serving("Calico"), allow: [collector, dns] },
    want: "Calico",
    open: 0,
  },
  {
    reason: "Cilium's allow-list is what its denies except.",
    request: { policies: [openToWorld], served: serving("Cilium"), allow: [collector] },
    want: "Cilium",
    open: 0,
  },
  {
    reason:
      "A network's own kind before the standard one, of which Cilium's API does not tell whether it counts.",
    request: { policies: [openToPods], served: serving("ClusterNetworkPolicy", "Cilium") },
    want: "Cilium",
    open: 0,
  },
  {
    reason: "What Cilium may not enforce is not taken for closed.",
    request: {
      policies: [openToPods],
      served: serving("ClusterNetworkPolicy", "AdminNetworkPolicy", "Cilium"),
      allow: [dns],
    },
    want: "NetworkPolicy",
    open: 1,
  },
  {
    reason: "Nor for single ports.",
    request: {
      policies: [openToWorld],
      served: serving("Cilium"),
      allow: [{ ...collector, ports: [{ port: 443, protocol: "TCP" }] }],
    },
    want: "NetworkPolicy",
    open: 1,
  },
  {
    reason: "Calico's ports are the destination's.",
    request: {
      policies: [openToWorld],
      served: serving("Calico"),
      allow: [{ ...collector, ports: [{ port: 443, protocol: "TCP" }], direction: "Egress" }],
    },
    want: "Calico",
    open: 0,
  },
  {
    reason: "Cilium's denies leave no room for pods on the allow-list.",
    request: { policies: [openToWorld], served: serving("Cilium"), allow: [dns] },
    want: "NetworkPolicy",
    open: 1,
  },
];

describe("the choice of an isolation backend", () => {
  it.each(rows)("$reason", ({ request: more, want, open }) => {
    const choice = chooseBackend(request(more));
    if (!choice.ok) throw new Error(choice.message);
    expect([choice.backend, choice.residualAllows.length]).toEqual([want, open]);
    // A NetworkPolicy is always part of it: what enforces the other kind may be missing.
    expect(choice.manifests.map((manifest) => manifest["kind"])).toContain("NetworkPolicy");
    expect(choice.manifests).toHaveLength(want === "NetworkPolicy" ? 1 : 2);
  });

  it("binds every manifest to the label that one pod alone bears", () => {
    for (const name of Object.keys(served)) {
      const choice = chooseBackend(request({ policies: [openToPods], served: serving(name) }));
      if (!choice.ok) throw new Error(choice.message);
      for (const manifest of choice.manifests) {
        const text = JSON.stringify(manifest);
        expect(text).toMatch(/isolate\.parapet\.dev\/r1(":"| == ')uid-1/);
        expect(text).toContain('"parapet.dev/remediation":"r1"');
      }
    }
  });

  it("narrows the allow-list to ports and a direction, in every kind's words", () => {
    const ports = [
      { port: 53, protocol: "UDP" },
      { port: 53, protocol: "TCP" },
    ] as const;
    const narrow = { ...dns, ports, direction: "Egress" } as const;
    const egress = (name: string) => {
      const policies = [openToPods, openOutwards];
      const choice = chooseBackend(request({ policies, served: serving(name), allow: [narrow] }));
      if (!choice.ok) throw new Error(choice.message);
      const [manifest] = choice.manifests;
      expect(JSON.stringify(at(manifest, ["spec", "ingress"]))).not.toContain("kube-dns");
      const rules = at(manifest, ["spec", "egress"]);
      return isArray(rules) ? rules.filter((rule) => at(rule, ["action"]) !== "Deny") : [];
    };
    expect(egress("ClusterNetworkPolicy")).toMatchObject([
      {
        action: "Accept",
        protocols: [
          { udp: { destinationPort: { number: 53 } } },
          { tcp: { destinationPort: { number: 53 } } },
        ],
      },
    ]);
    expect(egress("AdminNetworkPolicy")).toMatchObject([
      {
        action: "Allow",
        ports: [
          { portNumber: { port: 53, protocol: "UDP" } },
          { portNumber: { port: 53, protocol: "TCP" } },
        ],
      },
    ]);
    expect(egress("Calico").slice(0, 2)).toMatchObject([
      { action: "Allow", protocol: "UDP", destination: { ports: [53] } },
      { action: "Allow", protocol: "TCP", destination: { ports: [53] } },
    ]);
  });

  it("writes the whole ClusterNetworkPolicy", () => {
    const choice = chooseBackend(
      request({ policies: [openToPods], served: serving("ClusterNetworkPolicy"), allow: [dns] }),
    );
    if (!choice.ok) throw new Error(choice.message);
    const inDns = {
      pods: {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
        podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
      },
    };
    expect(choice.manifests[0]).toEqual({
      apiVersion: "policy.networking.k8s.io/v1alpha2",
      kind: "ClusterNetworkPolicy",
      metadata: {
        name: "parapet-r1-shop",
        labels: { "parapet.dev/remediation": "r1" },
        annotations: {},
      },
      spec: {
        tier: "Admin",
        priority: 0,
        subject: {
          pods: {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "shop" } },
            podSelector: { matchLabels: { "isolate.parapet.dev/r1": "uid-1" } },
          },
        },
        ingress: [
          { name: "allow-list", action: "Accept", from: [inDns] },
          { name: "isolate", action: "Deny", from: [{ namespaces: {} }] },
        ],
        egress: [
          { name: "allow-list", action: "Accept", to: [inDns] },
          { name: "isolate", action: "Deny", to: [{ networks: ["0.0.0.0/0", "::/0"] }] },
        ],
      },
    });
  });

  it.each([
    [
      "a hostNetwork pod is refused, not isolated in name only",
      { hostNetwork: true },
      "HostNetwork",
    ],
    ["a network that is none", { allow: [{ kind: "network", cidr: "10.0.0.0" }] }, "BadAllowList"],
    [
      "a namespace that would end a selector's text",
      { allow: [{ kind: "pods", namespace: "a' || all() || 'b", labels: {} }] },
      "BadAllowList",
    ],
    [
      "a label that would",
      { allow: [{ kind: "pods", namespace: "a", labels: { app: "x' || has(y" } }] },
      "BadAllowList",
    ],
  ] as const)("%s", (_, more, reason) => {
    const choice = chooseBackend(request(more));
    expect(choice.ok ? "" : choice.reason).toBe(reason);
  });
});
