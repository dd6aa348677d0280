// SPDX-License-Identifier: Apache-2.0
import { type Json, field } from "#policy/json";
import { type Match, matchOf, some } from "#responder/reachability/match";
import { protocolOf } from "#responder/reachability/network-policies";
import { type Port, allPortsOf, jsonText, listOf, portMatches } from "#responder/reachability/rule";
import { type Packet, type Protocol, protocols } from "#responder/reachability/traffic";

/** IANA's numbers of the protocols that have ports here. */
const numbers: { readonly [number: string]: Protocol } = { 6: "TCP", 17: "UDP", 132: "SCTP" };

/** The destination ports of a rule: numbers, names or ranges `80:90`, of its protocol. ICMP has none. */
export function calicoPorts(rule: Json): readonly Port[] | "all" {
  const protocol = field(rule, "protocol");
  const ports = listOf(field(field(rule, "destination"), "ports"));
  if (protocol === undefined) {
    return ports.length === 0
      ? "all"
      : ports.flatMap((port) => protocols.map((one) => portOf(port, one)));
  }
  const known = toProtocol(protocol);
  if (known === undefined) return [{ kind: "other", text: jsonText(protocol) }];
  return ports.length === 0 ? [allPortsOf(known)] : ports.map((port) => portOf(port, known));
}

export const protocolMatches = (protocol: Json, packet: Packet): Match =>
  matchOf(toProtocol(protocol) === packet.protocol);

export const portsMatch = (ports: readonly Json[], packet: Packet): Match =>
  some(ports, (port) => portMatches(portOf(port, packet.protocol), packet));

function toProtocol(protocol: Json): Protocol | undefined {
  const text = jsonText(protocol).toUpperCase();
  return protocolOf(text) ?? (Object.hasOwn(numbers, text) ? numbers[text] : undefined);
}

function portOf(port: Json, protocol: Protocol): Port {
  const text = jsonText(port);
  const range = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  if (range === null) return { kind: "named", protocol, name: text };
  const first = Number(range[1]);
  return { kind: "range", protocol, first, last: Number(range[2] ?? first) };
}
