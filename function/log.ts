// SPDX-License-Identifier: Apache-2.0

export type LogLevel = "info" | "warn" | "error";

/** Named values of one log line. Never anything out of a request: it may hold connection secrets. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;

export type Logger = (level: LogLevel, message: string, fields?: LogFields) => void;

/** One JSON object per line; `write` takes the line with its end. */
export const makeLogger =
  (write: (line: string) => void, now: () => Date): Logger =>
  (level, message, fields = {}) => {
    write(`${JSON.stringify({ time: now().toISOString(), level, message, ...fields })}\n`);
  };

/** What may be said about an unexpected error: where it was thrown, never its text, which may quote the request. */
export function traceOf(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error };
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return { error: error.name, at: frames.slice(0, 6).join(" <") };
}
