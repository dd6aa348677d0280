// SPDX-License-Identifier: Apache-2.0
import type { RbacRule } from "#responder/actions/action";
import type { Cluster, ResourceType } from "#responder/cluster";
import { fromKey } from "#responder/cluster";
import { type Network, networks } from "#responder/verification/networks";

export const daemonSet: ResourceType = {
  apiVersion: "apps/v1",
  kind: "DaemonSet",
  resource: "daemonsets",
  namespaced: true,
};

/** The agents are asked for by name: no list of what runs in the cluster. */
export const detectRbac: readonly RbacRule[] = [
  { apiGroups: ["apps"], resources: ["daemonsets"], verbs: ["get"] },
];

export type Detected = {
  readonly found: readonly Network[];
  /** Questions that had no answer, for the log; what they asked about may be there. */
  readonly unanswered: readonly string[];
};

/** Which network implementations run here: by their agents, and where those may not be read by the kinds that are served. */
export async function detectNetwork(cluster: Cluster): Promise<Detected> {
  const found: Network[] = [];
  const unanswered: string[] = [];
  for (const network of networks) {
    const isThere = await runs(cluster, network);
    if (isThere.unanswered !== "") unanswered.push(isThere.unanswered);
    if (isThere.found) found.push(network);
  }
  return { found, unanswered };
}

async function runs(
  cluster: Cluster,
  network: Network,
): Promise<{ readonly found: boolean; readonly unanswered: string }> {
  let unanswered = "";
  for (const agent of network.agents) {
    const live = await cluster.get(daemonSet, fromKey(agent));
    if (live.ok) return { found: true, unanswered: "" };
    if (live.code !== "NotFound") unanswered = `DaemonSet ${agent}: ${live.code}`;
  }
  // A definition outlives its implementation, so it counts only where the agents could not be asked for.
  if (unanswered === "" || network.serves === undefined) return { found: false, unanswered };
  const type = await cluster.typeOf(network.serves.apiVersion, network.serves.kind);
  return { found: type.ok, unanswered };
}
