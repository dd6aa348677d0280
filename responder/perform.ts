// SPDX-License-Identifier: Apache-2.0
import { exactChange, reasonsOf } from "#responder/record/audit";
import { type Made, type Seen, makeChange, readBack } from "#responder/changes";
import type { Cluster, Failure, Reply } from "#responder/cluster";
import { failure, keyOf, uidOf } from "#responder/cluster";
import { takeLease } from "#responder/lease";
import { wantedByOthers } from "#responder/shared-edits";
import { takeBack } from "#responder/take-back";
import { type Done, doEffect, podEnd } from "#responder/effects";
import type { Change, Plan, Target, WriteChange } from "#responder/plan";
import { changesOf, changeText, outlivesTarget, removesTarget } from "#responder/plan";
import type { ReconcilePorts } from "#responder/reconcile";
import type { Remediation, RemediationEvent, Status } from "#responder/remediation";
import { withEvidence } from "#responder/verification/evidence";

/** What a step came to: the event to record, and what else changes in the status. */
export type Worked = {
  readonly event: RemediationEvent | undefined;
  readonly status: Partial<Status>;
  /** When to ask again where nothing was decided, in milliseconds. */
  readonly againMs?: number;
};

type Ports = Pick<
  ReconcilePorts,
  "cluster" | "now" | "settings" | "audit" | "busy" | "effects" | "getPod" | "remediations"
>;

/**
 * Makes the plan's changes: dry run of all writes, then each change, then each write read back. Safe to repeat after a crash at any point:
 * what is there already is left alone. The first action that fails stops the rest, and the failure says which.
 */
export function act(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  return holding(ports, remediation, async (isHeld) => {
    const { plan } = remediation;
    if (plan === undefined) return failure("Invalid", "there is no plan");
    const made = await makeAll(ports, remediation, plan, isHeld);
    if (!made.ok) return made;
    const { writes, notes } = made.value;
    const difference = await differences(ports.cluster, remediation);
    if (!difference.ok) return difference;
    const { text, seen } = difference.value;
    if (text !== "") return failure("Conflict", `read back: ${text}`);
    const nowMs = ports.now();
    const forGood = remediation.ttlMs === 0;
    const message = [`${writes} change(s) written, all read back`, ...notes].join("; ");
    return worked("applied", "ReadBack", message, {
      appliedAtMs: nowMs,
      expiresAtMs: forGood ? undefined : nowMs + remediation.ttlMs,
      evidence: withEvidence(remediation.status.evidence, [
        { atMs: nowMs, check: "ReadBack", finding: "Holds", detail: seen },
      ]),
    });
  });
}

async function makeAll(
  ports: Ports,
  remediation: Remediation,
  plan: Plan,
  isHeld: () => boolean,
): Promise<Reply<{ readonly writes: number; readonly notes: readonly string[] }>> {
  const { cluster } = ports;
  const owner = remediation.name.name;
  const seen = await seenOf(ports, remediation);
  const pending = await pendingOf(cluster, remediation, plan);
  if (!pending.ok) return pending;
  // A dry run changes nothing, so none has to wait for another.
  const tries = changesOf(plan)
    .filter(isWrite)
    .filter(pending.value)
    .map((change) => makeChange(cluster, change, owner, true, seen));
  for (const tried of await Promise.all(tries)) if (!tried.ok) return tried;
  const notes: string[] = [];
  let writes = 0;
  for (const [index, { action, changes }] of plan.actions.entries()) {
    for (const change of changes.filter(pending.value)) {
      if (!isHeld()) return takenOver;
      const made = isWrite(change)
        ? withoutNote(await makeChange(cluster, change, owner, false, seen))
        : await doEffect(ports.effects, change, remediation);
      if (!made.ok) {
        // What merely waits is tried again and again: a line for each try would bury the log.
        const waits = made.code === "Unavailable" || made.code === "Busy";
        const note = `${made.code}: ${made.message}`;
        if (!waits) await audit(ports, remediation, "failed", change, { action, note });
        return stopped(plan, index, made);
      }
      if (made.value.wrote) writes += 1;
      if (made.value.note !== "") notes.push(made.value.note);
      const what = made.value.wrote ? "did" : "found done";
      const { note } = made.value;
      await audit(ports, remediation, what, change, { action, note });
    }
  }
  return { ok: true, value: { writes, notes } };
}

/** The pod as it was read a moment ago, on the way here. */
async function seenOf(ports: Ports, { target }: Remediation): Promise<Seen> {
  const pod = target.kind === "Pod" ? await ports.getPod(keyOf(target)) : undefined;
  return new Map(pod?.ok === true ? [[uidOf(pod.value), pod.value]] : []);
}

const withoutNote = (made: Made): Done =>
  made.ok ? { ok: true, value: { wrote: made.value.wrote, note: "" } } : made;

const isWrite = (change: Change): change is WriteChange =>
  change.kind === "apply" || change.kind === "edit";

/** The same failure, with the action that it stopped at and those that were not begun. */
function stopped(plan: Plan, index: number, reply: Failure): Failure {
  const names = plan.actions.map((one) => one.action);
  if (names.length < 2) return reply;
  const rest = names.slice(index + 1);
  const more = rest.length === 0 ? "" : `; not done: ${rest.join(", ")}`;
  return failure(reply.code, `${names[index] ?? ""}: ${reply.message}${more}`);
}

/** Which changes still make sense: none to a target that the plan itself has ended, or that ended by the plan's effect on its workload. */
async function pendingOf(
  cluster: Cluster,
  { target }: Remediation,
  plan: Plan,
): Promise<Reply<(change: Change) => boolean>> {
  if (!removesTarget(plan) && !outlivesTarget(plan, target)) return { ok: true, value: () => true };
  const end = await podEnd(cluster, target);
  if (!end.ok) return end;
  const isGone = end.value !== "present";
  return {
    ok: true,
    value: (change) => !isGone || change.kind !== "edit" || change.uid !== target.uid,
  };
}

/** Takes everything back, last change first. What somebody changed meanwhile is left and named. */
export function undo(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  return holding(ports, remediation, async (isHeld) => {
    const left: string[] = [];
    const wantedBy = wantedByOthers(ports.remediations?.() ?? [], remediation);
    const changes = remediation.plan === undefined ? [] : changesOf(remediation.plan);
    for (const change of changes.filter(isWrite).toReversed()) {
      if (!isHeld()) return takenOver;
      const taken = await takeBack(ports.cluster, change, remediation.name.name, wantedBy);
      if (!taken.ok) return taken;
      const note = taken.value.left ?? "";
      if (note !== "") left.push(note);
      await audit(ports, remediation, note === "" ? "took back" : "left", change, { note });
    }
    const reason = remediation.status.undo?.reason ?? "Undone";
    const by = remediation.status.undo?.by ?? "parapet";
    const message = left.length === 0 ? "all taken back" : `left as it is: ${left.join("; ")}`;
    const kind = reason === "TargetGone" ? "targetGone" : "undone";
    return { ok: true, value: { event: { kind, reason, message, by }, status: {} } };
  });
}

function worked(
  kind: RemediationEvent["kind"],
  reason: string,
  message: string,
  status: Partial<Status>,
): Reply<Worked> {
  return { ok: true, value: { event: { kind, reason, message, by: "parapet" }, status } };
}

/** How the cluster differs from the plan, '' where it does not; `seen` names what was read, by uid and generation. */
export async function differences(
  cluster: Cluster,
  remediation: Remediation,
): Promise<Reply<{ readonly text: string; readonly seen: string }>> {
  const found: string[] = [];
  const seen: string[] = [];
  const { plan } = remediation;
  if (plan === undefined) return { ok: true, value: { text: "", seen: "" } };
  const pending = await pendingOf(cluster, remediation, plan);
  if (!pending.ok) return pending;
  const looks = changesOf(plan)
    .filter(pending.value)
    .map((change) => lookBack(cluster, change, remediation.name.name));
  for (const back of await Promise.all(looks)) {
    if (!back.ok) return back;
    if (back.value.difference !== undefined) found.push(back.value.difference);
    if (back.value.seen !== undefined) seen.push(back.value.seen);
  }
  return { ok: true, value: { text: found.join("; "), seen: seen.join("; ") } };
}

/** What one change left in the cluster; nothing of one that leaves no value. */
async function lookBack(
  cluster: Cluster,
  change: Change,
  remediation: string,
): ReturnType<typeof readBack> {
  if (isWrite(change)) return readBack(cluster, change, remediation);
  if (change.kind !== "remove") return { ok: true, value: { difference: undefined } };
  const end = await podEnd(cluster, change);
  if (!end.ok) return end;
  const isThere = end.value === "present";
  const difference = isThere ? `${changeText(change)}: it is still there` : undefined;
  return { ok: true, value: { difference } };
}

const audit = (
  ports: Ports,
  remediation: Remediation,
  what: string,
  change: Change,
  more: { readonly action?: string; readonly note?: string } = {},
) =>
  ports.audit({
    what,
    who: "parapet",
    remediation: keyOf(remediation.name),
    detail: {
      ...reasonsOf(remediation),
      change: changeText(change),
      exact: exactChange(change),
      ...Object.fromEntries(Object.entries(more).filter(([, value]) => value !== "")),
    },
  });

const targetKey = (target: Target): string => (target.uid === "" ? target.name : target.uid);

/** Where other pods are counted, the workload is taken too: two of its pods must not go out of service on one count. */
function keysOf({ target, plan }: Remediation): readonly string[] {
  const guards = plan === undefined ? [] : changesOf(plan).filter((one) => one.kind === "guard");
  const workloads = guards.map((one) => `${one.namespace}/${one.owner}`);
  return [...new Set([...workloads, targetKey(target)])];
}

/** Runs while nobody else acts on the remediation's target or workload, other replicas included; Busy when somebody does. */
export const holding = <T>(
  ports: HoldPorts,
  remediation: Remediation,
  work: (isHeld: () => boolean) => Promise<Reply<T>>,
): Promise<Reply<T>> =>
  keysOf(remediation).reduceRight(
    (inner, key) => (outer: () => boolean) =>
      hold(ports, key, (isHeld) => inner(() => outer() && isHeld())),
    work,
  )(() => true);

/** Said before each write: another replica may act on the target once the lease could not be renewed. */
const takenOver = failure("Busy", "the target could not be held any longer");

type HoldPorts = Pick<ReconcilePorts, "cluster" | "now" | "settings" | "busy">;

async function hold<T>(
  ports: HoldPorts,
  target: string,
  work: (isHeld: () => boolean) => Promise<Reply<T>>,
): Promise<Reply<T>> {
  // Within this process the set decides, between processes the Lease object.
  if (ports.busy.has(target)) return failure("Busy", "another remediation acts on the target");
  ports.busy.add(target);
  try {
    const lease = await takeLease(ports.cluster, {
      namespace: ports.settings.namespace,
      target,
      holder: ports.settings.identity,
      now: ports.now,
    });
    if (!lease.ok) return lease;
    try {
      return await work(lease.value.isHeld);
    } finally {
      await lease.value.release();
    }
  } finally {
    ports.busy.delete(target);
  }
}
