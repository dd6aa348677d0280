// SPDX-License-Identifier: Apache-2.0
import { CallError, type Caller } from "../call-error.ts";
import type { Logger } from "../log.ts";
import { timing, type Meter } from "../meter.ts";
import { WireError } from "../wire/reader.ts";
import { cheapBytesMax, makeCosts } from "./cheap.ts";
import { Lane, type Job, type LaneEnd } from "./lane.ts";
import type { Local } from "./local.ts";
import type { WorkerMessage, WorkerSettings } from "./messages.ts";
import { addNotes } from "./notes.ts";
import { homeOf, routeOf } from "./route.ts";

export type PoolSpec = {
  /** The script that a worker runs. */
  readonly entry: URL;
  readonly count: number;
  /** Heap of one worker, in MiB: one that needs more is ended and replaced. */
  readonly heapMbMax: number;
  /** How long one call may be evaluated, in milliseconds; it may wait twice as long for that. */
  readonly callMsMax: number;
  readonly settings: WorkerSettings;
  /** Gets what evaluates on this thread; asked for once, when there is something to do for it. */
  readonly loadLocal: () => Promise<Local>;
  readonly meter: Meter;
  readonly log: Logger;
  /** Milliseconds from any fixed moment. */
  readonly clock: () => number;
};

/** Most calls, and most bytes of their requests, that wait for a worker. */
const waitingMax = 4096;
const waitingBytesMax = 256 * 1024 * 1024;
/** How often the workers are looked after, in milliseconds. */
const lookPeriodMs = 100;
/** A second call is given to a busy worker only if the first has not been at it for longer, in milliseconds. */
const prefetchMsMax = 50;
/** How long a worker may take to start, and how long to wait before one that died young is replaced, in milliseconds. */
const startMsMax = 30_000;
const restartMs = 1000;

/** Evaluates calls on several cores, while this thread reads and writes. */
export class Pool {
  readonly #spec: PoolSpec;
  readonly #lanes: (Lane | undefined)[];
  readonly #waiting: Job[] = [];
  readonly #costs = makeCosts();
  #local: Local | "asked" | undefined;
  readonly #timer: NodeJS.Timeout;
  #waitingBytes = 0;
  #lastId = 0;
  #isStopped = false;

  constructor(spec: PoolSpec) {
    this.#spec = spec;
    this.#lanes = Array.from({ length: spec.count }, () => undefined);
    for (let index = 0; index < spec.count; index++) this.#start(index);
    this.#timer = setInterval(() => this.#look(), lookPeriodMs);
    addGauges(spec.meter, this.#lanes, this.#waiting, () =>
      typeof this.#local === "object" ? this.#local.gauges() : {},
    );
  }

  /**
   * Gives the answer, at once if it costs less than a worker would. Throws or rejects with a WireError for bytes that are
   * no request, and with a CallError where there can be no verdict.
   */
  answer(request: Buffer, caller: Caller): Buffer | Promise<Buffer> {
    const route = routeOf(request);
    if (request.length <= cheapBytesMax && this.#costs.isCheap(route, this.#isIdle())) {
      const local = this.#localNow();
      if (local !== undefined) {
        const note = (seconds: number) => this.#costs.note(route, seconds);
        return timing(this.#spec.clock, note, () => local.evaluate(request));
      }
    }
    return this.#enqueue(request, route, caller);
  }

  #isIdle(): boolean {
    return this.#waiting.length === 0 && this.#lanes.every((lane) => lane?.load === 0);
  }

  #localNow(): Local | undefined {
    if (typeof this.#local === "object") return this.#local;
    if (this.#local === undefined) {
      this.#local = "asked";
      void this.#spec.loadLocal().then((local) => (this.#local = local));
    }
    return undefined;
  }

  #enqueue(request: Buffer, route: string, caller: Caller): Promise<Buffer> {
    const isFull = this.#waitingBytes + request.length > waitingBytesMax;
    if (isFull || this.#waiting.length >= waitingMax) {
      const message = "too many calls wait for a worker; try again later";
      return Promise.reject(new CallError("refused", message));
    }
    const { clock, count, log } = this.#spec;
    return new Promise((resolve, reject) => {
      this.#waitingBytes += request.length;
      this.#waiting.push({
        id: ++this.#lastId,
        request,
        home: homeOf(route, count),
        sinceMs: clock(),
        isWanted: () => !caller.hasGone(),
        finish: (message) => {
          const [seconds] = message.notes.evaluatedSeconds;
          if (seconds !== undefined) this.#costs.note(route, seconds);
          settle(message, resolve, reject, log);
        },
        fail: reject,
      });
      this.#dispatch();
    });
  }

  /** Ends the workers; calls under way are lost. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const lane of this.#lanes) await lane?.end("crash");
  }

  #start(index: number): void {
    if (this.#isStopped) return;
    const lane: Lane = new Lane({
      ...this.#spec,
      onRoom: () => this.#dispatch(),
      onMessage: (message) => pass(message, this.#spec),
      onEnd: (end) => this.#replace(index, lane, end),
    });
    this.#lanes[index] = lane;
  }

  /** Gives calls to workers that have room, oldest first. */
  #dispatch(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      if (!first.isWanted()) {
        this.#take(0)?.fail(gone());
        continue;
      }
      const lane = laneFor(this.#lanes, first.home);
      if (lane === undefined) return;
      this.#take(0);
      const { clock, meter } = this.#spec;
      meter.waited((clock() - first.sinceMs) / 1000);
      lane.give(first);
    }
  }

  #take(index: number): Job | undefined {
    const [job] = this.#waiting.splice(index, 1);
    this.#waitingBytes -= job?.request.length ?? 0;
    return job;
  }

  /** The call that a lost worker was at gets an error, those behind it another worker. */
  #replace(index: number, lane: Lane, { why, running, waiting }: LaneEnd): void {
    if (this.#isStopped) return;
    this.#spec.meter.workerLost(why);
    this.#spec.log("error", "a worker ended and is replaced", { worker: index, reason: why });
    running?.fail(lossError(why, this.#spec));
    const sinceMs = this.#spec.clock();
    for (const job of waiting.toReversed()) {
      // It waited through no fault of its own, and its next worker has yet to start.
      this.#waiting.unshift({ ...job, sinceMs });
      this.#waitingBytes += job.request.length;
    }
    this.#lanes[index] = undefined;
    // One that cannot even start would otherwise be started without end.
    if (lane.hasStarted) this.#start(index);
    else setTimeout(() => this.#start(index), restartMs).unref();
    this.#dispatch();
  }

  /** Ends workers that are at a call for too long, and calls that wait for too long. */
  #look(): void {
    const { callMsMax, clock } = this.#spec;
    for (const lane of this.#lanes) {
      if (lane === undefined) continue;
      if (lane.busyMs() > callMsMax || lane.startingMs() > startMsMax) void lane.end("late");
    }
    const nowMs = clock();
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const job = this.#waiting[index];
      if (job === undefined) continue;
      if (!job.isWanted()) this.#take(index)?.fail(gone());
      else if (nowMs - job.sinceMs > 2 * callMsMax) this.#take(index)?.fail(overloaded(callMsMax));
    }
  }
}

const gone = (): CallError => new CallError("cancelled", "the caller has gone");

/**
 * Where a call goes now: to the worker that remembers its composite if that one has nothing to do, else to any that has
 * nothing to do, else behind a call that was begun just now; undefined when it has to wait.
 */
function laneFor(lanes: readonly (Lane | undefined)[], home: number): Lane | undefined {
  const ready = lanes.filter((lane) => lane?.isReady === true);
  const own = lanes[home];
  if (own?.isReady === true && own.load === 0) return own;
  const idle = ready.find((lane) => lane?.load === 0);
  if (idle !== undefined) return idle;
  const hasRoom = (lane: Lane | undefined): boolean =>
    lane?.isReady === true && lane.load === 1 && lane.busyMs() <= prefetchMsMax;
  return hasRoom(own) ? own : ready.find(hasRoom);
}

function pass(message: WorkerMessage, { meter, log }: PoolSpec): void {
  if (message.kind === "log") log(message.level, message.message, message.fields);
  else if (message.kind !== "ready") addNotes(meter, message.notes);
}

function settle(
  message: Parameters<Job["finish"]>[0],
  resolve: (answer: Buffer) => void,
  reject: (error: Error) => void,
  log: Logger,
): void {
  if (message.kind === "answer") {
    const { answer } = message;
    resolve(Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength));
    return;
  }
  const { problem } = message;
  if ("malformed" in problem) {
    reject(new WireError(problem.malformed));
    return;
  }
  log("error", "the handler failed", problem.failed);
  reject(new CallError("failed", "internal error, see the function's log"));
}

const lossError = (why: LaneEnd["why"], { callMsMax, heapMbMax }: PoolSpec): CallError => {
  switch (why) {
    case "late":
      return new CallError(
        "stopped",
        `judging took longer than ${callMsMax / 1000} s and was stopped: make the composition or its policies smaller, or raise --call-seconds`,
      );
    case "memory":
      return new CallError(
        "stopped",
        `judging needed more than the ${heapMbMax} MiB of memory that a worker may use: make the composition or its policies smaller, or give the function more memory`,
      );
    case "crash":
      return new CallError("lost", "the worker that had this call ended; call again");
    default:
      return why satisfies never;
  }
};

/** Behind a call that never ends one waits for its end, and then for a new worker. */
const overloaded = (callMsMax: number): CallError =>
  new CallError("refused", `no worker was free for ${(2 * callMsMax) / 1000} s; try again later`);

function addGauges(
  meter: Meter,
  lanes: readonly (Lane | undefined)[],
  waiting: readonly Job[],
  own: () => Readonly<Record<string, number>>,
): void {
  const present = () => lanes.filter((lane) => lane !== undefined);
  const count = (which: (lane: Lane) => boolean) => () => present().filter(which).length;
  meter.gauge(
    "workers",
    "Workers that are ready.",
    count((lane) => lane.isReady),
  );
  meter.gauge(
    "workers_busy",
    "Workers that are at a call.",
    count((lane) => lane.load > 0),
  );
  meter.gauge("calls_waiting", "Calls that no worker has yet.", () => waiting.length);
  for (const [name, help] of Object.entries(workerGauges)) {
    meter.gauge(name, help, () =>
      [own(), ...present().map(({ gauges }) => gauges)].reduce(
        (total, gauges) => total + (gauges[name] ?? 0),
        0,
      ),
    );
  }
}

/** Figures that every worker has of its own, shown as their sum; the names are those that handler.ts gives them. */
const workerGauges = {
  policy_cache_inputs: "Parsed inputs that are kept.",
  remembered_resources: "Resources whose verdict is remembered.",
  worker_heap_used_bytes: "Memory of live and uncollected objects in workers.",
};
