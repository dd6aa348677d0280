// SPDX-License-Identifier: Apache-2.0
import { parentPort, threadId } from "node:worker_threads";
import { answerThrough } from "#function/workers/thread";

// A worker of the function that does what no worker should, where the request's text asks for it; every other request is
// answered with the number of the thread. It speaks to the pool through the real thread's own code.

const grow = (): never => {
  const kept: number[][] = [];
  for (;;) kept.push(Array.from({ length: 100_000 }, (_, i) => i * 1.5));
};

const spin = (ms: number): void => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

if (parentPort === null) throw new Error("to be run as a worker");
answerThrough(parentPort, (request) => {
  const text = request.toString("latin1");
  if (text.includes("fault:hang")) for (;;);
  if (text.includes("fault:exit")) process.exit(1);
  if (text.includes("fault:memory")) grow();
  if (text.includes("fault:throw")) throw new Error("password hunter2");
  const slow = /slow:(\d+)/.exec(text);
  if (slow !== null) spin(Number(slow[1]));
  return Buffer.from(`thread ${threadId}`);
});
