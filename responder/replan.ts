// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { type Failure, keyOf, type ObjectName, type Reply, types, uidOf } from "#responder/cluster";
import { editState } from "#responder/edit";
import type { Worked } from "#responder/perform";
import { changesOf, changeText, isIsolation, type Plan } from "#responder/plan";
import { planDifference } from "#responder/plan-difference";
import { type PlanInput, type PlannedResponse, planResponse } from "#responder/plan-response";
import type { ReconcilePorts } from "#responder/reconcile";
import { isFinal, type Remediation } from "#responder/remediation";
import { findingLabel, readRemediation } from "#responder/record/remediation-record";
import { nextName, openRemediation } from "#responder/record/remediation-store";
import { parseResponsePolicy, type PolicySpec } from "#responder/response-policy";
import { followUpSpec, isFollowUp } from "#responder/verification/follow-up-plan";

export type ReplanPorts = Pick<
  ReconcilePorts,
  "cluster" | "getPodNow" | "remediations" | "audit" | "now"
> & {
  /** What decides about traffic, as it is now. */
  readonly networkNow: PlanInput["network"];
  readonly dryRun?: PlanInput["dryRun"];
  readonly networkNotes: () => readonly string[];
  readonly wake: (key: string) => void;
};

/**
 * Plans an approved remediation anew on what is true now, just before it is begun. The same plan is begun; another one is not what people
 * approved: it is refused by what differs, and proposed as a record of its own. Changes nothing else, and may be repeated after a crash: the
 * new proposal comes first, and one that is there already is not made twice. What could not be read is a failure: it is asked again.
 */
export const makeReplan =
  (ports: ReplanPorts) =>
  async (remediation: Remediation): Promise<Reply<Worked>> => {
    const { plan, target, cause } = remediation;
    if (plan === undefined) return refused("there is no plan");
    if (target.kind !== "Pod" || cause.source !== "Falco") return standing(ports, plan);
    const pod = await ports.getPodNow(keyOf(target));
    if (!pod.ok && pod.code !== "NotFound") return pod;
    if (!pod.ok || uidOf(pod.value) !== target.uid) return targetGone;
    const spec = await policyOf(ports, remediation.policy);
    if (!spec.ok) return spec;
    if (typeof spec.value === "string") return refused(spec.value);
    const does = isFollowUp(remediation)
      ? followUpSpec(spec.value, remediation, ports.remediations?.() ?? [])
      : spec.value;
    if (does === undefined) return refused("the isolation that it follows is over");
    const sure = onlySure(ports.dryRun);
    const input = inputOf(ports, remediation, pod.value, sure.dryRun);
    const planned = await planResponse(input, does);
    if (!planned.ok) return planned;
    const now = planned.value.plan;
    const difference = now === undefined ? "" : planDifference(plan, now);
    if (now !== undefined && difference === "") return begun;
    // What the server could not be asked makes another plan, but no other truth.
    const doubt = sure.failure();
    if (doubt !== undefined) return doubt;
    if (now === undefined) return refused(`it is not possible any more: ${planned.value.reason}`);
    const next = await propose(ports, remediation, { ...spec.value, ...does }, input, difference);
    return next.ok
      ? refused(`${difference}; Remediation ${next.value.name} proposes what is right now`)
      : next;
  };

const moved = (kind: "begun" | "denied" | "targetGone", reason: string, message: string) =>
  ({
    ok: true,
    value: { event: { kind, reason, message, by: "parapet" }, status: {} },
  }) satisfies Reply<Worked>;

const begun = moved("begun", "Acting", "planned anew as approved; intent recorded");
const targetGone = moved("targetGone", "TargetGone", "the target no longer exists under its uid");
const refused = (why: string): Reply<Worked> =>
  moved("denied", "PlanChanged", `the plan is not what was approved any more: ${why}`);

/** A plan whose edits name the values that they replace stands as long as those do. */
async function standing(ports: ReplanPorts, plan: Plan): Promise<Reply<Worked>> {
  const found: string[] = [];
  for (const change of changesOf(plan)) {
    if (change.kind !== "edit") continue;
    const live = await ports.cluster.get(change.type, change);
    if (!live.ok && live.code !== "NotFound") return live;
    // That it is gone, or another one, is told when it is acted on.
    if (!live.ok || uidOf(live.value) !== change.uid) continue;
    for (const edit of change.edits) {
      const state = editState(live.value, edit);
      if (state.kind === "changed") found.push(`${changeText(change)}: ${state.reason}`);
    }
  }
  return found.length === 0 ? begun : refused([...new Set(found)].slice(0, 5).join("; "));
}

/** A text when there is no such policy in use. Read from the server: a watch may not have brought it yet. */
export async function policyOf(
  { cluster }: Pick<ReplanPorts, "cluster">,
  name: string,
): Promise<Reply<PolicySpec | string>> {
  const live = await cluster.get(types.responsePolicy, { namespace: "", name });
  if (!live.ok && live.code !== "NotFound") return live;
  const parsed = live.ok ? parseResponsePolicy(live.value) : undefined;
  if (parsed?.ok === true) return { ok: true, value: parsed.policy.spec };
  const why = parsed === undefined ? "is gone" : "has mistakes: its status names them";
  return { ok: true, value: `its ResponsePolicy ${name} ${why}` };
}

/** Remembers whether a try was not answered, which planning takes for a refusal. */
function onlySure(ask: PlanInput["dryRun"]): {
  readonly dryRun: PlanInput["dryRun"];
  readonly failure: () => Failure | undefined;
} {
  const failures: Failure[] = [];
  const failure = (): Failure | undefined => failures[0];
  if (ask === undefined) return { dryRun: undefined, failure };
  return {
    failure,
    dryRun: async (type, manifest) => {
      const reply = await ask(type, manifest);
      if (!reply.ok && reply.code === "Unavailable") failures.push(reply);
      return reply;
    },
  };
}

export const inputOf = (
  ports: ReplanPorts,
  remediation: Remediation,
  pod: JsonObject,
  dryRun: PlanInput["dryRun"],
): PlanInput => ({
  target: remediation.target,
  pod,
  remediation: remediation.name.name,
  read: ports.cluster.get,
  listIn: async (type, namespace) => {
    const listed = await ports.cluster.list(type, { namespace });
    return listed.ok ? { ok: true, value: listed.value.items } : listed;
  },
  network: ports.networkNow,
  dryRun,
  others: (ports.remediations?.() ?? []).filter((one) => one.uid !== remediation.uid),
});

/** Opens the record of the new plan, to be decided on by people whatever the policy's mode. */
async function propose(
  ports: ReplanPorts,
  remediation: Remediation,
  spec: PolicySpec,
  input: PlanInput,
  difference: string,
): Promise<Reply<ObjectName>> {
  const live = await ports.cluster.get(types.remediation, remediation.name);
  if (!live.ok) return live;
  const finding = textAt(live.value, ["metadata", "labels", findingLabel]);
  const { namespace } = remediation.name;
  const labelSelector = `${findingLabel}=${finding}`;
  const listed = await ports.cluster.list(types.remediation, { namespace, labelSelector });
  if (!listed.ok) return listed;
  const there = listed.value.items
    .map(readRemediation)
    .filter((one) => typeof one !== "string")
    .find((one) => one.uid !== remediation.uid && !isFinal(one.status.state));
  if (there !== undefined) return { ok: true, value: there.name };
  const name = await nextName(ports, namespace, finding, {
    prefix: remediation.target.name,
    answers: () => false,
  });
  if (!name.ok) return name;
  if (name.value === undefined) throw new Error("a name was asked for whatever is there");
  const planned = await planResponse({ ...input, remediation: name.value }, spec);
  if (!planned.ok) return planned;
  const opened = await openRemediation(ports, {
    name: { namespace, name: name.value },
    target: remediation.target,
    workload: remediation.workload,
    cause: remediation.cause,
    policy: remediation.policy,
    mode: "Propose",
    plan: noted(planned.value, ports.networkNotes()),
    ttlMs: planned.value.ttlMs,
    seenAtMs: remediation.seenAtMs,
    decideBeforeMs: ports.now() + spec.proposalTtl,
    finding,
    notes: `takes the place of Remediation ${remediation.name.name}, whose approval was refused: ${difference}`,
  });
  return opened.ok ? { ok: true, value: opened.value.name } : opened;
}

const noted = ({ plan }: PlannedResponse, notes: readonly string[]): Plan | undefined =>
  plan !== undefined && isIsolation(plan) ? { ...plan, notes: [...notes, ...plan.notes] } : plan;
