// SPDX-License-Identifier: Apache-2.0
import { plainNumber } from "./text.ts";
import { CelError, Duration, Timestamp } from "./values.ts";

const nanosPerSecond = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and the last nanosecond of 9999, in nanoseconds since 1970: overflow.go of cel-go. */
const timestampMin = -62135596800n * nanosPerSecond;
const timestampMax = 253402300800n * nanosPerSecond - 1n;
const durationMax = 2n ** 63n - 1n;
const durationMin = -(2n ** 63n);

export const makeTimestamp = (nanos: bigint, offset = 0): Timestamp | CelError =>
  nanos < timestampMin || nanos > timestampMax
    ? new CelError("timestamp overflow")
    : new Timestamp(nanos, offset);

/** The text is that of cel-go, which adds durations as integers. */
export const makeDuration = (nanos: bigint): Duration | CelError =>
  nanos < durationMin || nanos > durationMax
    ? new CelError("integer overflow")
    : new Duration(nanos);

/** Whole seconds (rounded down) and the nanoseconds within the second. */
export function splitNanos(nanos: bigint): { readonly seconds: number; readonly nano: number } {
  const nano = ((nanos % nanosPerSecond) + nanosPerSecond) % nanosPerSecond;
  return { seconds: Number((nanos - nano) / nanosPerSecond), nano: Number(nano) };
}

/** RFC 3339 with as many digits of a second as are not zero: Go's time.RFC3339Nano, at an offset of minutes from UTC. */
export function timestampText(nanos: bigint, offset = 0): string {
  const { seconds, nano } = splitNanos(nanos);
  const date = new Date((seconds + offset * 60) * 1000).toISOString().replace(/^\+0/, "");
  return `${date.slice(0, -".000Z".length)}${fraction(nano)}${offset === 0 ? "Z" : offsetText(offset)}`;
}

function offsetText(offset: number): string {
  const minutes = Math.abs(offset);
  const [hour, minute] = [Math.floor(minutes / 60), minutes % 60].map((part) =>
    String(part).padStart(2, "0"),
  );
  return `${offset < 0 ? "-" : "+"}${hour}:${minute}`;
}

/** The minutes east of UTC that an RFC 3339 time ends in. */
export function offsetOf(text: string): number {
  const [, sign, hours, minutes] = /([+-])(\d{2}):(\d{2})$/.exec(text) ?? [];
  if (hours === undefined || minutes === undefined) return 0;
  const offset = Number(hours) * 60 + Number(minutes);
  return sign === "-" && offset > 0 ? -offset : offset;
}

/** Seconds and `s`, as `string(duration)` and JSON have it; through a double, so that long ones lose nanoseconds as in cel-go. */
export function durationText(nanos: bigint): string {
  const seconds = Number(nanos / nanosPerSecond) + Number(nanos % nanosPerSecond) / 1e9;
  return `${seconds === 0 ? "0" : plainNumber(seconds)}s`;
}

const fraction = (nano: number): string =>
  nano === 0 ? "" : `.${String(nano).padStart(9, "0").replace(/0+$/, "")}`;

const unitNanos: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  "\u00b5s": 1000n,
  "\u03bcs": 1000n,
  ms: 1_000_000n,
  s: nanosPerSecond,
  m: 60n * nanosPerSecond,
  h: 3600n * nanosPerSecond,
};

/** A duration as Go's time.ParseDuration reads it, e.g. `1h30m`, `-1.5s`; undefined when it is none or does not fit. */
export function parseDuration(text: string): bigint | undefined {
  const [, sign = "", size = ""] = /^([+-]?)(.+)$/s.exec(text) ?? [];
  if (size === "0") return 0n;
  if (!/^(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(size)) {
    return undefined;
  }
  let nanos = 0n;
  for (const [, whole = "", , part = "", unit = ""] of size.matchAll(
    /([0-9]*)(\.([0-9]*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g,
  )) {
    const scale = unitNanos[unit] ?? 0n;
    nanos += BigInt(whole === "" ? 0 : whole) * scale;
    if (part !== "") nanos += (BigInt(part) * scale) / 10n ** BigInt(part.length);
  }
  const signed = sign === "-" ? -nanos : nanos;
  return signed > durationMax || signed < durationMin ? undefined : signed;
}

const timestampPattern =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** Nanoseconds of an RFC 3339 time as Go's time.Parse reads it; undefined when it is none. The range is not checked. */
export function parseTimestamp(text: string): bigint | undefined {
  const found = timestampPattern.exec(text);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
  if (year === undefined || month === undefined || day === undefined) return undefined;
  if (hour === undefined || minute === undefined || second === undefined) return undefined;
  const [fractionText = "", sign = "", offsetHours = "0", offsetMinutes = "0"] = found.slice(7);
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  if (Number(offsetHours) > 24 || Number(offsetMinutes) > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === "-" ? -1 : 1);
  const seconds = date.getTime() / 1000 + (hour * 60 + minute - offset) * 60 + second;
  const nano = BigInt(fractionText.slice(0, 9).padEnd(9, "0"));
  return BigInt(seconds) * nanosPerSecond + nano;
}
