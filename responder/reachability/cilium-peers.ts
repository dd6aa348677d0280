// SPDX-License-Identifier: Apache-2.0
import { type Json, field, isObject, textAt } from "#policy/json";
import { endpointSelector } from "#responder/reachability/cilium-selector";
import { allPods } from "#responder/reachability/pod-selector";
import { type Peer, jsonText, listOf, networkPeer } from "#responder/reachability/rule";
import type { Direction } from "#responder/reachability/traffic";

export type CiliumPeers = {
  readonly peers: readonly Peer[];
  /** Why the peers are more than the rule says. */
  readonly unsure?: string | undefined;
};

const anyNode: Peer = { kind: "nodes", everything: true, text: "nodes", matches: () => "yes" };
const unknownOutside = (text: string): Peer => ({ kind: "unknown", among: "outside", text });

/**
 * Entities (docs.cilium.io/en/stable/security/policy/language/#entities-based). `host` and `remote-node` are told apart
 * by where a pod runs, so each is "perhaps this node"; where the API server runs is not known from policies.
 */
const entityPeers: { readonly [entity: string]: readonly Peer[] } = {
  all: [{ kind: "any" }],
  world: [{ kind: "world" }],
  "world-ipv4": [networkPeer("0.0.0.0/0", [], "outside")],
  "world-ipv6": [networkPeer("::/0", [], "outside")],
  cluster: [{ kind: "pods", pods: allPods }, anyNode],
  host: [{ kind: "nodes", everything: false, text: "the pod's own node", matches: () => "maybe" }],
  "remote-node": [
    { kind: "nodes", everything: false, text: "other nodes", matches: () => "maybe" },
  ],
  none: [],
};

/**
 * The peers of a Cilium rule, in either direction. Layer 3 fields left out altogether mean "anywhere" when the rule has
 * ports, and nobody when it has none: `ingress: [{}]` is the documented default deny. An empty list selects nobody
 * (docs.cilium.io/en/stable/security/policy/language/#ingress-default-deny).
 */
export function ciliumPeers(rule: Json, direction: Direction, namespace: string): CiliumPeers {
  const prefix = direction === "Ingress" ? "from" : "to";
  const given = layer3Fields(prefix).filter((key) => isGiven(field(rule, key)));
  if (given.length === 0) return { peers: limitsPorts(rule) ? [{ kind: "any" }] : [] };
  const peers = given.flatMap((key) =>
    listOf(field(rule, key)).flatMap((item) => peersOf(key.slice(prefix.length), item, namespace)),
  );
  const unknown = peers.find((peer) => peer.kind === "unknown" || isUncertainNode(peer));
  if (unknown !== undefined && "text" in unknown) {
    return { peers, unsure: `${unknown.text}: cannot be told from here` };
  }
  return given.length === 1 ? { peers } : { peers, unsure: `${given.join(" and ")} in one rule` };
}

const isUncertainNode = (peer: Peer): boolean =>
  peer.kind === "nodes" && peer.matches({}) === "maybe";

const layer3Fields = (prefix: string): readonly string[] =>
  ["Endpoints", "Entities", "CIDR", "CIDRSet", "Groups", "Nodes", "FQDNs", "Services"].map(
    (name) => `${prefix}${name}`,
  );

const isGiven = (value: Json | undefined): boolean => value !== undefined && value !== null;

const limitsPorts = (rule: Json): boolean =>
  listOf(field(rule, "toPorts")).length > 0 || listOf(field(rule, "icmps")).length > 0;

function peersOf(kind: string, item: Json, namespace: string): readonly Peer[] {
  switch (kind) {
    case "Endpoints":
      return [{ kind: "pods", pods: endpointSelector(item, namespace) }, ...reserved(item)];
    case "Entities":
      return entityPeer(jsonText(item));
    // CIDR rules do not match what Cilium manages: pods, and by default nodes.
    case "CIDR":
      return [networkPeer(jsonText(item), [], "outside")];
    case "CIDRSet": {
      const cidr = textAt(item, ["cidr"]);
      return cidr === ""
        ? [unknownOutside("a CIDR group")]
        : [networkPeer(cidr, listOf(field(item, "except")), "outside")];
    }
    case "Services":
      return [{ kind: "unknown", among: "any", text: "services" }];
    default:
      return [unknownOutside(kind === "FQDNs" ? fqdnText(item) : kind.toLowerCase())];
  }
}

const fqdnText = (item: Json): string =>
  `domain ${textAt(item, ["matchName"]) || textAt(item, ["matchPattern"])}`;

function entityPeer(entity: string): readonly Peer[] {
  if (Object.hasOwn(entityPeers, entity)) return entityPeers[entity] ?? [];
  return [{ kind: "unknown", among: "any", text: `entity ${entity}` }];
}

/** Labels of the source `reserved:` select what is no pod (`reserved:host`). */
function reserved(selector: Json): readonly Peer[] {
  const labels = field(selector, "matchLabels");
  const keys = isObject(labels) ? Object.keys(labels) : [];
  return keys.some((key) => key.startsWith("reserved:"))
    ? [unknownOutside(`endpoints ${keys.join(",")}`)]
    : [];
}
