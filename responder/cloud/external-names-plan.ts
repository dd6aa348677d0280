// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { actionName, type ActionSpec } from "#responder/action-spec";
import type { NotPlanned, Planned } from "#responder/actions/action";
import { planReconcile } from "#responder/actions/reconcile";
import type { Cluster, Failure, ResourceType } from "#responder/cluster";
import { type PlannedAction, planDigest, type Target } from "#responder/plan";
import type { PlannedResponse } from "#responder/plan-response";
import type { PolicySpec } from "#responder/response-policy";

/** Plans a policy's actions on a managed resource that a cloud alert is about: what is for pods is not possible, and says so. */
export function planManaged(
  input: {
    readonly target: Target;
    readonly type: ResourceType;
    readonly object: JsonObject;
    readonly remediation: string;
    readonly isReadOnly: boolean;
  },
  spec: Pick<PolicySpec, "do">,
): PlannedResponse {
  const none = (reason: string): PlannedResponse => ({
    plan: undefined,
    ttlMs: 0,
    reason,
    askFirst: "",
  });
  const actions: PlannedAction[] = [];
  const notes: string[] = [];
  for (const one of spec.do) {
    const planned = planOne(input, one);
    if (!planned.ok) return none(`${actionName(one)}: ${planned.message}`);
    actions.push(planned.action);
    notes.push(...planned.notes);
  }
  const digest = planDigest(input.target, actions);
  return {
    plan: { digest, actions, residualAllows: [], notes },
    ttlMs: 0,
    reason: "",
    askFirst: "",
  };
}

function planOne(
  input: Parameters<typeof planManaged>[0],
  action: ActionSpec,
): Extract<Planned, { ok: true }> | NotPlanned {
  if (action.notify !== undefined) {
    const changes = [{ kind: "notify", to: action.notify.to } as const];
    return { ok: true, action: { action: "notify", changes }, notes: [] };
  }
  if (action.reconcile === undefined) {
    return { ok: false, code: "NotPlanned", message: "is done to pods, not to managed resources" };
  }
  if (input.isReadOnly) {
    return { ok: false, code: "NotPlanned", message: "the call changed nothing" };
  }
  return planReconcile(input.object, input.target, input.type, input.remediation);
}

/** Reads a managed resource anew; NotFound when it is another one by now. */
export async function readManaged(
  cluster: Pick<Cluster, "get" | "typeOf">,
  target: Target,
): Promise<
  { readonly ok: true; readonly type: ResourceType; readonly object: JsonObject } | Failure
> {
  const type = await cluster.typeOf(target.apiVersion, target.kind);
  if (!type.ok) return type;
  const live = await cluster.get(type.value, target);
  return live.ok ? { ok: true, type: type.value, object: live.value } : live;
}
