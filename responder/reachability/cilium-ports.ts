// SPDX-License-Identifier: Apache-2.0
import { type Json, field, isObject, textAt } from "#policy/json";
import { protocolOf } from "#responder/reachability/network-policies";
import { type Port, allPortsOf, jsonText, listOf } from "#responder/reachability/rule";
import { type Protocol, protocols } from "#responder/reachability/traffic";

export type CiliumPorts = {
  readonly ports: readonly Port[] | "all";
  readonly unsure?: string | undefined;
};

/**
 * The ports of a Cilium rule (docs.cilium.io/en/stable/security/policy/language/#layer-4-examples). A protocol left out
 * or ANY is TCP, UDP and SCTP; port 0 is every port of the protocol; a name is a container port's. Rules about layer 7
 * let a part of the connections' contents through, so that they may allow.
 */
export function ciliumPorts(rule: Json): CiliumPorts {
  const lists = listOf(field(rule, "toPorts"));
  const icmps = listOf(field(rule, "icmps"));
  if (lists.length === 0) {
    return { ports: icmps.length === 0 ? "all" : [{ kind: "other", text: "ICMP" }] };
  }
  const open = lists.some((list) => listOf(field(list, "ports")).length === 0);
  const empty = open ? "a list of ports without ports" : undefined;
  const unsure = lists.some(isLayer7) ? "layer 7 rules decide by what the connection says" : empty;
  if (open) return { ports: "all", unsure };
  return { ports: lists.flatMap((list) => listOf(field(list, "ports")).flatMap(portsOf)), unsure };
}

const layer7Fields = ["rules", "serverNames", "terminatingTLS", "originatingTLS", "listener"];

function isLayer7(list: Json): boolean {
  return layer7Fields.some((key) => {
    const given = field(list, key);
    return isObject(given) ? Object.keys(given).length > 0 : listOf(given).length > 0;
  });
}

function portsOf(entry: Json): readonly Port[] {
  const text = (textAt(entry, ["protocol"]) || "ANY").toUpperCase();
  const protocol = protocolOf(text);
  if (protocol === undefined && text !== "ANY") return [{ kind: "other", text }];
  return (protocol === undefined ? protocols : [protocol]).map((one) => portOf(entry, one));
}

function portOf(entry: Json, protocol: Protocol): Port {
  const given = field(entry, "port") ?? "0";
  const text = jsonText(given);
  if (!/^\d+$/.test(text)) return { kind: "named", protocol, name: text.toLowerCase() };
  const first = Number(text);
  const end = Number(field(entry, "endPort") ?? 0);
  if (first === 0) return allPortsOf(protocol);
  return { kind: "range", protocol, first, last: end > first ? end : first };
}
