// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Address } from "#policy/kubernetes/ip";

export type Protocol = "TCP" | "UDP" | "SCTP";
export type Direction = "Ingress" | "Egress";

export const protocols = ["TCP", "UDP", "SCTP"] as const satisfies readonly Protocol[];

/** A container's declared port, by which policies may name it. */
export type NamedPort = {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
};

export type PodView = {
  readonly namespace: string;
  readonly namespaceLabels: JsonObject;
  readonly labels: JsonObject;
  readonly ports: readonly NamedPort[];
  /** Name of the pod's service account, where it is known: Calico, Cilium and Istio select by it. */
  readonly serviceAccount?: string;
};

/**
 * One end of a connection; `pod` is undefined for what is outside the cluster, and for nodes and hostNetwork pods.
 * `node` holds the labels of the node whose address it is.
 */
export type Endpoint = {
  readonly address: Address;
  readonly pod: PodView | undefined;
  readonly node?: JsonObject | undefined;
};

/** The first packet of a connection: replies are not judged. */
export type Packet = {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly port: number;
  readonly protocol: Protocol;
};

/** The end that a policy of this direction does not speak for. */
export const remoteOf = (packet: Packet, direction: Direction): Endpoint =>
  direction === "Ingress" ? packet.source : packet.destination;

/** The end at which policies of this direction are enforced. */
export const localOf = (packet: Packet, direction: Direction): Endpoint =>
  direction === "Ingress" ? packet.destination : packet.source;
