// SPDX-License-Identifier: Apache-2.0
import type { RemediationCache } from "#responder/caches";
import type { Intake } from "#responder/intake/intake";
import type { Metrics } from "#responder/metrics";
import { isFinal } from "#responder/remediation";
import type { ResponderPorts } from "#responder/responder";
import type { Stop } from "#responder/stop";

/** How often the spool is tried and the global stop is looked at. */
const tickMs = 500;
/** Every remediation that is not closed is looked at again this often, whatever was missed. */
const resyncMs = 60_000;
/** What happens by the clock: the spool is drained, the global stop looked at, everything open looked at again. */
export function startTimers(
  intake: Pick<Intake, "drain">,
  stop: Stop,
  resync: () => void,
): readonly NodeJS.Timeout[] {
  // Each by itself: a spool that takes long to drain must not keep the stop from being seen.
  return [repeat(intake.drain), repeat(stop.look), setInterval(resync, resyncMs)];
}

/** Again and again, never twice at once. */
function repeat(task: () => Promise<unknown>): NodeJS.Timeout {
  let running = false;
  return setInterval(() => {
    if (running) return;
    running = true;
    void task().finally(() => {
      running = false;
    });
  }, tickMs);
}

/** Records how long an isolation took. */
export function appliedMetric(metrics: Metrics) {
  const seconds = metrics.histogram(
    "parapet_applied_seconds",
    "From an alert's acceptance to its isolation read back.",
  );
  return (remediation: { readonly seenAtMs: number; readonly mode: string }, nowMs: number): void =>
    seconds.observe((nowMs - remediation.seenAtMs) / 1_000, { mode: remediation.mode });
}

/** Figures that are read when they are asked for. */
export function gauges(
  ports: ResponderPorts,
  remediations: RemediationCache,
  stop: Pick<Stop, "on">,
): void {
  const { metrics, spool } = ports;
  metrics.gauge("parapet_spool_bytes", "Bytes of alerts in the spool.", () => spool.bytes());
  metrics.gauge(
    "parapet_spool_damaged_lines",
    "Lines of the spool that could not be read back.",
    () => spool.damaged(),
  );
  metrics.gauge("parapet_stopped", "1 while the global stop is on.", () => (stop.on ? 1 : 0));
  metrics.gauge(
    "parapet_remediations_open",
    "Remediations that are not closed.",
    () => remediations.all().filter((one) => !isFinal(one.status.state)).length,
  );
}
