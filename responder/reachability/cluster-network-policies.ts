// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, field, textAt } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import { type Match, matchOf } from "#responder/reachability/match";
import { protocolOf, unreadableSubject } from "#responder/reachability/network-policies";
import {
  intersection,
  labelSelectorText,
  podsByLabels,
  podsByNamespaceLabels,
} from "#responder/reachability/pod-selector";
import {
  type Action,
  type Peer,
  type Port,
  type Rule,
  allPortsOf,
  jsonText,
  listOf,
  networkPeer,
} from "#responder/reachability/rule";
import type { Stage } from "#responder/reachability/stage";
import type { Direction, PodView } from "#responder/reachability/traffic";

export type Tier = "Admin" | "Baseline";

/**
 * One tier of policy.networking.k8s.io for one pod: ClusterNetworkPolicy (v1alpha2) and the kinds it replaces,
 * AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1). Lower priorities come first; policies of one priority
 * have no order ("the implementation can apply any of the matching policies", apis/v1alpha2 Priority), so they form a
 * group. What no rule matches is left to the next tier. hostNetwork pods are never selected: they have no PodView.
 */
export function clusterPolicyStage(
  policies: readonly JsonObject[],
  tier: Tier,
  pod: PodView,
  direction: Direction,
): Stage {
  const byPriority = new Map<number, (readonly Rule[])[]>();
  for (const policy of policies) {
    if (tierOf(policy) !== tier) continue;
    const selected = subjectSelects(at(policy, ["spec", "subject"]), pod);
    if (selected === "no") continue;
    const priority = Number(at(policy, ["spec", "priority"]) ?? 0);
    const group = byPriority.get(priority) ?? [];
    group.push(rulesOf(policy, direction, selected));
    byPriority.set(priority, group);
  }
  const groups = [...byPriority].sort(([a], [b]) => a - b).map(([, group]) => group);
  return { groups, end: "next" };
}

function tierOf(policy: JsonObject): Tier {
  const kind = textAt(policy, ["kind"]);
  if (kind === "AdminNetworkPolicy") return "Admin";
  if (kind === "BaselineAdminNetworkPolicy") return "Baseline";
  return textAt(policy, ["spec", "tier"]) === "Baseline" ? "Baseline" : "Admin";
}

/** A subject names namespaces, or pods by both selectors; one that names neither may be a newer field. */
function subjectSelects(subject: Json | undefined, pod: PodView): Match {
  const namespaces = field(subject, "namespaces") ?? undefined;
  if (namespaces !== undefined) return podsByNamespaceLabels(namespaces).matches(pod);
  const pods = field(subject, "pods") ?? undefined;
  return pods === undefined ? "maybe" : namespacedPods(pods).matches(pod);
}

const namespacedPods = (pods: Json) =>
  intersection(
    podsByNamespaceLabels(field(pods, "namespaceSelector")),
    podsByLabels(field(pods, "podSelector")),
  );

function rulesOf(policy: JsonObject, direction: Direction, selected: Match): readonly Rule[] {
  const kind = textAt(policy, ["kind"]) || "ClusterNetworkPolicy";
  const name = { kind, namespace: "", name: textAt(policy, ["metadata", "name"]) };
  const rules = listOf(at(policy, ["spec", direction === "Ingress" ? "ingress" : "egress"]));
  return rules.map((rule, index): Rule => {
    const peers = listOf(field(rule, direction === "Ingress" ? "from" : "to")).flatMap(peersOf);
    const action = actionOf(textAt(rule, ["action"]));
    const known = action === undefined ? unknownAction : {};
    const subject = selected === "maybe" ? unreadableSubject : {};
    return {
      policy: name,
      index,
      direction,
      action: action ?? "Allow",
      peers,
      ports: portsOf(rule),
      ...unsurePeers(peers),
      ...known,
      ...subject,
    };
  });
}

function actionOf(text: string): Action | undefined {
  if (text === "Accept" || text === "Allow") return "Allow";
  return text === "Deny" || text === "Pass" ? text : undefined;
}

const unknownAction = {
  narrowed: (): Match => "maybe",
  unsure: "the rule's action is not known here",
};

/** Domain names are experimental and mean addresses that only the resolver in the cluster knows. */
function unsurePeers(peers: readonly Peer[]): { readonly unsure?: string } {
  const unknown = peers.find((peer) => peer.kind === "unknown");
  return unknown === undefined ? {} : { unsure: `${unknown.text}: cannot be told from here` };
}

/** Exactly one field of a peer is set; a list of networks is several peers. */
function peersOf(peer: Json): readonly Peer[] {
  const networks = listOf(field(peer, "networks"));
  if (networks.length === 0) return [peerOf(peer)];
  return networks.map((network) => networkPeer(jsonText(network), [], "all"));
}

function peerOf(peer: Json): Peer {
  const namespaces = field(peer, "namespaces") ?? undefined;
  if (namespaces !== undefined) return { kind: "pods", pods: podsByNamespaceLabels(namespaces) };
  const pods = field(peer, "pods") ?? undefined;
  if (pods !== undefined) return { kind: "pods", pods: namespacedPods(pods) };
  const nodes = field(peer, "nodes") ?? undefined;
  if (nodes !== undefined) return nodesPeer(nodes);
  const domains = listOf(field(peer, "domainNames"));
  if (domains.length > 0) {
    return {
      kind: "unknown",
      among: "outside",
      text: `domains ${domains.map(jsonText).join(", ")}`,
    };
  }
  return { kind: "unknown", among: "any", text: "a peer of a kind not known here" };
}

export function nodesPeer(selector: Json): Peer {
  const parsed = parseLabelSelector(selector);
  return {
    kind: "nodes",
    everything: parsed.ok && parsed.selector.empty,
    text: `nodes ${labelSelectorText(selector)}`,
    matches: (labels) => (parsed.ok ? matchOf(parsed.selector.matches(labels)) : "maybe"),
  };
}

/** v1alpha2 has `protocols`, v1alpha1 `ports`; an absent or empty list does not filter. */
function portsOf(rule: Json): readonly Port[] | "all" {
  const protocols = listOf(field(rule, "protocols"));
  if (protocols.length > 0) return protocols.map(protocolPort);
  const ports = listOf(field(rule, "ports"));
  return ports.length === 0 ? "all" : ports.map(adminPort);
}

function protocolPort(entry: Json): Port {
  const name = textAt(entry, ["destinationNamedPort"]);
  if (name !== "") return { kind: "named", protocol: "any", name };
  for (const key of ["tcp", "udp", "sctp"]) {
    const given = field(entry, key) ?? undefined;
    const protocol = protocolOf(key.toUpperCase());
    if (given === undefined || protocol === undefined) continue;
    const port = field(given, "destinationPort") ?? undefined;
    if (port === undefined) return allPortsOf(protocol);
    const first = at(port, ["range", "start"]) ?? field(port, "number");
    const last = at(port, ["range", "end"]) ?? field(port, "number");
    return rangePort(protocol, first, last);
  }
  return { kind: "unknown", text: "a protocol not known here" };
}

function adminPort(entry: Json): Port {
  const name = textAt(entry, ["namedPort"]);
  if (name !== "") return { kind: "named", protocol: "any", name };
  const number = field(entry, "portNumber") ?? undefined;
  if (number !== undefined) {
    const port = field(number, "port");
    return rangePort(textAt(number, ["protocol"]) || "TCP", port, port);
  }
  const range = field(entry, "portRange") ?? undefined;
  return rangePort(
    textAt(range, ["protocol"]) || "TCP",
    field(range, "start"),
    field(range, "end"),
  );
}

function rangePort(protocolText: string, first: Json | undefined, last: Json | undefined): Port {
  const protocol = protocolOf(protocolText);
  if (protocol === undefined) return { kind: "other", text: protocolText };
  if (typeof first !== "number" || typeof last !== "number") {
    return { kind: "unknown", text: `${protocolText} on ports that cannot be read` };
  }
  return { kind: "range", protocol, first, last };
}
