// SPDX-License-Identifier: Apache-2.0

export type Machine = {
  /** Processors that the process may use; a container's limit counts. */
  readonly cores: number;
  /** Memory that the process may use, in bytes. */
  readonly memoryBytes: number;
};

const mib = 1024 * 1024;
/** More are seldom busy: a control plane has few composites to ask about at the same moment. */
const workersMax = 4;
/** What the thread that reads and writes needs, and the least that a worker is worth starting with, in MiB. */
const mainMb = 128;
const workerMbMin = 128;
const workerMbMax = 2048;
/** Of the memory, what heaps may fill; requests and answers are held outside of them. */
const heapShare = 0.75;

/** How many workers a machine gets unless somebody says otherwise; 1 stands for none beside the main thread. */
export function workersFor({ cores, memoryBytes }: Machine): number {
  const room = Math.floor((memoryBytes * heapShare) / mib / workerMbMin - mainMb / workerMbMin);
  return Math.max(1, Math.min(cores, workersMax, room));
}

/** Heap of each of `count` workers, in MiB. */
export function workerMb({ memoryBytes }: Machine, count: number): number {
  const each = Math.floor(((memoryBytes * heapShare) / mib - mainMb) / count);
  return Math.max(workerMbMin, Math.min(workerMbMax, each));
}
