// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import type { Approval } from "#responder/approval";
import { approvalJson, readApproval } from "#responder/record/approval-record";
import type { Cluster, ObjectName, Reply } from "#responder/cluster";
import { failure, keyOf, nameOf, types } from "#responder/cluster";
import type { ConsolePorts } from "#responder/console/routes";
import type { WriteChange } from "#responder/plan";
import { mask } from "#responder/mask";
import type { Remediation } from "#responder/remediation";
import { cut, readRemediation } from "#responder/record/remediation-record";
import type { Responder } from "#responder/responder";

/** A decision made in the console holds so long; after that it must be made again. */
const approvalMs = 3_600_000;

export type Decision = {
  readonly name: ObjectName;
  readonly digest: string;
  readonly decision: "Approve" | "Deny";
  readonly by: string;
  readonly reason: string;
  /** True: more time for what is in force, as much as its plan asked for, counted from now. */
  readonly renews?: boolean;
};

/** What a review page, or any other place where people decide, needs of the responder: it reads records and writes Approvals, no more. */
export function makeConsolePorts(
  responder: Pick<Responder, "remediations" | "subscribe" | "stopped" | "audit">,
  cluster: Cluster,
  now: () => number,
): ConsolePorts {
  // Told before it is written: the API server knows the console's account, only the console knows the person.
  const write = async (decision: Decision): Promise<Reply<undefined>> => {
    await responder.audit({
      what: "decided in the console",
      who: decision.by,
      remediation: keyOf(decision.name),
      detail: {
        decision: decision.renews === true ? "Renew" : decision.decision,
        digest: decision.digest,
        reason: cut(mask(decision.reason), 1_024),
      },
    });
    return writeApproval(cluster, decision, now());
  };
  return {
    list: () => Promise.resolve({ ok: true, value: responder.remediations.all() }),
    get: (name) => readLive(cluster, name),
    live: (change) => cluster.get(change.type, objectOf(change)),
    approvals: (remediation) => approvalsOf(cluster, remediation),
    decide: write,
    // An Approval of its own kind: a yes to as much time again as the plan asked for.
    renew: (renewal) => write({ ...renewal, decision: "Approve", renews: true }),
    // A Deny of what is in force takes it back.
    undo: async (name, by, reason) => {
      const live = await readLive(cluster, name);
      if (!live.ok) return live;
      const digest = live.value.plan?.digest ?? "";
      return write({ name, digest, decision: "Deny", by, reason });
    },
    subscribe: responder.subscribe,
    stopped: responder.stopped,
    now,
  };
}

const objectOf = (change: WriteChange): ObjectName =>
  change.kind === "apply" ? nameOf(change.manifest) : change;

/** The decisions on its present plan, oldest first; one for another digest says nothing. */
async function approvalsOf(
  cluster: Cluster,
  { name, plan }: Remediation,
): Promise<Reply<readonly Approval[]>> {
  const listed = await cluster.list(types.approval, { namespace: name.namespace });
  if (!listed.ok) return listed;
  const value = listed.value.items
    .flatMap((object) => readApproval(object) ?? [])
    .filter((one) => one.remediation === name.name && one.planDigest === plan?.digest)
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1));
  return { ok: true, value };
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
      renewUntilMs: decision.renews === true ? nowMs + live.value.ttlMs : undefined,
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
