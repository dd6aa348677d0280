// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import type { Failure, ObjectName, Reply, ResourceType } from "#responder/cluster";
import { uidOf } from "#responder/cluster";
import { controllerOf } from "#responder/guard";

const apps = (kind: string, resource: string): ResourceType => ({
  apiVersion: "apps/v1",
  kind,
  resource,
  namespaced: true,
});
const batch = (kind: string, resource: string): ResourceType => ({
  ...apps(kind, resource),
  apiVersion: "batch/v1",
});

/** Kinds of Kubernetes itself that control pods, or what controls pods. */
export const ownerTypes: readonly ResourceType[] = [
  apps("ReplicaSet", "replicasets"),
  apps("Deployment", "deployments"),
  apps("StatefulSet", "statefulsets"),
  apps("DaemonSet", "daemonsets"),
  batch("Job", "jobs"),
  batch("CronJob", "cronjobs"),
];

/** A Deployment is two above its pod, a CronJob too. */
const depthMax = 2;

/** The controller of a pod and the controller of that, nearest first, as they are now; ends at a kind that is not {@link ownerTypes}. */
export async function ownersOf(
  read: (type: ResourceType, name: ObjectName) => Promise<Reply<JsonObject>>,
  pod: JsonObject,
): Promise<readonly (Reply<JsonObject> | Failure)[]> {
  const namespace = textAt(pod, ["metadata", "namespace"]);
  const owners: Reply<JsonObject>[] = [];
  let object = pod;
  for (let depth = 0; depth < depthMax; depth++) {
    const reference = controllerOf(object);
    const type = ownerTypes.find(
      (one) =>
        one.kind === textAt(reference, ["kind"]) &&
        one.apiVersion === textAt(reference, ["apiVersion"]),
    );
    if (reference === undefined || type === undefined) break;
    const live = await read(type, { namespace, name: textAt(reference, ["name"]) });
    // Another one of that name is not the pod's owner.
    if (live.ok && uidOf(live.value) !== textAt(reference, ["uid"])) break;
    owners.push(live);
    if (!live.ok) break;
    object = live.value;
  }
  return owners;
}

/** The workload that a pod belongs to: the farthest owner that is there; null for none. A failed read is a failure. */
export async function topOwner(
  read: (type: ResourceType, name: ObjectName) => Promise<Reply<JsonObject>>,
  pod: JsonObject,
): Promise<Reply<JsonObject | null>> {
  let top: JsonObject | null = null;
  for (const owner of await ownersOf(read, pod)) {
    if (!owner.ok) return owner.code === "NotFound" ? { ok: true, value: top } : owner;
    top = owner.value;
  }
  return { ok: true, value: top };
}
