// SPDX-License-Identifier: Apache-2.0
import { getHeapStatistics } from "node:v8";
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import { isObject, textAt } from "#policy/json";
import { makeHandler, type Evaluate } from "../handler.ts";
import { traceOf } from "../log.ts";
import { WireError } from "../wire/reader.ts";
import type { CallMessage, WorkerMessage } from "./messages.ts";
import { makeRecorder, type Recorder } from "./notes.ts";

/** The body of a worker: answers the calls that come through its port, one after the other, until it is ended. */
export function serveCalls(): void {
  const port = parentPort;
  if (port === null) throw new Error("only a worker thread serves calls");
  const given: unknown = workerData;
  const recorder = makeRecorder(() => performance.now());
  const handler = makeHandler({
    now: () => Date.now(),
    meter: recorder.meter,
    approvalNamespace: textAt(isObject(given) ? given : {}, ["approvalNamespace"]),
    log: (level, message, fields = {}) => send(port, { kind: "log", level, message, fields }),
  });
  recorder.meter.gauge("worker_heap_used_bytes", "", heapUsed);
  answerThrough(port, handler, recorder);
}

/** Looking costs as much as a small call: once in a while is enough. */
let heapUsedBytes = 0;
let looks = 0;
function heapUsed(): number {
  if (looks++ % 64 === 0) heapUsedBytes = getHeapStatistics().used_heap_size;
  return heapUsedBytes;
}

/** Answers every call that comes through a port. */
export function answerThrough(
  port: MessagePort,
  handler: Evaluate,
  recorder: Recorder = makeRecorder(() => performance.now()),
): void {
  port.on("message", ({ id, request }: CallMessage) => {
    const bytes = Buffer.from(request.buffer, request.byteOffset, request.byteLength);
    try {
      const answer = handler(bytes);
      send(port, { kind: "answer", id, answer, notes: recorder.take() }, answer);
    } catch (error) {
      const problem =
        error instanceof WireError ? { malformed: error.message } : { failed: traceOf(error) };
      send(port, { kind: "problem", id, problem, notes: recorder.take() });
    }
  });
  send(port, { kind: "ready" });
}

/** The memory of `moved` goes over instead of being copied, where it is nobody else's. */
function send(port: MessagePort, message: WorkerMessage, moved?: Buffer): void {
  const memory = moved?.buffer;
  const isWhole = memory instanceof ArrayBuffer && moved !== undefined && isOwn(memory, moved);
  port.postMessage(message, isWhole ? [memory] : []);
}

/** Small buffers share the memory of Node's pool, which must stay. An answer fills most of its own. */
const isOwn = (memory: ArrayBuffer, bytes: Buffer): boolean =>
  memory.byteLength !== Buffer.poolSize && bytes.byteLength * 4 > memory.byteLength;
