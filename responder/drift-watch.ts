// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { planRollback } from "#responder/actions/rollback";
import { allow } from "#responder/budget";
import type { Cluster, ResourceType } from "#responder/cluster";
import { fieldManager, fromKey, nameOf, uidOf } from "#responder/cluster";
import {
  type Drift,
  findDrift,
  firstBaseline,
  isComposed,
  nextBaseline,
  type Trust,
} from "#responder/drift";
import { type DriftException, isExcepted } from "#responder/drift-exception";
import { pathText } from "#responder/edit";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";
import type { Metrics } from "#responder/metrics";
import { type Plan, planDigest, type Target } from "#responder/plan";
import { isFinal, type Remediation } from "#responder/remediation";
import { nextName, openRemediation, type RecordPorts } from "#responder/remediation-store";
import { matchesDrift, type ResponsePolicy } from "#responder/response-policy";
import { workloadOf } from "#responder/target";
import { makeWatcher, type Change, type Watcher } from "#responder/watcher";
import { makeWorkQueue, type WorkQueue } from "#responder/work-queue";

export type DriftPorts = RecordPorts & {
  readonly cluster: Cluster;
  readonly policies: () => readonly ResponsePolicy[];
  readonly exceptions: (namespace: string) => readonly DriftException[];
  readonly stopped: () => boolean;
  readonly metrics: Metrics;
  readonly onFailure: (message: string) => void;
  readonly settings: {
    readonly namespace: string;
    readonly protectedNamespaces: readonly string[];
    readonly trustedManagers: readonly string[];
  };
};

/** Label of every object that Crossplane composed. */
const compositeLabel = "crossplane.io/composite";

/** Managers whose writes move the baseline; each ends in `/` or is the whole name. Chosen by clients: a hint, and configurable. */
const trustedManagers = [
  "apiextensions.crossplane.io/",
  "crossplane",
  "kube-controller-manager",
  "kube-scheduler",
  "kube-apiserver",
  "kubelet",
  fieldManager,
];

/** A change settles so long before it is looked at: owners put their own fields back within this. */
const debounceMs = 250;
/** An owner that has not put its field back after this will not: then a person is asked (field: reverts take 30-300 ms). */
const healMs = 10_000;
const concurrency = 4;

type Tracked = {
  readonly baseline: JsonObject;
  readonly before: JsonObject | undefined;
  /** When the present difference was first seen. */
  readonly sinceMs: number;
  /** Found by a list: what differs may be older than we are. */
  readonly isGap: boolean;
};

/** Watches composed objects of one type and opens a Remediation for what changed out of band and stays. */
export function watchDrift(
  type: ResourceType,
  ports: DriftPorts,
): { readonly watcher: Watcher; readonly work: WorkQueue } {
  const trust = makeTrust(ports.settings.trustedManagers);
  const tracked = new Map<string, Tracked>();
  const heals = ports.metrics.counter(
    "parapet_drift_owner_heals_total",
    "Out-of-band changes that their owner puts back.",
  );
  const work: WorkQueue = makeWorkQueue({
    concurrency,
    handle: async (key) => {
      const again = await examine(type, key, tracked.get(key), trust, ports);
      return again === undefined ? undefined : { inMs: again };
    },
    onError: (key, error) =>
      ports.onFailure(
        `drift of ${type.kind} ${key}: ${error instanceof Error ? error.message : ""}`,
      ),
  });
  const watcher = makeWatcher({
    cluster: ports.cluster,
    type,
    labelSelector: compositeLabel,
    onFailure: ports.onFailure,
    onChange: (change) => {
      const next = track(tracked.get(change.key), change, trust, ports.now());
      if (next === undefined) {
        tracked.delete(change.key);
        return;
      }
      tracked.set(change.key, next.tracked);
      if (next.drift.some((one) => one.verdict === "ownerHeals")) heals.add({ kind: type.kind });
      if (next.drift.length > 0) work.add(change.key, debounceMs);
    },
  });
  return { watcher, work };
}

export function makeTrust(more: readonly string[]): Trust {
  const all = [...trustedManagers, ...more];
  return (manager) =>
    all.some((one) => manager === one || (one.endsWith("/") && manager.startsWith(one)));
}

/** Takes one change in: the baseline it leaves, and what differs from it. undefined when there is nothing to keep. */
export function track(
  known: Tracked | undefined,
  change: Change,
  trust: Trust,
  nowMs: number,
): { readonly tracked: Tracked; readonly drift: readonly Drift[] } | undefined {
  const { before, after } = change;
  if (after === undefined || !isComposed(after, trust)) return undefined;
  const isNew = known === undefined || before === undefined;
  // After a gap versions were missed, so who wrote what between is not known: only what trusted managers hold is trusted.
  const baseline =
    isNew || change.seen === "gap"
      ? firstBaseline(after, trust)
      : nextBaseline(known.baseline, before, after, trust);
  const drift = findDrift(baseline, after, before, trust);
  const sinceMs = drift.length === 0 || isNew ? nowMs : known.sinceMs;
  const started = drift.length > 0 && !isNew && known.before === undefined ? nowMs : sinceMs;
  return {
    tracked: {
      baseline,
      before: drift.length === 0 ? undefined : (known?.before ?? before),
      sinceMs: started,
      isGap: isNew ? true : known.isGap && drift.length > 0,
    },
    drift,
  };
}

/** Reads the object anew and opens a remediation for what still differs. Answers when to look again. */
async function examine(
  type: ResourceType,
  key: string,
  known: Tracked | undefined,
  trust: Trust,
  ports: DriftPorts,
): Promise<number | undefined> {
  if (known === undefined) return undefined;
  const live = await ports.cluster.get(type, fromKey(key));
  if (!live.ok) return live.code === "NotFound" ? undefined : healMs;
  const target = targetOf(type, live.value);
  const nowMs = ports.now();
  const open = findDrift(known.baseline, live.value, known.before, trust).filter(
    (one) =>
      !isExcepted(ports.exceptions(target.namespace), target, one.edit.path, nowMs) &&
      !isCovered(ports.remediationsIn(recordNamespace(target, ports)), target, one),
  );
  const waitMs = known.sinceMs + healMs - nowMs;
  const due = open.filter((one) => one.verdict === "gap" || waitMs <= 0);
  for (const policy of due.length === 0 ? [] : ports.policies()) {
    const answered = await propose(type, target, live.value, due, known, policy, ports);
    if (!answered) return healMs;
  }
  return open.length > due.length ? Math.max(1, waitMs) : undefined;
}

/** One that is being handled, or that a person decided on already. What was put right and came back is a new one. */
function isCovered(remediations: readonly Remediation[], target: Target, drift: Drift): boolean {
  const wanted = canonical([drift.edit.path, drift.edit.from ?? null]);
  return remediations.some((one) => {
    if (one.target.uid !== target.uid) return false;
    if (!answers(one)) return false;
    const edits = (one.plan?.actions ?? []).flatMap((action) =>
      action.changes.flatMap((change) => (change.kind === "edit" ? change.edits : [])),
    );
    if (edits.length === 0) return !isFinal(one.status.state);
    return edits.some((edit) => canonical([edit.path, edit.from ?? null]) === wanted);
  });
}

/** False once the difference was put right: if it is there again, that is a new one. */
const answers = (remediation: Remediation): boolean =>
  !["Applied", "Realised", "Verified", "Unverifiable", "TargetGone"].includes(
    remediation.status.state,
  );

const targetOf = (type: ResourceType, object: JsonObject): Target => ({
  apiVersion: type.apiVersion,
  kind: type.kind,
  ...nameOf(object),
  uid: uidOf(object),
});

const recordNamespace = (target: Target, ports: DriftPorts): string =>
  target.namespace === "" ? ports.settings.namespace : target.namespace;

/** false when the API server did not answer. */
async function propose(
  type: ResourceType,
  target: Target,
  object: JsonObject,
  drift: readonly Drift[],
  known: Tracked,
  policy: ResponsePolicy,
  ports: DriftPorts,
): Promise<boolean> {
  const managers = [...new Set(drift.map((one) => one.manager))].filter((one) => one !== "");
  const paths = drift.map((one) => pathText(one.edit.path));
  const { kind, namespace, name } = target;
  const view = { kind, namespace, name, paths, managers };
  if (!matchesDrift(policy, kind, view).matches) return true;
  const allowance = allow({
    mode: policy.mode,
    policy: policy.name,
    namespace,
    workload: workloadOf(object),
    limits: policy.spec.limits,
    others: ports.remediationsIn(recordNamespace(target, ports)),
    // What may be older than we are is never put right without a person.
    isStale: known.isGap,
    isProtected: ports.settings.protectedNamespaces.includes(namespace),
    stopped: ports.stopped(),
  });
  const plan = planOf(type, target, drift);
  const finding = sha256(canonical([policy.name, target.uid, drift.map((one) => one.edit)])).slice(
    0,
    32,
  );
  const free = await nextName(ports, recordNamespace(target, ports), finding, {
    prefix: name,
    answers,
  });
  if (!free.ok) return false;
  if (free.value === undefined) return true;
  const notHealed = drift.some((one) => one.verdict === "ownerHeals");
  const opened = await openRemediation(ports, {
    name: { namespace: recordNamespace(target, ports), name: free.value },
    target,
    workload: workloadOf(object),
    cause: {
      source: "Drift",
      rule: notHealed ? "Owned field not healed" : "Out-of-band change",
      priority: "Warning",
      fingerprint: finding,
      actor: managers.join(", ").slice(0, 256),
      message: `${paths.join(", ")} ${paths.length === 1 ? "differs" : "differ"} from what Crossplane composed; field manager ${managers.join(", ") || "unknown"} (a hint)`,
    },
    policy: policy.name,
    mode: plan === undefined ? "Observe" : allowance.mode,
    plan,
    // Put right for good.
    ttlMs: 0,
    seenAtMs: ports.now(),
    decideBeforeMs: ports.now() + policy.spec.proposalTtl,
    notes: allowance.reason,
    finding,
  });
  return opened.ok;
}

/** None for a Secret: its values must not stand in a record. */
function planOf(type: ResourceType, target: Target, drift: readonly Drift[]): Plan | undefined {
  if (type.kind === "Secret") return undefined;
  const planned = planRollback(
    target,
    type,
    drift.map((one) => one.edit),
  );
  const actions = [planned.action];
  return { digest: planDigest(target, actions), actions, residualAllows: [], notes: planned.notes };
}
