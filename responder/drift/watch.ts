// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { ResourceType } from "#responder/cluster";
import { fieldManager, fromKey, nameOf, uidOf, versionOf } from "#responder/cluster";
import {
  type Drift,
  findDrift,
  firstBaseline,
  isComposed,
  nextBaseline,
  type Trust,
} from "#responder/drift/drift";
import { type Attribution, type AuditedWrite, writeKey } from "#responder/drift/audit";
import { isExcepted } from "#responder/drift/exception";
import { impostorRule, isImpostor, reportImpostor } from "#responder/drift/impostor";
import { answers, type DriftPorts, propose, recordNamespace } from "#responder/drift/propose";
import { canonical } from "#responder/exact-json";
import type { Target } from "#responder/plan";
import { isFinal, type Remediation } from "#responder/remediation";
import { makeWatcher, type Change, type Watcher } from "#responder/watcher";
import { makeWorkQueue, type WorkQueue } from "#responder/work-queue";

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
/** While the audit event that tells the author is awaited; it wakes the worker itself when it comes. */
const auditPollMs = 250;

type Tracked = {
  readonly baseline: JsonObject;
  readonly before: JsonObject | undefined;
  /** When the present difference was first seen, and in which version. */
  readonly sinceMs: number;
  readonly version: string;
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
  /** At most one for each object: the first is told, and those after it would say the same. */
  const impostors = new Map<string, AuditedWrite>();
  const typeKey = writeKey(type, { namespace: "", name: "" }).trimEnd();
  const heals = ports.metrics.counter(
    "parapet_drift_owner_heals_total",
    "Out-of-band changes that their owner puts back.",
  );
  const work: WorkQueue = makeWorkQueue({
    concurrency,
    handle: async (key) => {
      const write = impostors.get(key);
      if (write !== undefined) {
        if (!(await reportImpostor(ports, type, key, write))) return { inMs: healMs };
        impostors.delete(key);
      }
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
        impostors.delete(change.key);
        return;
      }
      tracked.set(change.key, next.tracked);
      if (next.drift.some((one) => one.verdict === "ownerHeals")) heals.add({ kind: type.kind });
      if (next.drift.length > 0) work.add(change.key, debounceMs);
    },
  });
  ports.authors.writers.subscribe((write) => {
    const [group, resource, key] = write.key.split(" ");
    if (key === undefined || `${group} ${resource}` !== typeKey) return;
    const isImposed = tracked.has(key) && isImpostor(write, trust, ports.authors.trustedUsers);
    if (isImposed) impostors.set(key, write);
    if (isImposed || tracked.get(key)?.before !== undefined) work.add(key);
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
  const begins = drift.length > 0 && !isNew && known.before === undefined;
  const started = begins ? nowMs : sinceMs;
  return {
    tracked: {
      baseline,
      before: drift.length === 0 ? undefined : (known?.before ?? before),
      sinceMs: started,
      version: isNew || begins ? versionOf(after) : known.version,
      // Told by how the difference came, not the object: what was in order when it was listed and differs now is new.
      isGap: drift.length > 0 && (isNew || begins ? change.seen === "gap" : known.isGap),
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
  const author = authorOf(type, target, known, due, ports);
  if (due.length > 0 && author === "soon") return auditPollMs;
  for (const policy of due.length === 0 ? [] : ports.policies()) {
    const answered = await propose(ports, policy, {
      type,
      target,
      object: live.value,
      drift: due,
      author: author === "soon" ? undefined : author,
      isGap: known.isGap,
    });
    if (!answered) return healMs;
  }
  return open.length > due.length ? Math.max(1, waitMs) : undefined;
}

/** Who made a difference: `soon` while the audit event that tells may still come; undefined when nobody can tell. */
function authorOf(
  type: ResourceType,
  target: Target,
  known: Tracked,
  drift: readonly Drift[],
  { authors, now }: DriftPorts,
): Attribution | "soon" | undefined {
  const found = authors.writers.writerOf({
    key: writeKey(type, target),
    version: known.version,
    managers: drift.map((one) => one.manager),
    sinceMs: known.sinceMs,
  });
  // What was found by a list is older than anything that is still to come.
  const mayCome = !known.isGap && now() < known.sinceMs + authors.waitMs;
  return found ?? (mayCome ? "soon" : undefined);
}

/** One that is being handled, or that a person decided on already. What was put right and came back is a new one. */
function isCovered(remediations: readonly Remediation[], target: Target, drift: Drift): boolean {
  const wanted = canonical([drift.edit.path, drift.edit.from ?? null]);
  return remediations.some((one) => {
    if (one.target.uid !== target.uid || one.cause.rule === impostorRule) return false;
    if (!answers(one)) return false;
    const edits = (one.plan?.actions ?? []).flatMap((action) =>
      action.changes.flatMap((change) => (change.kind === "edit" ? change.edits : [])),
    );
    if (edits.length === 0) return !isFinal(one.status.state);
    return edits.some((edit) => canonical([edit.path, edit.from ?? null]) === wanted);
  });
}

const targetOf = (type: ResourceType, object: JsonObject): Target => ({
  apiVersion: type.apiVersion,
  kind: type.kind,
  ...nameOf(object),
  uid: uidOf(object),
});
