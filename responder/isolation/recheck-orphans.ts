// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { remediationNamespaceKey } from "#responder/actions/isolate";
import type { AuditEntry } from "#responder/record/audit";
import type { Cluster, ObjectName, Reply, ResourceType } from "#responder/cluster";
import { keyOf, nameOf, types, uidOf } from "#responder/cluster";
import type { Log } from "#responder/log";
import { ownershipLabel } from "#responder/plan";
import { backendKinds } from "#responder/reachability/backend";
import { type PolicyKind, typeOfKind } from "#responder/reachability/policy-kinds";

export type OrphanPorts = {
  readonly cluster: Cluster;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  readonly discover: () => Promise<Reply<readonly PolicyKind[]>>;
};

export type Swept = {
  /** Policies that were deleted: neither their record nor their pod is there any more. */
  readonly removed: number;
  /** Policies that cut a pod of which no record tells: nobody will take them back. */
  readonly unrecorded: readonly string[];
};

/**
 * Looks for policies of our own whose Remediation is gone, as when a namespace is deleted with all that is in it but not the policies
 * of the cluster that isolated its pods. What is about no pod any more is deleted; what still cuts one is left and named, since opening a
 * network is no guess to make. A failed read leaves all as it is.
 */
export async function sweepOrphans(ports: OrphanPorts): Promise<Reply<Swept>> {
  const served = await ports.discover();
  if (!served.ok) return served;
  let removed = 0;
  const unrecorded: string[] = [];
  for (const type of served.value.filter(isOwnKind).map(typeOfKind)) {
    const listed = await ports.cluster.list(type, { labelSelector: ownershipLabel });
    if (!listed.ok) return listed;
    for (const object of listed.value.items) {
      const fate = await fateOf(ports.cluster, object);
      if (!fate.ok) return fate;
      if (fate.value === "keep") continue;
      const name = `${type.kind} ${keyOf(nameOf(object))}`;
      if (fate.value === "unrecorded") unrecorded.push(name);
      else {
        const gone = await remove(ports, type, object, name);
        if (!gone.ok) return gone;
        removed += 1;
      }
    }
  }
  return { ok: true, value: { removed, unrecorded: unrecorded.sort() } };
}

/** After the start, and after a record was deleted with what it isolated: what else goes with its namespace has gone by then. */
const soonMs = 5_000;
/** While a policy is left without its record: its pod may be on its way out. */
const againMs = 30_000;

export type OrphanWatch = {
  readonly lookSoon: () => void;
  /** Policies that were found to cut a pod without a record. */
  readonly count: () => number;
  readonly stop: () => Promise<void>;
};

/** Sweeps soon after its start and whenever it is asked to, and again while something is left. */
export function watchOrphans(ports: OrphanPorts & { readonly log: Log }): OrphanWatch {
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<void> = Promise.resolve();
  let left: readonly string[] = [];
  let stopping = false;
  const look = (inMs: number): void => {
    if (timer !== undefined || stopping) return;
    timer = setTimeout(() => {
      timer = undefined;
      sweeping = sweep();
    }, inMs);
  };
  const sweep = async (): Promise<void> => {
    try {
      const swept = await sweepOrphans(ports);
      if (!swept.ok) return;
      left = swept.value.unrecorded;
      if (left.length === 0) return;
      const policies = left.slice(0, 20);
      ports.log("error", "pods are isolated of which no record is left", { policies });
      look(againMs);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : "failed";
      ports.log("error", "a sweep failed", { error: text });
    }
  };
  look(soonMs);
  return {
    lookSoon: () => look(soonMs),
    count: () => left.length,
    stop: async () => {
      stopping = true;
      clearTimeout(timer);
      await sweeping;
    },
  };
}

const isOwnKind = (kind: PolicyKind): boolean =>
  backendKinds.some((one) => one.group === kind.group && one.kind === kind.kind);

async function fateOf(
  cluster: Cluster,
  object: JsonObject,
): Promise<Reply<"keep" | "unrecorded" | "remove">> {
  const target = targetOf(object);
  // Not written by this version, or not by us: nothing is known of it.
  if (target === undefined) return { ok: true, value: "keep" };
  const record = await cluster.get(types.remediation, target.remediation);
  if (record.ok) return { ok: true, value: "keep" };
  if (record.code !== "NotFound") return record;
  const pod = await cluster.get(types.pod, target.pod);
  if (!pod.ok && pod.code !== "NotFound") return pod;
  const isThere = pod.ok && uidOf(pod.value) === target.uid;
  return { ok: true, value: isThere ? "unrecorded" : "remove" };
}

function targetOf(
  object: JsonObject,
):
  | { readonly remediation: ObjectName; readonly pod: ObjectName; readonly uid: string }
  | undefined {
  const name = textAt(object, ["metadata", "labels", ownershipLabel]);
  const namespace = textAt(object, ["metadata", "annotations", remediationNamespaceKey]);
  const target = textAt(object, ["metadata", "annotations", "parapet.dev/target"]);
  const [kind, pod = "", uid = ""] = target.split("/");
  if (name === "" || namespace === "" || kind !== "Pod" || pod === "" || uid === "")
    return undefined;
  return { remediation: { namespace, name }, pod: { namespace, name: pod }, uid };
}

async function remove(
  ports: OrphanPorts,
  type: ResourceType,
  object: JsonObject,
  name: string,
): Promise<Reply<undefined>> {
  const gone = await ports.cluster.remove(type, nameOf(object), uidOf(object));
  if (!gone.ok) return gone.code === "NotFound" ? { ok: true, value: undefined } : gone;
  const { remediation } = targetOf(object) ?? { remediation: { namespace: "", name: "" } };
  await ports.audit({
    what: "took back",
    who: "parapet",
    remediation: keyOf(remediation),
    detail: {
      change: `delete ${name}`,
      reason: "neither its record nor its pod is there any more",
    },
  });
  return gone;
}
