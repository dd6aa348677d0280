// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import type { makeGenerator } from "#test/cluster/network-policy-worlds";

type Generator = ReturnType<typeof makeGenerator>;

const networks = [
  "10.0.0.0/8",
  "10.1.2.0/24",
  "0.0.0.0/0",
  "::/0",
  "192.0.2.0/24",
  "2001:db8::/32",
];
const portNumbers = [53, 80, 443, 8080];

/** Random policies of policy.networking.k8s.io: `Cluster` is v1alpha2, `Admin` the two kinds of v1alpha1. */
export function makeClusterPolicies(generate: Generator, firstPriority = 0) {
  const { pick, chance, some, selector } = generate;
  const atLeastOne = <T>(max: number, make: () => T): T[] => [make(), ...some(max - 1, make)];
  const pods = (): JsonObject => ({ namespaceSelector: selector(), podSelector: selector() });
  const subject = (): JsonObject => (chance(0.5) ? { namespaces: selector() } : { pods: pods() });
  const range = () => {
    const start = pick(portNumbers);
    return { start, end: start + pick([0, 10, 400]) };
  };
  const peer = (side: "from" | "to", nodesToo: boolean): JsonObject => {
    if (side === "to" && chance(0.4)) return { networks: atLeastOne(2, () => pick(networks)) };
    if (side === "to" && nodesToo && chance(0.2)) {
      return { nodes: chance(0.5) ? {} : { matchLabels: { pool: pick(["x", "y"]) } } };
    }
    return chance(0.5) ? { namespaces: selector() } : { pods: pods() };
  };
  const protocol = (): JsonObject => {
    if (chance(0.2)) return { destinationNamedPort: pick(["http", "dns"]) };
    const given = chance(0.2)
      ? {}
      : { destinationPort: chance(0.6) ? { number: pick(portNumbers) } : { range: range() } };
    return { [pick(["tcp", "udp", "sctp"])]: given };
  };
  // No named ports: the oracle takes a name for every port of a pod that has one of that name.
  const adminPort = (): JsonObject =>
    chance(0.6)
      ? { portNumber: { protocol: pick(["TCP", "UDP"]), port: pick(portNumbers) } }
      : { portRange: { protocol: pick(["TCP", "UDP"]), ...range() } };
  const rule = (version: "Cluster" | "Admin", side: "from" | "to", baseline: boolean): Json => {
    const accept = version === "Cluster" ? "Accept" : "Allow";
    const actions =
      baseline && version === "Admin" ? [accept, "Deny"] : [accept, "Deny", "Deny", "Pass"];
    const ports =
      version === "Cluster"
        ? { protocols: atLeastOne(2, protocol) }
        : { ports: atLeastOne(2, adminPort) };
    return {
      action: pick(actions),
      [side]: atLeastOne(2, () => peer(side, version === "Cluster")),
      ...(chance(0.5) ? ports : {}),
    };
  };
  const spec = (version: "Cluster" | "Admin", baseline: boolean): JsonObject => ({
    subject: subject(),
    ingress: some(3, () => rule(version, "from", baseline)),
    egress: some(3, () => rule(version, "to", baseline)),
  });
  const metadata = (name: string): JsonObject => ({ name });
  /** Priorities are all different: ties are undefined, and the oracle picks by name. */
  const clusterPolicies = (max: number): JsonObject[] =>
    some(max, () => 0).map((_, index) => ({
      apiVersion: "policy.networking.k8s.io/v1alpha2",
      kind: "ClusterNetworkPolicy",
      metadata: metadata(`cluster-${index}`),
      spec: {
        tier: pick(["Admin", "Baseline"]),
        priority: firstPriority + ((index * 37) % 100),
        ...spec("Cluster", false),
      },
    }));
  const adminPolicies = (max: number): JsonObject[] =>
    some(max, () => 0).map((_, index) => ({
      apiVersion: "policy.networking.k8s.io/v1alpha1",
      kind: "AdminNetworkPolicy",
      metadata: metadata(`admin-${index}`),
      spec: { priority: firstPriority + ((index * 37) % 100), ...spec("Admin", false) },
    }));
  const baselineAdminPolicies = (): JsonObject[] =>
    some(1, () => ({
      apiVersion: "policy.networking.k8s.io/v1alpha1",
      kind: "BaselineAdminNetworkPolicy",
      metadata: metadata("default"),
      spec: spec("Admin", true),
    }));
  return { clusterPolicies, adminPolicies, baselineAdminPolicies };
}
