// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { scheduleProblem } from "#policy/kyverno/schedule";
import type { ScheduleDialect } from "#policy/kyverno/schedule";

type Row = readonly [schedule: string, dialect: ScheduleDialect, ok: boolean, reason: string];

// What the parsers of aptible/supercronic (deleting) and robfig/cron (cleanup) take.
const rows: readonly Row[] = [
  ["*/1 * * * *", "deleting", true, "every minute"],
  ["0 1 * * *", "cleanup", true, "once a day"],
  ["0 0 1 jan mon-fri", "deleting", true, "names of months and days"],
  ["0 0 L * 5#3", "deleting", true, "the last day of the month, the third Friday"],
  ["0 0 L * *", "cleanup", false, "which only one of them knows"],
  ["0 0 15W,LW * ?", "deleting", true, "working days"],
  ["0 0 0 1 1 * 2030", "deleting", true, "seconds and a year"],
  ["0 0 1 1 * 2030", "deleting", true, "a year alone"],
  ["0 0 1 1 * 2030", "cleanup", false, "the other has five fields only"],
  ["@daily", "deleting", true, "a shorthand"],
  ["@midnight", "deleting", false, "which only the other knows"],
  ["@midnight", "cleanup", true, "a shorthand of its own"],
  ["@every 1h30m", "cleanup", true, "an interval"],
  ["@every tomorrow", "cleanup", false, "which must be a duration"],
  ["", "deleting", false, "no schedule never runs"],
  ["0 1 * *", "deleting", false, "a field is missing"],
  ["60 1 * * *", "deleting", false, "an hour has no minute 60"],
  ["*/0 * * * *", "deleting", false, "a step of nothing"],
  ["*/90 * * * *", "deleting", false, "a step longer than the field"],
  ["20-10 * * * *", "deleting", false, "a range that ends before it starts"],
  ["every day", "cleanup", false, "words"],
  [`${"1,".repeat(400)}1 * * * *`, "deleting", false, "no schedule is that long"],
];

describe("a schedule", () => {
  it.each(rows)("%s (%s): %s, %s", (schedule, dialect, ok) => {
    expect(scheduleProblem(schedule, dialect) === undefined).toBe(ok);
  });

  it("is refused with the field, what it may hold and what it holds", () => {
    expect(scheduleProblem("0 25 * * *", "deleting")).toBe(
      "the hour field must hold *, values of 0-23, ranges or steps, got 25",
    );
  });
});
