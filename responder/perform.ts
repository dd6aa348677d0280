// SPDX-License-Identifier: Apache-2.0
import { makeChange, readBack, takeBack } from "#responder/changes";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, keyOf } from "#responder/cluster";
import { takeLease } from "#responder/lease";
import { changesOf, changeText, type Target } from "#responder/plan";
import type { ReconcilePorts } from "#responder/reconcile";
import type { Remediation, RemediationEvent, Status } from "#responder/remediation";

/** What a step came to: the event to record, and what else changes in the status. */
export type Worked = {
  readonly event: RemediationEvent | undefined;
  readonly status: Partial<Status>;
};

type Ports = Pick<ReconcilePorts, "cluster" | "now" | "settings" | "audit" | "busy">;

/**
 * Makes the plan's changes: dry run of all, then each, then each read back. Safe to repeat after a crash at any point: what is there
 * already is left alone.
 */
export function act(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  return holding(ports, remediation, async () => {
    const { cluster } = ports;
    const { plan } = remediation;
    if (plan === undefined) return failure("Invalid", "there is no plan");
    const owner = remediation.name.name;
    for (const change of changesOf(plan)) {
      const tried = await makeChange(cluster, change, owner, true);
      if (!tried.ok) return tried;
    }
    let writes = 0;
    for (const change of changesOf(plan)) {
      const made = await makeChange(cluster, change, owner, false);
      if (!made.ok) return made;
      if (made.value.wrote) writes += 1;
      await audit(ports, remediation, made.value.wrote ? "did" : "found done", changeText(change));
    }
    const difference = await differences(cluster, remediation);
    if (!difference.ok) return difference;
    if (difference.value !== "") return failure("Conflict", `read back: ${difference.value}`);
    const nowMs = ports.now();
    const forGood = remediation.ttlMs === 0;
    return worked("applied", "ReadBack", `${writes} change(s) written, all read back`, {
      appliedAtMs: nowMs,
      expiresAtMs: forGood ? undefined : nowMs + remediation.ttlMs,
    });
  });
}

/** Looks whether what was applied still holds after its settle time, and says so as exactly as is known. */
export async function check(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  const difference = await differences(ports.cluster, remediation);
  if (!difference.ok) return difference;
  if (difference.value !== "") {
    return worked("unverifiable", "ChangedMeanwhile", difference.value, {});
  }
  const open = remediation.plan?.residualAllows.length ?? 0;
  const isIsolation = remediation.plan?.actions.some((action) => action.action === "isolate");
  if (isIsolation !== true) return worked("verified", "ReadBackTwice", "the value stayed", {});
  if (open > 0) {
    const message = `${open} allow rule(s) of other NetworkPolicies are still open`;
    return worked("unverifiable", "ResidualAllows", message, {});
  }
  const message = "read back again after the settle time; no traffic was probed";
  return worked("settled", "SettleTimeElapsed", message, {});
}

/** Takes everything back, last change first. What somebody changed meanwhile is left and named. */
export function undo(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  return holding(ports, remediation, async () => {
    const left: string[] = [];
    const changes = remediation.plan === undefined ? [] : changesOf(remediation.plan);
    for (const change of changes.toReversed()) {
      const taken = await takeBack(ports.cluster, change, remediation.name.name);
      if (!taken.ok) return taken;
      if (taken.value.left !== undefined) left.push(taken.value.left);
      await audit(ports, remediation, "took back", changeText(change));
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

async function differences(cluster: Cluster, remediation: Remediation): Promise<Reply<string>> {
  const found: string[] = [];
  for (const change of remediation.plan === undefined ? [] : changesOf(remediation.plan)) {
    const back = await readBack(cluster, change, remediation.name.name);
    if (!back.ok) return back;
    if (back.value.difference !== undefined) found.push(back.value.difference);
  }
  return { ok: true, value: found.join("; ") };
}

const audit = (ports: Ports, remediation: Remediation, what: string, change: string) =>
  ports.audit({
    what,
    who: "parapet",
    remediation: keyOf(remediation.name),
    detail: { change, digest: remediation.plan?.digest ?? "" },
  });

const targetKey = (target: Target): string => (target.uid === "" ? target.name : target.uid);

async function holding(
  ports: Ports,
  remediation: Remediation,
  work: () => Promise<Reply<Worked>>,
): Promise<Reply<Worked>> {
  const target = targetKey(remediation.target);
  // Within this process the set decides, between processes the Lease object.
  if (ports.busy.has(target)) return failure("Busy", "another remediation acts on the target");
  ports.busy.add(target);
  try {
    const lease = await takeLease(ports.cluster, {
      namespace: ports.settings.namespace,
      target,
      holder: ports.settings.identity,
      nowMs: ports.now(),
    });
    if (!lease.ok) return lease;
    try {
      return await work();
    } finally {
      await lease.value.release();
    }
  } finally {
    ports.busy.delete(target);
  }
}
