// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { type ActionName, actionName, type ActionSpec } from "#responder/action-spec";
import type { ActionInput, Planned } from "#responder/actions/action";
import { planAnnotate } from "#responder/actions/annotate";
import { planCaptureEvidence } from "#responder/actions/capture-evidence";
import { planCordon } from "#responder/actions/cordon";
import { planDelete } from "#responder/actions/delete";
import { planEvict } from "#responder/actions/evict";
import { planIsolation } from "#responder/actions/isolate";
import { planQuarantineLabel } from "#responder/actions/quarantine-label";
import { planScaleToZero } from "#responder/actions/scale-to-zero";
import type { Failure, ObjectList, Reply } from "#responder/cluster";
import { controllerOf } from "#responder/guard";
import type { Change, Plan, PlannedAction, ResidualAllow } from "#responder/plan";
import { planDigest } from "#responder/plan";
import type { PolicySpec } from "#responder/response-policy";

export type PlanInput = ActionInput & {
  readonly networkPolicies: (namespace: string) => Promise<Reply<ObjectList>>;
};

/** `plan` undefined: not possible, for that reason; nothing of it is done then, so that no half of a response passes for the whole. */
export type PlannedResponse = {
  readonly plan: Plan | undefined;
  /** The longest of its actions'; 0 when none of them ends. */
  readonly ttlMs: number;
  readonly reason: string;
};

/** Plans a policy's actions on one pod, in their order but evidence first. A failed read is a failure, not an answer. */
export async function planResponse(
  input: PlanInput,
  spec: Pick<PolicySpec, "do" | "limits">,
): Promise<{ readonly ok: true; readonly value: PlannedResponse } | Failure> {
  const ordered = [
    ...spec.do.filter((one) => actionName(one) === "capture-evidence"),
    ...spec.do.filter((one) => actionName(one) !== "capture-evidence"),
  ];
  const ttlMs = Math.max(0, ...ordered.map(ttlOf));
  const actions: PlannedAction[] = [];
  const notes: string[] = [];
  const residualAllows: ResidualAllow[] = [];
  const isIsolated = ordered.some((one) => one.isolate !== undefined);
  for (const one of ordered) {
    const planned = await planOne(input, one, isIsolated);
    if (!planned.ok) {
      if (planned.code !== "NotPlanned") return planned;
      const reason = `${actionName(one)}: ${planned.message}`;
      return { ok: true, value: { plan: undefined, ttlMs, reason } };
    }
    const guard = guardFor(input, one, spec.limits.minReady);
    const changes = [...guard, ...planned.action.changes];
    actions.push({ action: planned.action.action, changes });
    notes.push(...planned.notes);
    residualAllows.push(...(planned.residualAllows ?? []));
  }
  const digest = planDigest(input.target, actions);
  return {
    ok: true,
    value: { plan: { digest, actions, residualAllows, notes }, ttlMs, reason: "" },
  };
}

const ttlOf = (action: ActionSpec): number =>
  action.isolate?.ttl ??
  action["quarantine-label"]?.ttl ??
  action.annotate?.ttl ??
  action.cordon?.ttl ??
  action["scale-to-zero"]?.ttl ??
  0;

type PlannedOne =
  | (Extract<Planned, { ok: true }> & { readonly residualAllows?: readonly ResidualAllow[] })
  | Exclude<Planned, { ok: true }>;

async function planOne(
  input: PlanInput,
  action: ActionSpec,
  isIsolated: boolean,
): Promise<PlannedOne> {
  if (action.isolate !== undefined) return planIsolate(input, action.isolate);
  if (action["capture-evidence"] !== undefined) {
    return planCaptureEvidence(input, action["capture-evidence"]);
  }
  if (action["quarantine-label"] !== undefined) {
    return planQuarantineLabel(input, action["quarantine-label"], isIsolated);
  }
  if (action.annotate !== undefined) return planAnnotate(input, action.annotate);
  if (action.notify !== undefined) {
    const changes = [{ kind: "notify", to: action.notify.to } as const];
    return { ok: true, action: { action: "notify", changes }, notes: [] };
  }
  if (action.cordon !== undefined) return planCordon(input);
  if (action["scale-to-zero"] !== undefined) return planScaleToZero(input);
  if (action.evict !== undefined) return planEvict(input, action.evict);
  if (action.delete !== undefined) return planDelete(input, action.delete);
  return { ok: false, code: "NotPlanned", message: "is nothing that is done to a pod" };
}

async function planIsolate(
  input: PlanInput,
  parameters: NonNullable<ActionSpec["isolate"]>,
): Promise<PlannedOne> {
  const { target, pod, remediation } = input;
  const policies = await input.networkPolicies(target.namespace);
  if (!policies.ok) return policies;
  const planned = planIsolation({
    target,
    pod,
    policies: policies.value.items,
    remediation,
    parameters,
  });
  if (planned.ok) return planned;
  return { ok: false, code: "NotPlanned", message: planned.message };
}

/** Actions after which the pod serves nobody, and whether they go past the eviction API's own look at disruption budgets. */
const takesOut: Partial<Record<ActionName, "pastBudgets" | "withinBudgets">> = {
  isolate: "withinBudgets",
  "quarantine-label": "withinBudgets",
  evict: "withinBudgets",
  delete: "pastBudgets",
};

/** What must hold before an action: enough other pods ready where the policy says so, and budgets where nothing else asks them. */
function guardFor(
  { pod, target }: { readonly pod: JsonObject; readonly target: PlanInput["target"] },
  action: ActionSpec,
  minReady: number | undefined,
): readonly Change[] {
  const isDetached = action["quarantine-label"]?.detach === true;
  const how = isDetached ? "pastBudgets" : takesOut[actionName(action)];
  const isLabelOnly = action["quarantine-label"] !== undefined && !isDetached;
  if (how === undefined || isLabelOnly) return [];
  const controller = controllerOf(pod);
  const owner =
    controller === undefined
      ? ""
      : `${textAt(controller, ["kind"])}/${textAt(controller, ["name"])}`;
  const needed = owner === "" ? 0 : (minReady ?? 0);
  const budgets = how === "pastBudgets" || (minReady !== undefined && action.evict === undefined);
  if (needed === 0 && !budgets) return [];
  const { namespace, name, uid } = target;
  return [{ kind: "guard", namespace, name, uid, owner, minReady: needed, budgets }];
}
