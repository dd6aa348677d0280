// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import type { ReceivedCounts } from "#responder/adapters/received-counts";
import type { Scraped } from "#responder/adapters/scrape-falco";
import { readAlerts } from "#responder/intake/alert";
import type { AlertQueue, StoredAlert } from "#responder/intake/alert-queue";
import type { Cluster } from "#responder/cluster";
import { types } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import { type Log, quieten } from "#responder/log";
import {
  compareLosses,
  type Loss,
  lossKey,
  type LossRules,
  type LossState,
  lossText,
  type Received,
} from "#responder/intake/loss-detection";
import { readLossState, writeLossState } from "#responder/intake/loss-state";
import type { Metrics } from "#responder/metrics";

export type LossWatchPorts = {
  readonly scrape: () => Promise<Scraped>;
  readonly counts: ReceivedCounts;
  readonly queue: Pick<AlertQueue, "depth">;
  readonly spool: { readonly isEmpty: () => boolean };
  readonly cluster: Pick<Cluster, "create">;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now: () => number;
  /** Of this replica: its accounts are kept under it. */
  readonly identity: string;
  readonly rules: LossRules;
};

export type LossWatch = {
  /** Counts an alert that is being handled, once in a process; resolves when that is written, or could not be. */
  readonly note: (stored: StoredAlert) => Promise<void>;
  /** One look at every Falco. Never rejects. */
  readonly round: () => Promise<void>;
  /** The last losses that were told, and where Falco could not be asked. */
  readonly status: () => JsonObject;
};

/** Alerts wait so long for others to be counted with them. */
const gatherMs = 50;
/** Alerts handed over again are recognised among so many. */
const notedMax = 50_000;
/** Hosts and rules that this process counts. Names come from senders: they are known, and still have a limit. */
const keysMax = 20_000;
const complaintMs = 10 * 60_000;
const shownMax = 50;
/** So many alerts may be waiting while something is called missing: they are handled within the lateness. */
const waitingMax = 1_000;
/** One Event for each host and rule in this time, whichever replica finds it. */
const eventEveryMs = 10 * 60_000;

/** Finds alerts that Falco sent and that never came, by its own counters. */
export function makeLossWatch(ports: LossWatchPorts): LossWatch {
  const { log, now } = ports;
  const complain = quieten(log, complaintMs, now);
  const tell = makeTell(ports);
  const note = makeNote(ports.counts, (error) =>
    complain("warn", "alerts could not be counted for loss detection", { error: error.message }),
  );
  const shown: string[] = [];
  let failures: Scraped["failures"] = [];
  let state: LossState | undefined;
  let before: Received | undefined;
  let reached = 0;
  ports.metrics.gauge("parapet_falco_reached", "Falcos that gave figures.", () => reached);
  ports.metrics.gauge(
    "parapet_falco_unreached",
    "Falcos that gave none when they were asked last.",
    () => failures.length,
  );
  const look = async (): Promise<void> => {
    state ??= readLossState(await ports.counts.load(ports.identity), now());
    const depth = await ports.queue.depth();
    const isBehind = depth.waiting > waitingMax || !ports.spool.isEmpty();
    // Before Falco is asked, so that nothing counts here that does not count there.
    const received = await ports.counts.read();
    const scraped = await ports.scrape();
    ({ failures } = scraped);
    reached = scraped.falcos.length;
    for (const { url, why } of failures) complain("warn", `Falco's metrics at ${url}: ${why}`);
    const seen = { atMs: now(), received, before, falcos: scraped.falcos, isBehind };
    for (const loss of compareLosses(state, seen, ports.rules)) {
      shown.push(lossText(loss));
      await tell(loss);
    }
    shown.splice(0, shown.length - shownMax);
    before = received;
    await ports.counts.save(ports.identity, writeLossState(state, now()));
  };
  return {
    note,
    round: () =>
      look().catch((error: unknown) =>
        complain("warn", "a look at Falco's counters failed", {
          error: error instanceof Error ? error.message : "failed",
        }),
      ),
    status: () => ({
      reached,
      unreached: failures.slice(0, shownMax).map(({ url, why }): Json => ({ url, why })),
      losses: [...shown],
    }),
  };
}

function makeNote(
  counts: ReceivedCounts,
  onError: (error: Error) => void,
): (stored: StoredAlert) => Promise<void> {
  const noted = new Set<string>();
  const keys = new Set<string>();
  let gathering: { readonly counts: Map<string, number>; readonly done: Promise<void> } | undefined;
  const write = async (batch: ReadonlyMap<string, number>): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
    gathering = undefined;
    await counts.add(batch).catch((error: unknown) => {
      onError(error instanceof Error ? error : new Error("failed"));
    });
  };
  return async (stored) => {
    if (noted.has(stored.fingerprint)) return;
    if (noted.size >= notedMax) noted.clear();
    noted.add(stored.fingerprint);
    const alert = readAlerts(Buffer.from(stored.text, "utf8")).alerts[0]?.alert;
    if (alert === undefined) return;
    const key = lossKey({ host: alert.hostname, rule: alert.rule });
    if (!keys.has(key) && keys.size >= keysMax) return;
    keys.add(key);
    if (gathering === undefined) {
      const batch = new Map<string, number>();
      gathering = { counts: batch, done: write(batch) };
    }
    gathering.counts.set(key, (gathering.counts.get(key) ?? 0) + 1);
    await gathering.done;
  };
}

function makeTell(ports: LossWatchPorts): (loss: Loss) => Promise<void> {
  const { metrics } = ports;
  const counters = {
    missing: metrics.counter(
      "parapet_falco_missing_alerts_total",
      "Alerts that Falco counted and that did not come in time, by host.",
    ),
    recovered: metrics.counter(
      "parapet_falco_recovered_alerts_total",
      "Alerts that were counted as missing and came after all, by host.",
    ),
    dropped: metrics.counter(
      "parapet_falco_dropped_alerts_total",
      "Alerts that Falco dropped since its own queue was full, by host.",
    ),
  };
  return async (loss) => {
    const count = loss.kind === "missing" ? loss.missing : loss.count;
    counters[loss.kind].add({ host: loss.host }, count);
    ports.log(loss.kind === "recovered" ? "info" : "warn", lossText(loss));
    if (loss.kind === "recovered") return;
    const made = await ports.cluster.create(types.event, eventOf(loss, ports.now()));
    if (made.ok || made.code === "AlreadyExists") return;
    ports.log("warn", "an Event of lost alerts could not be written", { why: made.code });
  };
}

/** On the node of that name, in `default` where Events of nodes lie; its name makes it one for all replicas. */
function eventOf(loss: Exclude<Loss, { kind: "recovered" }>, nowMs: number): JsonObject {
  const rule = loss.kind === "missing" ? loss.rule : "";
  const round = Math.floor(nowMs / eventEveryMs);
  const mark = sha256(JSON.stringify([loss.kind, loss.host, rule, round])).slice(0, 16);
  const at = new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `parapet-losses.${mark}`, namespace: "default" },
    involvedObject: { apiVersion: "v1", kind: "Node", name: loss.host },
    reason: loss.kind === "missing" ? "ParapetAlertsMissing" : "FalcoAlertsDropped",
    message: lossText(loss).slice(0, 1_024),
    type: "Warning",
    source: { component: "parapet-responder" },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}
