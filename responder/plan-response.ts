// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { type ActionName, actionName, type ActionSpec } from "#responder/action-spec";
import type { Planned } from "#responder/actions/action";
import { planAnnotate } from "#responder/actions/annotate";
import { planCaptureEvidence } from "#responder/actions/capture-evidence";
import { planCordon } from "#responder/actions/cordon";
import { planDelete } from "#responder/actions/delete";
import { planEvict } from "#responder/actions/evict";
import { planQuarantineLabel } from "#responder/actions/quarantine-label";
import { planScaleToZero } from "#responder/actions/scale-to-zero";
import type { Failure } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import { controllerOf } from "#responder/guard";
import type { Change, Plan, PlannedAction, ResidualAllow } from "#responder/plan";
import { type IsolatePorts, planIsolate } from "#responder/isolation/plan-isolate";
import { residualAllowsMax } from "#responder/record/plan-record";
import { planDigest } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import type { PolicySpec } from "#responder/response-policy";
import { withFirstValues } from "#responder/shared-edits";

export type PlanInput = IsolatePorts & {
  /** Records that are known: what several responses set is taken back by the last of them. Undefined: none. */
  readonly others?: readonly Remediation[];
};

/** `plan` undefined: not possible, for that reason; nothing of it is done then, so that no half of a response passes for the whole. */
export type PlannedResponse = {
  readonly plan: Plan | undefined;
  /** The longest of its actions'; 0 when none of them ends. */
  readonly ttlMs: number;
  readonly reason: string;
  /** Why a person is asked before it is done, whatever the policy's mode; '' for no reason. */
  readonly askFirst: string;
};

/**
 * Plans a policy's actions on one pod, in their order but evidence first, and the network cut before the pod is detached: taking
 * it back goes the other way, so that a detached pod ends before its network is opened. A failed read is a failure, not an answer.
 */
export async function planResponse(
  input: PlanInput,
  spec: Pick<PolicySpec, "do" | "limits">,
): Promise<{ readonly ok: true; readonly value: PlannedResponse } | Failure> {
  const ordered = inOrder(spec.do);
  const ttlMs = Math.max(0, ...ordered.map(ttlOf));
  const planned: PlannedAction[] = [];
  const notes: string[] = [];
  const residualAllows: ResidualAllow[] = [];
  const isolation = ordered.find((one) => one.isolate !== undefined)?.isolate;
  const label = await planLabel(input, ordered, isolation !== undefined);
  for (const one of ordered) {
    const step = await planOne(input, one, label);
    if (!step.ok) {
      if (step.code !== "NotPlanned") return step;
      const reason = `${actionName(one)}: ${step.message}`;
      return { ok: true, value: { plan: undefined, ttlMs, reason, askFirst: "" } };
    }
    const guard = guardFor(input, one, spec.limits.minReady);
    const changes = [...guard, ...step.action.changes];
    planned.push({ action: step.action.action, changes });
    notes.push(...step.notes);
    residualAllows.push(...(step.residualAllows ?? []));
  }
  const actions = withFirstValues(planned, input.others ?? []);
  const digest = planDigest(input.target, actions);
  const unlisted = residualAllows.length - residualAllowsMax;
  if (unlisted > 0) notes.push(`${unlisted} more allow(s) stay open than are listed here`);
  const asks = isolation?.onResidualAllows === "Propose" && residualAllows.length > 0;
  const askFirst = asks
    ? `${residualAllows.length} allow rule(s) of other policies would stay open, and the policy acts on its own only where none does`
    : "";
  return {
    ok: true,
    value: { plan: { digest, actions, residualAllows, notes }, ttlMs, reason: "", askFirst },
  };
}

function inOrder(actions: readonly ActionSpec[]): readonly ActionSpec[] {
  const evidence = actions.filter((one) => actionName(one) === "capture-evidence");
  const rest = actions.filter((one) => actionName(one) !== "capture-evidence");
  const isolation = rest.findIndex((one) => one.isolate !== undefined);
  const label = rest.findIndex((one) => one["quarantine-label"] !== undefined);
  if (label < 0 || isolation < label) return [...evidence, ...rest];
  const moved = rest.slice(isolation, isolation + 1);
  const others = rest.toSpliced(isolation, 1);
  return [...evidence, ...others.slice(0, label), ...moved, ...others.slice(label)];
}

/** What the response does to the pod's labels beside isolating it: the isolation is planned for the pod as it will be. */
function planLabel(
  input: PlanInput,
  actions: readonly ActionSpec[],
  isIsolated: boolean,
): Promise<Planned | undefined> {
  const parameters = actions.find((one) => one["quarantine-label"])?.["quarantine-label"];
  return parameters === undefined
    ? Promise.resolve(undefined)
    : planQuarantineLabel(input, parameters, isIsolated);
}

const podEdits = (planned: Planned | undefined): readonly Edit[] =>
  planned?.ok === true
    ? planned.action.changes.flatMap((change) => (change.kind === "edit" ? change.edits : []))
    : [];

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
  label: Planned | undefined,
): Promise<PlannedOne> {
  if (action.isolate !== undefined) return planIsolate(input, action.isolate, podEdits(label));
  if (action["capture-evidence"] !== undefined) {
    return planCaptureEvidence(input, action["capture-evidence"]);
  }
  if (action["quarantine-label"] !== undefined && label !== undefined) return label;
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
  const isDetached = action["quarantine-label"]?.detach === true || action.isolate?.detach === true;
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
