// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";

/** Who an isolated pod may still talk to, both ways: a DNS server, a forensic collector. */
export type AllowedPeer =
  | { readonly kind: "network"; readonly cidr: string }
  | {
      readonly kind: "pods";
      readonly namespace: string;
      /** All of them must be there; none means all pods of the namespace. */
      readonly labels: Readonly<Record<string, string>>;
    };

export type IsolationSpec = {
  readonly namespace: string;
  /** Name of the objects; unique in the namespace. Those of the cluster have the namespace in their name as well. */
  readonly name: string;
  /** Labels and annotations of the objects: ownership, target. */
  readonly labels: JsonObject;
  readonly annotations: JsonObject;
  /** The label that one pod alone bears. */
  readonly selector: { readonly key: string; readonly value: string };
  readonly allow: readonly AllowedPeer[];
};

/** Every namespace carries it (kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name). */
const namespaceNameLabel = "kubernetes.io/metadata.name";

const everyNetwork = ["0.0.0.0/0", "::/0"] as const;

const matchLabels = (spec: IsolationSpec): JsonObject => ({
  matchLabels: { [spec.selector.key]: spec.selector.value },
});

const metadata = (spec: IsolationSpec, namespaced: boolean): JsonObject => ({
  // No dot between the two: what stands before one would be a tier to Calico.
  name: namespaced ? spec.name : `${spec.name}-${spec.namespace}`,
  ...(namespaced ? { namespace: spec.namespace } : {}),
  labels: spec.labels,
  annotations: spec.annotations,
});

/** Closes both directions but for the allow-list; other policies' allows stay. */
export function networkPolicy(spec: IsolationSpec): JsonObject {
  const peers = spec.allow.map((peer): JsonObject =>
    peer.kind === "network"
      ? { ipBlock: { cidr: peer.cidr } }
      : {
          namespaceSelector: { matchLabels: { [namespaceNameLabel]: peer.namespace } },
          podSelector: { matchLabels: peer.labels },
        },
  );
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(spec, true),
    spec: {
      podSelector: matchLabels(spec),
      policyTypes: ["Ingress", "Egress"],
      ...(peers.length === 0 ? {} : { ingress: [{ from: peers }], egress: [{ to: peers }] }),
    },
  };
}

/**
 * Denies before any NetworkPolicy counts: all egress, and ingress from pods. Ingress from outside the cluster cannot be
 * stated (its peers are namespaces and pods alone): that stays the NetworkPolicy's part, and an allowed network counts
 * inwards for what is outside the cluster only.
 */
export const clusterNetworkPolicy = (spec: IsolationSpec): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  metadata: metadata(spec, false),
  spec: { tier: "Admin", ...adminSpec(spec, "Accept") },
});

/** The same in the kind before; `networks` is in its experimental channel, so that the server may refuse it. */
export const adminNetworkPolicy = (spec: IsolationSpec): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "AdminNetworkPolicy",
  metadata: metadata(spec, false),
  spec: adminSpec(spec, "Allow"),
});

function adminSpec(spec: IsolationSpec, accept: "Accept" | "Allow"): JsonObject {
  const pods = spec.allow.flatMap((peer): readonly JsonObject[] =>
    peer.kind === "pods"
      ? [{ pods: namespacedPods(peer.namespace, { matchLabels: peer.labels }) }]
      : [],
  );
  const networks = spec.allow.flatMap((peer) => (peer.kind === "network" ? [peer.cidr] : []));
  const to = [...pods, ...(networks.length === 0 ? [] : [{ networks }])];
  return {
    // The first that counts; another policy of priority 0 would tie, which the residual allows say.
    priority: 0,
    subject: { pods: namespacedPods(spec.namespace, matchLabels(spec)) },
    ingress: [
      ...(pods.length === 0 ? [] : [{ name: "allow-list", action: accept, from: pods }]),
      { name: "isolate", action: "Deny", from: [{ namespaces: {} }] },
    ],
    egress: [
      ...(to.length === 0 ? [] : [{ name: "allow-list", action: accept, to }]),
      { name: "isolate", action: "Deny", to: [{ networks: everyNetwork }] },
    ],
  };
}

const namespacedPods = (namespace: string, podSelector: JsonObject): JsonObject => ({
  namespaceSelector: { matchLabels: { [namespaceNameLabel]: namespace } },
  podSelector,
});

/**
 * Denies that no allow of any kind beats. There is no allow within a deny, so that an allow-list is what the denied
 * networks except: only networks can be on it.
 */
export function ciliumNetworkPolicy(spec: IsolationSpec): JsonObject {
  const except = spec.allow.flatMap((peer) => (peer.kind === "network" ? [peer.cidr] : []));
  const cidrs = everyNetwork.map((cidr): JsonObject => {
    const inside = except.filter((one) => one.includes(":") === cidr.includes(":"));
    return { cidr, ...(inside.length === 0 ? {} : { except: inside }) };
  });
  const deny = (side: "from" | "to"): readonly JsonObject[] =>
    except.length === 0
      ? [{ [`${side}Entities`]: ["all"] }]
      : [{ [`${side}Entities`]: ["cluster"] }, { [`${side}CIDRSet`]: cidrs }];
  return {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: metadata(spec, true),
    spec: {
      endpointSelector: matchLabels(spec),
      ingressDeny: deny("from"),
      egressDeny: deny("to"),
    },
  };
}

/** Comes before every policy of the tier `default`, Kubernetes' included. Tiers before it still count first. */
const calicoOrder = -1_000_000;

export function calicoPolicy(spec: IsolationSpec): JsonObject {
  const rules = (side: "source" | "destination"): readonly JsonObject[] => [
    ...spec.allow.map((peer) => ({ action: "Allow", [side]: calicoEntity(peer) })),
    { action: "Deny" },
  ];
  return {
    apiVersion: "projectcalico.org/v3",
    kind: "GlobalNetworkPolicy",
    metadata: metadata(spec, false),
    spec: {
      tier: "default",
      order: calicoOrder,
      namespaceSelector: `projectcalico.org/name == '${spec.namespace}'`,
      selector: `${spec.selector.key} == '${spec.selector.value}'`,
      types: ["Ingress", "Egress"],
      ingress: rules("source"),
      egress: rules("destination"),
    },
  };
}

function calicoEntity(peer: AllowedPeer): JsonObject {
  if (peer.kind === "network") return { nets: [peer.cidr] };
  const labels = Object.entries(peer.labels).map(([key, value]) => `${key} == '${value}'`);
  return {
    namespaceSelector: `projectcalico.org/name == '${peer.namespace}'`,
    selector: labels.length === 0 ? "all()" : labels.sort().join(" && "),
  };
}
