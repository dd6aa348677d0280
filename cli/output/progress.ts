// SPDX-License-Identifier: Apache-2.0
import type { Io } from "../command.ts";

export type Progress = {
  readonly step: () => void;
  readonly end: () => void;
};

/** A run shorter than this needs no line; afterwards it changes no more often than this. In milliseconds. */
const quietMs = 500;
const intervalMs = 100;

/** One line on a watched terminal that says how far a long run is; nothing elsewhere. */
export function makeProgress(io: Io, what: string, total: number): Progress {
  if (!io.interactive) return { step: () => {}, end: () => {} };
  const started = performance.now();
  let done = 0;
  let shownAt = started + quietMs - intervalMs;
  let shown = false;
  return {
    step: () => {
      done += 1;
      const now = performance.now();
      if (now - shownAt < intervalMs) return;
      shownAt = now;
      shown = true;
      io.err(`\r${done} of ${total} ${what}\u001B[K`);
    },
    end: () => {
      if (shown) io.err("\r\u001B[K");
    },
  };
}
