// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, at, textAt } from "#policy/json";
import { calicoChain, isCalicoPolicy } from "#responder/reachability/calico";
import { ciliumChain, isCiliumPolicy } from "#responder/reachability/cilium";
import { clusterPolicyStage } from "#responder/reachability/cluster-network-policies";
import { networkPolicyStage } from "#responder/reachability/network-policies";
import type { Stage } from "#responder/reachability/stage";
import type { Direction, PodView } from "#responder/reachability/traffic";

/** Every policy of a cluster, by who enforces it. */
export type PolicyWorld = {
  readonly networkPolicies: readonly JsonObject[];
  /** ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy. */
  readonly clusterPolicies: readonly JsonObject[];
  /** CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy. */
  readonly ciliumPolicies: readonly JsonObject[];
  /** Calico's NetworkPolicy, GlobalNetworkPolicy and Tier. */
  readonly calicoPolicies: readonly JsonObject[];
  readonly authorizationPolicies: readonly JsonObject[];
  /** Whether Cilium may be the network, even without a policy of its own. */
  readonly mayBeCilium: boolean;
};

/** Whether Cilium's kinds are among those that a cluster serves. */
export const servesCilium = (served: readonly { readonly group: string }[]): boolean =>
  served.some((kind) => kind.group === "cilium.io");

/** Sorts documents into a world. What is no network policy is left out. */
export function parseWorld(
  documents: readonly JsonObject[],
  options: { readonly mayBeCilium?: boolean } = {},
): PolicyWorld {
  const ciliumPolicies = documents.filter(isCiliumPolicy);
  const ofGroup = (group: string) =>
    documents.filter((document) => textAt(document, ["apiVersion"]).startsWith(`${group}/`));
  return {
    networkPolicies: ofGroup("networking.k8s.io").filter(
      (document) => at(document, ["kind"]) === "NetworkPolicy",
    ),
    clusterPolicies: ofGroup("policy.networking.k8s.io"),
    ciliumPolicies,
    mayBeCilium: options.mayBeCilium === true || ciliumPolicies.length > 0,
    calicoPolicies: documents.filter(isCalicoPolicy),
    authorizationPolicies: ofGroup("security.istio.io").filter(
      (document) => at(document, ["kind"]) === "AuthorizationPolicy",
    ),
  };
}

/**
 * Cilium enforces ClusterNetworkPolicies from v1.20 on and where that is enabled, which cannot be seen in policies
 * (cilium/cilium#47227: k8sClusterNetworkPolicy.enabled), and the kinds before it not at all.
 */
const nothing: Stage = { groups: [], end: "next" };

/**
 * How the policies decide at one pod in one direction, stage by stage. One chain for each network implementation whose
 * policies exist: which of them enforces cannot be seen in the policies, so whoever asks takes what any chain lets pass.
 * Istio's policies are not here: they can only take away from what the network lets through (istio.ts).
 */
export function chainsAt(
  world: PolicyWorld,
  pod: PodView,
  direction: Direction,
): readonly (readonly Stage[])[] {
  const networkPolicies = networkPolicyStage(world.networkPolicies, pod, direction);
  const admin = clusterPolicyStage(world.clusterPolicies, "Admin", pod, direction);
  const baseline = clusterPolicyStage(world.clusterPolicies, "Baseline", pod, direction);
  const kubernetes = { admin, networkPolicies, baseline };
  const chains: (readonly Stage[])[] = [];
  if (world.mayBeCilium) {
    chains.push(ciliumChain(world.ciliumPolicies, kubernetes, pod, direction));
    if (world.clusterPolicies.length > 0) {
      const without = { ...kubernetes, admin: nothing, baseline: nothing };
      chains.push(ciliumChain(world.ciliumPolicies, without, pod, direction));
    }
  }
  if (world.calicoPolicies.length > 0) {
    chains.push(calicoChain(world.calicoPolicies, kubernetes, pod, direction));
  }
  return chains.length > 0 ? chains : [[admin, networkPolicies, baseline]];
}
