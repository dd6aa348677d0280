// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { AuditFile } from "#responder/adapters/audit-file";
import { lastWriter } from "#responder/record/audit";
import type { Cluster } from "#responder/cluster";
import type { Log } from "#responder/log";

/** The ConfigMap in the installation's namespace whose existence is the global stop. */
export const stopName = "parapet-stop";
const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };

/** Looks within this time are one: of a burst each would ask. */
const sharedMs = 50;

/** Whether nothing new may be begun, as it was last seen. */
export type Stop = {
  readonly on: boolean;
  /** Looks anew; whoever is about to act asks first, so that a stop holds from the moment that it exists. */
  readonly look: () => Promise<void>;
};

/** `onLifted` is called when a stop has gone. */
export function makeStop(options: {
  readonly cluster: Pick<Cluster, "get">;
  readonly namespace: string;
  readonly log: Log;
  readonly audit: Pick<AuditFile, "append">;
  readonly onLifted: () => void;
}): Stop {
  const { cluster, namespace, log, audit } = options;
  const tell = async (what: string, object: JsonObject | undefined): Promise<void> => {
    log("warn", what);
    const detail = { configMap: `${namespace}/${stopName}` };
    const entry = { what, who: lastWriter(object), remediation: "", detail };
    // A full disk must not keep the stop from being seen.
    await audit.append(entry).catch(() => log("error", "the audit log cannot be written"));
  };
  let lookedAt = -Infinity;
  let looking = Promise.resolve();
  const stop = {
    on: false,
    look: (): Promise<void> => {
      if (performance.now() - lookedAt >= sharedMs) {
        lookedAt = performance.now();
        looking = read();
      }
      return looking;
    },
  };
  const read = async (): Promise<void> => {
    const found = await cluster.get(configMap, { namespace, name: stopName });
    // An API server that does not answer changes nothing: without it nothing is done either.
    if (!found.ok && found.code !== "NotFound") return;
    const before = stop.on;
    stop.on = found.ok;
    if (found.ok !== before) {
      await (found.ok ? tell("global stop", found.value) : tell("global stop lifted", undefined));
    }
    if (before && !found.ok) options.onLifted();
  };
  return stop;
}
