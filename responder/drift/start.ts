// SPDX-License-Identifier: Apache-2.0
import type { Cluster } from "#responder/cluster";
import { type ComparePorts, makeComparison } from "#responder/cloud/compare-watch";
import { type ManagedResources, watchManaged } from "#responder/cloud/external-names-watch";
import type { Config } from "#responder/config/config";
import { makeWriters, type Writers } from "#responder/drift/audit";
import { startDrift } from "#responder/drift/kinds";
import type { DriftPorts } from "#responder/drift/propose";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";

/** What changes out of band: composed objects, and managed resources by what their clouds and their providers tell. */
export function startWatchingDrift(
  config: Config,
  ports: { readonly cluster: Cluster; readonly metrics: Metrics; readonly log: Log },
  recordPorts: Omit<ComparePorts, "metrics" | "log" | "namespace"> & Pick<DriftPorts, "stopped">,
): {
  readonly drift: ReturnType<typeof startDrift>;
  readonly managed: ManagedResources;
  readonly writers: Writers;
} {
  const writers = makeWriters();
  const { wait: waitMs = 0, trustedUsers = [], clients = [] } = config.drift.audit ?? {};
  const after = config.drift.managed.compare?.after;
  const compared = { ...recordPorts, ...ports, namespace: config.namespace };
  const comparison = after === undefined ? undefined : makeComparison(compared, after);
  const managed = watchManaged(config.drift.managed, ports, comparison);
  const drift = startDrift(config.drift.resources, ports.log, {
    ...recordPorts,
    metrics: ports.metrics,
    onFailure: (message) => ports.log("warn", message),
    settings: { ...config, trustedManagers: config.drift.trustedManagers },
    authors: { writers, waitMs, trustedUsers, clients },
  });
  return { drift, managed, writers };
}
