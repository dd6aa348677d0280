// SPDX-License-Identifier: Apache-2.0
import type { AlertQueue } from "#responder/intake/alert-queue";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import { NotNow } from "#responder/not-now";
import { makeRespond, type RespondPorts } from "#responder/respond";
import type { Observer } from "#responder/tracing";

/** Brings each alert of the queue to its outcome and counts what that was; what cannot be done now stays in the queue. */
export function makeHandler(
  ports: {
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly observer?: Observer | undefined;
  },
  log: Log,
  respondPorts: RespondPorts,
): Parameters<AlertQueue["start"]>[0] {
  const { observer } = ports;
  const respond = makeRespond({ ...respondPorts, ...(observer && { planned: observer.planned }) });
  const outcomes = ports.metrics.counter(
    "parapet_alerts_handled_total",
    "Alerts that got their outcome.",
  );
  return async (stored) => {
    const startMs = ports.now();
    try {
      const responses = await respond(stored);
      observer?.decided(stored, startMs, responses);
      if (responses.length === 0) outcomes.add({ outcome: "noPolicy" });
      for (const { outcome } of responses) outcomes.add({ outcome });
    } catch (error) {
      observer?.decided(stored, startMs, undefined);
      if (error instanceof NotNow) log("warn", "an alert waits", { error: error.message });
      else
        log("error", "an alert could not be handled", {
          error: textOf(error),
          fingerprint: stored.fingerprint,
        });
      throw error;
    }
  };
}

const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : "failed";
