// SPDX-License-Identifier: Apache-2.0
import type { AlertQueue } from "#responder/intake/alert-queue";
import type { AuditFile } from "#responder/adapters/audit-file";
import type { Spool } from "#responder/adapters/spool";
import { type Beginnings, type IsThere, makeBeginnings } from "#responder/beginnings";
import {
  type ApprovalCache,
  makeApprovalCache,
  makeRemediationCache,
  type RemediationCache,
} from "#responder/caches";
import type { Cluster } from "#responder/cluster";
import { keyOf, types } from "#responder/cluster";
import type { Config } from "#responder/config/config";
import { type Counter, makeCounter } from "#responder/counts";
import { type Intake, makeIntake } from "#responder/intake/intake";
import { makeLocks } from "#responder/locks";
import { type EffectPorts, noEffects } from "#responder/effects";
import type { Writers } from "#responder/drift/audit";
import { startWatchingDrift } from "#responder/drift/start";
import { type Log, quieten } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import { makePolicies, type Policies } from "#responder/policies";
import { holding } from "#responder/perform";
import { Rechecker } from "#responder/isolation/rechecker";
import { makeReconcile, type ReconcilePorts } from "#responder/reconcile";
import { type KnownVersions, makeKnown } from "#responder/known";
import { isFinal } from "#responder/remediation";
import { makeReads, type Reads } from "#responder/reads";
import { makePlanners } from "#responder/follow-up";
import { makeHandler } from "#responder/handle-alert";
import { appliedMetric, gauges, startTimers } from "#responder/upkeep";
import { startVerification, type Verification } from "#responder/verification/start";
import { startRetention } from "#responder/record/retention";
import { makeStop, type Stop } from "#responder/stop";
import type { Observer } from "#responder/tracing";
import { startValueLooks } from "#responder/value-looks";
import { makeTellers } from "#responder/notify/tellers";
import type { Change, Watcher } from "#responder/watcher";
import { startWatchers } from "#responder/watchers";
import { makeWorkQueue, type WorkQueue } from "#responder/work-queue";

export type ResponderPorts = {
  readonly cluster: Cluster;
  readonly queue: AlertQueue;
  readonly spool: Spool;
  readonly audit: AuditFile;
  /** Undefined: no destination is configured and evidence is kept nowhere, which the action then says. */
  readonly effects?: Pick<EffectPorts, "evidence" | "send">;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now: () => number;
  /** Told of the stages of an alert's way, for traces. */
  readonly observer?: Observer | undefined;
  /** Counts what has begun over all replicas; undefined where there is one. */
  readonly openBeginnings?: ((isThere: IsThere) => Beginnings) | undefined;
};

/** The service behind its doors: no listener, no file, no configuration of its own. */
export type Responder = {
  readonly intake: Intake;
  readonly remediations: RemediationCache;
  /** Calls back after every change of a Remediation; returns the end of it. */
  readonly subscribe: (onChange: () => void) => () => void;
  readonly ready: () => {
    readonly intake: boolean;
    readonly acting: boolean;
    /** What is known of the cluster's network: whether isolations have an effect. */
    readonly network: string;
  };
  /** Who wrote what, as the API server's audit webhook tells. */
  readonly writers: Writers;
  /** Whether the global stop is on. */
  readonly stopped: () => boolean;
  /** Resolves when the entry is on the disk. */
  readonly audit: AuditFile["append"];
  /** Resolves when policies and records are known and alerts are worked on. */
  readonly acting: Promise<void>;
  readonly stop: () => Promise<void>;
};

const complaintMs = 30_000;

/** Starts watching and acting; the doors are opened by whoever calls. Never rejects: an API server that is away is waited for. */
export function startResponder(config: Config, ports: ResponderPorts): Responder {
  const { cluster, queue, log, now } = ports;
  const quiet = quieten(log, complaintMs, now);
  const listeners = new Set<() => void>();
  const resync = (): void => wakeOpen(remediations, work);
  const stop = makeStop({ ...ports, namespace: config.namespace, onLifted: resync });
  const remediations = makeRemediationCache((key, why) =>
    quiet("error", "a Remediation cannot be read", { remediation: key, why }),
  );
  const approvals = makeApprovalCache();
  const policies = makePolicies(ports, config.notify.destinations);
  const quietly = { ...ports, log: quiet };
  const tellers = makeTellers(config, quietly, { remediations, policies });
  const known = makeKnown();
  const reads = makeReads(cluster, now, config.isolation.istioRootNamespace);
  const engine = makeEngine(config, ports, quiet, { approvals, remediations, known, stop, reads });
  const { work, counter, verification, rechecker, looks } = engine;
  const watchers = startWatchers(cluster, quiet, {
    policies: policies.change,
    approvals: (change) => approvals.change(change).forEach((key) => work.add(key)),
    remediations: (change) => {
      remediations.change(change);
      toWorker(change, known, work);
      tellers.look(change.key);
      rechecker.change(change.key, remediations.get(change.key));
      for (const tell of listeners) tell();
    },
  });
  const intake = intakeOf(config, ports);
  const areSynced = (): boolean => watchers.every((watcher) => watcher.isSynced());
  const recordPorts = makeRecordPorts(ports, remediations, policies, stop, work);
  const { drift, managed, writers } = startWatchingDrift(config, quietly, recordPorts);
  const handle = makeHandler(ports, quiet, {
    ...recordPorts,
    managed: managed.lookUp,
    ...reads,
    count: counter.count,
    networkNotes: verification.notes,
    settings: { ...config, alertAgeMsMax: config.alertAgeMax },
  });
  const acting = Promise.all(watchers.map((watcher) => watcher.synced)).then(() => {
    if (!stopping) queue.start(handle);
    log("info", "acting", { policies: policies.all().length });
  });
  let stopping = false;
  const isBehind = (): boolean => !areSynced();
  const tidied = { ...ports, audit: ports.audit.append, remediations, approvals, isBehind };
  const timers = [...startTimers(intake, stop, resync), startRetention(tidied, config.retention)];
  gauges(ports, remediations, stop);
  return {
    intake,
    remediations,
    writers,
    subscribe: makeSubscribe(listeners),
    ready: () => ({ intake: !stopping, acting: areSynced(), network: verification.text() }),
    acting,
    stopped: () => stop.on,
    audit: ports.audit.append,
    stop: async () => {
      stopping = true;
      for (const timer of timers) clearInterval(timer);
      counter.stop();
      // Whatever starts something new ends before that which does it.
      const parts = [tellers, drift, managed, rechecker, looks, work, verification];
      for (const part of parts) await part.stop();
      await queue.close();
      await closePorts(ports, watchers, recordPorts.beginnings);
    },
  };
}

const intakeOf = ({ spoolBytesMax, intake }: Config, ports: ResponderPorts): Intake =>
  makeIntake({ ...ports, spoolBytesMax, relayed: new Set(intake.relayFields) });

function wakeOpen(remediations: RemediationCache, work: WorkQueue): void {
  for (const one of remediations.all()) if (!isFinal(one.status.state)) work.add(keyOf(one.name));
}

const makeSubscribe =
  (listeners: Set<() => void>): Responder["subscribe"] =>
  (onChange) => {
    listeners.add(onChange);
    return () => listeners.delete(onChange);
  };

/** The echo of what this process wrote itself is no news to its worker. */
function toWorker({ key, after }: Change, known: KnownVersions, work: WorkQueue): void {
  if (after === undefined) known.forget(key);
  else if (known.isNews(key, after)) work.add(key);
}

const makeRecordPorts = (
  ports: ResponderPorts,
  remediations: RemediationCache,
  policies: Policies,
  stop: { readonly on: boolean },
  work: WorkQueue,
) => ({
  cluster: ports.cluster,
  policies: policies.all,
  stopped: () => stop.on,
  knownOf: remediations.ofFinding,
  remediationsIn: remediations.inNamespace,
  remediationsEverywhere: remediations.all,
  locks: makeLocks(),
  beginnings:
    ports.openBeginnings?.(async (name) => {
      if (remediations.get(keyOf(name)) !== undefined) return true;
      const live = await ports.cluster.get(types.remediation, name);
      return live.ok || live.code !== "NotFound";
    }) ?? makeBeginnings(ports.now),
  audit: ports.audit.append,
  wake: work.add,
  now: ports.now,
});

async function closePorts(
  ports: ResponderPorts,
  watchers: readonly Watcher[],
  beginnings: Beginnings,
): Promise<void> {
  beginnings.close();
  await Promise.all(watchers.map((watcher) => watcher.stop()));
  await ports.spool.close();
  await ports.audit.close();
  ports.cluster.close();
}

/** What acts on remediations: the work queue and the counter that feeds it. */
function makeEngine(
  config: Config,
  ports: ResponderPorts,
  quiet: Log,
  on: {
    readonly approvals: ApprovalCache;
    readonly remediations: RemediationCache;
    readonly known: KnownVersions;
    readonly reads: Reads;
    readonly stop: Stop;
  },
): {
  readonly work: WorkQueue;
  readonly counter: Counter;
  readonly verification: Verification;
  readonly rechecker: Rechecker;
  readonly looks: ReturnType<typeof startValueLooks>;
} {
  const identity = config.identity ?? "parapet";
  const verification = startVerification({ ...ports, settings: config.verification, identity });
  const work: WorkQueue = makeWorkQueue({
    concurrency: config.actConcurrency,
    handle: (key) => reconcile(key),
    onError: (key, error) =>
      quiet("error", "a remediation cannot go on", { remediation: key, error: textOf(error) }),
  });
  const counter = makeCounter(work.add);
  const acting: ReconcilePorts = {
    cluster: ports.cluster,
    known: on.known,
    ...on.reads,
    approvals: on.approvals.inNamespace,
    remediations: on.remediations.all,
    counts: counter,
    audit: ports.audit.append,
    effects: { cluster: ports.cluster, now: ports.now, ...(ports.effects ?? noEffects) },
    verification: verification.ports,
    stopped: () => on.stop.on,
    lookForStop: on.stop.look,
    protectedNamespaces: config.protectedNamespaces,
    now: ports.now,
    busy: new Set(),
    settings: {
      namespace: config.namespace,
      identity,
      settleMs: config.settle,
      ...config.isolation,
    },
    onApplied: appliedMetric(ports.metrics),
  };
  const anew = { ...acting, ...on.reads, wake: work.add, networkNotes: verification.notes };
  const reconcile = makeReconcile({ ...acting, ...makePlanners(anew) });
  const looking = {
    ...acting,
    remediations: on.remediations.all,
    hold: (remediation, task) => holding(acting, remediation, task),
    wake: work.add,
    metrics: ports.metrics,
    log: quiet,
  } satisfies ConstructorParameters<typeof Rechecker>[0] & Parameters<typeof startValueLooks>[0];
  const rechecker = new Rechecker(looking);
  const looks = startValueLooks(looking);
  return { work, counter, verification, rechecker, looks };
}

const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : "failed";
