// SPDX-License-Identifier: Apache-2.0
import type { Cluster } from "#responder/cluster";
import { types } from "#responder/cluster";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import { makeReadNetwork } from "#responder/isolation/network-view";

/** A role, or what the cluster serves, may change at any time. */
const everyMs = 300_000;
/** The first look: soon enough for whoever has just installed it. */
const firstMs = 2_000;

/**
 * Looks at start and every few minutes whether every kind of policy that the cluster serves may be read, and says which may not:
 * before an alert has to wait for it. Where not even NetworkPolicies may be read, `isolate` was not given its role, and nothing is said.
 */
export function startRightsCheck(
  namespace: string,
  ports: {
    readonly cluster: Cluster;
    readonly metrics: Metrics;
    readonly log: Log;
    readonly now: () => number;
  },
): readonly NodeJS.Timeout[] {
  let readable: boolean | undefined;
  ports.metrics.gauge(
    "parapet_policies_readable",
    "0 while a kind of network policy that is served cannot be read: isolations are not planned then.",
    () => (readable === undefined ? undefined : Number(readable)),
  );
  const read = makeReadNetwork(ports.cluster, ports.now);
  const look = async (): Promise<void> => {
    const basic = await ports.cluster.list(types.networkPolicy, { namespace });
    if (!basic.ok) return;
    const all = await read(namespace);
    if (!all.ok && all.code !== "Forbidden") return;
    if (!all.ok && readable !== false) {
      ports.log("error", "isolations cannot be planned", { why: all.message });
    }
    readable = all.ok;
  };
  return [setTimeout(() => void look(), firstMs), setInterval(() => void look(), everyMs)];
}
