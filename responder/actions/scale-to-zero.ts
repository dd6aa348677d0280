// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Json, JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import {
  type ActionInfo,
  type ActionInput,
  notPlanned,
  type Planned,
} from "#responder/actions/action";
import { ttl, ttlMsDefault } from "#responder/actions/parameters";
import { editOf } from "#responder/actions/pod-edit";
import type { Reply, ResourceType } from "#responder/cluster";
import { failure, uidOf } from "#responder/cluster";
import { controllerOf } from "#responder/guard";

const apps = (kind: string, resource: string): ResourceType => ({
  apiVersion: "apps/v1",
  kind,
  resource,
  namespaced: true,
});
const replicaSet = apps("ReplicaSet", "replicasets");
const scaleOf = (type: ResourceType): ResourceType => ({
  ...type,
  resource: `${type.resource}/scale`,
});
const scalable = [apps("Deployment", "deployments"), apps("StatefulSet", "statefulsets")];

export const scaleToZeroInfo: ActionInfo = {
  name: "scale-to-zero",
  does: "sets the replicas of the pod's Deployment or StatefulSet to 0",
  targets: ["Deployment", "StatefulSet"],
  inverse: "the stored number of replicas, unless somebody changed it meanwhile",
  verified: "read back at once, after the settle time, and as long as it lasts",
  rbac: [
    { apiGroups: ["apps"], resources: ["replicasets"], verbs: ["get"] },
    { apiGroups: ["apps"], resources: ["deployments", "statefulsets"], verbs: ["get"] },
    // The number of replicas and nothing else of a workload.
    {
      apiGroups: ["apps"],
      resources: ["deployments/scale", "statefulsets/scale"],
      verbs: ["get", "patch"],
    },
  ],
};

export const scaleToZeroParameters = z.strictObject({ ttl: ttl.default(ttlMsDefault) });

/** Stops the whole workload: the one action that goes below any minimum of ready replicas, on purpose. */
export async function planScaleToZero(input: ActionInput): Promise<Planned> {
  const owner = await ownerOf(input);
  if (!owner.ok) return owner.code === "Invalid" ? notPlanned(owner.message) : owner;
  const { type, object } = owner.value;
  const name = textAt(object, ["metadata", "name"]);
  const replicas = at(object, ["spec", "replicas"]);
  const { namespace } = input.target;
  const edits = [editOf(object, ["spec", "replicas"], 0)];
  return {
    ok: true,
    action: {
      action: "scale-to-zero",
      changes: [{ kind: "edit", type: scaleOf(type), namespace, name, uid: uidOf(object), edits }],
    },
    notes: [
      replicas === 0
        ? `${type.kind} ${name} has 0 replicas already, and keeps them afterwards unless another response set them`
        : `stops all ${JSON.stringify(replicas ?? 1)} replica(s) of ${type.kind} ${name}`,
      "an autoscaler or a GitOps controller that owns the number may set it again; that is seen and said",
    ],
  };
}

type Owner = { readonly type: ResourceType; readonly object: JsonObject };

async function ownerOf(input: ActionInput): Promise<Reply<Owner>> {
  const { namespace } = input.target;
  const follow = async (object: JsonObject, kinds: readonly ResourceType[]) => {
    const reference = controllerOf(object);
    const type = kinds.find((one) => isOfType(reference, one));
    if (type === undefined) return noOwner;
    const live = await input.read(type, { namespace, name: textAt(reference, ["name"]) });
    if (!live.ok) return live.code === "NotFound" ? noOwner : live;
    const isSame = uidOf(live.value) === textAt(reference, ["uid"]);
    return isSame ? { ok: true as const, value: { type, object: live.value } } : noOwner;
  };
  const first = await follow(input.pod, [replicaSet, ...scalable]);
  if (!first.ok || first.value.type !== replicaSet) return first;
  return follow(first.value.object, scalable);
}

const noOwner = failure("Invalid", "the pod belongs to no Deployment or StatefulSet");

const isOfType = (reference: Json | undefined, type: ResourceType): boolean =>
  textAt(reference, ["apiVersion"]) === type.apiVersion &&
  textAt(reference, ["kind"]) === type.kind;
