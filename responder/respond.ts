// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Alert } from "#responder/intake/alert";
import { readAlerts } from "#responder/intake/alert";
import type { StoredAlert } from "#responder/intake/alert-queue";
import { Hopeless } from "#responder/intake/alert-queue";
import { allowAndBegin, type Ask } from "#responder/beginnings";
import { allow, type Allowance } from "#responder/budget";
import type { Cluster, Reply } from "#responder/cluster";
import { keyOf } from "#responder/cluster";
import { actorOf } from "#responder/cloud/external-names-clue";
import { planManaged } from "#responder/cloud/external-names-plan";
import { sha256 } from "#responder/finding";
import { mask } from "#responder/mask";
import { checkGuard } from "#responder/guard";
import { approversOf, changesOf, isIsolation } from "#responder/plan";
import type { ReadNetwork } from "#responder/isolation/network-view";
import { type PlanInput, type PlannedResponse, planResponse } from "#responder/plan-response";
import { NotNow } from "#responder/not-now";
import { protectionOf } from "#responder/protection";
import type { Remediation } from "#responder/remediation";
import type { RecordPorts } from "#responder/record/remediation-store";
import { findOpen, openRemediation } from "#responder/record/remediation-store";
import type { ResponsePolicy } from "#responder/response-policy";
import { modeIn, preselects, whenHolds } from "#responder/response-policy";
import { readSurroundings } from "#responder/surroundings";
import { type ManagedLookUp, resolveTarget, type Resolved, workloadOf } from "#responder/target";

export type RespondPorts = RecordPorts & {
  readonly policies: () => readonly ResponsePolicy[];
  /** By `namespace/name`. */
  readonly getPod: (key: string) => Promise<Reply<JsonObject>>;
  /** The same, not older than an instant. */
  readonly getPodNow?: (key: string) => Promise<Reply<JsonObject>>;
  readonly getNamespace: (name: string) => Promise<Reply<JsonObject>>;
  /** What decides about the traffic of a namespace's pods. */
  readonly network: ReadNetwork;
  /** Whether the server would take an object; undefined: nobody may ask it. */
  readonly dryRun?: PlanInput["dryRun"];
  /** What an approver of an isolation must know of the cluster's network. */
  readonly networkNotes?: () => readonly string[];
  /** Adds an alert to the count of a remediation; resolves when it is written. */
  readonly count: (key: string, fingerprint: string, atMs: number) => Promise<void>;
  /** All that are known; needed where a policy limits how many are in force in the cluster. */
  readonly remediationsEverywhere?: () => readonly Remediation[];
  /** Where planning reads, if not the cluster that records are written to. */
  readonly around?: Pick<Cluster, "get" | "list">;
  /** Undefined where no managed resources are watched. */
  readonly managed?: ManagedLookUp | undefined;
  readonly stopped: () => boolean;
  /** Told of a plan that was made, for traces. */
  readonly planned?: (stored: StoredAlert, policy: string, startMs: number) => void;
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
    const resolved = await resolve(ports, alert);
    if (!resolved.ok) throw new NotNow(resolved);
    const cluster = ports.around ?? ports.cluster;
    const around = await readSurroundings({ ...ports, cluster }, chosen, resolved.value);
    if (!around.ok) throw new NotNow(around);
    const responses: Response[] = [];
    for (const policy of chosen) {
      const match = whenHolds(policy, alert, around.value);
      responses.push(
        match.matches
          ? await respondTo(ports, policy, alert, stored, resolved.value)
          : { policy: policy.name, outcome: "notMatched", remediation: "", why: match.why },
      );
    }
    return responses;
  };

/** A pod that does not fit may be one that was read before its successor came: then it is read anew. */
async function resolve(ports: RespondPorts, alert: Alert): Promise<Reply<Resolved>> {
  const first = await resolveTarget(ports.getPod, alert, ports.managed);
  return first.ok && first.value.kind === "unresolved" && ports.getPodNow !== undefined
    ? resolveTarget(ports.getPodNow, alert, ports.managed)
    : first;
}

/** Read from its text: the bytes are evidence only, and of a whole batch. */
const toStoredAlert = (stored: StoredAlert): Alert | undefined =>
  readAlerts(Buffer.from(stored.text, "utf8")).alerts[0]?.alert;

/** Target and cause as one short key: what is one remediation. */
export function findingOf(policy: string, rule: string, resolved: Resolved): string {
  const where = resolved.kind === "unresolved" ? resolved.about : resolved.target.uid;
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
  const namespace = recordNamespace(ports, resolved);
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
  const namespace = recordNamespace(ports, resolved);
  const startMs = ports.now();
  const planned = await planFor(ports, policy, resolved, name);
  ports.planned?.(stored, policy.name, startMs);
  const allowance = await modeFor(ports, policy, alert, resolved, namespace, planned, name);
  // Without a plan only its absence needs a reason: what would have been allowed was never asked for.
  const reasons =
    planned.plan === undefined && planned.reason !== ""
      ? [planned.reason]
      : [allowance.reason, planned.reason];
  const notes = reasons.filter((one) => one !== "").join("; ");
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
      actor: actorOf(alert),
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

/** With its target, where that has a namespace: who may approve there decides. What nothing was found for is kept apart. */
const recordNamespace = (ports: RespondPorts, resolved: Resolved): string =>
  resolved.kind === "unresolved" || resolved.target.namespace === ""
    ? ports.settings.namespace
    : resolved.target.namespace;

async function modeFor(
  ports: RespondPorts,
  policy: ResponsePolicy,
  alert: Alert,
  resolved: Resolved,
  namespace: string,
  planned: Awaited<ReturnType<typeof planFor>>,
  name: string,
): Promise<Allowance> {
  const mode = modeIn(policy, namespace, alert.rule);
  const protection = mode === "Observe" ? "" : await protectedBy(ports, resolved);
  const ageMs =
    alert.timeNs === undefined ? Infinity : ports.now() - Number(alert.timeNs / 1_000_000n);
  const isCounted = policy.spec.limits.perCluster !== undefined;
  const workload = resolved.kind === "pod" ? workloadOf(resolved.pod) : "";
  const ask: Ask = (begun) => {
    const everywhere = isCounted ? ports.remediationsEverywhere?.() : undefined;
    return allow({
      mode,
      policy: policy.name,
      namespace,
      workload,
      limits: policy.spec.limits,
      others: ports.remediationsIn(namespace),
      begun,
      ...(everywhere === undefined ? {} : { everywhere }),
      isStale: ageMs > ports.settings.alertAgeMsMax,
      isProtected: protection !== "",
      protectedBy: protection,
      approvers: approversOf(planned.plan),
      tooFewReady: planned.tooFewReady,
      nowMs: ports.now(),
      stopped: ports.stopped(),
    });
  };
  if (planned.plan === undefined) return ask([]);
  const one = { policy: policy.name, name: { namespace, name }, workload };
  const allowance = await allowAndBegin(ports.beginnings, one, ask);
  if (!allowance.ok) throw new NotNow(allowance);
  return allowance.value;
}

async function protectedBy(ports: RespondPorts, resolved: Resolved): Promise<string> {
  if (resolved.kind === "unresolved") return "";
  const object = resolved.kind === "pod" ? resolved.pod : resolved.object;
  const { getNamespace, settings } = ports;
  const { protectedNamespaces } = settings;
  const known = { getNamespace, protectedNamespaces };
  const protection = await protectionOf(object, resolved.target.namespace, known);
  if (!protection.ok) throw new NotNow(protection);
  return protection.value;
}

/** The plan, and why it would leave too few ready pods if it would. */
async function planFor(
  ports: RespondPorts,
  policy: ResponsePolicy,
  resolved: Resolved,
  remediation: string,
): Promise<PlannedResponse & { readonly tooFewReady: string }> {
  if (resolved.kind === "managed") {
    return { ...planManaged({ ...resolved, remediation }, policy.spec), tooFewReady: "" };
  }
  if (resolved.kind === "unresolved") {
    return { plan: undefined, ttlMs: 0, reason: resolved.reason, askFirst: "", tooFewReady: "" };
  }
  const cluster = ports.around ?? ports.cluster;
  const planned = await planResponse(
    {
      target: resolved.target,
      pod: resolved.pod,
      remediation,
      read: cluster.get,
      listIn: async (type, namespace) => {
        const listed = await cluster.list(type, { namespace });
        return listed.ok ? { ok: true, value: listed.value.items } : listed;
      },
      network: ports.network,
      dryRun: ports.dryRun,
      others: ports.remediationsEverywhere?.() ?? [],
    },
    policy.spec,
  );
  if (!planned.ok) throw new NotNow(planned);
  const noted = withNotes(planned.value, ports.networkNotes?.() ?? []);
  for (const change of planned.value.plan === undefined ? [] : changesOf(planned.value.plan)) {
    if (change.kind !== "guard") continue;
    const held = await checkGuard(cluster, change);
    if (!held.ok) return { ...noted, tooFewReady: held.message };
  }
  return { ...noted, tooFewReady: planned.value.askFirst };
}

/** An isolation's plan with what is known of the network, first: a warning must not be missed. */
function withNotes(planned: PlannedResponse, notes: readonly string[]): PlannedResponse {
  const { plan } = planned;
  return plan === undefined || !isIsolation(plan)
    ? planned
    : { ...planned, plan: { ...plan, notes: [...notes, ...plan.notes] } };
}
