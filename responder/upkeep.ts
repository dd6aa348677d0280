// SPDX-License-Identifier: Apache-2.0
import type { RemediationCache } from "#responder/caches";
import type { Config } from "#responder/config";
import type { Intake } from "#responder/intake";
import type { Metrics } from "#responder/metrics";
import { isFinal } from "#responder/remediation";
import type { ResponderPorts } from "#responder/responder";

/** How often the spool is tried and the global stop is looked at. */
const tickMs = 500;
/** Every remediation that is not closed is looked at again this often, whatever was missed. */
const resyncMs = 60_000;
/** The ConfigMap in the installation's namespace whose existence is the global stop. */
const stopName = "parapet-stop";
const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };

/** What happens by the clock: the spool is drained, the global stop looked at, everything open looked at again. */
export function startTimers(
  config: Config,
  ports: ResponderPorts,
  intake: Intake,
  stop: { on: boolean },
  resync: () => void,
): readonly NodeJS.Timeout[] {
  const look = async (): Promise<void> => {
    await intake.drain();
    const found = await ports.cluster.get(configMap, {
      namespace: config.namespace,
      name: stopName,
    });
    // An API server that does not answer changes nothing: without it nothing is done either.
    if (!found.ok && found.code !== "NotFound") return;
    if (found.ok !== stop.on) ports.log("warn", found.ok ? "global stop" : "global stop lifted");
    const lifted = stop.on && !found.ok;
    stop.on = found.ok;
    if (lifted) resync();
  };
  let looking = false;
  const tick = setInterval(() => {
    if (looking) return;
    looking = true;
    void look().finally(() => {
      looking = false;
    });
  }, tickMs);
  return [tick, setInterval(resync, resyncMs)];
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
  stop: { on: boolean },
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
