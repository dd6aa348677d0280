// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { type EditChange, readTarget } from "#responder/changes";
import type { Cluster, Reply } from "#responder/cluster";
import { fieldManager, keyOf } from "#responder/cluster";
import { holds, managersOf } from "#responder/drift/ownership";
import { type Edit, editState, pathText, valueAt } from "#responder/edit";
import { makeFightGuard } from "#responder/isolation/recheck-figures";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import { changesOf, isIsolation } from "#responder/plan";
import { type AuditEntry } from "#responder/record/audit";
import { moveRemediation, readRecord } from "#responder/record/move-remediation";
import type { Remediation } from "#responder/remediation";
import { wholeOf } from "#responder/take-back";

export type LookPorts = {
  readonly cluster: Cluster;
  readonly remediations: () => readonly Remediation[];
  readonly audit: (entry: AuditEntry) => Promise<void>;
  readonly now: () => number;
  /** Runs while nobody else acts on the target, other replicas included; Busy when somebody does. */
  readonly hold: <T>(remediation: Remediation, work: () => Promise<Reply<T>>) => Promise<Reply<T>>;
  /** Whether it may be called as planned again: what changes all the time stays Unverifiable until it is quiet. */
  readonly mayClose: (key: string) => boolean;
};

/** One read for each value in force; autoscalers and GitOps controllers set theirs again within minutes. */
const everyMs = 20_000;
/** Times that one is called as planned again within ten minutes. */
const closingsMax = 5;

/** As the check after the settle time calls it. */
const changedReason = "ChangedMeanwhile";

/**
 * Looks whether values that last are still what they were set to, as long as they are to last: a node that is schedulable again, a workload
 * that its autoscaler or a GitOps controller has started again. That is said, and nobody is fought over it. Isolations have their own.
 */
export function startValueLooks(
  ports: Omit<LookPorts, "mayClose"> & { readonly metrics: Metrics; readonly log: Log },
  pauseMs = everyMs,
): { readonly stop: () => Promise<void> } {
  const stopping = new AbortController();
  const mayClose = makeFightGuard(ports.now, closingsMax);
  ports.metrics.gauge(
    "parapet_values_in_force",
    "Responses that set values for a time, and are looked at while it lasts.",
    () => ports.remediations().filter(lasts).length,
  );
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const pause = { signal: stopping.signal, ref: false };
      await sleep(pauseMs, undefined, pause).catch(() => undefined);
      for (const one of ports.remediations().filter(lasts)) {
        if (stopping.signal.aborted) break;
        const looked = await lookAtValues({ ...ports, mayClose }, one);
        if (!looked.ok && looked.code !== "Busy" && looked.code !== "Conflict") {
          const remediation = keyOf(one.name);
          ports.log("warn", "values in force cannot be read", { remediation, why: looked.message });
        }
      }
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Whether it set values that are to last for a time, and were found in place after their settle time. */
export function lasts({ plan, status }: Remediation): boolean {
  return (
    plan !== undefined &&
    (status.state === "Verified" || status.state === "Unverifiable") &&
    status.undo === undefined &&
    status.expiresAtMs !== undefined &&
    !isIsolation(plan) &&
    changesOf(plan).some((change) => change.kind === "edit")
  );
}

/** Looks once, and writes down what is new: first without the lease, since there seldom is anything. */
export async function lookAtValues(
  ports: LookPorts,
  remediation: Remediation,
): Promise<Reply<undefined>> {
  const found = await changed(ports.cluster, remediation);
  if (!found.ok || !isNews(remediation, found.value)) return found.ok ? done : found;
  return ports.hold(remediation, async () => {
    const read = await readRecord(ports.cluster, remediation.name);
    if (!read.ok) return read.code === "NotFound" ? done : read;
    if (typeof read.value === "string" || !lasts(read.value.remediation)) return done;
    const now = await changed(ports.cluster, remediation);
    if (!now.ok || !isNews(read.value.remediation, now.value)) return now.ok ? done : now;
    if (now.value === "" && !ports.mayClose(keyOf(remediation.name))) return done;
    const moved = await moveRemediation(ports, read.value, {
      kind: now.value === "" ? "closedAgain" : "reopened",
      reason: now.value === "" ? "ClosedAgain" : changedReason,
      message: now.value === "" ? "the values are as planned again" : now.value,
      by: "parapet",
    });
    return moved.ok ? done : moved;
  });
}

const done: Reply<undefined> = { ok: true, value: undefined };

/** Whether it is to be said: what differs and was not said yet, or what was said and is no longer so. */
function isNews({ status }: Remediation, text: string): boolean {
  const last = status.history.findLast(({ to }) => to === "Unverifiable");
  const isOpen = status.state === "Unverifiable" && last?.reason === changedReason;
  return text === "" ? isOpen : !isOpen || last.message !== text;
}

/** Which values are another than was planned, and by whom as far as field managers tell; '' where none is. */
async function changed(cluster: Cluster, { plan }: Remediation): Promise<Reply<string>> {
  const found: string[] = [];
  for (const change of plan === undefined ? [] : changesOf(plan)) {
    if (change.kind !== "edit") continue;
    const texts = await changedIn(cluster, change);
    if (!texts.ok) return texts;
    found.push(...texts.value);
  }
  return { ok: true, value: found.join("; ").slice(0, 1_024) };
}

async function changedIn(cluster: Cluster, change: EditChange): Promise<Reply<readonly string[]>> {
  const live = await readTarget(cluster, change);
  // What is gone with its object is told by the target itself.
  if (!live.ok) return live.code === "NotFound" ? { ok: true, value: [] } : live;
  const open = change.edits.filter((edit) => editState(live.value, edit).kind !== "done");
  if (open.length === 0) return { ok: true, value: [] };
  const whole = await wholeOf(cluster, change, live.value);
  if (!whole.ok) return whole.code === "NotFound" ? { ok: true, value: [] } : whole;
  const where = `${change.type.kind} ${keyOf(change)}`;
  const texts = open.map((edit: Edit) => {
    const holder = managersOf(whole.value).find(
      (entry) => entry.manager !== fieldManager && holds(entry, edit.path),
    );
    const by = holder === undefined ? "" : `, by field manager ${holder.manager.slice(0, 128)}`;
    return `${pathText(edit.path)} of ${where} ${valueText(valueAt(live.value, edit.path))}${by}`;
  });
  return { ok: true, value: texts };
}

/** Only what cannot be a secret is told as it stands. */
function valueText(value: ReturnType<typeof valueAt>): string {
  if (value === undefined) return "is gone";
  return typeof value === "number" || typeof value === "boolean"
    ? `is ${value}`
    : "is another value";
}
