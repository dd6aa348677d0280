// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { planRollback } from "#responder/actions/rollback";
import { allowAndBegin } from "#responder/beginnings";
import { allow, type Allowance, type BudgetQuestion } from "#responder/budget";
import type { Cluster, ResourceType } from "#responder/cluster";
import type { Drift } from "#responder/drift/drift";
import type { Attribution, Writers } from "#responder/drift/audit";
import { type Client, clientOf } from "#responder/drift/clients";
import type { DriftException } from "#responder/drift/exception";
import { fightOver } from "#responder/drift/fight";
import { holdsSecret } from "#responder/drift/secret-edits";
import { pathText } from "#responder/edit";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";
import type { Metrics } from "#responder/metrics";
import { type Plan, planDigest, type Target } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { nextName, openRemediation, type RecordPorts } from "#responder/record/remediation-store";
import { matchesDrift, modeIn, type ResponsePolicy } from "#responder/response-policy";
import { workloadOf } from "#responder/target";

export type DriftPorts = RecordPorts & {
  readonly cluster: Cluster;
  readonly policies: () => readonly ResponsePolicy[];
  readonly exceptions: (namespace: string) => readonly DriftException[];
  readonly stopped: () => boolean;
  readonly metrics: Metrics;
  readonly onFailure: (message: string) => void;
  /** Without its events field managers are the only hint at who changed something. */
  readonly authors: {
    readonly writers: Writers;
    readonly clients: readonly Client[];
    readonly waitMs: number;
    readonly trustedUsers: readonly string[];
  };
  readonly settings: {
    readonly namespace: string;
    readonly protectedNamespaces: readonly string[];
    readonly trustedManagers: readonly string[];
  };
};

/** What differs on one object, by whom as far as that is known. */
export type FoundDrift = {
  readonly type: ResourceType;
  readonly target: Target;
  readonly object: JsonObject;
  readonly drift: readonly Drift[];
  readonly author: Attribution | undefined;
  /** Found by a list: it may be older than we are. */
  readonly isGap: boolean;
};

/** Opens a remediation for a difference where a policy says so, once; false when that cannot be done now. */
export async function propose(
  ports: DriftPorts,
  policy: ResponsePolicy,
  { type, target, object, drift, author, isGap }: FoundDrift,
): Promise<boolean> {
  const managers = [...new Set(drift.map((one) => one.manager))].filter((one) => one !== "");
  const paths = drift.map((one) => pathText(one.edit.path));
  const { kind, namespace, name } = target;
  const client = clientOf(ports.authors.clients, author?.user ?? "");
  const view = { kind, namespace, name, paths, managers, actor: author?.user ?? "", client };
  if (!matchesDrift(policy, kind, view).matches) return true;
  const where = recordNamespace(target, ports);
  const plan = planOf(type, target, drift);
  const finding = sha256(canonical([policy.name, target.uid, drift.map((one) => one.edit)])).slice(
    0,
    32,
  );
  const free = await nextName(ports, where, finding, {
    prefix: name,
    answers,
  });
  if (!free.ok) return false;
  if (free.value === undefined) return true;
  const notHealed = drift.some((one) => one.verdict === "ownerHeals");
  const rule = notHealed ? "Owned field not healed" : "Out-of-band change";
  const workload = workloadOf(object);
  const opensAs = { namespace: where, name: free.value };
  const one = { policy: policy.name, name: opensAs, workload };
  const mode = modeIn(policy, namespace, rule);
  const asked = await allowAndBegin(plan && ports.beginnings, one, (begun) =>
    allowDrift(ports, policy, { mode, where, namespace, workload, begun, isGap, target, drift }),
  );
  if (!asked.ok) {
    ports.onFailure(`drift of ${kind} ${name} waits: ${asked.message}`);
    return false;
  }
  const allowance = asked.value;
  const opened = await openRemediation(ports, {
    name: opensAs,
    target,
    workload,
    cause: {
      source: "Drift",
      rule,
      priority: "Warning",
      fingerprint: finding,
      actor: author?.user ?? managers.join(", ").slice(0, 256),
      message: `${paths.join(", ")} ${paths.length === 1 ? "differs" : "differ"} from what Crossplane composed; ${author === undefined ? "" : `changed by ${author.text}, client ${client}; `}field manager ${managers.join(", ") || "unknown"} (a hint)`,
    },
    policy: policy.name,
    mode: plan === undefined ? "Observe" : allowance.mode,
    plan,
    // Put right for good.
    ttlMs: 0,
    seenAtMs: ports.now(),
    decideBeforeMs: ports.now() + policy.spec.proposalTtl,
    notes:
      plan === undefined
        ? "for review: values that are, or look like, credentials are kept in no record, so nothing is put right"
        : allowance.reason,
    finding,
  });
  return opened.ok;
}

function allowDrift(
  ports: DriftPorts,
  policy: ResponsePolicy,
  {
    where,
    isGap,
    target,
    drift,
    ...one
  }: Pick<BudgetQuestion, "mode" | "namespace" | "workload" | "begun"> &
    Pick<FoundDrift, "target" | "drift" | "isGap"> & { readonly where: string },
): Allowance {
  const nowMs = ports.now();
  const others = ports.remediationsIn(where);
  const allowance = allow({
    ...one,
    nowMs,
    others,
    policy: policy.name,
    limits: policy.spec.limits,
    // What may be older than we are is never put right without a person.
    isStale: isGap,
    isProtected: ports.settings.protectedNamespaces.includes(one.namespace),
    stopped: ports.stopped(),
  });
  return allowance.mode === "Automatic"
    ? (fightOver(others, target, drift, nowMs) ?? allowance)
    : allowance;
}

/** None for a Secret, nor for what holds a credential elsewhere: the values must not stand in a record. */
function planOf(type: ResourceType, target: Target, drift: readonly Drift[]): Plan | undefined {
  if (type.kind === "Secret" || holdsSecret(drift.map((one) => one.edit))) return undefined;
  const planned = planRollback(
    target,
    type,
    drift.map((one) => one.edit),
    drift.some((one) => one.verdict === "ownerHeals"),
  );
  const actions = [planned.action];
  return { digest: planDigest(target, actions), actions, residualAllows: [], notes: planned.notes };
}

/** False once the difference was put right: if it is there again, that is a new one. */
export const answers = (remediation: Remediation): boolean =>
  !["Applied", "Realised", "Verified", "Unverifiable", "TargetGone"].includes(
    remediation.status.state,
  );

/** With the object; what has no namespace is kept with the installation. */
export const recordNamespace = (target: Target, ports: DriftPorts): string =>
  target.namespace === "" ? ports.settings.namespace : target.namespace;
