// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { makeIndex } from "#responder/caches";
import { types } from "#responder/cluster";
import type { Config } from "#responder/config/config";
import { type DriftException, readDriftException } from "#responder/drift/exception";
import type { DriftPorts } from "#responder/drift/propose";
import { watchDrift } from "#responder/drift/watch";
import type { Log } from "#responder/log";
import { makeWatcher } from "#responder/watcher";

/** Pause between two looks for a kind that is not served yet. */
const discoveryMs = 10_000;

/** Watches each configured kind for drift, as soon as the API server serves it. */
export function startDrift(
  resources: Config["drift"]["resources"],
  log: Log,
  driftPorts: Omit<DriftPorts, "exceptions">,
): { readonly stop: () => Promise<void> } {
  const { cluster } = driftPorts;
  const stopping = new AbortController();
  const watched: ReturnType<typeof watchDrift>[] = [];
  const exceptions = makeIndex<DriftException>();
  const exceptionWatcher =
    resources.length === 0
      ? undefined
      : makeWatcher({
          cluster,
          type: types.driftException,
          onChange: ({ key, after }) => {
            const read = after === undefined ? undefined : readDriftException(after);
            exceptions.change(key, read, read?.namespace ?? "");
          },
          onFailure: (message) => log("warn", message),
        });
  const begin = async (apiVersion: string, kind: string): Promise<void> => {
    await exceptionWatcher?.synced;
    while (!stopping.signal.aborted) {
      const type = await cluster.typeOf(apiVersion, kind);
      if (type.ok) {
        watched.push(watchDrift(type.value, { ...driftPorts, exceptions: exceptions.of }));
        return;
      }
      log("warn", "drift of a kind cannot be watched yet", { kind, error: type.message });
      const pause = { signal: stopping.signal, ref: false };
      await sleep(discoveryMs, undefined, pause).catch(() => undefined);
    }
  };
  const { metrics } = driftPorts;
  metrics.gauge(
    "parapet_drift_watched",
    "Kinds that are watched for drift.",
    () => watched.filter((one) => one.watcher.isSynced()).length,
  );
  metrics.gauge(
    "parapet_drift_exceptions",
    "DriftExceptions known.",
    () => exceptions.all().length,
  );
  for (const { apiVersion, kind } of resources) void begin(apiVersion, kind);
  return {
    stop: async () => {
      stopping.abort();
      await exceptionWatcher?.stop();
      for (const { watcher, work } of watched) {
        await watcher.stop();
        await work.stop();
      }
    },
  };
}
