// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Overload } from "./library.ts";
import { splitNanos } from "./time.ts";
import { inTimeZone } from "./time-zone.ts";
import { durationType, intType, stringType, timestampType } from "./types.ts";
import { CelError, intValue, type CelResult, type Duration, type Timestamp } from "./values.ts";

const millisPerDay = 86_400_000;

const dayOfYear = (date: Date): number => {
  const start = new Date(0);
  start.setUTCFullYear(date.getUTCFullYear(), 0, 1);
  const midnight = Math.floor(date.getTime() / millisPerDay) * millisPerDay;
  return Math.round((midnight - start.getTime()) / millisPerDay);
};

/** Fields of a time in a zone; months, days of the year and days of the month count from 0, but `getDate`. */
const fields: Readonly<Record<string, (date: Date, nano: number) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDayOfYear: dayOfYear,
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDate: (date) => date.getUTCDate(),
  getDayOfWeek: (date) => date.getUTCDay(),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (_date, nano) => Math.floor(nano / 1e6),
};

/** Whole units of a duration, rounded towards zero; milliseconds are all of it, not those within the second. */
const durationUnits: Readonly<Record<string, bigint>> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
  getMilliseconds: 1_000_000n,
};

function read(name: string, time: Timestamp, zone: string): CelResult {
  const { seconds, nano } = splitNanos(time.nanos);
  const date = inTimeZone(seconds, zone);
  if (date === undefined) return new CelError(`unknown time zone ${zone}`);
  return fields[name]?.(date, nano) ?? new CelError(`no such overload: ${name}`);
}

function timeOverloads(name: string): readonly Overload[] {
  return [
    {
      id: `timestamp_${name}`,
      member: true,
      arguments: [timestampType],
      result: intType,
      call: (time: Timestamp) => read(name, time, "UTC"),
    },
    {
      id: `timestamp_${name}_with_tz`,
      member: true,
      arguments: [timestampType, stringType],
      result: intType,
      call: (time: Timestamp, zone: string) => read(name, time, zone),
    },
  ];
}

function durationOverloads(name: string): readonly Overload[] {
  const unit = durationUnits[name];
  if (unit === undefined) return [];
  return [
    {
      id: `duration_${name}`,
      member: true,
      arguments: [durationType],
      result: intType,
      call: (duration: Duration) => intValue(duration.nanos / unit),
    },
  ];
}

export const timeFunctions: readonly FunctionDeclaration[] = Object.keys(fields).map((name) => ({
  name,
  overloads: [...timeOverloads(name), ...durationOverloads(name)],
}));
