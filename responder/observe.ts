// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: timers, and what the adapters that it loads do.
import { statfs } from "node:fs/promises";
import type { ConfigFiles } from "#responder/adapters/config-files";
import type { AlertQueue, QueueDepth } from "#responder/intake/alert-queue";
import type { Spool } from "#responder/adapters/spool";
import type { Cluster } from "#responder/cluster";
import type { Config } from "#responder/config/config";
import { countFalcoMessages } from "#responder/intake/falco-messages";
import type { Log } from "#responder/log";
import type { LossWatch } from "#responder/intake/loss-watch";
import type { Metrics } from "#responder/metrics";
import { makeQueueHealth } from "#responder/intake/queue-health";
import type { Observer } from "#responder/tracing";

export type Observed = {
  readonly queue: AlertQueue;
  readonly cluster: Cluster;
  /** Undefined: no traces are wanted. */
  readonly observer: Observer | undefined;
  /** What an operator should know beside readiness. */
  readonly status: () => object;
  readonly stop: () => Promise<void>;
};

type Ports = {
  readonly cluster: Cluster;
  readonly queue: AlertQueue;
  readonly spool: Spool;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now: () => number;
};

/** How often the settings that durability rests on are looked at. */
const lookMs = 60_000;
/** How old the figures of the queue's depth may be. */
const depthMs = 5_000;

/** Watches over the responder: its queue's settings, losses on the way from Falco, and traces. What is not configured is not loaded. */
export async function observe(config: Config, files: ConfigFiles, ports: Ports): Promise<Observed> {
  const timers: NodeJS.Timeout[] = [];
  const every = (ms: number, look: () => Promise<void>): void => {
    let looking = false;
    const tick = (): void => {
      if (looking) return;
      looking = true;
      void look().finally(() => {
        looking = false;
      });
    };
    tick();
    timers.push(setInterval(tick, ms));
  };
  const health = makeQueueHealth(ports);
  const losses = await openLosses(config, files, ports);
  const traces = await openTraces(config, files, ports);
  every(lookMs, health.look);
  every(depthMs, watchDepth(ports));
  every(lookMs, watchDisk(config, ports));
  if (losses !== undefined) every(losses.intervalMs, losses.watch.round);
  const count = countFalcoMessages(ports.metrics);
  return {
    queue: {
      ...ports.queue,
      start: (handle) =>
        ports.queue.start(async (alert) => {
          count(alert);
          const noted = losses?.watch.note(alert);
          await handle(alert);
          await noted;
        }),
    },
    cluster: traces?.cluster ?? ports.cluster,
    observer: traces?.observer,
    status: () => ({
      queue: { description: ports.queue.description, problems: health.problems() },
      spool: { bytes: ports.spool.bytes(), damagedLines: ports.spool.damaged() },
      ...(losses === undefined ? {} : { falco: losses.watch.status() }),
    }),
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      losses?.close();
      await traces?.close();
    },
  };
}

/** Keeps the queue's depth for the metrics; while it cannot be asked for there is none. */
function watchDepth({ queue, metrics }: Ports): () => Promise<void> {
  let depth: QueueDepth | undefined;
  metrics.gauges("parapet_queue_alerts", "Alerts in the queue, by state.", () => {
    if (depth === undefined) return [];
    const { waiting, active, delayed, failed } = depth;
    return [
      [{ state: "waiting" }, waiting],
      [{ state: "active" }, active],
      [{ state: "delayed" }, delayed],
      [{ state: "failed" }, failed],
    ];
  });
  return async () => {
    depth = await queue.depth().catch(() => undefined);
  };
}

/** Keeps what is free beside spool, audit log and evidence for the metrics, and says when it is less than the spool may need. */
function watchDisk(
  { dataDirectory, spoolBytesMax }: Pick<Config, "dataDirectory" | "spoolBytesMax">,
  { spool, metrics, log }: Ports,
): () => Promise<void> {
  let free: number | undefined;
  let isShort = false;
  metrics.gauge(
    "parapet_data_free_bytes",
    "What is free on the disk of the data directory.",
    () => free,
  );
  return async () => {
    const disk = await statfs(dataDirectory).catch(() => undefined);
    free = disk === undefined ? undefined : disk.bavail * disk.bsize;
    const needed = spoolBytesMax - spool.bytes();
    const wasShort = isShort;
    isShort = free !== undefined && free < needed;
    if (!isShort || wasShort) return;
    log("warn", "the spool may need more room than its disk has", {
      freeBytes: free ?? 0,
      neededBytes: needed,
      advice:
        "enlarge the volume of dataDirectory, move audit files and evidence away, or lower spoolBytesMax",
    });
  };
}

/** Milliseconds since 1970 with their fractions: many stages take less than one. */
const preciseNow = (): number => performance.timeOrigin + performance.now();

type OpenTraces = {
  readonly cluster: Cluster;
  readonly observer: Observer;
  readonly close: () => Promise<void>;
};

async function openTraces(
  config: Config,
  files: ConfigFiles,
  { metrics, cluster }: Ports,
): Promise<OpenTraces | undefined> {
  if (config.tracing === undefined) return undefined;
  const { openTraces: open } = await import("#responder/adapters/otlp-traces");
  const { makeObserver, traceRemediations } = await import("#responder/tracing");
  const { endpoint, ratio, serviceName } = config.tracing;
  const instance = config.identity ?? "parapet";
  const headers = files.traceHeaders;
  const { trace, close } = open({ endpoint, ratio, serviceName, instance, headers, metrics });
  return {
    cluster: traceRemediations(cluster, trace),
    observer: makeObserver(trace, preciseNow),
    close,
  };
}

type OpenLosses = {
  readonly watch: LossWatch;
  readonly intervalMs: number;
  readonly close: () => void;
};

async function openLosses(
  config: Config,
  files: ConfigFiles,
  ports: Ports,
): Promise<OpenLosses | undefined> {
  const settings = config.lossDetection;
  if (settings === undefined) return undefined;
  const { makeMemoryCounts, makeRedisCounts } = await import("#responder/adapters/received-counts");
  const { makeLossWatch } = await import("#responder/intake/loss-watch");
  const { scrapeFalcos } = await import("#responder/adapters/scrape-falco");
  const counts =
    files.redis === undefined
      ? makeMemoryCounts()
      : // The queue's own connections tell of a Redis that is away.
        makeRedisCounts(files.redis, config.queue.name, () => undefined);
  const { metricsUrls, service, path, minimumPriority, ignoreRules } = settings;
  const watch = makeLossWatch({
    ...ports,
    counts,
    scrape: () => scrapeFalcos({ metricsUrls, service, path }),
    identity: config.identity ?? "parapet",
    rules: { latenessMs: settings.lateness, minimumPriority, ignoreRules },
  });
  return { watch, intervalMs: settings.interval, close: counts.close };
}
