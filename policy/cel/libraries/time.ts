// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { makeTimestamp } from "#policy/cel/time";
import { durationType, stringType, timestampType } from "#policy/cel/types";
import type { CelResult, Duration, Timestamp } from "#policy/cel/values";
import { declare, globalOverload } from "./declare.ts";
import { worldKey, type WorldValue } from "./world.ts";

const nanosPerMs = 1_000_000n;

/** Year 1 in nanoseconds since 1970: Go's zero time, from which it counts when it truncates. */
const zeroTime = -62_135_596_800_000_000_000n;

const now = (world: WorldValue): CelResult =>
  makeTimestamp(BigInt(Math.floor(world.world.nowMs)) * nanosPerMs);

/** `minute hour day month weekday` in UTC. */
function toCron(time: Timestamp): string {
  const ms = time.nanos / nanosPerMs - (time.nanos % nanosPerMs < 0n ? 1n : 0n);
  const date = new Date(Number(ms));
  return [
    date.getUTCMinutes(),
    date.getUTCHours(),
    date.getUTCDate(),
    date.getUTCMonth() + 1,
    date.getUTCDay(),
  ].join(" ");
}

/** Rounds down to a multiple of the duration since year 1; a duration that is not positive changes nothing. */
function truncate(time: Timestamp, unit: Duration): CelResult {
  if (unit.nanos <= 0n) return time;
  return makeTimestamp(time.nanos - ((time.nanos - zeroTime) % unit.nanos), time.offset);
}

/** Kyverno's time library; `time.now()` is the World's time. */
export const timeLibrary: Library = {
  name: "kyverno.time",
  functions: [
    declare("time.now", globalOverload("time_now", [], timestampType, now, { implicit: worldKey })),
    declare("time.toCron", globalOverload("time_to_cron", [timestampType], stringType, toCron)),
    declare(
      "time.truncate",
      globalOverload("time_truncate", [timestampType, durationType], timestampType, truncate),
    ),
  ],
};
