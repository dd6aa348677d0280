// SPDX-License-Identifier: Apache-2.0
import {
  approvalNames,
  type ApprovalQuestion,
  viewApprovals,
  viewRenewal,
} from "#responder/approval";
import type { JsonObject } from "#policy/json";
import type { Reply } from "#responder/cluster";
import { failure, keyOf, types, uidOf } from "#responder/cluster";
import type { Facts } from "#responder/decide";
import { approversOf, isIsolation, planDigest } from "#responder/plan";
import { protectionOf } from "#responder/protection";
import type { ReconcilePorts } from "#responder/reconcile";
import type { Remediation } from "#responder/remediation";
import { unknownNetwork } from "#responder/verification/networks";

/** What is true now, for one decision. */
export async function gather(
  ports: ReconcilePorts,
  remediation: Remediation,
  target: Facts["target"],
): Promise<Facts> {
  const approvals = ports.approvals(remediation.name.namespace);
  const question: ApprovalQuestion = {
    namespace: remediation.name.namespace,
    remediation: remediation.name.name,
    planDigest: remediation.plan?.digest ?? "",
    nowMs: ports.now(),
    actedOn: remediation.status.approval?.name,
    actor: remediation.cause.actor,
    recordedAtMs: remediation.createdAtMs,
    approvers: approversOf(remediation.plan),
  };
  const approval = viewApprovals(approvals, question);
  const protection = await readProtection(ports, remediation);
  return {
    nowMs: ports.now(),
    stopped: ports.stopped(),
    approval: await confirmed(ports, remediation, approval),
    renewal: viewRenewal(approvals, question),
    isPlanWhole: isPlanWhole(remediation),
    // What cannot be looked up may forbid it.
    target: protection.ok ? target : "unknown",
    protectedBy: protection.ok ? protection.value : undefined,
    settleMs: settleOf(ports, remediation),
    mayProbe: ports.verification?.probes !== undefined,
    mayReplan: ports.replan !== undefined,
    ...(ports.verification === undefined ? {} : { network: ports.verification.network() }),
  };
}

/** What is approved is a digest, and what is done a plan: just before it is begun they are held together. */
const isPlanWhole = ({ status, plan, target }: Remediation): boolean =>
  status.state !== "Approved" ||
  plan === undefined ||
  planDigest(target, plan.actions) === plan.digest;

/** As configured; else for an isolation what its network needs, open connections included, and for a value its owner's time. */
function settleOf(ports: ReconcilePorts, remediation: Remediation): number {
  const network = ports.verification?.network() ?? unknownNetwork;
  return (
    ports.settings.settleMs ??
    (isIsolation(remediation.plan) ? network.settleMs : unknownNetwork.settleMs)
  );
}

/** Labels of the target and of its namespace, read anew by whoever is about to begin: a person may have set one since the plan. */
async function readProtection(
  ports: ReconcilePorts,
  { target, status }: Remediation,
): Promise<Reply<string>> {
  const nothing: Reply<string> = { ok: true, value: "" };
  if (status.state !== "Approved" || target.kind === "") return nothing;
  const live = await readNow(ports, target);
  if (!live.ok) return live.code === "NotFound" ? nothing : live;
  const { getNamespaceNow: getNamespace, protectedNamespaces } = ports;
  return protectionOf(live.value, target.namespace, { getNamespace, protectedNamespaces });
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

/** The live target; a kind that is not served is no sign that it is gone. */
async function readNow(
  ports: ReconcilePorts,
  target: Remediation["target"],
): Promise<Reply<JsonObject>> {
  if (target.kind === "Pod") return ports.getPodNow(keyOf(target));
  const type = await ports.cluster.typeOf(target.apiVersion, target.kind);
  if (!type.ok) return failure("Unavailable", type.message);
  return ports.cluster.get(type.value, target);
}

/** Whether the target is still there under its uid; `unknown` when that cannot be read. */
export async function readTarget(
  ports: ReconcilePorts,
  remediation: Remediation,
): Promise<Facts["target"]> {
  const { target } = remediation;
  // Nothing was found to act on: the record is for review only.
  if (target.kind === "") return "present";
  const { state } = remediation.status;
  const isActing = state === "Approved" || state === "Applying";
  // Whoever acts reads anew, again by uid; for all else an answer of the last seconds will do.
  const live =
    target.kind === "Pod" && !isActing
      ? await ports.getPod(keyOf(target))
      : await readNow(ports, target);
  if (live.ok) return uidOf(live.value) === target.uid ? "present" : "gone";
  return live.code === "NotFound" ? "gone" : "unknown";
}
