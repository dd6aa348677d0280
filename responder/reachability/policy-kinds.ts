// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
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
 * those of its root namespace. Calico's own store is read only where its API server is not there: both hold the same
 * objects.
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
export function servedPolicyKinds(
  served: readonly { readonly group: string; readonly version: string; readonly kind: string }[],
): readonly PolicyKind[] {
  const isServed = (one: PolicyKind) =>
    served.some(
      (other) =>
        other.group === one.group && other.version === one.version && other.kind === one.kind,
    );
  const here = policyKinds.filter(isServed);
  const apiServer = new Set(here.filter(isCalicoApi).map((one) => one.kind));
  return here.filter((one) => one.group !== "crd.projectcalico.org" || !apiServer.has(one.kind));
}

const isCalicoApi = (one: PolicyKind): boolean => one.group === "projectcalico.org";

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
