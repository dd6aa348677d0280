// SPDX-License-Identifier: Apache-2.0
import { Worker } from "node:worker_threads";
import type { WorkerLoss } from "../meter.ts";
import type { WorkerMessage, WorkerSettings } from "./messages.ts";

/** One call on its way through the pool. */
export type Job = {
  readonly id: number;
  readonly request: Buffer;
  /** Which lane its composite's calls meet in. */
  readonly home: number;
  readonly sinceMs: number;
  readonly isWanted: () => boolean;
  readonly finish: (message: Exclude<WorkerMessage, { kind: "ready" | "log" }>) => void;
  readonly fail: (error: Error) => void;
};

export type LaneSpec = {
  /** The script that a worker runs. */
  readonly entry: URL;
  readonly settings: WorkerSettings;
  readonly heapMbMax: number;
  readonly clock: () => number;
  /** It is ready, or has finished a call: there may be room for another. */
  readonly onRoom: () => void;
  readonly onMessage: (message: WorkerMessage) => void;
  /** It ended without being told to; `running` is what it was at, `waiting` has not been begun. */
  readonly onEnd: (end: LaneEnd) => void;
};

export type LaneEnd = {
  readonly why: WorkerLoss;
  readonly running: Job | undefined;
  readonly waiting: readonly Job[];
};

/** Memory for new objects, in MiB. Left alone it grows to 100 and more with large composites, and nothing gets quicker. */
const youngMbMax = 16;

/** One worker and the calls that it has: one that it is at, and one more so that it never waits for the main thread. */
export class Lane {
  readonly #spec: LaneSpec;
  readonly #worker: Worker;
  readonly #jobs: Job[] = [];
  #isReady = false;
  #hasEnded = false;
  #why: WorkerLoss = "crash";
  /** When the call at the head was begun; when the worker was started while there is none. */
  #sinceMs: number;
  #gauges: Readonly<Record<string, number>> = {};

  constructor(spec: LaneSpec) {
    this.#spec = spec;
    this.#sinceMs = spec.clock();
    this.#worker = new Worker(spec.entry, {
      workerData: spec.settings,
      name: "parapet-worker",
      resourceLimits: {
        maxOldGenerationSizeMb: spec.heapMbMax,
        maxYoungGenerationSizeMb: youngMbMax,
      },
    });
    this.#worker.on("message", (message: WorkerMessage) => this.#take(message));
    this.#worker.on("error", (error: Error) => {
      if ("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") this.#why = "memory";
    });
    this.#worker.once("exit", () => {
      this.#hasEnded = true;
      const [running, ...waiting] = this.#jobs.splice(0);
      spec.onEnd({ why: this.#why, running, waiting });
    });
  }

  get isReady(): boolean {
    return this.#isReady && !this.#hasEnded;
  }

  /** Whether it ever came as far as to take calls. */
  get hasStarted(): boolean {
    return this.#isReady;
  }

  /** Calls that it has. */
  get load(): number {
    return this.#jobs.length;
  }

  /** Figures that its worker told with the last answer. */
  get gauges(): Readonly<Record<string, number>> {
    return this.#gauges;
  }

  /** Milliseconds that it has been at the call that it is at; 0 for none. */
  busyMs(): number {
    return this.#jobs.length === 0 ? 0 : this.#spec.clock() - this.#sinceMs;
  }

  /** Milliseconds since the start of a worker that is not ready yet; 0 for one that is. */
  startingMs(): number {
    return this.#isReady ? 0 : this.#spec.clock() - this.#sinceMs;
  }

  give(job: Job): void {
    if (this.#jobs.length === 0) this.#sinceMs = this.#spec.clock();
    this.#jobs.push(job);
    // A copy goes over: gRPC's buffers share memory, and a call that was not begun may have to go to another worker.
    const request = new Uint8Array(job.request);
    this.#worker.postMessage({ id: job.id, request }, [request.buffer]);
  }

  /** Ends the worker whatever it is at; `onEnd` follows. */
  async end(why: WorkerLoss): Promise<void> {
    this.#why = why;
    await this.#worker.terminate();
  }

  #take(message: WorkerMessage): void {
    if (message.kind === "log") return this.#spec.onMessage(message);
    if (message.kind === "ready") {
      this.#isReady = true;
      return this.#spec.onRoom();
    }
    const job = this.#jobs.shift();
    this.#sinceMs = this.#spec.clock();
    this.#gauges = message.notes.gauges;
    this.#spec.onMessage(message);
    if (job?.id !== message.id) throw new Error("a worker answered another call than its first");
    job.finish(message);
    this.#spec.onRoom();
  }
}
