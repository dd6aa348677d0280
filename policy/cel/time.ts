// SPDX-License-Identifier: Apache-2.0
import { CelError, Duration, Timestamp } from "./values.ts";

const nanosPerSecond = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and the last nanosecond of 9999, in nanoseconds since 1970: overflow.go of cel-go. */
const timestampMin = -62135596800n * nanosPerSecond;
const timestampMax = 253402300800n * nanosPerSecond - 1n;
const durationMax = 2n ** 63n - 1n;
const durationMin = -(2n ** 63n);

export const makeTimestamp = (nanos: bigint): Timestamp | CelError =>
  nanos < timestampMin || nanos > timestampMax
    ? new CelError("timestamp overflow")
    : new Timestamp(nanos);

export const makeDuration = (nanos: bigint): Duration | CelError =>
  nanos < durationMin || nanos > durationMax
    ? new CelError("duration overflow")
    : new Duration(nanos);

/** Whole seconds (rounded down) and the nanoseconds within the second. */
export function splitNanos(nanos: bigint): { readonly seconds: number; readonly nano: number } {
  const nano = ((nanos % nanosPerSecond) + nanosPerSecond) % nanosPerSecond;
  return { seconds: Number((nanos - nano) / nanosPerSecond), nano: Number(nano) };
}

/** RFC 3339 in UTC with as many digits of a second as are not zero: Go's time.RFC3339Nano. */
export function timestampText(nanos: bigint): string {
  const { seconds, nano } = splitNanos(nanos);
  const date = new Date(seconds * 1000).toISOString().slice(0, 19);
  return `${date}${fraction(nano)}Z`;
}

/** Seconds and `s`, as in JSON of protobuf and in `string(duration)`: `3.5s`, `-0.000000001s`. */
export function durationText(nanos: bigint): string {
  const size = nanos < 0n ? -nanos : nanos;
  const { seconds, nano } = splitNanos(size);
  return `${nanos < 0n ? "-" : ""}${seconds}${fraction(nano)}s`;
}

const fraction = (nano: number): string =>
  nano === 0 ? "" : `.${String(nano).padStart(9, "0").replace(/0+$/, "")}`;
