// SPDX-License-Identifier: Apache-2.0
import { matchesWildcard } from "#policy/kubernetes/wildcard";
import type { ResourceType } from "#responder/cluster";
import { fromKey, nameOf, uidOf } from "#responder/cluster";
import type { Trust } from "#responder/drift/drift";
import type { AuditedWrite } from "#responder/drift/audit";
import { clientOf } from "#responder/drift/clients";
import { type DriftPorts, recordNamespace } from "#responder/drift/propose";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";
import { isFinal, type Remediation } from "#responder/remediation";
import { nextName, openRemediation } from "#responder/record/remediation-store";
import { matchesDrift } from "#responder/response-policy";
import { workloadOf } from "#responder/target";

/** Says who wrote, not what differs: it answers no difference. */
export const impostorRule = "Trusted field manager used by another";

/**
 * A write under a trusted field manager's name by a user who is none of the trusted ones: anybody may call a client so, and what such a
 * write changes moves the baseline. Only the audit log tells, and only where the trusted users are named.
 */
export const isImpostor = (
  write: AuditedWrite,
  trust: Trust,
  trustedUsers: readonly string[],
): boolean =>
  trustedUsers.length > 0 &&
  trust(write.manager) &&
  !trustedUsers.some((one) => matchesWildcard(one, write.user));

/** Records it for review where a policy looks at the object: what was changed is not told by the audit log. false: not now. */
export async function reportImpostor(
  ports: DriftPorts,
  type: ResourceType,
  key: string,
  write: AuditedWrite,
): Promise<boolean> {
  const live = await ports.cluster.get(type, fromKey(key));
  if (!live.ok) return live.code === "NotFound";
  const { apiVersion, kind } = type;
  const target = { apiVersion, kind, ...nameOf(live.value), uid: uidOf(live.value) };
  const { namespace, name } = target;
  const view = {
    ...{ kind, namespace, name, paths: [], managers: [write.manager], actor: write.user },
    client: clientOf(ports.authors.clients, write.user),
  };
  for (const policy of ports.policies()) {
    if (!matchesDrift(policy, kind, view).matches) continue;
    const finding = sha256(canonical([policy.name, target.uid, "impostor", write.user]));
    const short = finding.slice(0, 32);
    const where = recordNamespace(target, ports);
    const answers = (one: Remediation): boolean => !isFinal(one.status.state);
    const free = await nextName(ports, where, short, { prefix: name, answers });
    if (!free.ok) return false;
    if (free.value === undefined) continue;
    const nowMs = ports.now();
    const opened = await openRemediation(ports, {
      name: { namespace: where, name: free.value },
      target,
      workload: workloadOf(live.value),
      cause: {
        source: "Drift",
        rule: impostorRule,
        priority: "Warning",
        fingerprint: short,
        actor: write.user,
        message: `${write.user}${write.as === "" ? "" : ` acting as ${write.as}`} wrote as field manager ${write.manager} (by the API server's audit log); what was changed counts as composed`,
      },
      policy: policy.name,
      mode: "Observe",
      plan: undefined,
      ttlMs: 0,
      seenAtMs: nowMs,
      decideBeforeMs: nowMs + policy.spec.proposalTtl,
      notes: "for review",
      finding: short,
    });
    if (!opened.ok) return false;
  }
  return true;
}
