// SPDX-License-Identifier: Apache-2.0
import type { Approval } from "#responder/approval";
import type { AuditEntry } from "#responder/record/audit";
import type { ApprovalCache, RemediationCache } from "#responder/caches";
import type { Cluster, ObjectName, Reply, ResourceType } from "#responder/cluster";
import { keyOf, types, uidOf } from "#responder/cluster";
import type { Log } from "#responder/log";
import type { Remediation } from "#responder/remediation";
import { isFinal } from "#responder/remediation";

/** How often closed records are looked for, and how many are deleted at a time: 28,800 in a day. */
const roundMs = 60_000;
const roundMax = 20;

export type RetentionPorts = {
  readonly cluster: Cluster;
  readonly remediations: Pick<RemediationCache, "all">;
  readonly approvals: Pick<ApprovalCache, "all">;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  readonly log: Log;
  readonly now: () => number;
  /** True until all records are known: an approval of one that is not known yet is no orphan. */
  readonly isBehind: () => boolean;
};

/**
 * Deletes records that have been closed for longer than `retentionMs`, with their Approvals, oldest first and few at a time;
 * 0 keeps all. An open one is never deleted, whatever its age. The audit log, and evidence in its store, stay.
 */
export function startRetention(ports: RetentionPorts, retentionMs: number): NodeJS.Timeout {
  let running = false;
  return setInterval(() => {
    if (running || retentionMs === 0 || ports.isBehind()) return;
    running = true;
    void tidy(ports, retentionMs)
      .catch((error: unknown) => {
        const why = error instanceof Error ? error.message : "failed";
        ports.log("warn", "closed records could not be deleted", { why });
      })
      .finally(() => {
        running = false;
      });
  }, roundMs);
}

/** One round; gives how many Remediations were deleted. */
export async function tidy(ports: RetentionPorts, retentionMs: number): Promise<number> {
  const all = ports.remediations.all();
  const beforeMs = ports.now() - retentionMs;
  const approvals = Map.groupBy(ports.approvals.all(), remediationKey);
  let deleted = 0;
  for (const one of closedBefore(all, beforeMs)) {
    const key = keyOf(one.name);
    // The Approvals first: a crash between leaves a closed record, which the next round takes.
    for (const approval of approvals.get(key) ?? []) await removeApproval(ports, approval);
    const reply = await remove(ports, types.remediation, one.name, one.uid, {
      state: one.status.state,
      digest: one.plan?.digest ?? "",
      target: `${one.target.kind} ${one.target.namespace}/${one.target.name} ${one.target.uid}`,
    });
    if (!reply.ok) return deleted;
    deleted += 1;
  }
  for (const orphan of orphans(all, ports.approvals.all(), beforeMs)) {
    await removeApproval(ports, orphan);
  }
  return deleted;
}

/** Closed before that time, oldest first, at most {@link roundMax}. */
export function closedBefore(
  remediations: readonly Remediation[],
  beforeMs: number,
): readonly Remediation[] {
  return remediations
    .flatMap((one) => {
      const closed = closedMs(one);
      return closed !== undefined && closed < beforeMs ? [{ one, closed }] : [];
    })
    .sort((a, b) => a.closed - b.closed || (keyOf(a.one.name) < keyOf(b.one.name) ? -1 : 1))
    .slice(0, roundMax)
    .map(({ one }) => one);
}

/**
 * When a record was closed: by its last step, or where it did something for good (a rollback has no end) when that was
 * verified. Undefined while anything of it is still in force or waits for somebody.
 */
function closedMs({ status, seenAtMs }: Remediation): number | undefined {
  const isDone =
    status.state === "Verified" &&
    status.appliedAtMs !== undefined &&
    status.expiresAtMs === undefined &&
    status.undo === undefined;
  if (!isFinal(status.state) && !isDone) return undefined;
  return Math.max(status.history.at(-1)?.atMs ?? seenAtMs, status.alerts.lastSeenMs);
}

/** Approvals whose record is gone, as when a person deleted it. */
const orphans = (
  remediations: readonly Remediation[],
  approvals: readonly Approval[],
  beforeMs: number,
): readonly Approval[] => {
  const known = new Set(remediations.map((one) => keyOf(one.name)));
  return approvals
    .filter((one) => !known.has(remediationKey(one)) && one.createdAtMs < beforeMs)
    .sort((a, b) => a.createdAtMs - b.createdAtMs)
    .slice(0, roundMax);
};

const remediationKey = (approval: Approval): string =>
  keyOf({ namespace: approval.namespace, name: approval.remediation });

async function removeApproval(ports: RetentionPorts, approval: Approval): Promise<void> {
  const live = await ports.cluster.get(types.approval, approval);
  if (!live.ok) return;
  await remove(ports, types.approval, approval, uidOf(live.value), {
    decision: approval.decision,
    by: approval.approvedBy,
    digest: approval.planDigest,
  });
}

/** Told before it is done; what somebody else deleted meanwhile is as good. */
async function remove(
  ports: RetentionPorts,
  type: ResourceType,
  name: ObjectName,
  uid: string,
  detail: AuditEntry["detail"],
): Promise<Reply<undefined>> {
  await ports.audit({
    what: `deleted ${type.kind} after its retention`,
    who: "parapet",
    remediation: keyOf(name),
    detail: { ...detail, uid },
  });
  const reply = await ports.cluster.remove(type, name, uid);
  return reply.ok || reply.code === "NotFound" ? { ok: true, value: undefined } : reply;
}
