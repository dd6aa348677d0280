// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

export type Log = (
  level: "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, Json>>,
) => void;

/** One JSON line for each message. */
export const makeLog =
  (write: (line: string) => void, now: () => number): Log =>
  (level, message, fields = {}) =>
    write(`${JSON.stringify({ at: new Date(now()).toISOString(), level, message, ...fields })}\n`);

/** Lets the same complaint through once in a while: an API server that is down is told about, not with every retry. */
export function quieten(log: Log, everyMs: number, now: () => number): Log {
  const told = new Map<string, number>();
  return (level, message, fields) => {
    const last = told.get(message);
    if (last !== undefined && now() - last < everyMs) return;
    if (told.size > 1_000) told.clear();
    told.set(message, now());
    log(level, message, fields);
  };
}
