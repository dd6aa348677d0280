// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { JsonObject } from "#policy/json";
import { isObject } from "#policy/json";
import { types } from "#responder/cluster";
import { digestLabel } from "#responder/plan";
import { planJson, planSchema, toPlan } from "#responder/record/plan-record";
import type { Remediation, Status } from "#responder/remediation";
import { historyMax, initialStatus, modes, states } from "#responder/remediation";
import type { Evidence } from "#responder/verification/evidence";
import { checks, detailMax, evidenceMax, findings } from "#responder/verification/evidence";

/** Label of a Remediation by which those of one target and cause are found. */
export const findingLabel = "parapet.dev/finding";
/** Label of a Remediation that names its target's uid. */
export const targetLabel = "parapet.dev/target-uid";
/** Label of Remediations and Approvals: the first 32 hex digits of the plan digest. */
export const digestLabelKey = "parapet.dev/digest";

export const instant = z.iso.datetime({ offset: true });
const text = z.string();

const target = z.object({
  apiVersion: text,
  kind: text,
  namespace: text,
  name: text,
  uid: text,
});

export const metadata = z.object({
  name: text,
  namespace: text.default(""),
  uid: text.default(""),
  resourceVersion: text.default(""),
  creationTimestamp: instant.optional(),
});

export const remediationSpec = z.object({
  target,
  workload: text.default(""),
  cause: z.object({
    source: z.enum(["Falco", "Drift"]),
    rule: text,
    priority: text,
    fingerprint: text,
    actor: text,
    message: text,
  }),
  policy: text,
  mode: z.enum(modes),
  ttlSeconds: z.int(),
  seenAt: instant,
  decideBefore: instant,
  plan: planSchema.optional(),
});

export const remediationStatus = z.object({
  state: z.enum(states),
  history: z
    .array(
      z.object({
        at: instant,
        from: z.union([z.enum(states), z.literal("")]),
        to: z.enum(states),
        reason: text,
        message: text,
        by: text,
      }),
    )
    .default([]),
  alerts: z.object({
    count: z.int(),
    firstSeen: instant,
    lastSeen: instant,
    recent: z.array(text).default([]),
  }),
  approval: z.object({ name: text, by: text }).optional(),
  undo: z.object({ at: instant, by: text, reason: text }).optional(),
  expiresAt: instant.optional(),
  appliedAt: instant.optional(),
  attempts: z.int().default(0),
  lastError: text.default(""),
  evidence: z
    .array(
      z.object({ at: instant, check: z.enum(checks), finding: z.enum(findings), detail: text }),
    )
    .default([]),
  retry: z.object({ count: z.int().min(0), at: instant }).optional(),
  told: z.array(text).default([]),
});

const remediationSchema = z.object({
  metadata,
  spec: remediationSpec,
  status: remediationStatus.optional(),
});

/** A Remediation from its custom resource; a text when the object is none that the responder wrote. */
export function readRemediation(object: JsonObject): Remediation | string {
  const parsed = remediationSchema.safeParse(object);
  if (!parsed.success) return z.prettifyError(parsed.error);
  const { spec, status } = parsed.data;
  const meta = parsed.data.metadata;
  const plan = spec.plan === undefined ? undefined : toPlan(spec.plan);
  if (typeof plan === "string") return plan;
  const record = {
    name: { namespace: meta.namespace, name: meta.name },
    uid: meta.uid,
    resourceVersion: meta.resourceVersion,
    ...(meta.creationTimestamp === undefined
      ? {}
      : { createdAtMs: Date.parse(meta.creationTimestamp) }),
    target: spec.target,
    workload: spec.workload,
    cause: spec.cause,
    policy: spec.policy,
    mode: spec.mode,
    plan,
    ttlMs: spec.ttlSeconds * 1_000,
    seenAtMs: Date.parse(spec.seenAt),
    decideBeforeMs: Date.parse(spec.decideBefore),
  };
  return { ...record, status: status === undefined ? initialStatus(record) : toStatus(status) };
}

/** True when the object's status was never written. */
export const hasNoStatus = (object: JsonObject): boolean => !isObject(object["status"]);

/** Milliseconds since 1970 of a time that was read. */
export const ms = (at: string | undefined): number | undefined =>
  at === undefined ? undefined : Date.parse(at);

/** As Kubernetes writes times, in UTC. */
export const iso = (atMs: number): string => new Date(atMs).toISOString();

function toStatus(stored: z.infer<typeof remediationStatus>): Status {
  return {
    state: stored.state,
    history: stored.history.map(({ at, ...entry }) => ({ ...entry, atMs: Date.parse(at) })),
    alerts: {
      count: stored.alerts.count,
      firstSeenMs: Date.parse(stored.alerts.firstSeen),
      lastSeenMs: Date.parse(stored.alerts.lastSeen),
      recent: stored.alerts.recent,
    },
    approval: stored.approval,
    undo:
      stored.undo === undefined
        ? undefined
        : { atMs: Date.parse(stored.undo.at), by: stored.undo.by, reason: stored.undo.reason },
    expiresAtMs: ms(stored.expiresAt),
    appliedAtMs: ms(stored.appliedAt),
    attempts: stored.attempts,
    lastError: stored.lastError,
    evidence: stored.evidence.map(({ at, ...entry }) => ({ ...entry, atMs: Date.parse(at) })),
    ...(stored.retry === undefined
      ? {}
      : { retry: { count: stored.retry.count, atMs: Date.parse(stored.retry.at) } }),
    told: stored.told,
  };
}

/** What is written of a status. Texts are cut so that no alert can make the object too large. */
export function statusJson(status: Status): JsonObject {
  const last = status.history.at(-1);
  return {
    state: status.state,
    reason: last?.reason ?? "",
    message: cut(last?.message ?? "", 1_024),
    history: status.history.slice(-historyMax).map(({ atMs, ...entry }) => ({
      at: iso(atMs),
      ...entry,
      message: cut(entry.message, 1_024),
    })),
    alerts: {
      count: status.alerts.count,
      firstSeen: iso(status.alerts.firstSeenMs),
      lastSeen: iso(status.alerts.lastSeenMs),
      recent: status.alerts.recent,
    },
    ...(status.approval === undefined ? {} : { approval: status.approval }),
    ...(status.undo === undefined
      ? {}
      : { undo: { at: iso(status.undo.atMs), by: status.undo.by, reason: status.undo.reason } }),
    ...(status.expiresAtMs === undefined ? {} : { expiresAt: iso(status.expiresAtMs) }),
    ...(status.appliedAtMs === undefined ? {} : { appliedAt: iso(status.appliedAtMs) }),
    attempts: status.attempts,
    lastError: cut(status.lastError, 1_024),
    ...(status.evidence.length === 0 ? {} : { evidence: evidenceJson(status.evidence) }),
    ...(status.retry === undefined
      ? {}
      : { retry: { count: status.retry.count, at: iso(status.retry.atMs) } }),
    ...(status.told.length === 0 ? {} : { told: status.told }),
  };
}

/** Evidence as it stands in a status and in the audit log. */
export const evidenceJson = (evidence: readonly Evidence[]): readonly JsonObject[] =>
  evidence.slice(-evidenceMax).map(({ atMs, check, finding, detail }) => ({
    at: iso(atMs),
    check,
    finding,
    detail: cut(detail, detailMax),
  }));

/** The custom resource of a new remediation, without its status (the API server takes that in a second write). */
export function remediationJson(
  remediation: Pick<
    Remediation,
    | "name"
    | "target"
    | "workload"
    | "cause"
    | "policy"
    | "mode"
    | "plan"
    | "ttlMs"
    | "seenAtMs"
    | "decideBeforeMs"
  >,
  finding: string,
): JsonObject {
  const { name, plan, cause } = remediation;
  return {
    apiVersion: types.remediation.apiVersion,
    kind: types.remediation.kind,
    metadata: {
      name: name.name,
      namespace: name.namespace,
      labels: {
        [findingLabel]: finding,
        [targetLabel]: remediation.target.uid.slice(0, 63),
        ...(plan === undefined ? {} : { [digestLabelKey]: digestLabel(plan.digest) }),
      },
    },
    spec: {
      target: remediation.target,
      workload: remediation.workload,
      cause: { ...cause, rule: cut(cause.rule, 512), message: cut(cause.message, 2_048) },
      policy: remediation.policy,
      mode: remediation.mode,
      ttlSeconds: Math.round(remediation.ttlMs / 1_000),
      seenAt: iso(remediation.seenAtMs),
      decideBefore: iso(remediation.decideBeforeMs),
      ...(plan === undefined ? {} : { plan: planJson(plan) }),
    },
  };
}

/** No control characters reach a terminal or a page, and no lone surrogate the API server. */
export const cut = (value: string, lengthMax: number): string =>
  value
    .slice(0, lengthMax)
    .toWellFormed()
    .replaceAll(/[^\P{Cc}\n\t]/gu, " ");
