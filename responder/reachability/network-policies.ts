// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, field, textAt } from "#policy/json";
import { type Match, both, matchOf } from "#responder/reachability/match";
import {
  allPods,
  intersection,
  podsByLabels,
  podsByNamespaceLabels,
  podsInNamespace,
} from "#responder/reachability/pod-selector";
import {
  type Peer,
  type Port,
  type Rule,
  allPortsOf,
  listOf,
  networkPeer,
  ruleMatches,
} from "#responder/reachability/rule";
import type { Stage } from "#responder/reachability/stage";
import type { Direction, Packet, PodView, Protocol } from "#responder/reachability/traffic";

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
  const isolating = policies.filter((policy) => isolates(policy, direction, pod) !== "no");
  if (isolating.length === 0) return { kind: "notIsolated" };
  const rule = isolating
    .flatMap((policy) => rulesOf(policy, direction))
    .find((one) => ruleMatches(one, packet) !== "no");
  if (rule === undefined) return { kind: "denied" };
  return { kind: "allowed", policy: rule.policy.name, rule: rule.index };
}

/** A packet passes when neither end stops it. */
export const passes = (policies: readonly JsonObject[], packet: Packet): boolean =>
  judge(policies, "Egress", packet).kind !== "denied" &&
  judge(policies, "Ingress", packet).kind !== "denied";

/** Whether a policy selects the pod and speaks about the direction. */
export function isolates(policy: JsonObject, direction: Direction, pod: PodView): Match {
  const here =
    textAt(policy, ["metadata", "namespace"]) === pod.namespace &&
    directionsOf(field(policy, "spec")).includes(direction);
  return both(matchOf(here), podsByLabels(at(policy, ["spec", "podSelector"])).matches(pod));
}

/** The tier of NetworkPolicies for one pod: allows alone, and a deny for the rest as soon as one selects the pod. */
export function networkPolicyStage(
  policies: readonly JsonObject[],
  pod: PodView,
  direction: Direction,
): Stage {
  const selecting = policies
    .map((policy) => ({ policy, match: isolates(policy, direction, pod) }))
    .filter(({ match }) => match !== "no");
  return {
    groups: [selecting.map(({ policy, match }) => rulesOf(policy, direction, match))],
    end: endOf(selecting.map(({ match }) => match)),
  };
}

/** How a stage ends that denies the rest for pods which one of its policies selects. */
export function endOf(selected: readonly Match[]): Stage["end"] {
  if (selected.includes("yes")) return "deny";
  return selected.includes("maybe") ? "denyOrNext" : "next";
}

/**
 * The rules of a NetworkPolicy for a direction, each list of peers or ports meaning "all" when empty
 * (kubernetes.io/docs/reference/kubernetes-api: NetworkPolicyIngressRule, NetworkPolicyEgressRule).
 */
export function rulesOf(
  policy: JsonObject,
  direction: Direction,
  selected: Match = "yes",
): readonly Rule[] {
  const namespace = textAt(policy, ["metadata", "namespace"]);
  const name = { kind: "NetworkPolicy", namespace, name: textAt(policy, ["metadata", "name"]) };
  const rules = listOf(at(policy, ["spec", direction === "Ingress" ? "ingress" : "egress"]));
  return rules.map((rule, index): Rule => {
    const peers = listOf(field(rule, direction === "Ingress" ? "from" : "to"));
    const ports = listOf(field(rule, "ports"));
    return {
      policy: name,
      index,
      direction,
      action: "Allow",
      peers: peers.length === 0 ? [{ kind: "any" }] : peers.map((peer) => peerOf(peer, namespace)),
      ports: ports.length === 0 ? "all" : ports.map(portOf),
      ...(selected === "maybe" ? unreadableSubject : {}),
    };
  });
}

/** For rules of a policy whose selection of the pod cannot be told. */
export const unreadableSubject = {
  narrowed: (): Match => "maybe",
  unsure: "whether the policy selects the pod cannot be read from it",
};

/** As the API server defaults policyTypes: Ingress always, Egress when there is an egress section. */
export function directionsOf(spec: Json | undefined): readonly Json[] {
  const given = listOf(field(spec, "policyTypes"));
  if (given.length > 0) return given;
  return field(spec, "egress") === undefined ? ["Ingress"] : ["Ingress", "Egress"];
}

/** A peer is an address block, or pods by selectors; a podSelector alone means the policy's own namespace. */
function peerOf(peer: Json, policyNamespace: string): Peer {
  const block = field(peer, "ipBlock") ?? undefined;
  if (block !== undefined) {
    return networkPeer(textAt(block, ["cidr"]), listOf(field(block, "except")), "all");
  }
  const pods = field(peer, "podSelector") ?? undefined;
  const namespaces = field(peer, "namespaceSelector") ?? undefined;
  if (pods === undefined && namespaces === undefined) return { kind: "pods", pods: allPods };
  const where =
    namespaces === undefined ? podsInNamespace(policyNamespace) : podsByNamespaceLabels(namespaces);
  return { kind: "pods", pods: intersection(where, podsByLabels(pods)) };
}

function portOf(entry: Json): Port {
  const text = textAt(entry, ["protocol"]) || "TCP";
  const protocol = protocolOf(text);
  if (protocol === undefined) return { kind: "other", text };
  const port = field(entry, "port") ?? undefined;
  if (port === undefined) return allPortsOf(protocol);
  if (typeof port === "string" && !/^\d+$/.test(port)) {
    return { kind: "named", protocol, name: port };
  }
  const first = Number(port);
  const last = field(entry, "endPort") ?? first;
  if (typeof last !== "number") return { kind: "unknown", text: `${text} from ${first}` };
  return { kind: "range", protocol, first, last };
}

export function protocolOf(text: string): Protocol | undefined {
  return text === "TCP" || text === "UDP" || text === "SCTP" ? text : undefined;
}
