// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, field, isObject, textAt } from "#policy/json";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, nameOf, types, uidOf, versionOf } from "#responder/cluster";
import { sha256 } from "#responder/finding";

/** How long a target stays taken when its holder dies. */
const leaseSeconds = 15;
/** Acting takes well under a second; but logs for evidence, or somebody's webhook, can take longer than a lease lasts. */
const renewMs = (leaseSeconds * 1_000) / 3;
/** So long before a lease runs out its holder begins nothing any more: a write is on its way for a while. */
const marginMs = 3_000;

export type Lease = {
  /** False when it could not be renewed in time, or somebody else has it: then nothing more may be begun. */
  readonly isHeld: () => boolean;
  readonly release: () => Promise<void>;
};

/**
 * Takes the sole right to act on one target, by a Lease object in the responder's namespace: two replicas never act on one target at
 * once. Busy means that somebody else has it. It is renewed until it is released. The writes themselves are guarded too, so one that runs out
 * between two of them does no harm.
 */
export async function takeLease(
  cluster: Cluster,
  options: {
    readonly namespace: string;
    readonly target: string;
    readonly holder: string;
    readonly now: () => number;
  },
): Promise<Reply<Lease>> {
  const nowMs = options.now();
  const name = `parapet-target-${sha256(options.target).slice(0, 32)}`;
  const wanted = leaseObject(name, options);
  const takenAtMs = performance.now();
  const created = await cluster.create(types.lease, wanted);
  if (created.ok) return held(cluster, created.value, options, takenAtMs);
  if (created.code !== "AlreadyExists") return created;
  const there = await cluster.get(types.lease, { namespace: options.namespace, name });
  // Released between the two calls.
  if (!there.ok) return there.code === "NotFound" ? faster : there;
  const holder = textAt(there.value, ["spec", "holderIdentity"]);
  const renewedMs = Date.parse(textAt(there.value, ["spec", "renewTime"]));
  const seconds = Number(at(there.value, ["spec", "leaseDurationSeconds"]) ?? leaseSeconds);
  // A time that lies ahead by more than the lease lasts was written by a clock that has been set back since: else a dead
  // holder would keep the target for as long as the clock was wrong.
  const isOver = holder === "" || !(Math.abs(nowMs - renewedMs) < seconds * 1_000);
  if (!isOver && holder !== options.holder) {
    return failure("Busy", `the target is held by ${holder}`);
  }
  const taken = await cluster.replace(types.lease, {
    ...wanted,
    metadata: { name, namespace: options.namespace, resourceVersion: versionOf(there.value) },
  });
  if (taken.ok) return held(cluster, taken.value, options, takenAtMs);
  return taken.code === "Conflict" || taken.code === "NotFound" ? faster : taken;
}

const faster = failure("Busy", "somebody else was faster");

function leaseObject(
  name: string,
  options: { readonly namespace: string; readonly holder: string; readonly now: () => number },
): JsonObject {
  const now = microTime(options.now());
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

const microTime = (atMs: number): string => `${new Date(atMs).toISOString().slice(0, -1)}000Z`;

/**
 * Renewed by a clock that nobody sets, and released by deletion, so that no lease is left for each target ever acted on; one that is not
 * released runs out. Only the version that we wrote is deleted: a later one is somebody else's, who took it over.
 */
function held(
  cluster: Cluster,
  taken: JsonObject,
  { now }: { readonly now: () => number },
  takenAtMs: number,
): Reply<Lease> {
  let lease = taken;
  let renewedAtMs = takenAtMs;
  let isLost = false;
  let renewing: Promise<void> | undefined;
  const isHeld = (): boolean =>
    !isLost && performance.now() - renewedAtMs < leaseSeconds * 1_000 - marginMs;
  const renew = async (): Promise<void> => {
    const askedAtMs = performance.now();
    const spec = field(lease, "spec");
    const renewTime = microTime(now());
    const reply = await cluster.replace(types.lease, {
      ...lease,
      spec: { ...(isObject(spec) ? spec : {}), renewTime },
    });
    if (reply.ok) {
      lease = reply.value;
      renewedAtMs = askedAtMs;
    } else isLost ||= reply.code === "Conflict" || reply.code === "NotFound";
  };
  const timer = setInterval(() => {
    renewing ??= renew().finally(() => {
      renewing = undefined;
    });
  }, renewMs);
  timer.unref();
  return {
    ok: true,
    value: {
      isHeld,
      release: async () => {
        clearInterval(timer);
        await renewing;
        const version = versionOf(lease);
        await cluster.remove(types.lease, nameOf(lease), uidOf(lease), { version });
      },
    },
  };
}
