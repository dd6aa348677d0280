// SPDX-License-Identifier: Apache-2.0
import type { Spool } from "#responder/adapters/spool";
import type { Priority, ReadAlert } from "#responder/alert";
import { priorities, readAlerts } from "#responder/alert";
import type { AlertQueue, StoredAlert } from "#responder/alert-queue";
import { fingerprint } from "#responder/finding";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";

export type Accepted =
  | { readonly status: 202; readonly accepted: number; readonly refused: number }
  | { readonly status: 400; readonly problems: readonly string[] }
  /** Neither queue nor disk took it: the sender's copy is the only one. */
  | { readonly status: 503 };

export type IntakePorts = {
  readonly queue: AlertQueue;
  readonly spool: Spool;
  readonly spoolBytesMax: number;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now: () => number;
};

export type Intake = {
  /** Resolves when the alerts of the body are durable, or refused. Never rejects. */
  readonly accept: (body: Uint8Array, sender: string) => Promise<Accepted>;
  /** Moves what is spooled into the queue, once it takes alerts again. */
  readonly drain: () => Promise<void>;
};

/** After a failed write the queue is left alone for this long: alerts go to the disk without waiting for it. */
const restMs = 1_000;

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

export function makeIntake(ports: IntakePorts): Intake {
  const { metrics } = ports;
  const received = metrics.counter(
    "parapet_alerts_received_total",
    "Alerts accepted, by priority.",
  );
  const refused = metrics.counter("parapet_alerts_refused_total", "Alerts refused, by reason.");
  const spooled = metrics.counter("parapet_alerts_spooled_total", "Alerts that went to the disk.");
  let awayUntilMs = 0;

  const keep = async (alerts: readonly StoredAlert[]): Promise<boolean> => {
    if (ports.now() >= awayUntilMs) {
      try {
        await ports.queue.add(alerts);
        return true;
      } catch (error) {
        awayUntilMs = ports.now() + restMs;
        ports.log("warn", "the queue is away, alerts go to the spool", { error: text(error) });
      }
    }
    const fill = ports.spool.bytes() / ports.spoolBytesMax;
    const kept = alerts.filter((alert) => fill < shedFrom[toPriority(alert.priority)]);
    const shed = alerts.length - kept.length;
    if (shed > 0) refused.add({ reason: "spool nearly full" }, shed);
    if (kept.length === 0) return false;
    try {
      await ports.spool.append(kept);
      spooled.add({}, kept.length);
      return shed === 0;
    } catch (error) {
      refused.add({ reason: "spool failed" }, kept.length);
      ports.log("error", "the spool takes nothing, alerts are lost", { error: text(error) });
      return false;
    }
  };

  return {
    accept: async (body, sender) => {
      const nowMs = ports.now();
      const read = readAlerts(body);
      if (read.alerts.length === 0) {
        refused.add({ reason: "unreadable" });
        return { status: 400, problems: read.problems };
      }
      const stored = read.alerts.map((one) => store(one, sender, nowMs));
      if (!(await keep(stored))) return { status: 503 };
      for (const one of stored) received.add({ priority: one.priority });
      if (read.problems.length > 0) refused.add({ reason: "unreadable" }, read.problems.length);
      return { status: 202, accepted: stored.length, refused: read.problems.length };
    },
    drain: async () => {
      if (ports.spool.isEmpty() || ports.now() < awayUntilMs) return;
      try {
        const count = await ports.spool.drain((alerts) => ports.queue.add(alerts));
        if (count > 0) ports.log("info", "the spool is empty again", { alerts: count });
      } catch (error) {
        awayUntilMs = ports.now() + restMs;
        ports.log("warn", "the spool waits for the queue", { error: text(error) });
      }
    },
  };
}

const store = (read: ReadAlert, sender: string, nowMs: number): StoredAlert => ({
  fingerprint: fingerprint(read.alert, nowMs),
  receivedAtMs: nowMs,
  sender,
  priority: read.alert.priority,
  text: read.text,
  ...(read.bytes === undefined ? {} : { bytes: Buffer.from(read.bytes).toString("base64") }),
});

const toPriority = (name: string): Priority =>
  priorities.find((priority) => priority === name) ?? "Unknown";

const text = (error: unknown): string => (error instanceof Error ? error.message : "failed");
