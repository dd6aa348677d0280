// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, types, uidOf, versionOf } from "#responder/cluster";
import { sha256 } from "#responder/finding";

/** How long a target stays taken when its holder dies. Acting takes well under a second. */
const leaseSeconds = 15;

export type Lease = { readonly release: () => Promise<void> };

/**
 * Takes the sole right to act on one target, by a Lease object in the responder's namespace: two replicas never act on one target at
 * once. Busy means that somebody else has it. The writes themselves are guarded too, so a lease that runs out meanwhile does no harm.
 */
export async function takeLease(
  cluster: Cluster,
  options: {
    readonly namespace: string;
    readonly target: string;
    readonly holder: string;
    readonly nowMs: number;
  },
): Promise<Reply<Lease>> {
  const name = `parapet-target-${sha256(options.target).slice(0, 32)}`;
  const wanted = leaseObject(name, options);
  const created = await cluster.create(types.lease, wanted);
  if (created.ok) return held(cluster, created.value);
  if (created.code !== "AlreadyExists") return created;
  const there = await cluster.get(types.lease, { namespace: options.namespace, name });
  // Released between the two calls.
  if (!there.ok) return there.code === "NotFound" ? faster : there;
  const holder = textAt(there.value, ["spec", "holderIdentity"]);
  const renewedMs = Date.parse(textAt(there.value, ["spec", "renewTime"]));
  const seconds = Number(at(there.value, ["spec", "leaseDurationSeconds"]) ?? leaseSeconds);
  // A time that lies ahead by more than the lease lasts was written by a clock that has been set back since: else a dead
  // holder would keep the target for as long as the clock was wrong.
  const isOver = holder === "" || !(Math.abs(options.nowMs - renewedMs) < seconds * 1_000);
  if (!isOver && holder !== options.holder) {
    return failure("Busy", `the target is held by ${holder}`);
  }
  const taken = await cluster.replace(types.lease, {
    ...wanted,
    metadata: { name, namespace: options.namespace, resourceVersion: versionOf(there.value) },
  });
  if (taken.ok) return held(cluster, taken.value);
  return taken.code === "Conflict" || taken.code === "NotFound" ? faster : taken;
}

const faster = failure("Busy", "somebody else was faster");

function leaseObject(
  name: string,
  options: { readonly namespace: string; readonly holder: string; readonly nowMs: number },
): JsonObject {
  const now = `${new Date(options.nowMs).toISOString().slice(0, -1)}000Z`;
  return {
    apiVersion: types.lease.apiVersion,
    kind: types.lease.kind,
    metadata: { name, namespace: options.namespace },
    spec: {
      holderIdentity: options.holder,
      leaseDurationSeconds: leaseSeconds,
      acquireTime: now,
      renewTime: now,
    },
  };
}

/** Released by deletion, so that no lease is left for each target ever acted on; one that is not released runs out. */
const held = (cluster: Cluster, lease: JsonObject): Reply<Lease> => ({
  ok: true,
  value: {
    release: async () => {
      const namespace = textAt(lease, ["metadata", "namespace"]);
      const name = textAt(lease, ["metadata", "name"]);
      await cluster.remove(types.lease, { namespace, name }, uidOf(lease));
    },
  },
});
