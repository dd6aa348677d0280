// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Cluster, Reply } from "#responder/cluster";
import { keyOf, types } from "#responder/cluster";
import { type AuditEntry, reasonsOf } from "#responder/record/audit";
import { readRemediation, statusJson } from "#responder/record/remediation-record";
import { advance, type Remediation, type RemediationEvent } from "#responder/remediation";

/** A record as it was read, and what it says. */
export type Read = { readonly object: JsonObject; readonly remediation: Remediation };

/** The record of that name as it is now. A text when the responder did not write it. */
export async function readRecord(
  cluster: Cluster,
  name: Remediation["name"],
): Promise<Reply<Read | string>> {
  const reply = await cluster.get(types.remediation, name);
  if (!reply.ok) return reply;
  const remediation = readRemediation(reply.value);
  if (typeof remediation === "string") return { ok: true, value: remediation };
  return { ok: true, value: { object: reply.value, remediation } };
}

/**
 * Takes a record one step on, for whoever looks at it beside its worker: told to the audit log, then written, and refused with Conflict
 * where somebody wrote it meanwhile. Throws when its state does not allow the step.
 */
export async function moveRemediation(
  ports: {
    readonly cluster: Cluster;
    readonly audit: (entry: AuditEntry) => Promise<void>;
    readonly now: () => number;
  },
  { object, remediation }: Read,
  event: RemediationEvent,
): Promise<Reply<Read>> {
  const moved = advance(remediation.status, event, ports.now());
  if (!moved.ok) throw new Error(`${keyOf(remediation.name)}: ${moved.reason}`);
  await ports.audit({
    what: `${remediation.status.state} -> ${moved.status.state}`,
    who: event.by,
    remediation: keyOf(remediation.name),
    detail: { message: `${event.reason}: ${event.message}`, ...reasonsOf(remediation) },
  });
  const status = statusJson(moved.status);
  const reply = await ports.cluster.replaceStatus(types.remediation, { ...object, status });
  if (!reply.ok) return reply;
  const written = readRemediation(reply.value);
  if (typeof written === "string") throw new Error(written);
  return { ok: true, value: { object: reply.value, remediation: written } };
}
