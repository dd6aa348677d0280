// SPDX-License-Identifier: Apache-2.0
import type { AlertQueue, QueueProblem } from "#responder/intake/alert-queue";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";

export type QueueHealth = {
  /** Asks the queue about its settings. Never rejects: a queue that is away is told by the intake. */
  readonly look: () => Promise<void>;
  /** Of the last look that had an answer. */
  readonly problems: () => readonly QueueProblem[];
};

/** Why an accepted alert might not be kept, as codes of a metric. */
const codes = [
  "AppendOnlyFails",
  "AppendOnlyOff",
  "CannotCheck",
  "Evicts",
  "FsyncEverySecond",
  "FsyncOff",
  "NearlyFull",
  "TooFewReplicas",
] as const satisfies readonly QueueProblem["code"][];

/** Watches the settings that durability rests on: what is wrong is said once, with what to do, and when it is right again. */
export function makeQueueHealth(ports: {
  readonly queue: Pick<AlertQueue, "check">;
  readonly metrics: Metrics;
  readonly log: Log;
}): QueueHealth {
  let problems: readonly QueueProblem[] = [];
  ports.metrics.gauges(
    "parapet_queue_problem",
    "1 for each setting of the queue that endangers accepted alerts, by code.",
    () =>
      codes.map((code) => [{ code }, problems.some((problem) => problem.code === code) ? 1 : 0]),
  );
  return {
    problems: () => problems,
    look: async () => {
      const found = await ports.queue.check().catch(() => undefined);
      if (found === undefined) return;
      const isNew = (problem: QueueProblem): boolean =>
        !problems.some((known) => known.code === problem.code);
      for (const problem of found.filter(isNew))
        ports.log("warn", problem.message, { code: problem.code });
      if (found.length === 0 && problems.length > 0)
        ports.log("info", "the queue's settings are right");
      problems = found;
    },
  };
}
