// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { JsonObject } from "#policy/json";
import type { Approval } from "#responder/approval";
import { types } from "#responder/cluster";
import { digestLabel, ownershipLabel } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { digestLabelKey, instant, iso, metadata, ms } from "#responder/record/remediation-record";

const text = z.string();

export const approvalSpec = z.object({
  for: z.object({ remediation: z.object({ name: text, planDigest: text }).optional() }),
  decision: z.enum(["Approve", "Deny"]),
  approvedBy: text,
  reason: text.default(""),
  expiresAt: instant.optional(),
  renewUntil: instant.optional(),
});

const approvalSchema = z.object({ metadata, spec: approvalSpec });

/** An Approval for a remediation from its custom resource; undefined when it is for something else or unreadable. */
export function readApproval(object: JsonObject): Approval | undefined {
  const parsed = approvalSchema.safeParse(object);
  if (!parsed.success || parsed.data.spec.for.remediation === undefined) return undefined;
  const { spec } = parsed.data;
  const meta = parsed.data.metadata;
  return {
    namespace: meta.namespace,
    name: meta.name,
    remediation: parsed.data.spec.for.remediation.name,
    planDigest: parsed.data.spec.for.remediation.planDigest,
    decision: spec.decision,
    approvedBy: spec.approvedBy,
    reason: spec.reason,
    createdAtMs: ms(meta.creationTimestamp) ?? 0,
    expiresAtMs: ms(spec.expiresAt),
    renewUntilMs: ms(spec.renewUntil),
  };
}

/** The Approval that a reviewer creates, by console, kubectl plug-in or test. */
export function approvalJson(approval: {
  readonly remediation: Remediation;
  readonly name: string;
  readonly decision: "Approve" | "Deny";
  readonly approvedBy: string;
  readonly reason: string;
  readonly expiresAtMs: number | undefined;
  /** Given: a yes to more time for what is in force, and to nothing else. */
  readonly renewUntilMs?: number | undefined;
}): JsonObject {
  const { remediation } = approval;
  const digest = remediation.plan?.digest ?? "";
  return {
    apiVersion: types.approval.apiVersion,
    kind: types.approval.kind,
    metadata: {
      name: approval.name,
      namespace: remediation.name.namespace,
      labels: { [digestLabelKey]: digestLabel(digest), [ownershipLabel]: remediation.name.name },
    },
    spec: {
      for: { remediation: { name: remediation.name.name, planDigest: digest } },
      decision: approval.decision,
      approvedBy: approval.approvedBy,
      reason: approval.reason,
      ...(approval.expiresAtMs === undefined ? {} : { expiresAt: iso(approval.expiresAtMs) }),
      ...(approval.renewUntilMs === undefined ? {} : { renewUntil: iso(approval.renewUntilMs) }),
    },
  };
}
