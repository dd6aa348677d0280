// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { planIsolation } from "#responder/actions/isolate";
import type { Alert } from "#responder/alert";
import { readAlerts } from "#responder/alert";
import type { StoredAlert } from "#responder/alert-queue";
import { Hopeless } from "#responder/alert-queue";
import { allow, type Allowance } from "#responder/budget";
import type { Failure, ObjectList, Reply } from "#responder/cluster";
import { keyOf } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import { mask } from "#responder/mask";
import type { Plan } from "#responder/plan";
import { planDigest } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import type { RecordPorts } from "#responder/remediation-store";
import { findOpen, openRemediation } from "#responder/remediation-store";
import type { ActionSpec, ResponsePolicy } from "#responder/response-policy";
import { preselects, whenHolds } from "#responder/response-policy";
import { resolveTarget, type Resolved, workloadOf } from "#responder/target";

export type RespondPorts = RecordPorts & {
  readonly policies: () => readonly ResponsePolicy[];
  /** By `namespace/name`. */
  readonly getPod: (key: string) => Promise<Reply<JsonObject>>;
  readonly getNamespace: (name: string) => Promise<Reply<JsonObject>>;
  /** All NetworkPolicies of a namespace. */
  readonly networkPolicies: (namespace: string) => Promise<Reply<ObjectList>>;
  /** Adds an alert to the count of a remediation; resolves when it is written. */
  readonly count: (key: string, fingerprint: string, atMs: number) => Promise<void>;
  readonly stopped: () => boolean;
  readonly settings: {
    /** Where remediations without a namespaced target are kept. */
    readonly namespace: string;
    readonly protectedNamespaces: readonly string[];
    /** Older alerts are for review only. */
    readonly alertAgeMsMax: number;
  };
};

/** What came of one alert, for metrics and `explain`. */
export type Response = {
  readonly policy: string;
  readonly outcome: "opened" | "counted" | "notMatched";
  readonly remediation: string;
  readonly why: string;
};

/** A failed call that is worth another try: the queue hands the alert over again. */
export class NotNow extends Error {
  readonly code: Failure["code"];
  constructor(reply: Failure) {
    super(`${reply.code}: ${reply.message}`);
    this.code = reply.code;
  }
}

/**
 * Brings one accepted alert to its outcome: for each policy that matches, a Remediation is opened, or the open one of the same target and
 * cause counts the alert. Safe to repeat. Throws {@link NotNow} when the API server does not answer.
 */
export const makeRespond =
  (ports: RespondPorts) =>
  async (stored: StoredAlert): Promise<readonly Response[]> => {
    const alert = toStoredAlert(stored);
    if (alert === undefined) throw new Hopeless("the stored alert cannot be read");
    const chosen = ports.policies().filter((policy) => preselects(policy, alert).matches);
    if (chosen.length === 0) return [];
    const resolved = await resolveTarget(ports.getPod, alert);
    if (!resolved.ok) throw new NotNow(resolved);
    const namespace = await readNamespace(ports, chosen, resolved.value);
    const responses: Response[] = [];
    for (const policy of chosen) {
      const pod = resolved.value.kind === "pod" ? resolved.value.pod : null;
      const match = whenHolds(policy, alert, { pod, namespace });
      responses.push(
        match.matches
          ? await respondTo(ports, policy, alert, stored, resolved.value)
          : { policy: policy.name, outcome: "notMatched", remediation: "", why: match.why },
      );
    }
    return responses;
  };

/** Read from its text: the bytes are evidence only, and of a whole batch. */
const toStoredAlert = (stored: StoredAlert): Alert | undefined =>
  readAlerts(Buffer.from(stored.text, "utf8")).alerts[0]?.alert;

async function readNamespace(
  ports: RespondPorts,
  policies: readonly ResponsePolicy[],
  resolved: Resolved,
): Promise<JsonObject | null> {
  // `alert.pod.namespace` is a field, not the object.
  const isNeeded = policies.some((policy) => /(?<![.\w])namespace\b/.test(policy.spec.when ?? ""));
  if (!isNeeded || resolved.target.namespace === "") return null;
  const live = await ports.getNamespace(resolved.target.namespace);
  if (!live.ok && live.code !== "NotFound") throw new NotNow(live);
  return live.ok ? live.value : null;
}

/** Target and cause as one short key: what is one remediation. */
export function findingOf(policy: string, rule: string, resolved: Resolved): string {
  const { target } = resolved;
  const where = target.uid === "" ? `${target.namespace}/${target.name}` : target.uid;
  return sha256(JSON.stringify([policy, rule, where])).slice(0, 32);
}

async function respondTo(
  ports: RespondPorts,
  policy: ResponsePolicy,
  alert: Alert,
  stored: StoredAlert,
  resolved: Resolved,
): Promise<Response> {
  const finding = findingOf(policy.name, alert.rule, resolved);
  const namespace = resolved.kind === "pod" ? resolved.target.namespace : ports.settings.namespace;
  const release = await ports.locks.take(finding);
  try {
    const open = await findOpen(ports, namespace, finding, {
      cooldownMs: policy.spec.limits.cooldown,
      prefix: resolved.target.name,
    });
    if (!open.ok) throw new NotNow(open);
    if (open.value.kind === "open") {
      const key = keyOf(open.value.name);
      // Counting waits for the next write; others of the same finding need not wait for that.
      release();
      await ports.count(key, stored.fingerprint, stored.receivedAtMs);
      return { policy: policy.name, outcome: "counted", remediation: key, why: "same cause" };
    }
    const draft = await draftOf(ports, policy, alert, stored, resolved, open.value.freeName);
    const opened = await openRemediation(ports, { ...draft, finding });
    if (!opened.ok) throw new NotNow(opened);
    const key = keyOf(opened.value.name);
    if (!opened.value.isNew) await ports.count(key, stored.fingerprint, stored.receivedAtMs);
    return { policy: policy.name, outcome: "opened", remediation: key, why: "new" };
  } finally {
    release();
  }
}

type Draft = Omit<Remediation, "uid" | "resourceVersion" | "status"> & { readonly notes: string };

async function draftOf(
  ports: RespondPorts,
  policy: ResponsePolicy,
  alert: Alert,
  stored: StoredAlert,
  resolved: Resolved,
  name: string,
): Promise<Draft> {
  const namespace = resolved.kind === "pod" ? resolved.target.namespace : ports.settings.namespace;
  const allowance = modeFor(ports, policy, alert, resolved, namespace);
  const planned = await planFor(ports, policy, resolved, name);
  const notes = [allowance.reason, planned.reason].filter((one) => one !== "").join("; ");
  const nowMs = ports.now();
  return {
    name: { namespace, name },
    target: resolved.target,
    workload: resolved.kind === "pod" ? workloadOf(resolved.pod) : "",
    cause: {
      source: "Falco",
      rule: mask(alert.rule),
      priority: alert.priority,
      fingerprint: stored.fingerprint,
      actor: alert.source === "k8s_audit" ? auditActor(alert) : "",
      message: mask(alert.output),
    },
    policy: policy.name,
    mode: planned.plan === undefined ? "Observe" : allowance.mode,
    plan: planned.plan,
    ttlMs: planned.ttlMs,
    seenAtMs: stored.receivedAtMs,
    decideBeforeMs: nowMs + policy.spec.proposalTtl,
    notes,
  };
}

function auditActor(alert: Alert): string {
  const user = alert.fields["ka.user.name"];
  return typeof user === "string" ? user.slice(0, 256) : "";
}

function modeFor(
  ports: RespondPorts,
  policy: ResponsePolicy,
  alert: Alert,
  resolved: Resolved,
  namespace: string,
): Allowance {
  const ageMs =
    alert.timeNs === undefined ? Infinity : ports.now() - Number(alert.timeNs / 1_000_000n);
  return allow({
    mode: policy.mode,
    policy: policy.name,
    namespace,
    workload: resolved.kind === "pod" ? workloadOf(resolved.pod) : "",
    limits: policy.spec.limits,
    others: ports.remediationsIn(namespace),
    isStale: ageMs > ports.settings.alertAgeMsMax,
    isProtected: ports.settings.protectedNamespaces.includes(namespace),
    stopped: ports.stopped(),
  });
}

type Planned = { readonly plan: Plan | undefined; readonly ttlMs: number; readonly reason: string };

async function planFor(
  ports: RespondPorts,
  policy: ResponsePolicy,
  resolved: Resolved,
  remediation: string,
): Promise<Planned> {
  const isolate = policy.spec.do.map(isolateOf).find((one) => one !== undefined);
  const ttlMs = isolate?.ttl ?? 0;
  if (resolved.kind !== "pod") return { plan: undefined, ttlMs, reason: resolved.reason };
  if (isolate === undefined) return { plan: undefined, ttlMs, reason: "no action for a pod" };
  const policies = await ports.networkPolicies(resolved.target.namespace);
  if (!policies.ok) throw new NotNow(policies);
  const { target, pod } = resolved;
  const planned = planIsolation({
    target,
    pod,
    policies: policies.value.items,
    remediation,
    parameters: isolate,
  });
  if (!planned.ok) return { plan: undefined, ttlMs, reason: planned.message };
  const actions = [planned.action];
  const { residualAllows, notes } = planned;
  const digest = planDigest(target, actions);
  return { plan: { digest, actions, residualAllows, notes }, ttlMs, reason: "" };
}

const isolateOf = (action: ActionSpec) => ("isolate" in action ? action.isolate : undefined);
