// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import {
  type ActionInfo,
  type NotPlanned,
  notPlanned,
  type Planned,
} from "#responder/actions/action";
import { editOf } from "#responder/actions/pod-edit";
import type { ResourceType } from "#responder/cluster";
import type { Target } from "#responder/plan";

/** Looked at by crossplane-runtime since v2.3 (pkg/meta); before, any change of an annotation is a reason to reconcile. */
export const reconcileAnnotation = "crossplane.io/reconcile-requested-at";

export const reconcileInfo: ActionInfo = {
  name: "reconcile",
  does: "asks the provider of a managed resource to compare it with its cloud now, instead of at its next poll",
  targets: ["the managed resource that a cloud alert is about"],
  inverse: "none needed: it is a request, answered once",
  verified:
    "the request stands in the resource; status.lastHandledReconcileAt says that it was answered",
  rbac: [],
};

export const reconcileParameters = z.strictObject({});

/** RBAC that the action needs on every kind whose external names are known. */
export const managedVerbs = ["get", "list", "watch", "patch"] as const;

/**
 * Sets the request annotation. What the provider finds it puts right by itself, as far as the resource's policies let it, so the plan
 * says where they do not. `token` tells this request from others.
 */
export function planReconcile(
  object: JsonObject,
  target: Target,
  type: ResourceType,
  token: string,
): Extract<Planned, { ok: true }> | NotPlanned {
  if (textAt(object, ["metadata", "deletionTimestamp"]) !== "") {
    return notPlanned("the resource is being deleted");
  }
  const edits = [editOf(object, ["metadata", "annotations", reconcileAnnotation], token)];
  const { namespace, name, uid } = target;
  const changes = [{ kind: "edit", type, namespace, name, uid, edits } as const];
  const policies = at(object, ["spec", "managementPolicies"]);
  const listed = Array.isArray(policies) ? policies : ["*"];
  const puts = listed.includes("*") || listed.includes("Update");
  const isPaused = textAt(object, ["metadata", "annotations", "crossplane.io/paused"]) === "true";
  return {
    ok: true,
    action: { action: "reconcile", changes },
    notes: [
      "costs the provider one comparison with the cloud's API",
      ...(isPaused ? ["the resource is paused: its provider will not look"] : []),
      ...(puts
        ? []
        : ["its managementPolicies hold no Update: a difference is seen, not put right"]),
    ],
  };
}
