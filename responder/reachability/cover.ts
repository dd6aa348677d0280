// SPDX-License-Identifier: Apache-2.0
import { type Cidr, cidrContainsCidr } from "#policy/kubernetes/cidr";
import { type PodSelector, allPods } from "#responder/reachability/pod-selector";
import { type Peer, type Port, type Rule, portMax } from "#responder/reachability/rule";
import { type Protocol, protocols } from "#responder/reachability/traffic";

/**
 * A set of remote ends with addresses in one network: pods that a selector selects, nodes, or all else. Every peer is a
 * union of these, so that an allow can be compared with the denies before it.
 */
type Ends = {
  readonly who: "pods" | "nodes" | "world";
  readonly pods: PodSelector;
  readonly network: Cidr;
};

/** `other`: protocols without ports, such as ICMP. A name narrows the range to the ports of that name. */
type Ports = {
  readonly protocol: Protocol | "other";
  readonly first: number;
  readonly last: number;
  readonly name: string;
};

const everywhere: readonly Cidr[] = [
  { address: { family: 4, bits: 0n }, length: 0 },
  { address: { family: 6, bits: 0n }, length: 0 },
];

/** A rule taken apart, once: what it may match, and what it surely does. */
type Pieces = {
  readonly ends: readonly Ends[];
  readonly ports: readonly Ports[];
  readonly sureEnds: readonly Ends[];
  readonly surePorts: readonly Ports[];
};

/** Rules never change, so that their pieces can be kept as long as they are. */
const known = new WeakMap<Rule, Pieces>();

function piecesOf(rule: Rule): Pieces {
  const found = known.get(rule);
  if (found !== undefined) return found;
  const sure = rule.narrowed === undefined;
  const pieces = {
    ends: rule.peers.flatMap((peer) => endsAtMost(peer)),
    ports: portsAtMost(rule),
    sureEnds: sure ? rule.peers.flatMap((peer) => endsAtLeast(peer)) : [],
    surePorts: sure ? portsAtLeast(rule) : [],
  };
  known.set(rule, pieces);
  return pieces;
}

/**
 * Whether denies that come earlier stop all that a rule matches. Never true by mistake: a deny counts only for what it
 * surely stops, the rule for all that it may match, and each piece of the rule must be stopped whole by one deny.
 */
export function isCovered(rule: Rule, denies: readonly Rule[]): boolean {
  const { ends, ports } = piecesOf(rule);
  return ends.every((end) =>
    ports.every((port) => denies.some((deny) => stops(piecesOf(deny), end, port))),
  );
}

/** Whether a deny may stop some of what a rule matches. */
export function mayOverlap(rule: Rule, deny: Rule): boolean {
  const a = piecesOf(rule);
  const b = piecesOf(deny);
  return (
    a.ends.some((end) => b.ends.some((other) => endsOverlap(end, other))) &&
    a.ports.some((port) => b.ports.some((other) => portsOverlap(port, other)))
  );
}

const stops = (deny: Pieces, ends: Ends, ports: Ports): boolean =>
  deny.sureEnds.some((denied) => containsEnds(denied, ends)) &&
  deny.surePorts.some((denied) => containsPorts(denied, ports));

const endsOverlap = (a: Ends, b: Ends): boolean =>
  a.who === b.who &&
  (cidrContainsCidr(a.network, b.network) || cidrContainsCidr(b.network, a.network));

const containsEnds = (outer: Ends, inner: Ends): boolean =>
  outer.who === inner.who &&
  cidrContainsCidr(outer.network, inner.network) &&
  (outer.pods.everything || (outer.pods.exact && outer.pods.text === inner.pods.text));

const containsPorts = (outer: Ports, inner: Ports): boolean =>
  outer.protocol === inner.protocol &&
  (outer.name === "" || outer.name === inner.name) &&
  outer.first <= inner.first &&
  inner.last <= outer.last;

const portsOverlap = (a: Ports, b: Ports): boolean =>
  a.protocol === b.protocol && a.first <= b.last && b.first <= a.last;

const podsIn = (pods: PodSelector, networks: readonly Cidr[]): readonly Ends[] =>
  networks.map((network) => ({ who: "pods", pods, network }));

const othersIn = (who: "nodes" | "world", networks: readonly Cidr[]): readonly Ends[] =>
  networks.map((network) => ({ who, pods: allPods, network }));

const outsideIn = (networks: readonly Cidr[]): readonly Ends[] => [
  ...othersIn("nodes", networks),
  ...othersIn("world", networks),
];

/** All that a peer may match. */
function endsAtMost(peer: Peer): readonly Ends[] {
  switch (peer.kind) {
    case "any":
      return [...podsIn(allPods, everywhere), ...outsideIn(everywhere)];
    case "pods":
      return podsIn(peer.pods, everywhere);
    case "network":
      return [
        ...(peer.scope === "all" ? podsIn(allPods, [peer.cidr]) : []),
        ...outsideIn([peer.cidr]),
      ];
    case "world":
      return othersIn("world", everywhere);
    case "nodes":
      return othersIn("nodes", everywhere);
    case "unknown":
      return [
        ...(peer.among === "outside" ? [] : podsIn(allPods, everywhere)),
        ...(peer.among === "pods" ? [] : outsideIn(everywhere)),
      ];
    default:
      return peer satisfies never;
  }
}

/** What a peer surely matches. */
function endsAtLeast(peer: Peer): readonly Ends[] {
  if (peer.kind === "any") return endsAtMost(peer);
  if (peer.kind === "pods") return peer.pods.exact ? endsAtMost(peer) : [];
  if (peer.kind === "nodes") return peer.everything ? endsAtMost(peer) : [];
  if (peer.kind === "world") return endsAtMost(peer);
  if (peer.kind !== "network" || peer.except.length > 0) return [];
  return peer.scope === "all" ? endsAtMost(peer) : othersIn("world", [peer.cidr]);
}

const allPorts = (protocol: Protocol | "other", name = ""): Ports => ({
  protocol,
  first: 0,
  last: portMax,
  name,
});

const portsAtMost = (rule: Rule): readonly Ports[] =>
  rule.ports === "all" ? everyPort : rule.ports.flatMap((port) => portAtMost(port));

const everyPort: readonly Ports[] = [
  ...protocols.map((protocol) => allPorts(protocol)),
  allPorts("other"),
];

function portAtMost(port: Port): readonly Ports[] {
  switch (port.kind) {
    case "range":
      return [{ protocol: port.protocol, first: port.first, last: port.last, name: "" }];
    case "named":
      return (port.protocol === "any" ? protocols : [port.protocol]).map((protocol) =>
        allPorts(protocol, port.name),
      );
    case "other":
      return [allPorts("other")];
    case "unknown":
      return everyPort;
    default:
      return port satisfies never;
  }
}

/** A name also covers itself: the same name on the same pod means the same ports. */
const portsAtLeast = (rule: Rule): readonly Ports[] =>
  rule.ports === "all"
    ? everyPort
    : rule.ports.flatMap((port) =>
        port.kind === "range" || port.kind === "named" ? portAtMost(port) : [],
      );
