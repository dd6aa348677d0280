// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { inTimeZone } from "./time-zone.ts";
import {
  durationText,
  makeDuration,
  makeTimestamp,
  offsetOf,
  parseDuration,
  parseTimestamp,
  timestampText,
} from "./time.ts";
import { CelError } from "./values.ts";

const durations: readonly (readonly [text: string, nanos: bigint | undefined, reason: string])[] = [
  ["0", 0n, "zero needs no unit"],
  ["-0", 0n, "nor with a sign"],
  ["1h30m", 5_400_000_000_000n, "units add up"],
  ["1m1h", 3_660_000_000_000n, "in any order"],
  ["-1.5s", -1_500_000_000n, "the sign is for all of it"],
  ["+2ms", 2_000_000n, "a plus is allowed"],
  [".5s", 500_000_000n, "no digit before the point"],
  ["1.s", 1_000_000_000n, "none behind it"],
  ["1.0000000019s", 1_000_000_001n, "what is below a nanosecond is dropped"],
  ["3µs", 3_000n, "micro sign"],
  ["3μs", 3_000n, "Greek mu"],
  ["7ns", 7n, "nanoseconds"],
  ["9223372036s", 9_223_372_036_000_000_000n, "292 years fit"],
  ["9223372037s", undefined, "more do not"],
  ["", undefined, "empty"],
  ["-", undefined, "only a sign"],
  ["1", undefined, "no unit"],
  ["1d", undefined, "days are no unit"],
  ["1h ", undefined, "no blanks"],
  [".s", undefined, "no digits"],
  ["1h-1m", undefined, "one sign only"],
];

test.for(durations)("parseDuration %s", ([text, nanos]) => {
  expect(parseDuration(text)).toBe(nanos);
});

const printed: readonly (readonly [nanos: bigint, text: string, reason: string])[] = [
  [0n, "0s", "zero"],
  [1n, "0.000000001s", "no exponent, however small"],
  [-1_500_000_000n, "-1.5s", "negative"],
  [3_600_000_000_000n, "3600s", "seconds only"],
  [9_007_199_254_740_993_000n, "9007199254.740993s", "through a double"],
  [9_223_372_036_854_775_807n, "9223372036.854776s", "which rounds the last digits"],
];

test.for(printed)("durationText %s", ([nanos, text]) => {
  expect(durationText(nanos)).toBe(text);
});

const timestamps: readonly (readonly [text: string, back: string | undefined, reason: string])[] = [
  ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "the epoch"],
  ["2009-02-13T23:31:30.5Z", "2009-02-13T23:31:30.5Z", "half a second"],
  ["2009-02-13T23:31:30.123456789Z", "2009-02-13T23:31:30.123456789Z", "nanoseconds"],
  ["2009-02-13T23:31:30.1234567899Z", "2009-02-13T23:31:30.123456789Z", "more digits are dropped"],
  ["2009-02-14T01:31:30+02:00", "2009-02-13T23:31:30Z", "an offset east"],
  ["2009-02-13T18:01:30-05:30", "2009-02-13T23:31:30Z", "an offset west"],
  ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "a leap day"],
  ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "the first day"],
  ["0099-03-01T00:00:00Z", "0099-03-01T00:00:00Z", "a year below 100 is that year"],
  ["2023-02-29T00:00:00Z", undefined, "no leap day"],
  ["2023-13-01T00:00:00Z", undefined, "no such month"],
  ["2023-04-31T00:00:00Z", undefined, "no such day"],
  ["2023-01-01T24:00:00Z", undefined, "no such hour"],
  ["2023-01-01T00:00:60Z", undefined, "no leap seconds"],
  ["2023-01-01 00:00:00Z", undefined, "a T, not a blank"],
  ["2023-01-01T00:00:00", undefined, "no zone"],
  ["2023-01-01T00:00:00z", undefined, "a capital Z"],
];

test.for(timestamps)("parseTimestamp %s", ([text, back]) => {
  const nanos = parseTimestamp(text);
  expect(nanos === undefined ? undefined : timestampText(nanos)).toBe(back);
});

test("timestamps end with the year 9999, durations with int64", () => {
  const last = parseTimestamp("9999-12-31T23:59:59.999999999Z") ?? 0n;
  expect(makeTimestamp(last)).not.toBeInstanceOf(CelError);
  expect(makeTimestamp(last + 1n)).toEqual(new CelError("timestamp overflow"));
  const first = parseTimestamp("0001-01-01T00:00:00Z") ?? 0n;
  expect(makeTimestamp(first)).not.toBeInstanceOf(CelError);
  expect(makeTimestamp(first - 1n)).toEqual(new CelError("timestamp overflow"));
  expect(makeDuration(2n ** 63n - 1n)).not.toBeInstanceOf(CelError);
  expect(makeDuration(2n ** 63n)).toEqual(new CelError("integer overflow"));
});

const zones: readonly (readonly [zone: string, local: string | undefined, reason: string])[] = [
  ["UTC", "2024-07-01T12:30:15.000Z", "no shift"],
  ["Europe/Berlin", "2024-07-01T14:30:15.000Z", "summer time"],
  ["Australia/Sydney", "2024-07-01T22:30:15.000Z", "winter on the other side"],
  ["US/Central", "2024-07-01T07:30:15.000Z", "an old name"],
  ["-02:30", "2024-07-01T10:00:15.000Z", "a fixed offset"],
  ["05:45", "2024-07-01T18:15:15.000Z", "without a sign"],
  ["Mars/Olympus", undefined, "unknown"],
  ["1:2", "2024-07-01T13:32:15.000Z", "single digits"],
  ["-1:70", "2024-07-01T10:20:15.000Z", "minutes beyond an hour"],
  [
    "Local",
    "2024-07-01T12:30:15.000Z",
    "the machine's zone is taken for UTC: answers must not depend on it",
  ],
  ["a:b", undefined, "no offset"],
  ["1:2:3", undefined, "no seconds"],
];

test.for(zones)("inTimeZone %s", ([zone, local]) => {
  const seconds = Date.UTC(2024, 6, 1, 12, 30, 15) / 1000;
  expect(inTimeZone(seconds, zone)?.toISOString()).toBe(local);
});

test.for([
  ["2024-01-01T00:00:00.5-07:00", "2024-01-01T00:00:00.5-07:00", "west"],
  ["2024-01-01T00:00:00+05:30", "2024-01-01T00:00:00+05:30", "half an hour"],
  ["2024-01-01T00:00:00-00:00", "2024-01-01T00:00:00Z", "no offset is UTC"],
  ["2024-01-01T00:00:00+05:60", "2024-01-01T00:00:00+06:00", "Go reads sixty minutes"],
  ["0001-01-01T00:07:59-23:59", "0001-01-01T00:07:59-23:59", "the first year"],
] as const)("timestampText keeps the offset of %s", ([text, back]) => {
  expect(timestampText(parseTimestamp(text) ?? 0n, offsetOf(text))).toBe(back);
});

test("timestampText in a year after 9999, which an offset can reach", () => {
  const last = parseTimestamp("9999-12-31T23:59:59Z") ?? 0n;
  expect(timestampText(last, 60)).toBe("10000-01-01T00:59:59+01:00");
});
