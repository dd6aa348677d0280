// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, field, textAt } from "#policy/json";
import { listOf, ruleAllows, selects } from "#responder/reachability/rule";
import type { Direction, Packet, PodView } from "#responder/reachability/traffic";

export type Verdict =
  /** No policy isolates the pod in this direction: everything passes. */
  | { readonly kind: "notIsolated" }
  | { readonly kind: "denied" }
  /** By the rule at `rule` of the policy `policy`, the first that allows. */
  | { readonly kind: "allowed"; readonly policy: string; readonly rule: number };

/**
 * What NetworkPolicies say about a packet at one of its ends: Ingress judges at the destination, Egress at the source.
 * An end outside the cluster is judged by nobody. Policies only add allows, so their order does not matter.
 */
export function judge(
  policies: readonly JsonObject[],
  direction: Direction,
  packet: Packet,
): Verdict {
  const pod = (direction === "Ingress" ? packet.destination : packet.source).pod;
  if (pod === undefined) return { kind: "notIsolated" };
  const isolating = policies.filter((policy) => isolates(policy, direction, pod));
  if (isolating.length === 0) return { kind: "notIsolated" };
  for (const policy of isolating) {
    const rule = rulesOf(policy, direction).findIndex((one) =>
      ruleAllows(one, direction, packet, pod.namespace),
    );
    if (rule >= 0) return { kind: "allowed", policy: textAt(policy, ["metadata", "name"]), rule };
  }
  return { kind: "denied" };
}

/** A packet passes when neither end stops it. */
export const passes = (policies: readonly JsonObject[], packet: Packet): boolean =>
  judge(policies, "Egress", packet).kind !== "denied" &&
  judge(policies, "Ingress", packet).kind !== "denied";

/** Whether a policy selects the pod and speaks about the direction. */
export function isolates(policy: JsonObject, direction: Direction, pod: PodView): boolean {
  return (
    textAt(policy, ["metadata", "namespace"]) === pod.namespace &&
    directionsOf(field(policy, "spec")).includes(direction) &&
    selects(at(policy, ["spec", "podSelector"]), pod.labels)
  );
}

export const rulesOf = (policy: JsonObject, direction: Direction): readonly Json[] =>
  listOf(at(policy, ["spec", direction === "Ingress" ? "ingress" : "egress"]));

/** As the API server defaults policyTypes: Ingress always, Egress when there is an egress section. */
export function directionsOf(spec: Json | undefined): readonly Json[] {
  const given = listOf(field(spec, "policyTypes"));
  if (given.length > 0) return given;
  return field(spec, "egress") === undefined ? ["Ingress"] : ["Ingress", "Egress"];
}
