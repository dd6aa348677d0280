// SPDX-License-Identifier: Apache-2.0
import type { Cluster } from "#responder/cluster";
import { failure, types } from "#responder/cluster";
import { takeLease } from "#responder/lease";
import type { Log } from "#responder/log";
import { type Notice, type NoticeKind, dueNotices, withTold } from "#responder/notify/notices";
import type { Send, Telling } from "#responder/notify/notification";
import type { Remediation } from "#responder/remediation";
import { readRemediation, statusJson } from "#responder/record/remediation-record";

export type Audience = { readonly to: readonly string[]; readonly on: readonly NoticeKind[] };

export type NotifierPorts = {
  readonly cluster: Cluster;
  readonly send: Send;
  /** Who is told about the remediations of a policy. */
  readonly audienceOf: (policy: string) => Audience;
  /** As the watch knows it; undefined when it is gone. */
  readonly remediation: (key: string) => Remediation | undefined;
  readonly now: () => number;
  /** Resolves early when `signal` aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
  readonly counted: (labels: { readonly to: string; readonly outcome: string }) => void;
  readonly settings: {
    /** Where the leases are. */
    readonly namespace: string;
    readonly identity: string;
    readonly soonMs: number;
    /** Messages to one destination in a minute; beyond it one message tells of all that wait. */
    readonly perMinute: number;
  };
};

export type Notifier = {
  /** Looks whether somebody is to be told of this remediation, now or later. Cheap: it may be called for every change. */
  readonly look: (key: string) => void;
  /** Resolves when what is being sent has its answer. */
  readonly stop: () => Promise<void>;
};

type Waiting = {
  readonly key: string;
  readonly notice: Notice;
  /** Tries that failed. */
  readonly failed: number;
};

/**
 * Waits between the tries of one message: a destination that is down for three quarters of an hour is told of what still waits then. Never
 * longer than a minute, so that what is new meanwhile waits no longer either.
 */
const waitsMs: readonly number[] = [
  1_000,
  5_000,
  25_000,
  ...Array.from({ length: 45 }, () => 60_000),
];
/** What waits for one destination at most; the oldest stay, since they tell that there is a flood. */
const waitingMax = 10_000;
const leaseWaitMs = 2_000;
const minuteMs = 60_000;
/** All of one moment are seen together, so that a flood is told as one. */
const gatherMs = 50;
/** Marks that are written at once. */
const marksMax = 16;

/**
 * Tells people of proposals that wait, of what expires soon and of what failed, outside the path of acting: a destination that is slow or
 * down holds no response up. Told once among all replicas: a lease for each destination, and a mark in the remediation's status after
 * somebody took the message; a crash between the two sends it again under the same idempotency key.
 */
export function makeNotifier(ports: NotifierPorts): Notifier {
  const lines = new Map<string, Line>();
  const timers = new Map<string, NodeJS.Timeout>();
  const ending = new AbortController();
  const lineOf = (to: string): Line => {
    const line = lines.get(to) ?? makeLine(ports, to, ending.signal);
    lines.set(to, line);
    return line;
  };
  const look = (key: string): void => {
    clearTimeout(timers.get(key));
    timers.delete(key);
    const remediation = ending.signal.aborted ? undefined : ports.remediation(key);
    if (remediation === undefined) return;
    const audience = ports.audienceOf(remediation.policy);
    if (audience.to.length === 0) return;
    const { notices, wakeAtMs } = dueNotices(remediation, ports.settings.soonMs, ports.now());
    for (const notice of notices.filter(({ kind }) => audience.on.includes(kind))) {
      for (const to of audience.to) lineOf(to).add({ key, notice, failed: 0 });
    }
    if (wakeAtMs === undefined || !audience.on.includes("ExpiresSoon")) return;
    // Longer waits than setTimeout's 2^31 ms are looked at again on the way.
    const timer = setTimeout(() => look(key), Math.min(wakeAtMs - ports.now(), 3_600_000));
    timer.unref();
    timers.set(key, timer);
  };
  return {
    look,
    stop: async () => {
      ending.abort();
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all([...lines.values()].map((line) => line.idle()));
    },
  };
}

type Line = { readonly add: (waiting: Waiting) => void; readonly idle: () => Promise<void> };

/** What waits for one destination, sent one after the other. */
function makeLine(ports: NotifierPorts, to: string, ending: AbortSignal): Line {
  const waiting = new Map<string, Waiting>();
  /** Given up or already sent by this process: not again before it restarts. */
  const done = new Set<string>();
  const sentAtMs: number[] = [];
  let running: Promise<void> | undefined;

  const flush = async (): Promise<void> => {
    while (waiting.size > 0 && !ending.aborted) {
      const left = leftOf(ports, sentAtMs);
      if (left === 0) {
        await ports.wait(minuteMs - (ports.now() - (sentAtMs[0] ?? 0)) + 1, ending);
        continue;
      }
      const batch = nextBatch(waiting, left);
      for (const { key, notice } of batch) {
        const id = `${key} ${notice.mark}`;
        waiting.delete(id);
        if (done.size > waitingMax) done.clear();
        done.add(id);
      }
      sentAtMs.push(ports.now());
      if ((await tell(ports, to, batch, ending)) === "settled") continue;
      await ports.wait(putBack(batch), ending);
    }
    running = undefined;
  };
  /** Gives what may be tried again back to those that wait, and how long to wait. */
  const putBack = (batch: readonly Waiting[]): number => {
    const again = batch.filter((one) => one.failed < waitsMs.length);
    if (again.length < batch.length) ports.counted({ to, outcome: "failed" });
    for (const one of again) {
      const id = `${one.key} ${one.notice.mark}`;
      done.delete(id);
      waiting.set(id, { ...one, failed: one.failed + 1 });
    }
    return waitsMs[Math.min(...again.map((one) => one.failed))] ?? 0;
  };
  return {
    add: (one) => {
      const id = `${one.key} ${one.notice.mark}`;
      if (waiting.has(id) || done.has(id)) return;
      if (waiting.size >= waitingMax) return ports.counted({ to, outcome: "dropped" });
      waiting.set(id, one);
      running ??= ports.wait(gatherMs, ending).then(flush);
    },
    idle: async () => {
      await running;
    },
  };
}

/** Messages that may still be sent in this minute. */
function leftOf(ports: NotifierPorts, sentAtMs: number[]): number {
  const sinceMs = ports.now() - minuteMs;
  while ((sentAtMs[0] ?? Infinity) <= sinceMs) sentAtMs.shift();
  return Math.max(0, ports.settings.perMinute - sentAtMs.length);
}

/** One, or all of the oldest one's kind when single messages would be too many. */
function nextBatch(waiting: ReadonlyMap<string, Waiting>, left: number): readonly Waiting[] {
  const all = [...waiting.values()];
  const kind = all[0]?.notice.kind;
  return all.length <= left ? all.slice(0, 1) : all.filter((one) => one.notice.kind === kind);
}

async function tell(
  ports: NotifierPorts,
  to: string,
  batch: readonly Waiting[],
  ending: AbortSignal,
): Promise<"settled" | "again"> {
  const lease = await untilLeased(ports, to, ending);
  if (!lease.ok) return "again";
  try {
    const due = batch.filter((one) => isStillDue(ports, one));
    const remediations = due.flatMap(({ key }) => ports.remediation(key) ?? []);
    const [first, ...more] = remediations;
    const kind = due[0]?.notice.kind;
    if (first === undefined || kind === undefined) return "settled";
    const telling: Telling = { notice: kind, remediations: [first, ...more] };
    const sent = await ports.send(to, telling);
    if (!sent.ok) {
      ports.log("warn", "nobody was told", { to, notice: kind, why: sent.message });
      if (sent.code !== "Invalid") return "again";
    }
    ports.counted({ to, outcome: sent.ok ? "sent" : "failed" });
    if (!sent.ok) return "settled";
    for (let from = 0; from < due.length; from += marksMax) {
      const some = due.slice(from, from + marksMax);
      await Promise.all(some.map(({ key, notice }) => mark(ports, key, notice.mark)));
    }
    return "settled";
  } finally {
    await lease.value.release();
  }
}

/** What was told, decided or closed while it waited needs no message. */
function isStillDue(ports: NotifierPorts, { key, notice }: Waiting): boolean {
  const remediation = ports.remediation(key);
  if (remediation === undefined) return false;
  const { notices } = dueNotices(remediation, ports.settings.soonMs, ports.now());
  return notices.some((one) => one.mark === notice.mark);
}

async function untilLeased(
  ports: NotifierPorts,
  to: string,
  ending: AbortSignal,
): ReturnType<typeof takeLease> {
  for (let tries = 0; tries < 30 && !ending.aborted; tries++) {
    const lease = await takeLease(ports.cluster, {
      namespace: ports.settings.namespace,
      target: `notices to ${to}`,
      holder: ports.settings.identity,
      now: ports.now,
    });
    if (lease.ok) return lease;
    await ports.wait(leaseWaitMs, ending);
  }
  return failure("Unavailable", "no lease");
}

/** Best effort: a mark that cannot be written costs one more message after a restart. */
async function mark(ports: NotifierPorts, key: string, told: string): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    const remediation = ports.remediation(key);
    if (remediation === undefined) return;
    const live = await ports.cluster.get(types.remediation, remediation.name);
    if (!live.ok) return;
    const read = readRemediation(live.value);
    if (typeof read === "string") return;
    const status = { ...read.status, told: withTold(read.status.told, [told]) };
    const written = await ports.cluster.replaceStatus(types.remediation, {
      ...live.value,
      status: statusJson(status),
    });
    if (written.ok || written.code !== "Conflict") return;
  }
  ports.log("warn", "that somebody was told could not be noted", { remediation: key });
}
