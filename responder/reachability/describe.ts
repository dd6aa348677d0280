// SPDX-License-Identifier: Apache-2.0
import { formatCidr } from "#policy/kubernetes/cidr";
import { type Peer, type Port, type Rule, portMax } from "#responder/reachability/rule";

/** What a rule lets through, for a person: `from namespaces team=a, TCP/80`. */
export function ruleText(rule: Rule): string {
  const side = rule.direction === "Ingress" ? "from" : "to";
  const peers = rule.peers.length === 0 ? "nobody" : rule.peers.map(peerText).join(" or ");
  const ports = rule.ports === "all" ? "all ports" : rule.ports.map(portText).join(", ");
  return `${side} ${peers}, ${ports}`;
}

function peerText(peer: Peer): string {
  switch (peer.kind) {
    case "any":
      return "anywhere";
    case "pods":
      return peer.pods.text;
    case "network": {
      const except = peer.except.map(formatCidr).join(" ");
      return `${formatCidr(peer.cidr)}${except === "" ? "" : ` except ${except}`}`;
    }
    case "world":
      return "outside the cluster";
    case "nodes":
    case "unknown":
      return peer.text;
    default:
      return peer satisfies never;
  }
}

function portText(port: Port): string {
  switch (port.kind) {
    case "range":
      return `${port.protocol}${rangeText(port.first, port.last)}`;
    case "named":
      return `${port.protocol === "any" ? "port" : port.protocol}/${port.name}`;
    case "other":
    case "unknown":
      return port.text;
    default:
      return port satisfies never;
  }
}

function rangeText(first: number, last: number): string {
  if (first === 0 && last === portMax) return "";
  return first === last ? `/${first}` : `/${first}-${last}`;
}
