// SPDX-License-Identifier: Apache-2.0
import { type Json, at, field, isArray, textAt } from "#policy/json";
import { cidrContainsIp, parseCidr } from "#policy/kubernetes/cidr";
import type { Address } from "#policy/kubernetes/ip";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import type {
  Direction,
  Endpoint,
  Packet,
  PodView,
  Protocol,
} from "#responder/reachability/traffic";

/**
 * Whether one rule of a NetworkPolicy lets a packet through: any of its ports and any of its peers, each list meaning
 * "all" when empty (kubernetes.io/docs/reference/kubernetes-api: NetworkPolicyIngressRule, NetworkPolicyEgressRule).
 * What cannot be read allows, so that an allow is rather counted too often than missed.
 */
export function ruleAllows(
  rule: Json,
  direction: Direction,
  packet: Packet,
  policyNamespace: string,
): boolean {
  const peers = listOf(field(rule, direction === "Ingress" ? "from" : "to"));
  const remote = direction === "Ingress" ? packet.source : packet.destination;
  return (
    portsAllow(listOf(field(rule, "ports")), packet) &&
    (peers.length === 0 || peers.some((peer) => peerMatches(peer, remote, policyNamespace)))
  );
}

/** Ports are the destination's in both directions; a name is looked up among the destination pod's containers. */
function portsAllow(ports: readonly Json[], packet: Packet): boolean {
  return ports.length === 0 || ports.some((port) => portMatches(port, packet));
}

function portMatches(entry: Json, packet: Packet): boolean {
  if ((textAt(entry, ["protocol"]) || "TCP") !== packet.protocol) return false;
  const port = field(entry, "port");
  if (port === undefined || port === null) return true;
  if (typeof port === "string" && !/^\d+$/.test(port)) {
    return hasNamedPort(packet.destination.pod, port, packet.port, packet.protocol);
  }
  const first = Number(port);
  const last = field(entry, "endPort") ?? first;
  return typeof last === "number" ? packet.port >= first && packet.port <= last : true;
}

const hasNamedPort = (
  pod: PodView | undefined,
  name: string,
  port: number,
  protocol: Protocol,
): boolean =>
  pod?.ports.some((one) => one.name === name && one.port === port && one.protocol === protocol) ??
  false;

/** A peer is an address block, or pods by selectors; a podSelector alone means the policy's own namespace. */
function peerMatches(peer: Json, remote: Endpoint, policyNamespace: string): boolean {
  const block = field(peer, "ipBlock");
  if (block !== undefined && block !== null) return blockContains(block, remote.address);
  const { pod } = remote;
  if (pod === undefined) return false;
  const pods = present(field(peer, "podSelector"));
  const namespaces = present(field(peer, "namespaceSelector"));
  if (pods === undefined && namespaces === undefined) return true;
  const inNamespace =
    namespaces === undefined
      ? pod.namespace === policyNamespace
      : selects(namespaces, pod.namespaceLabels);
  return inNamespace && (pods === undefined || selects(pods, pod.labels));
}

function blockContains(block: Json, address: Address): boolean {
  if (!contains(textAt(block, ["cidr"]), address)) return false;
  return !listOf(at(block, ["except"])).some(
    (except) => typeof except === "string" && contains(except, address),
  );
}

function contains(text: string, address: Address): boolean {
  const cidr = parseCidr(text);
  return cidr.ok && cidrContainsIp(cidr.value, address);
}

const present = (value: Json | undefined): Json | undefined => value ?? undefined;

/** Whether a label selector selects an object with these labels; one that cannot be read selects. */
export function selects(selector: Json | undefined, labels: Json): boolean {
  const parsed = parseLabelSelector(selector);
  return !parsed.ok || parsed.selector.matches(labels);
}

export const listOf = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
