// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Cluster, ResourceType } from "#responder/cluster";
import { fromKey, types } from "#responder/cluster";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { makeShared } from "#responder/target";

/** Long enough that a burst is one read, and short enough to count as now. */
const nowMs = 100;

/** What many ask for at once is read once. */
export const makeReads = (cluster: Cluster, now: () => number) => ({
  getPod: makeShared((key) => cluster.get(types.pod, fromKey(key)), now),
  getPodNow: makeShared((key) => cluster.get(types.pod, fromKey(key)), now, nowMs),
  getNamespace: makeShared((name) => cluster.get(types.namespace, { namespace: "", name }), now),
  getNamespaceNow: makeShared(
    (name) => cluster.get(types.namespace, { namespace: "", name }),
    now,
    nowMs,
  ),
  network: makeReadNetwork(cluster, now),
  dryRun: (type: ResourceType, manifest: JsonObject) =>
    cluster.create(type, manifest, { dryRun: true }),
});

export type Reads = ReturnType<typeof makeReads>;
