// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { approvalJson } from "#responder/approval-record";
import type { Cluster, ObjectName, Reply } from "#responder/cluster";
import { failure, types } from "#responder/cluster";
import type { Remediation } from "#responder/remediation";
import { readRemediation } from "#responder/remediation-record";
import type { Responder } from "#responder/responder";

/** A decision made in the console holds so long; after that it must be made again. */
const approvalMs = 3_600_000;

export type Decision = {
  readonly name: ObjectName;
  readonly digest: string;
  readonly decision: "Approve" | "Deny";
  readonly by: string;
  readonly reason: string;
};

/** What a review page, or any other place where people decide, needs of the responder: it reads records and writes Approvals, no more. */
export function makeConsolePorts(responder: Responder, cluster: Cluster, now: () => number) {
  return {
    list: (): Promise<Reply<readonly Remediation[]>> =>
      Promise.resolve({ ok: true, value: responder.remediations.all() }),
    decide: (decision: Decision) => writeApproval(cluster, decision, now()),
    /** A Deny of what is in force takes it back. */
    undo: async (name: ObjectName, by: string, reason: string): Promise<Reply<undefined>> => {
      const live = await readLive(cluster, name);
      if (!live.ok) return live;
      const digest = live.value.plan?.digest ?? "";
      return writeApproval(cluster, { name, digest, decision: "Deny", by, reason }, now());
    },
    subscribe: responder.subscribe,
    now,
  };
}

/** Writes the Approval for exactly the plan that the person saw; Conflict when it is another by now. */
export async function writeApproval(
  cluster: Cluster,
  decision: Decision,
  nowMs: number,
): Promise<Reply<undefined>> {
  const live = await readLive(cluster, decision.name);
  if (!live.ok) return live;
  if (live.value.plan?.digest !== decision.digest) {
    return failure("Conflict", "the plan is another one now");
  }
  const created = await cluster.create(
    types.approval,
    approvalJson({
      remediation: live.value,
      name: `${decision.name.name.slice(0, 200)}-${randomUUID().slice(0, 8)}`,
      decision: decision.decision,
      approvedBy: decision.by,
      reason: decision.reason,
      expiresAtMs: decision.decision === "Approve" ? nowMs + approvalMs : undefined,
    }),
  );
  return created.ok ? { ok: true, value: undefined } : created;
}

async function readLive(cluster: Cluster, name: ObjectName): Promise<Reply<Remediation>> {
  const live = await cluster.get(types.remediation, name);
  if (!live.ok) return live;
  const read = readRemediation(live.value);
  return typeof read === "string" ? failure("Invalid", read) : { ok: true, value: read };
}
