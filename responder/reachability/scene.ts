// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { parseIp } from "#policy/kubernetes/ip";
import type { Endpoint, Packet, PodView, Protocol } from "#responder/reachability/traffic";

// Pods and packets for the tests of this folder.

export const podView = (
  namespace: string,
  labels: JsonObject,
  more: Partial<PodView> = {},
): PodView => ({
  namespace,
  namespaceLabels: { "kubernetes.io/metadata.name": namespace },
  labels,
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  ...more,
});

export function endAt(text: string, more: Partial<Endpoint> = {}): Endpoint {
  const address = parseIp(text);
  if (!address.ok) throw new Error(address.message);
  return { address: address.value, pod: undefined, ...more };
}

export const endOfPod = (pod: PodView, address = "10.1.2.3"): Endpoint => endAt(address, { pod });

export const tcp = (source: Endpoint, destination: Endpoint, port = 80): Packet => ({
  source,
  destination,
  port,
  protocol: "TCP",
});

export const packetBy = (
  protocol: Protocol,
  source: Endpoint,
  destination: Endpoint,
  port: number,
): Packet => ({ source, destination, port, protocol });
