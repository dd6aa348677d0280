// SPDX-License-Identifier: Apache-2.0
import { approvalNames, viewApprovals } from "#responder/approval";
import { keyOf, types, uidOf } from "#responder/cluster";
import type { Facts } from "#responder/decide";
import { approversOf, isIsolation } from "#responder/plan";
import type { ReconcilePorts } from "#responder/reconcile";
import type { Remediation } from "#responder/remediation";
import { unknownNetwork } from "#responder/verification/networks";

/** What is true now, for one decision. */
export async function gather(
  ports: ReconcilePorts,
  remediation: Remediation,
  target: Facts["target"],
): Promise<Facts> {
  const approval = viewApprovals(ports.approvals(remediation.name.namespace), {
    namespace: remediation.name.namespace,
    remediation: remediation.name.name,
    planDigest: remediation.plan?.digest ?? "",
    nowMs: ports.now(),
    actedOn: remediation.status.approval?.name,
    actor: remediation.cause.actor,
    approvers: approversOf(remediation.plan),
  });
  return {
    nowMs: ports.now(),
    stopped: ports.stopped(),
    approval: await confirmed(ports, remediation, approval),
    target,
    settleMs: settleOf(ports, remediation),
    mayProbe: ports.verification?.probes !== undefined,
  };
}

/** As configured; else for an isolation what its network needs, open connections included, and for a value its owner's time. */
function settleOf(ports: ReconcilePorts, remediation: Remediation): number {
  const network = ports.verification?.network() ?? unknownNetwork;
  return (
    ports.settings.settleMs ??
    (isIsolation(remediation.plan) ? network.settleMs : unknownNetwork.settleMs)
  );
}

/** Just before acting on an Approval it is read again: the watch may be behind its deletion. */
async function confirmed(
  ports: ReconcilePorts,
  remediation: Remediation,
  view: Facts["approval"],
): Promise<Facts["approval"]> {
  if (remediation.status.state !== "Approved" || view.kind !== "approved") return view;
  const { namespace } = remediation.name;
  for (const name of approvalNames(view.name)) {
    const live = await ports.cluster.get(types.approval, { namespace, name });
    if (!live.ok && live.code === "NotFound") return { kind: "none", withdrawn: true };
  }
  return view;
}

/** Whether the target is still there under its uid; `unknown` when that cannot be read. */
export async function readTarget(
  ports: ReconcilePorts,
  remediation: Remediation,
): Promise<Facts["target"]> {
  const { target } = remediation;
  // Nothing was found to act on: the record is for review only.
  if (target.kind === "") return "present";
  const type = await ports.cluster.typeOf(target.apiVersion, target.kind);
  if (!type.ok) return "unknown";
  const { state } = remediation.status;
  const isActing = state === "Approved" || state === "Applying";
  // Whoever acts reads anew, again by uid; for all else an answer of the last second will do.
  const live =
    target.kind === "Pod" && !isActing
      ? await ports.getPod(keyOf(target))
      : await ports.cluster.get(type.value, target);
  if (live.ok) return uidOf(live.value) === target.uid ? "present" : "gone";
  return live.code === "NotFound" ? "gone" : "unknown";
}
