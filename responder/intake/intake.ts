// SPDX-License-Identifier: Apache-2.0
import type { ReadAlert } from "#responder/intake/alert";
import { priorities, readAlerts } from "#responder/intake/alert";
import type { StoredAlert } from "#responder/intake/alert-queue";
import { fingerprint } from "#responder/finding";
import { type KeepPorts, makeKeep } from "#responder/intake/keep";

export type Accepted =
  | { readonly status: 202; readonly accepted: number; readonly refused: number }
  | { readonly status: 400; readonly problems: readonly string[] }
  /** Neither queue nor disk took it: the sender's copy is the only one. */
  | { readonly status: 503 };

export type IntakePorts = KeepPorts & {
  /** Fields that a relay writes over; no part of an alert's identity. */
  readonly relayed?: ReadonlySet<string>;
};

export type Intake = {
  /** Resolves when the alerts of the body are durable, or refused. Never rejects. */
  readonly accept: (body: Uint8Array, sender: string) => Promise<Accepted>;
  /** Moves what is spooled into the queue, once it takes alerts again. */
  readonly drain: () => Promise<void>;
};

export function makeIntake(ports: IntakePorts): Intake {
  const { metrics } = ports;
  const received = metrics.counter(
    "parapet_alerts_received_total",
    "Alerts accepted, by priority.",
    priorities.map((priority) => ({ priority })),
  );
  const refused = metrics.counter(
    "parapet_alerts_refused_total",
    "Alerts (of bodies that cannot be read: bodies) that were not accepted, by reason.",
    refusals.map((reason) => ({ reason })),
  );
  const { keep, drain } = makeKeep(ports, refused);
  return {
    accept: async (body, sender) => {
      const nowMs = ports.now();
      const read = readAlerts(body);
      if (read.alerts.length === 0) {
        refused.add({ reason: "unreadable" });
        return { status: 400, problems: read.problems };
      }
      const stored = read.alerts.map((one) => store(one, sender, nowMs, ports.relayed));
      if (!(await keep(stored))) return { status: 503 };
      for (const one of stored) received.add({ priority: one.priority });
      if (read.problems.length > 0) refused.add({ reason: "unreadable" }, read.problems.length);
      return { status: 202, accepted: stored.length, refused: read.problems.length };
    },
    drain,
  };
}

/** Why alerts are not accepted. */
const refusals = ["spool failed", "spool nearly full", "unreadable"] as const;

const store = (
  read: ReadAlert,
  sender: string,
  nowMs: number,
  relayed: ReadonlySet<string> | undefined,
): StoredAlert => ({
  fingerprint: fingerprint(read.alert, nowMs, relayed),
  receivedAtMs: nowMs,
  sender,
  priority: read.alert.priority,
  text: read.text,
  ...(read.bytes === undefined ? {} : { bytes: Buffer.from(read.bytes).toString("base64") }),
});
