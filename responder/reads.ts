// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Cluster, ResourceType } from "#responder/cluster";
import { fromKey, types } from "#responder/cluster";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { makeShared } from "#responder/target";

/** Long enough that a burst is one read, and short enough to count as now. */
const nowMs = 100;

/** What many ask for at once is read once. What is read anew has a memory of its own: an older answer must not serve for it. */
export function makeReads(cluster: Cluster, now: () => number, istioRootNamespace?: string) {
  const readPod = (key: string) => cluster.get(types.pod, fromKey(key));
  const readNamespace = (name: string) => cluster.get(types.namespace, { namespace: "", name });
  return {
    getPod: makeShared(readPod, now),
    getPodNow: makeShared(readPod, now, nowMs),
    getNamespace: makeShared(readNamespace, now),
    getNamespaceNow: makeShared(readNamespace, now, nowMs),
    network: makeReadNetwork(cluster, now, { istioRootNamespace }),
    networkNow: makeReadNetwork(cluster, now, { istioRootNamespace, freshMs: nowMs }),
    dryRun: (type: ResourceType, manifest: JsonObject) =>
      cluster.create(type, manifest, { dryRun: true }),
  };
}

export type Reads = ReturnType<typeof makeReads>;
