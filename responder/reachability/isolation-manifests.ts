// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Direction, Protocol } from "#responder/reachability/traffic";

export type AllowedPort = { readonly port: number; readonly protocol: Protocol };

/** Who an isolated pod may still talk to: a DNS server, a forensic collector. */
export type AllowedPeer = (
  | { readonly kind: "network"; readonly cidr: string }
  | {
      readonly kind: "pods";
      readonly namespace: string;
      /** All of them must be there; none means all pods of the namespace. */
      readonly labels: Readonly<Record<string, string>>;
    }
) & {
  /** The pod's direction; undefined: both. */
  readonly direction?: Direction | undefined;
  /** Destination ports; undefined: all. */
  readonly ports?: readonly AllowedPort[] | undefined;
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

/** The allow-list in one direction; peers with the same ports together. */
function allowedIn(
  spec: IsolationSpec,
  direction: Direction,
): readonly { readonly peers: readonly AllowedPeer[]; readonly ports: readonly AllowedPort[] }[] {
  const rules = new Map<string, { peers: AllowedPeer[]; ports: readonly AllowedPort[] }>();
  for (const peer of spec.allow) {
    if (peer.direction !== undefined && peer.direction !== direction) continue;
    const ports = peer.ports ?? [];
    const key = ports.map(({ port, protocol }) => `${protocol}/${port}`).join();
    const rule = rules.get(key) ?? { peers: [], ports };
    rule.peers.push(peer);
    rules.set(key, rule);
  }
  return [...rules.values()];
}

/** Closes both directions but for the allow-list; other policies' allows stay. */
export function networkPolicy(spec: IsolationSpec): JsonObject {
  const rules = (direction: Direction, side: "from" | "to"): readonly JsonObject[] =>
    allowedIn(spec, direction).map(({ peers, ports }) => ({
      [side]: peers.map(standardPeer),
      ...(ports.length === 0
        ? {}
        : { ports: ports.map(({ port, protocol }) => ({ port, protocol })) }),
    }));
  const ingress = rules("Ingress", "from");
  const egress = rules("Egress", "to");
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(spec, true),
    spec: {
      podSelector: matchLabels(spec),
      policyTypes: ["Ingress", "Egress"],
      ...(ingress.length === 0 ? {} : { ingress }),
      ...(egress.length === 0 ? {} : { egress }),
    },
  };
}

/** The API server drops an empty map, and what it stores is compared with what was written. */
const selecting = (labels: Readonly<Record<string, string>>): JsonObject =>
  Object.keys(labels).length === 0 ? {} : { matchLabels: labels };

const standardPeer = (peer: AllowedPeer): JsonObject =>
  peer.kind === "network"
    ? { ipBlock: { cidr: peer.cidr } }
    : {
        namespaceSelector: { matchLabels: { [namespaceNameLabel]: peer.namespace } },
        podSelector: selecting(peer.labels),
      };

/**
 * Denies before any NetworkPolicy counts: all egress, and ingress from pods. Ingress from outside the cluster cannot be
 * stated (its peers are namespaces and pods alone): that stays the NetworkPolicy's part, and an allowed network counts
 * inwards for what is outside the cluster only.
 */
export const clusterNetworkPolicy = (spec: IsolationSpec): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  metadata: metadata(spec, false),
  spec: { tier: "Admin", ...adminSpec(spec, "Accept", protocolsOf) },
});

/** The same in the kind before; `networks` is in its experimental channel, so that the server may refuse it. */
export const adminNetworkPolicy = (spec: IsolationSpec): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha1",
  kind: "AdminNetworkPolicy",
  metadata: metadata(spec, false),
  spec: adminSpec(spec, "Allow", portsOf),
});

type PortFields = (ports: readonly AllowedPort[]) => JsonObject;

const protocolsOf: PortFields = (ports) => ({
  protocols: ports.map(({ port, protocol }) => ({
    [protocol.toLowerCase()]: { destinationPort: { number: port } },
  })),
});

const portsOf: PortFields = (ports) => ({
  ports: ports.map(({ port, protocol }) => ({ portNumber: { port, protocol } })),
});

function adminSpec(
  spec: IsolationSpec,
  action: "Accept" | "Allow",
  portFields: PortFields,
): JsonObject {
  const rules = (direction: Direction, side: "from" | "to"): readonly JsonObject[] =>
    allowedIn(spec, direction).flatMap(({ peers, ports }): readonly JsonObject[] => {
      const pods = peers.flatMap((peer): readonly JsonObject[] =>
        peer.kind === "pods"
          ? [{ pods: namespacedPods(peer.namespace, selecting(peer.labels)) }]
          : [],
      );
      const networks = peers.flatMap((peer) => (peer.kind === "network" ? [peer.cidr] : []));
      const inward = side === "from" || networks.length === 0;
      const all = inward ? pods : [...pods, { networks }];
      if (all.length === 0) return [];
      const more = ports.length === 0 ? {} : portFields(ports);
      return [{ name: "allow-list", action, [side]: all, ...more }];
    });
  return {
    // The first that counts; another policy of priority 0 would tie, which the residual allows say.
    priority: 0,
    subject: { pods: namespacedPods(spec.namespace, matchLabels(spec)) },
    ingress: [
      ...rules("Ingress", "from"),
      { name: "isolate", action: "Deny", from: [{ namespaces: {} }] },
    ],
    egress: [
      ...rules("Egress", "to"),
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
  const deny = (direction: Direction, side: "from" | "to"): readonly JsonObject[] => {
    const except = allowedIn(spec, direction).flatMap(({ peers }) =>
      peers.flatMap((peer) => (peer.kind === "network" ? [peer.cidr] : [])),
    );
    if (except.length === 0) return [{ [`${side}Entities`]: ["all"] }];
    const cidrs = everyNetwork.map((cidr): JsonObject => {
      const inside = except.filter((one) => one.includes(":") === cidr.includes(":"));
      return { cidr, ...(inside.length === 0 ? {} : { except: inside }) };
    });
    return [{ [`${side}Entities`]: ["cluster"] }, { [`${side}CIDRSet`]: cidrs }];
  };
  return {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: metadata(spec, true),
    spec: {
      endpointSelector: matchLabels(spec),
      ingressDeny: deny("Ingress", "from"),
      egressDeny: deny("Egress", "to"),
    },
  };
}

/** Comes before every policy of the tier `default`, Kubernetes' included. Tiers before it still count first. */
const calicoOrder = -1_000_000;

export function calicoPolicy(spec: IsolationSpec): JsonObject {
  const rules = (direction: Direction): readonly JsonObject[] => [
    ...allowedIn(spec, direction).flatMap(({ peers, ports }) =>
      peers.flatMap((peer) => calicoAllows(calicoEntity(peer), direction, ports)),
    ),
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
      ingress: rules("Ingress"),
      egress: rules("Egress"),
    },
  };
}

/** A rule has one protocol, and ports are its destination's. */
function calicoAllows(
  peer: JsonObject,
  direction: Direction,
  ports: readonly AllowedPort[],
): readonly JsonObject[] {
  const side = direction === "Ingress" ? "source" : "destination";
  if (ports.length === 0) return [{ action: "Allow", [side]: peer }];
  const protocols = [...new Set(ports.map(({ protocol }) => protocol))];
  return protocols.map((protocol) => {
    const numbers = ports.flatMap((one) => (one.protocol === protocol ? [one.port] : []));
    return direction === "Ingress"
      ? { action: "Allow", protocol, source: peer, destination: { ports: numbers } }
      : { action: "Allow", protocol, destination: { ...peer, ports: numbers } };
  });
}

function calicoEntity(peer: AllowedPeer): JsonObject {
  if (peer.kind === "network") return { nets: [peer.cidr] };
  const labels = Object.entries(peer.labels).map(([key, value]) => `${key} == '${value}'`);
  return {
    namespaceSelector: `projectcalico.org/name == '${peer.namespace}'`,
    selector: labels.length === 0 ? "all()" : labels.sort().join(" && "),
  };
}
