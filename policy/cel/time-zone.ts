// SPDX-License-Identifier: Apache-2.0

const formats = new Map<string, Intl.DateTimeFormat | undefined>();
/** There are some 600 names; what objects bring must not pile up. */
const formatsMax = 1000;

function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  if (formats.has(zone)) return formats.get(zone);
  if (formats.size >= formatsMax) formats.clear();
  const format = makeFormat(zone);
  formats.set(zone, format);
  return format;
}

function makeFormat(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    const digits = { year: "numeric", month: "numeric", day: "numeric" } as const;
    const time = { hour: "numeric", minute: "numeric", second: "numeric" } as const;
    return new Intl.DateTimeFormat("en-US", {
      ...digits,
      ...time,
      hourCycle: "h23",
      era: "short",
      timeZone,
    });
  } catch {
    return undefined;
  }
}

/**
 * Seconds east of UTC of a fixed offset such as `-08:00` or `02:00`; undefined when it is none. As lenient as cel-go,
 * which reads two numbers and does not look at their size; what no date can hold is refused here.
 */
function fixedOffset(zone: string): number | undefined {
  const found = /^([+-]?[0-9]{1,5}):([+-]?[0-9]{1,5})$/.exec(zone);
  if (found === null) return undefined;
  const minutes = Number(found[2]);
  return (Number(found[1]) * 60 + (zone.startsWith("-") ? -minutes : minutes)) * 60;
}

/**
 * The date whose UTC fields are the local fields of a time in a zone: an IANA name or a fixed offset. Undefined for an
 * unknown zone.
 */
export function inTimeZone(seconds: number, zone: string): Date | undefined {
  if (zone === "" || zone === "UTC" || zone === "Local") return new Date(seconds * 1000);
  const offset = zone.includes(":") ? fixedOffset(zone) : undefined;
  if (offset !== undefined) return new Date((seconds + offset) * 1000);
  const format = zone.includes(":") ? undefined : formatOf(zone);
  if (format === undefined) return undefined;
  const fields = new Map(
    format.formatToParts(seconds * 1000).map((part) => [part.type, part.value]),
  );
  const number = (name: Intl.DateTimeFormatPartTypes): number => Number(fields.get(name));
  const year = fields.get("era") === "BC" ? 1 - number("year") : number("year");
  const date = new Date(0);
  date.setUTCFullYear(year, number("month") - 1, number("day"));
  date.setUTCHours(number("hour"), number("minute"), number("second"));
  return date;
}
