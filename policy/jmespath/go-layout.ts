// SPDX-License-Identifier: Apache-2.0

const months = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];
const days = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/** What a value said so far; zero where it said nothing. */
export type Reading = {
  year: number;
  month: number;
  day: number;
  yearDay: number;
  hour: number;
  minute: number;
  second: number;
  nanosecond: number;
  afternoon: boolean | undefined;
  offsetSeconds: number;
};

/** How one element of a layout is read: a pattern at the start of the value, and what it sets; false when out of range. */
export type Element = {
  readonly pattern: RegExp;
  readonly set: (reading: Reading, text: string) => boolean;
};

function number(pattern: RegExp, set: (reading: Reading, value: number) => void): Element {
  return {
    pattern,
    set: (reading, text) => {
      set(reading, Number(text.trim()));
      return true;
    },
  };
}

function named(names: readonly string[], length: number | undefined): Element {
  const shown = names.map((name) => name.slice(0, length));
  return {
    pattern: new RegExp(`^(?:${shown.join("|")})`, "i"),
    set: (reading, text) => {
      if (names === months) reading.month = shown.indexOf(text.toLowerCase()) + 1;
      return true;
    },
  };
}

const loose = /^[0-9]{1,2}/;
const fixed = /^[0-9]{2}/;
const setDay = (reading: Reading, value: number): void => void (reading.day = value);
const setMonth = (reading: Reading, value: number): void => void (reading.month = value);
const setHour = (reading: Reading, value: number): void => void (reading.hour = value);
const setMinute = (reading: Reading, value: number): void => void (reading.minute = value);
const setSecond = (reading: Reading, value: number): void => void (reading.second = value);
const setYearDay = (reading: Reading, value: number): void => void (reading.yearDay = value);

export const layoutElements: Readonly<Record<string, Element>> = {
  "2006": number(/^[0-9]{4}/, (reading, value) => void (reading.year = value)),
  "06": number(
    fixed,
    (reading, value) => void (reading.year = value >= 69 ? 1900 + value : 2000 + value),
  ),
  January: named(months, undefined),
  Jan: named(months, 3),
  Monday: named(days, undefined),
  Mon: named(days, 3),
  "1": number(loose, setMonth),
  "01": number(fixed, setMonth),
  "2": number(loose, setDay),
  _2: number(/^ ?[0-9]{1,2}/, setDay),
  "02": number(fixed, setDay),
  "002": number(/^[0-9]{3}/, setYearDay),
  __2: number(/^ {0,2}[0-9]{1,3}/, setYearDay),
  "15": number(loose, setHour),
  "3": number(loose, setHour),
  "03": number(fixed, setHour),
  "4": number(loose, setMinute),
  "04": number(fixed, setMinute),
  "5": number(loose, setSecond),
  "05": number(fixed, setSecond),
  PM: half(/^(?:AM|PM)/),
  pm: half(/^(?:am|pm)/),
  // A zone known by its letters only counts as UTC, as where Go's process has no such zone.
  MST: { pattern: /^(?:GMT[+-][0-9]{1,2}|[A-Z]{3,4}|[+-][0-9]{2})/, set: () => true },
  Z0700: zone(/^(?:Z|[+-][0-9]{4})/),
  "Z07:00": zone(/^(?:Z|[+-][0-9]{2}:[0-9]{2})/),
  Z07: zone(/^(?:Z|[+-][0-9]{2})/),
  "-0700": zone(/^[+-][0-9]{4}/),
  "-07:00": zone(/^[+-][0-9]{2}:[0-9]{2}/),
  "-07": zone(/^[+-][0-9]{2}/),
};

function half(pattern: RegExp): Element {
  return {
    pattern,
    set: (reading, text) => {
      reading.afternoon = text.toLowerCase() === "pm";
      return true;
    },
  };
}

function zone(pattern: RegExp): Element {
  return {
    pattern,
    set: (reading, text) => {
      if (text === "Z") return true;
      const digits = text.replaceAll(/[^0-9]/g, "");
      const hours = Number(digits.slice(0, 2));
      const minutes = Number(digits.slice(2, 4) || "0");
      const offset = hours * 3_600 + minutes * 60;
      reading.offsetSeconds = text.startsWith("-") ? -offset : offset;
      return hours <= 24 && minutes < 60;
    },
  };
}

/** Elements of a layout in the order Go looks for them (time/format.go nextStdChunk). */
export const elementPattern =
  /January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|_2(?!006)|002|0[1-6]|15|[1-5]|PM|pm|Z07:00|Z0700|Z07|-07:00|-0700|-07|[.,](?:0+|9+)(?![0-9])/g;
