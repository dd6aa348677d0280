// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { formatRfc3339, parseTime, rfc3339 } from "#policy/jmespath/go-time";

/** Wants are the answers of Go's time.Parse, printed in UTC; '' where it refuses. */
test.each([
  { reason: "plain", layout: rfc3339, text: "2021-01-02T15:04:05Z", want: "2021-01-02T15:04:05Z" },
  {
    reason: "a fraction that the layout lacks",
    layout: rfc3339,
    text: "2021-01-02T15:04:05.123456+05:30",
    want: "2021-01-02T09:34:05Z",
  },
  {
    reason: "a leap day far west",
    layout: rfc3339,
    text: "2024-02-29T23:59:59-11:00",
    want: "2024-03-01T10:59:59Z",
  },
  { reason: "month 13", layout: rfc3339, text: "2021-13-02T15:04:05Z", want: "" },
  { reason: "February 30", layout: rfc3339, text: "2021-02-30T15:04:05Z", want: "" },
  { reason: "hour 25", layout: rfc3339, text: "2021-01-02T25:04:05Z", want: "" },
  { reason: "no zone", layout: rfc3339, text: "2021-01-02T15:04:05", want: "" },
  {
    reason: "one digit where two are fixed",
    layout: rfc3339,
    text: "2021-1-2T15:04:05Z",
    want: "",
  },
  {
    reason: "the wrong weekday is not noticed",
    layout: "Mon Jan 02 2006 15:04:05 -0700",
    text: "Fri Jun 22 2022 17:45:00 +0100",
    want: "2022-06-22T16:45:00Z",
  },
  {
    reason: "a padded day",
    layout: "Mon Jan _2 15:04:05 2006",
    text: "Tue Feb  3 04:05:06 2015",
    want: "2015-02-03T04:05:06Z",
  },
  {
    reason: "a zone known by letters only counts as UTC",
    layout: "Mon, 02 Jan 2006 15:04:05 MST",
    text: "Mon, 02 Jan 2006 15:04:05 CET",
    want: "2006-01-02T15:04:05Z",
  },
  {
    reason: "two digits from 69 on are 19xx",
    layout: "02 Jan 06 15:04 MST",
    text: "02 Jan 69 15:04 UTC",
    want: "1969-01-02T15:04:00Z",
  },
  {
    reason: "below they are 20xx",
    layout: "02 Jan 06 15:04 -0700",
    text: "02 Jan 68 15:04 -0330",
    want: "2068-01-02T18:34:00Z",
  },
  {
    reason: "twelve in the night is zero",
    layout: "3:04PM",
    text: "12:15AM",
    want: "0000-01-01T00:15:00Z",
  },
  {
    reason: "twelve at noon is twelve",
    layout: "3:04PM",
    text: "12:15PM",
    want: "0000-01-01T12:15:00Z",
  },
  {
    reason: "a fixed fraction needs its digits",
    layout: "Jan _2 15:04:05.000",
    text: "Feb  4 05:06:07.12",
    want: "",
  },
  {
    reason: "the day of the year",
    layout: "2006-002",
    text: "2021-045",
    want: "2021-02-14T00:00:00Z",
  },
  { reason: "text after the end", layout: "2006-01-02", text: "2021-01-02x", want: "" },
  {
    reason: "names in any case",
    layout: "January 2, 2006",
    text: "february 12, 2020",
    want: "2020-02-12T00:00:00Z",
  },
  {
    reason: "no separators",
    layout: "20060102150405",
    text: "20210102150405",
    want: "2021-01-02T15:04:05Z",
  },
  { reason: "nothing", layout: rfc3339, text: "", want: "" },
])("$reason", ({ layout, text, want }) => {
  const moment = parseTime(layout, text);
  expect(moment.ok ? formatRfc3339({ ...moment.value, offsetSeconds: 0 }) : "").toBe(want);
});

test("a time keeps its offset", () => {
  const moment = parseTime(rfc3339, "2021-01-02T15:04:05.9-03:30");
  expect(moment.ok && formatRfc3339(moment.value)).toBe("2021-01-02T15:04:05-03:30");
});
