// SPDX-License-Identifier: Apache-2.0
import { type Json, isArray } from "#policy/json";
import { type Cidr, cidrContainsIp, parseCidr } from "#policy/kubernetes/cidr";
import { type Match, both, every, matchOf, some } from "#responder/reachability/match";
import type { PodSelector } from "#responder/reachability/pod-selector";
import {
  type Direction,
  type Endpoint,
  type Packet,
  type Protocol,
  remoteOf,
} from "#responder/reachability/traffic";

/** The policy a rule stands in; `namespace` '' for cluster-wide ones. */
export type PolicyName = {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};

/** Who may be at the other end. `unknown` is among these and cannot be told from what is at hand. */
export type Peer =
  | { readonly kind: "any" }
  | { readonly kind: "pods"; readonly pods: PodSelector }
  /** `scope` outside: pods are not matched by their addresses, and nodes perhaps. */
  | {
      readonly kind: "network";
      readonly cidr: Cidr;
      readonly except: readonly Cidr[];
      readonly scope: "all" | "outside";
    }
  | { readonly kind: "world" }
  | {
      readonly kind: "nodes";
      /** Whether it is every node. */
      readonly everything: boolean;
      readonly text: string;
      readonly matches: (labels: Json) => Match;
    }
  | {
      readonly kind: "unknown";
      readonly among: "any" | "pods" | "outside";
      readonly text: string;
    };

/** Destination ports. `other` is a protocol that is neither TCP, UDP nor SCTP. */
export type Port =
  | {
      readonly kind: "range";
      readonly protocol: Protocol;
      readonly first: number;
      readonly last: number;
    }
  | { readonly kind: "named"; readonly protocol: Protocol | "any"; readonly name: string }
  | { readonly kind: "other"; readonly text: string }
  | { readonly kind: "unknown"; readonly text: string };

/** Pass leaves the decision to the next stage. */
export type Action = "Allow" | "Deny" | "Pass";

/** One rule of any kind of policy, as seen from the pod that it is about. */
export type Rule = {
  readonly policy: PolicyName;
  /** Its place in the policy's list for the direction. */
  readonly index: number;
  readonly direction: Direction;
  readonly action: Action;
  /** Any of these; none means that it matches nobody. */
  readonly peers: readonly Peer[];
  /** Any of these. */
  readonly ports: readonly Port[] | "all";
  /** What must hold beside peers and ports. With it the rule matches less than they say. */
  readonly narrowed?: ((packet: Packet) => Match) | undefined;
  /** Why it may match less, or differently, than can be told here. */
  readonly unsure?: string | undefined;
};

/** Whether a rule matches a packet of its direction. */
export function ruleMatches(rule: Rule, packet: Packet): Match {
  const remote = remoteOf(packet, rule.direction);
  const ports =
    rule.ports === "all" ? "yes" : some(rule.ports, (port) => portMatches(port, packet));
  if (ports === "no") return "no";
  const peers = some(rule.peers, (peer) => peerMatches(peer, remote));
  return every([ports, peers, rule.narrowed?.(packet) ?? "yes"], (match) => match);
}

export function peerMatches(peer: Peer, remote: Endpoint): Match {
  switch (peer.kind) {
    case "any":
      return "yes";
    case "pods":
      return remote.pod === undefined ? "no" : peer.pods.matches(remote.pod);
    case "network":
      return networkMatches(peer, remote);
    case "world":
      return matchOf(remote.pod === undefined && remote.node === undefined);
    case "nodes":
      return remote.node === undefined ? "no" : peer.matches(remote.node);
    case "unknown":
      return unknownMatches(peer.among, remote);
    default:
      return peer satisfies never;
  }
}

function networkMatches(peer: Extract<Peer, { kind: "network" }>, remote: Endpoint): Match {
  if (peer.scope === "outside" && remote.pod !== undefined) return "no";
  if (!cidrContainsIp(peer.cidr, remote.address)) return "no";
  if (peer.except.some((except) => cidrContainsIp(except, remote.address))) return "no";
  return peer.scope === "outside" && remote.node !== undefined ? "maybe" : "yes";
}

function unknownMatches(among: "any" | "pods" | "outside", remote: Endpoint): Match {
  if (among === "any") return "maybe";
  return (remote.pod !== undefined) === (among === "pods") ? "maybe" : "no";
}

/** Ports are the destination's in both directions; a name is looked up among the destination pod's containers. */
export function portMatches(port: Port, packet: Packet): Match {
  switch (port.kind) {
    case "range":
      return matchOf(
        port.protocol === packet.protocol && port.first <= packet.port && packet.port <= port.last,
      );
    case "named":
      return matchOf(
        (port.protocol === "any" || port.protocol === packet.protocol) &&
          (packet.destination.pod?.ports ?? []).some(
            (one) =>
              one.name === port.name &&
              one.port === packet.port &&
              one.protocol === packet.protocol,
          ),
      );
    case "other":
      return "no";
    case "unknown":
      return "maybe";
    default:
      return port satisfies never;
  }
}

/** Networks from their texts, and a peer that may be anybody for what cannot be read: never a silent "nobody". */
export function networkPeer(text: string, except: readonly Json[], scope: "all" | "outside"): Peer {
  const cidr = parseCidr(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`);
  if (!cidr.ok) {
    const among = scope === "all" ? "any" : "outside";
    return { kind: "unknown", among, text: `network ${text}` };
  }
  const excepted = except.flatMap((one) => {
    const parsed = typeof one === "string" ? parseCidr(one) : undefined;
    return parsed?.ok === true ? [parsed.value] : [];
  });
  return { kind: "network", cidr: cidr.value, except: excepted, scope };
}

/** All ports of a protocol. */
export const allPortsOf = (protocol: Protocol): Port => ({
  kind: "range",
  protocol,
  first: 0,
  last: portMax,
});

export const portMax = 65_535;

/** Both conditions, where either may be absent. */
export function narrow(
  a: ((packet: Packet) => Match) | undefined,
  b: ((packet: Packet) => Match) | undefined,
): ((packet: Packet) => Match) | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return (packet) => both(a(packet), b(packet));
}

/** A value as a person reads it. */
export const jsonText = (value: Json): string =>
  typeof value === "string" ? value : JSON.stringify(value);

export const listOf = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
