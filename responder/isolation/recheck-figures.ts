// SPDX-License-Identifier: Apache-2.0
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import type { MendPorts } from "#responder/isolation/recheck-mend";

export type RecheckPorts = Omit<MendPorts, "mayMend" | "mayClose" | "found" | "mended"> & {
  /** Makes a remediation due in the work queue. */
  readonly wake: (key: string) => void;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly settings: {
    /** The responder's own: where it tries whether it may read. */
    readonly namespace: string;
    readonly istioRootNamespace?: string | undefined;
  };
};

/** More repairs of one isolation within {@link fightMs} are a fight, which a person must end. */
export const mendsMax = 5;
/** Times that one is called closed again within {@link fightMs}: whoever opens and closes it must not fill its history. */
export const closingsMax = 10;
const fightMs = 600_000;
/** Isolations whose repairs are remembered. */
const keptMax = 10_000;

/** Lets `max` of something pass for each isolation within a while, so that a fight with a controller or a person ends. */
export function makeFightGuard(now: () => number, max: number): (key: string) => boolean {
  const times = new Map<string, readonly number[]>();
  return (key) => {
    const recent = (times.get(key) ?? []).filter((atMs) => Math.abs(now() - atMs) < fightMs);
    if (recent.length >= max) return false;
    if (times.size >= keptMax) times.clear();
    times.set(key, [...recent, now()]);
    return true;
  };
}

/** What the looks at lasting isolations are counted and timed by. */
export function makeFigures(
  metrics: Metrics,
  read: {
    readonly isolations: () => number;
    readonly unread: () => number;
    readonly orphans: () => number;
  },
) {
  const seconds = metrics.histogram(
    "parapet_recheck_seconds",
    "One look at an isolation that lasts.",
  );
  metrics.gauge("parapet_isolations", "Isolations that are looked after.", read.isolations);
  metrics.gauge(
    "parapet_recheck_unread_kinds",
    "Kinds of policy that are served and could not be read: above 0, isolations are not looked after.",
    read.unread,
  );
  metrics.gauge(
    "parapet_isolations_unrecorded",
    "Policies of isolations whose Remediation was deleted while the pod is still there: nobody takes them back.",
    read.orphans,
  );
  return {
    found: metrics.counter(
      "parapet_isolations_reopened_total",
      "Times that an isolation was found re-opened or changed.",
    ),
    mended: metrics.counter(
      "parapet_isolation_repairs_total",
      "Objects of our own that were put back.",
    ),
    timed: async <T>(work: () => Promise<T>): Promise<T> => {
      const startMs = performance.now();
      const result = await work();
      seconds.observe((performance.now() - startMs) / 1_000);
      return result;
    },
  };
}
