// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster, ResourceType } from "#responder/cluster";
import type { Config } from "#responder/config/config";
import type { Comparison } from "#responder/cloud/compare-watch";
import { makeExternalNames } from "#responder/cloud/external-names";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import type { ManagedLookUp } from "#responder/target";
import { makeWatcher, namesOnly, type Watcher } from "#responder/watcher";

/** Pause between two looks at which kinds there are. */
const discoveryMs = 30_000;
/** Kinds watched at most: each costs a connection. */
const kindsMax = 500;

export type ManagedResources = {
  /** Undefined: nothing is configured. */
  readonly lookUp: ManagedLookUp | undefined;
  readonly stop: () => Promise<void>;
};

/** A kind that is not served, or not ours to read, must not keep alerts waiting for ever: after this time the rest has to do. */
const patienceMs = 60_000;

/** Watches the managed resources that the configuration names or that the API server offers, and keeps their external names. */
export function watchManaged(
  settings: Config["drift"]["managed"],
  ports: { readonly cluster: Cluster; readonly metrics: Metrics; readonly log: Log },
  comparison?: Comparison,
): ManagedResources {
  const isOn = settings.discover || settings.resources.length > 0;
  if (!isOn) return { lookUp: undefined, stop: () => Promise.resolve() };
  const { cluster, log } = ports;
  const names = makeExternalNames();
  const watchers = new Map<string, Watcher>();
  const stopping = new AbortController();
  let isDiscovered = false;
  const follow = (type: ResourceType): void => {
    const key = `${type.apiVersion} ${type.kind}`;
    if (watchers.has(key) || stopping.signal.aborted) return;
    if (watchers.size >= kindsMax) {
      log("warn", "more kinds of managed resources than can be watched", { kind: type.kind });
      return;
    }
    const watcher = makeWatcher({
      cluster,
      type,
      keep: namesOnly,
      onChange: (change) => {
        names.change(type, change.key, change.after);
        comparison?.change(type, change.key, change.after);
      },
      onFailure: (message) => log("warn", message),
    });
    watchers.set(key, watcher);
  };
  const look = async (): Promise<void> => {
    const found = await typesOf(settings, cluster);
    for (const problem of found.problems) {
      log("warn", "managed resources cannot be watched yet", { problem });
    }
    for (const type of found.types) follow(type);
    if (found.problems.length === 0) isDiscovered = true;
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await look();
      const pause = { signal: stopping.signal, ref: false };
      await sleep(discoveryMs, undefined, pause).catch(() => undefined);
    }
  })();
  ports.metrics.gauge("parapet_external_names", "External names known.", names.size);
  const startedAt = performance.now();
  const isSynced = (): boolean =>
    performance.now() - startedAt > patienceMs ||
    (isDiscovered && [...watchers.values()].every((one) => one.isSynced()));
  return {
    lookUp: { names, isSynced, cluster },
    stop: async () => {
      stopping.abort();
      await running;
      await Promise.all([...watchers.values()].map((one) => one.stop()));
      await comparison?.stop();
    },
  };
}

async function typesOf(
  settings: Config["drift"]["managed"],
  cluster: Cluster,
): Promise<{ readonly types: readonly ResourceType[]; readonly problems: readonly string[] }> {
  const types: ResourceType[] = [];
  const problems: string[] = [];
  for (const { apiVersion, kind } of settings.resources) {
    const type = await cluster.typeOf(apiVersion, kind);
    if (type.ok) types.push(type.value);
    else problems.push(type.message);
  }
  if (settings.discover) {
    const all = await cluster.typesIn("managed");
    if (all.ok) types.push(...all.value);
    else problems.push(all.message);
  }
  return { types, problems };
}
