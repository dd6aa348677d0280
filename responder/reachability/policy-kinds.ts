// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject, textAt } from "#policy/json";
import type { ResourceType } from "#responder/cluster";

/** A kind of policy, and how it is read. */
export type PolicyKind = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural, as in paths and in RBAC. */
  readonly resource: string;
  readonly namespaced: boolean;
};

const kindOf =
  (group: string, version: string) =>
  (kind: string, resource: string, namespaced: boolean): PolicyKind => ({
    group,
    version,
    kind,
    resource,
    namespaced,
  });
const cluster = kindOf("policy.networking.k8s.io", "v1alpha2");
const admin = kindOf("policy.networking.k8s.io", "v1alpha1");
const cilium = kindOf("cilium.io", "v2");
const calico = kindOf("projectcalico.org", "v3");
const calicoStore = kindOf("crd.projectcalico.org", "v1");

/**
 * Every kind that decides about a pod's traffic. Of the namespaced ones those of the pod's namespace do, of Istio's also
 * those of its root namespace. Calico's own store is read beside its API server, which leaves out in silence what lies in
 * tiers that the reader has no right to (projectcalico/calico: EnsureTierSelector).
 */
export const policyKinds: readonly PolicyKind[] = [
  kindOf("networking.k8s.io", "v1")("NetworkPolicy", "networkpolicies", true),
  cluster("ClusterNetworkPolicy", "clusternetworkpolicies", false),
  admin("AdminNetworkPolicy", "adminnetworkpolicies", false),
  admin("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", false),
  cilium("CiliumNetworkPolicy", "ciliumnetworkpolicies", true),
  cilium("CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", false),
  calico("NetworkPolicy", "networkpolicies", true),
  calico("GlobalNetworkPolicy", "globalnetworkpolicies", false),
  calico("Tier", "tiers", false),
  calicoStore("NetworkPolicy", "networkpolicies", true),
  calicoStore("GlobalNetworkPolicy", "globalnetworkpolicies", false),
  calicoStore("Tier", "tiers", false),
  kindOf("security.istio.io", "v1")("AuthorizationPolicy", "authorizationpolicies", true),
];

/** The kinds to read, of those that a cluster serves. */
export const servedPolicyKinds = (
  served: readonly { readonly group: string; readonly version: string; readonly kind: string }[],
): readonly PolicyKind[] =>
  policyKinds.filter((one) =>
    served.some(
      (other) =>
        other.group === one.group && other.version === one.version && other.kind === one.kind,
    ),
  );

const store = "crd.projectcalico.org";

/**
 * Policies with each of Calico's objects once: its API server's form where it gives one, else that of its store, under the same
 * name (the store puts the tier `default` before it).
 */
export function withoutCopies(policies: readonly JsonObject[]): readonly JsonObject[] {
  const calicos = new Map<string, JsonObject>();
  const others: JsonObject[] = [];
  for (const policy of policies) {
    const group = textAt(policy, ["apiVersion"]).split("/")[0] ?? "";
    if (group !== store && group !== "projectcalico.org") {
      others.push(policy);
      continue;
    }
    const name = plainName(policy);
    const key = [textAt(policy, ["kind"]), textAt(policy, ["metadata", "namespace"]), name].join(
      "/",
    );
    if (group !== store || !calicos.has(key)) calicos.set(key, renamed(policy, name));
  }
  return [...others, ...calicos.values()];
}

function plainName(policy: JsonObject): string {
  const name = textAt(policy, ["metadata", "name"]);
  const tier = textAt(policy, ["spec", "tier"]) || "default";
  const isPolicy = textAt(policy, ["kind"]) !== "Tier";
  return isPolicy && tier === "default" ? name.replace(/^default\./, "") : name;
}

function renamed(policy: JsonObject, name: string): JsonObject {
  const metadata = policy["metadata"];
  if (!isObject(metadata) || metadata["name"] === name) return policy;
  return { ...policy, metadata: { ...metadata, name } };
}

/** The same as the API server's type. */
export const typeOfKind = (kind: PolicyKind): ResourceType => ({
  apiVersion: `${kind.group}/${kind.version}`,
  kind: kind.kind,
  resource: kind.resource,
  namespaced: kind.namespaced,
});

/** Items of a list do not say what they are: the list does. */
export const withKind = (kind: PolicyKind, items: readonly JsonObject[]): readonly JsonObject[] =>
  items.map((item) => ({
    ...item,
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
  }));
