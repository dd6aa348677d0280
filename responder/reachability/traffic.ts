// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Address } from "#policy/kubernetes/ip";

export type Protocol = "TCP" | "UDP" | "SCTP";
export type Direction = "Ingress" | "Egress";

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
};

/** One end of a connection; `pod` is undefined for what is outside the cluster, and for nodes and hostNetwork pods. */
export type Endpoint = { readonly address: Address; readonly pod: PodView | undefined };

/** The first packet of a connection: replies are not judged. */
export type Packet = {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly port: number;
  readonly protocol: Protocol;
};
