// SPDX-License-Identifier: Apache-2.0
import { type Json, field, isObject, textAt } from "#policy/json";
import { cidrContainsIp, parseCidr } from "#policy/kubernetes/cidr";
import { namespacePods, selectedPods } from "#responder/reachability/calico-pods";
import { calicoPorts, portsMatch, protocolMatches } from "#responder/reachability/calico-ports";
import { type Match, every, matchOf, not, some } from "#responder/reachability/match";
import { unreadableSubject } from "#responder/reachability/network-policies";
import {
  type PodSelector,
  intersection,
  podsInNamespace,
} from "#responder/reachability/pod-selector";
import {
  type Action,
  type Peer,
  type PolicyName,
  type Rule,
  jsonText,
  listOf,
  networkPeer,
  peerMatches,
} from "#responder/reachability/rule";
import {
  type Direction,
  type Endpoint,
  type Packet,
  type PodView,
  localOf,
  remoteOf,
} from "#responder/reachability/traffic";

export type CalicoRuleContext = {
  readonly name: PolicyName;
  readonly index: number;
  readonly direction: Direction;
  readonly selected: Match;
  readonly pod: PodView;
};

type Condition = (packet: Packet) => Match;

/**
 * One rule of a Calico policy; none for Log, which decides nothing
 * (docs.tigera.io/calico/latest/reference/resources/networkpolicy#rule). All fields of a rule hold together.
 */
export function calicoRule(rule: Json, context: CalicoRuleContext): readonly Rule[] {
  const text = textAt(rule, ["action"]);
  if (text === "Log") return [];
  const action = actionOf(text);
  const { direction, name } = context;
  const remote = field(rule, direction === "Ingress" ? "source" : "destination");
  const local = field(rule, direction === "Ingress" ? "destination" : "source");
  const conditions: Condition[] = [
    ...entityConditions(remote, name.namespace, (packet) => remoteOf(packet, direction)),
    ...localConditions(local, name.namespace, direction),
    ...packetConditions(rule),
  ];
  const unsure = action === undefined ? `the action ${text}` : unknownFields(rule);
  if (unsure !== undefined) conditions.push(() => "maybe");
  return [
    {
      policy: name,
      index: context.index,
      direction,
      action: action ?? "Allow",
      peers: peersOf(remote, name.namespace),
      ports: calicoPorts(rule),
      ...(conditions.length === 0
        ? {}
        : { narrowed: (packet: Packet) => every(conditions, (holds) => holds(packet)) }),
      ...(unsure === undefined ? {} : { unsure: `${unsure}: cannot be told from here` }),
      ...(context.selected === "maybe" ? unreadableSubject : {}),
    },
  ];
}

function actionOf(text: string): Action | undefined {
  return text === "Allow" || text === "Deny" || text === "Pass" ? text : undefined;
}

/**
 * Networks, or what selectors select; a selector alone in a namespaced policy means its own namespace. Selectors select network sets
 * as well, whose addresses may be anybody's (docs.tigera.io/calico/latest/reference/resources/globalnetworkset, .../networkset).
 */
function peersOf(entity: Json | undefined, namespace: string): readonly Peer[] {
  const pods = podsOf(entity, namespace);
  if (pods !== undefined) return [{ kind: "pods", pods }, networkSets];
  const nets = listOf(field(entity, "nets"));
  return nets.length === 0
    ? [{ kind: "any" }]
    : nets.map((net) => networkPeer(jsonText(net), [], "all"));
}

const networkSets: Peer = {
  kind: "unknown",
  among: "outside",
  text: "network sets that it selects",
};

/** undefined when no selector restricts the entity to endpoints. */
function podsOf(entity: Json | undefined, namespace: string): PodSelector | undefined {
  const selector = textAt(entity, ["selector"]);
  const namespaces = textAt(entity, ["namespaceSelector"]);
  if (selector === "" && namespaces === "") return undefined;
  const pods = selectedPods(selector);
  if (namespaces !== "") return intersection(namespacePods(namespaces), pods);
  return namespace === "" ? pods : intersection(podsInNamespace(namespace), pods);
}

/** What an entity demands beside its pods or networks. */
function entityConditions(
  entity: Json | undefined,
  namespace: string,
  end: (packet: Packet) => Endpoint,
): readonly Condition[] {
  const conditions: Condition[] = [];
  const nets = listOf(field(entity, "nets"));
  if (nets.length > 0 && podsOf(entity, namespace) !== undefined) {
    conditions.push((packet) => inNets(nets, end(packet)));
  }
  const notNets = listOf(field(entity, "notNets"));
  if (notNets.length > 0) conditions.push((packet) => not(inNets(notNets, end(packet))));
  const notSelector = textAt(entity, ["notSelector"]);
  if (notSelector !== "") {
    conditions.push((packet) => {
      const { pod } = end(packet);
      // A network set that it selects may hold the address.
      return pod === undefined ? "maybe" : not(selectedPods(notSelector).matches(pod));
    });
  }
  return conditions;
}

/** Conditions on the end that the policy selects: the rule may speak of a part of those pods only. */
function localConditions(
  entity: Json | undefined,
  namespace: string,
  direction: Direction,
): readonly Condition[] {
  const end = (packet: Packet) => localOf(packet, direction);
  const peers = peersOf(entity, namespace);
  const restricted = peers.some((peer) => peer.kind !== "any");
  return [
    ...(restricted
      ? [(packet: Packet) => some(peers, (peer) => peerMatches(peer, end(packet)))]
      : []),
    ...entityConditions(entity, namespace, end),
  ];
}

function packetConditions(rule: Json): readonly Condition[] {
  const conditions: Condition[] = [];
  const notProtocol = field(rule, "notProtocol");
  if (notProtocol !== undefined) {
    conditions.push((packet) => not(protocolMatches(notProtocol, packet)));
  }
  const notPorts = listOf(field(field(rule, "destination"), "notPorts"));
  if (notPorts.length > 0) conditions.push((packet) => not(portsMatch(notPorts, packet)));
  const version = field(rule, "ipVersion");
  if (version === 4 || version === 6) {
    conditions.push((packet) => matchOf(packet.destination.address.family === version));
  }
  return conditions;
}

const inNets = (nets: readonly Json[], end: Endpoint): Match =>
  some(nets, (net) => {
    const cidr = parseCidr(jsonText(net));
    return cidr.ok ? matchOf(cidrContainsIp(cidr.value, end.address)) : "maybe";
  });

const ruleFields = new Set([
  "action",
  "metadata",
  "protocol",
  "notProtocol",
  "ipVersion",
  "source",
  "destination",
  "icmp",
  "notICMP",
]);
const entityFields = new Set([
  "nets",
  "notNets",
  "selector",
  "notSelector",
  "namespaceSelector",
  "ports",
  "notPorts",
]);

/** The first field that no packet shows: source ports, service accounts, services, domains, HTTP. */
function unknownFields(rule: Json): string | undefined {
  if (!isObject(rule)) return "the rule";
  const own = Object.keys(rule).find((key) => !ruleFields.has(key));
  if (own !== undefined) return own;
  for (const side of ["source", "destination"]) {
    const entity = field(rule, side);
    if (!isObject(entity)) continue;
    const unknown = Object.keys(entity).find((key) => !entityFields.has(key));
    if (unknown !== undefined) return `${side}.${unknown}`;
    if (
      side === "source" &&
      (Object.hasOwn(entity, "ports") || Object.hasOwn(entity, "notPorts"))
    ) {
      return "source ports";
    }
  }
  return undefined;
}
