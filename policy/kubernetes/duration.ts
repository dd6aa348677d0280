// SPDX-License-Identifier: Apache-2.0
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

const unitNanoseconds: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n],
  ["\u03bcs", 1_000n],
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);

const limit = 2n ** 63n;

/** Longest text read as a duration, in characters. */
export const durationLengthMax = 1_024;

/**
 * Reads a duration in Go's notation (`1h30m`, `-1.5s`, `300ms`) to nanoseconds, as time.ParseDuration does.
 * Never throws; the message is Go's. There are no days.
 */
export function parseDuration(text: string): Parsed<bigint> {
  if (text.length > durationLengthMax) return unparsed("time: invalid duration: text too long");
  const invalid = unparsed(`time: invalid duration ${quoteDuration(text)}`);
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return parsed(0n);
  if (rest === "") return invalid;
  let total = 0n;
  while (rest !== "") {
    const term = /^([0-9]*)(\.([0-9]*))?([^.0-9]*)/.exec(rest);
    const [whole = "", , fraction = "", unit = ""] = term === null ? [] : term.slice(1);
    if (whole === "" && fraction === "") return invalid;
    // Go stops at an overflow of the digits before it looks at the unit.
    if (BigInt(whole) > limit) return invalid;
    if (unit === "") {
      return unparsed(`time: missing unit in duration ${quoteDuration(text)}`);
    }
    const nanoseconds = unitNanoseconds.get(unit);
    if (nanoseconds === undefined) {
      return unparsed(
        `time: unknown unit ${quoteDuration(unit)} in duration ${quoteDuration(text)}`,
      );
    }
    const value = BigInt(whole) * nanoseconds + fractionOf(fraction, nanoseconds);
    if (BigInt(whole) > limit / nanoseconds || value > limit) return invalid;
    total += value;
    if (total > limit) return invalid;
    rest = rest.slice(term?.[0].length ?? 0);
  }
  if (negative) return parsed(-total);
  return total === limit ? invalid : parsed(total);
}

/** A duration in nanoseconds as Go's Duration.String prints it, e.g. `1h30m0s`, `1.5ms`. */
export function formatDuration(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return "0s";
  const sign = nanoseconds < 0n ? "-" : "";
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  if (size < 1_000n) return `${sign}${size}ns`;
  if (size < 1_000_000n) return `${sign}${withFraction(size, 3)}\u00b5s`;
  if (size < 1_000_000_000n) return `${sign}${withFraction(size, 6)}ms`;
  const minutes = size / 60_000_000_000n;
  const seconds = `${withFraction(size % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return `${sign}${seconds}`;
  const hours = minutes / 60n;
  return `${sign}${hours === 0n ? "" : `${hours}h`}${minutes % 60n}m${seconds}`;
}

/**
 * The nanoseconds of a decimal fraction of a unit, truncated. Go computes it in doubles and drops digits beyond
 * an int64; so do we, for the same last nanosecond.
 */
function fractionOf(digits: string, unit: bigint): bigint {
  let value = 0n;
  let scale = 1;
  for (const digit of digits) {
    if (value > (limit - 1n) / 10n) break;
    const next = value * 10n + BigInt(digit);
    if (next > limit) break;
    value = next;
    scale *= 10;
  }
  return BigInt(Math.trunc(Number(value) * (Number(unit) / scale)));
}

function withFraction(value: bigint, places: number): string {
  const unit = 10n ** BigInt(places);
  const fraction = (value % unit).toString().padStart(places, "0").replace(/0+$/, "");
  return fraction === "" ? `${value / unit}` : `${value / unit}.${fraction}`;
}

/** Package time has its own quoting: everything outside printable ASCII as bytes in hex. */
function quoteDuration(text: string): string {
  let quoted = "";
  for (const byte of Buffer.from(text, "utf8")) {
    if (byte >= 0x80 || byte < 0x20) quoted += `\\x${byte.toString(16).padStart(2, "0")}`;
    else if (byte === 0x22 || byte === 0x5c) quoted += `\\${String.fromCharCode(byte)}`;
    else quoted += String.fromCharCode(byte);
  }
  return `"${quoted}"`;
}
