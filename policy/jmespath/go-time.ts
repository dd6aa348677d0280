// SPDX-License-Identifier: Apache-2.0
import { elementPattern, layoutElements, type Reading } from "#policy/jmespath/go-layout";
import { quoteText } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** A moment with the offset of the zone it was written in, as Go's time.Time keeps it. */
export type Moment = {
  /** Nanoseconds since 1970. */
  readonly nanoseconds: bigint;
  readonly offsetSeconds: number;
};

export const rfc3339 = "2006-01-02T15:04:05Z07:00";

/** Longest layout or time read, in characters. */
export const timeLengthMax = 256;

const second = 1_000_000_000n;

/** The fields of a moment in its own zone. Months count from 1, weekdays from Sunday = 0. */
export function fieldsOf(moment: Moment): {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly weekday: number;
} {
  const local = moment.nanoseconds + BigInt(moment.offsetSeconds) * second;
  const date = new Date(Number(floorDivide(local, 1_000_000n)));
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    weekday: date.getUTCDay(),
  };
}

/** A moment as Go's RFC3339 prints it: whole seconds, `Z` or the offset. */
export function formatRfc3339(moment: Moment): string {
  const { year, month, day, hour, minute, second: seconds } = fieldsOf(moment);
  const date = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  const suffix = moment.offsetSeconds === 0 ? "Z" : offsetText(moment.offsetSeconds);
  return `${date}T${two(hour)}:${two(minute)}:${two(seconds)}${suffix}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

function offsetText(offset: number): string {
  const minutes = Math.trunc(Math.abs(offset) / 60);
  return `${offset < 0 ? "-" : "+"}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
}

/** Rounds down to a multiple of a duration since the year 1, as Time.Truncate does. */
export function truncateMoment(moment: Moment, duration: bigint): Moment {
  if (duration <= 0n) return moment;
  const sinceYearOne = moment.nanoseconds + 62_135_596_800n * second;
  const rest = ((sinceYearOne % duration) + duration) % duration;
  return { ...moment, nanoseconds: moment.nanoseconds - rest };
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

/** Reads a time by a Go layout, as time.Parse does. Never throws; the message is close to Go's. */
export function parseTime(layout: string, text: string): Parsed<Moment> {
  if (layout.length > timeLengthMax || text.length > timeLengthMax) {
    return unparsed("time or layout is too long");
  }
  const fail = (element: string, rest: string, why = "") =>
    unparsed(
      `parsing time ${quoteText(text)} as ${quoteText(layout)}: cannot parse ${quoteText(rest)} as ${quoteText(element)}${why}`,
    );
  const reading = emptyReading();
  let rest = text;
  let literalFrom = 0;
  const found = [...layout.matchAll(elementPattern)];
  for (const [index, match] of found.entries()) {
    const name = match[0];
    const afterLiteral = skipLiteral(layout.slice(literalFrom, match.index), rest);
    if (afterLiteral === undefined) return fail(layout.slice(literalFrom, match.index), rest);
    rest = afterLiteral;
    literalFrom = match.index + name.length;
    const taken = takeElement(name, rest, reading);
    if (taken === undefined) return fail(name, rest);
    rest = rest.slice(taken);
    const fractionNext = /^[.,]/.test(found[index + 1]?.[0] ?? "");
    if ((name === "5" || name === "05") && !fractionNext) {
      rest = rest.slice(takeFraction(rest, reading));
    }
  }
  const end = skipLiteral(layout.slice(literalFrom), rest);
  if (end === undefined) return fail(layout.slice(literalFrom), rest);
  if (end !== "") return unparsed(`parsing time ${quoteText(text)}: extra text: ${quoteText(end)}`);
  return toMoment(reading, text);
}

function emptyReading(): Reading {
  return {
    year: 0,
    month: 0,
    day: 0,
    yearDay: 0,
    hour: 0,
    minute: 0,
    second: 0,
    nanosecond: 0,
    afternoon: undefined,
    offsetSeconds: 0,
  };
}

/** The value after a literal of the layout: runs of spaces match runs of spaces. */
function skipLiteral(literal: string, text: string): string | undefined {
  let rest = text;
  for (const part of literal.match(/ +|[^ ]+/g) ?? []) {
    if (part.startsWith(" ")) {
      if (rest !== "" && !rest.startsWith(" ")) return undefined;
      rest = rest.replace(/^ +/, "");
    } else if (rest.startsWith(part)) {
      rest = rest.slice(part.length);
    } else {
      return undefined;
    }
  }
  return rest;
}

/** How many characters an element takes; undefined when it does not fit. */
function takeElement(name: string, rest: string, reading: Reading): number | undefined {
  if (/^[.,]/.test(name)) {
    if (name.includes("9")) return takeFraction(rest, reading);
    const digits = /^[.,][0-9]+/.exec(rest.slice(0, name.length))?.[0] ?? "";
    if (digits.length !== name.length) return undefined;
    reading.nanosecond = fractionOf(digits);
    return digits.length;
  }
  const element = layoutElements[name];
  const taken = element?.pattern.exec(rest)?.[0];
  if (element === undefined || taken === undefined) return undefined;
  return element.set(reading, taken) ? taken.length : undefined;
}

function takeFraction(rest: string, reading: Reading): number {
  const digits = /^[.,][0-9]+/.exec(rest)?.[0];
  if (digits === undefined) return 0;
  reading.nanosecond = fractionOf(digits);
  return digits.length;
}

const fractionOf = (digits: string): number => Number(digits.slice(1, 10).padEnd(9, "0"));

function toMoment(reading: Reading, text: string): Parsed<Moment> {
  const fail = (what: string) => unparsed(`parsing time ${quoteText(text)}: ${what} out of range`);
  const year = reading.year;
  const month = reading.month || 1;
  const day = reading.day || 1;
  const hour = hourOf(reading);
  if (month > 12) return fail("month");
  if (day > daysIn(year, month)) return fail("day");
  if (hour > 23) return fail("hour");
  if (reading.minute > 59) return fail("minute");
  if (reading.second > 59) return fail("second");
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, reading.yearDay > 0 ? 1 : day);
  date.setUTCHours(hour, reading.minute, reading.second - reading.offsetSeconds);
  const yearDays = BigInt(Math.max(reading.yearDay - 1, 0)) * 86_400n * second;
  return parsed({
    nanoseconds: BigInt(date.getTime()) * 1_000_000n + yearDays + BigInt(reading.nanosecond),
    offsetSeconds: reading.offsetSeconds,
  });
}

function hourOf({ hour, afternoon }: Reading): number {
  if (afternoon === undefined) return hour;
  if (afternoon) return hour < 12 ? hour + 12 : hour;
  return hour === 12 ? 0 : hour;
}

function daysIn(year: number, month: number): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month, 0);
  return date.getUTCDate();
}
