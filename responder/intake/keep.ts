// SPDX-License-Identifier: Apache-2.0
import type { Spool } from "#responder/adapters/spool";
import { priorities, type Priority } from "#responder/intake/alert";
import type { AlertQueue, StoredAlert } from "#responder/intake/alert-queue";
import { type Log, quieten } from "#responder/log";
import type { Counter, Metrics } from "#responder/metrics";
import type { Observer } from "#responder/tracing";

export type KeepPorts = {
  readonly queue: AlertQueue;
  readonly spool: Spool;
  readonly spoolBytesMax: number;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now: () => number;
  readonly observer?: Pick<Observer, "kept"> | undefined;
};

export type Keep = {
  /** Whether all of them are durable; what is not is counted. Never rejects. */
  readonly keep: (alerts: readonly StoredAlert[]) => Promise<boolean>;
  /** Moves what is spooled into the queue, once it takes alerts again. Never rejects. */
  readonly drain: () => Promise<void>;
};

/** After a failed write the queue is left alone for this long, before the spool is tried on it again. */
const restMs = 1_000;
const complaintMs = 10_000;

/** Fill of the spool from which alerts of a priority are no longer taken: the least urgent go first. */
const shedFrom: Readonly<Record<Priority, number>> = {
  Emergency: 1,
  Alert: 1,
  Critical: 1,
  Error: 0.98,
  Warning: 0.95,
  Notice: 0.9,
  Informational: 0.8,
  Debug: 0.8,
  Unknown: 0.95,
};

/** Keeps alerts in the queue, or on the disk while the queue is away; sheds the least urgent first when the disk fills. */
export function makeKeep(ports: KeepPorts, refused: Counter): Keep {
  const { spooled, shedding } = counters(ports.metrics);
  // The first of a storm of the same complaints: they would fill the disk that the spool needs.
  const complain = quieten(ports.log, complaintMs, ports.now);
  // While the queue is away every alert goes to the disk at once: nobody waits for a queue that hangs, and the order of
  // arrival is the order in which the spool is drained.
  let away = !ports.spool.isEmpty();
  let tryAtMs = 0;

  const toQueue = async (alerts: readonly StoredAlert[]): Promise<boolean> => {
    const startMs = ports.now();
    try {
      await ports.queue.add(alerts);
      ports.observer?.kept(alerts, "queue", startMs);
      return true;
    } catch (error) {
      if (!away) ports.log("warn", "the queue is away, alerts go to the spool", told(error));
      away = true;
      tryAtMs = ports.now() + restMs;
      return false;
    }
  };
  const toSpool = async (alerts: readonly StoredAlert[]): Promise<boolean> => {
    const startMs = ports.now();
    try {
      await ports.spool.append(alerts);
      ports.observer?.kept(alerts, "spool", startMs);
      spooled.add({}, alerts.length);
      return true;
    } catch (error) {
      complain("error", "the spool takes nothing", told(error));
      return false;
    }
  };
  /** Whether all of them are durable; what is not is counted. */
  const keep = async (alerts: readonly StoredAlert[]): Promise<boolean> => {
    const waited = away;
    if (!waited && (await toQueue(alerts))) return true;
    const fill = ports.spool.bytes() / ports.spoolBytesMax;
    const kept = alerts.filter((alert) => fill < shedFrom[toPriority(alert.priority)]);
    if (kept.length === alerts.length && (await toSpool(alerts))) return true;
    // What the disk does not take may still find the queue there, out of its turn.
    if (waited && ports.now() >= tryAtMs && (await toQueue(alerts))) return true;
    const shed = alerts.filter((alert) => !kept.includes(alert));
    for (const { priority } of shed) {
      refused.add({ reason: "spool nearly full" });
      shedding.add({ priority });
    }
    // With some shed the others are kept all the same: the sender does not send again.
    if (shed.length > 0 && kept.length > 0 && (await toSpool(kept))) return false;
    if (kept.length > 0) refused.add({ reason: "spool failed" }, kept.length);
    complain("error", "alerts are lost", { alerts: alerts.length });
    return false;
  };
  return {
    keep,
    drain: async () => {
      if ((!away && ports.spool.isEmpty()) || ports.now() < tryAtMs) return;
      try {
        const count = await ports.spool.drain(handOn(ports));
        if (count > 0) ports.log("info", "the spool was drained", { alerts: count });
        // What came meanwhile stays in its turn.
        away = !ports.spool.isEmpty();
      } catch (error) {
        tryAtMs = ports.now() + restMs;
        complain("warn", "the spool waits for the queue", told(error));
      }
    },
  };
}

const handOn =
  (ports: KeepPorts) =>
  async (alerts: readonly StoredAlert[]): Promise<void> => {
    const startMs = ports.now();
    await ports.queue.add(alerts);
    ports.observer?.kept(alerts, "drained", startMs);
  };

const counters = (metrics: Metrics) => ({
  spooled: metrics.counter(
    "parapet_alerts_spooled_total",
    "Alerts that went to the disk because the queue was away.",
  ),
  shedding: metrics.counter(
    "parapet_alerts_shed_total",
    "Alerts that were not taken because the spool was nearly full, by priority.",
    priorities.map((priority) => ({ priority })),
  ),
});

const toPriority = (name: string): Priority =>
  priorities.find((priority) => priority === name) ?? "Unknown";

const told = (error: unknown): { readonly error: string } => ({
  error: error instanceof Error ? error.message : "failed",
});
