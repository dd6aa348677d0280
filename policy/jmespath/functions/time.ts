// SPDX-License-Identifier: Apache-2.0
import {
  takes,
  textOf,
  type Arguments,
  type FunctionTable,
  type Outcome,
} from "#policy/jmespath/functions/signature";
import {
  fieldsOf,
  formatRfc3339,
  parseTime,
  rfc3339,
  truncateMoment,
  type Moment,
} from "#policy/jmespath/go-time";
import type { QueryRuntime } from "#policy/jmespath/query";
import { failed } from "#policy/jmespath/values";
import { formatDuration, parseDuration } from "#policy/kubernetes/duration";
import type { Parsed } from "#policy/kubernetes/parsed";

/** Kyverno's functions over times (pkg/engine/jmespath/time.go). "Now" is the World's time, printed in UTC. */
export const timeFunctions: FunctionTable = {
  time_add: takes(["string", "string"], (args) =>
    withTime(args, 0, (moment) =>
      withDuration(args, 1, (duration) =>
        formatRfc3339({ ...moment, nanoseconds: moment.nanoseconds + duration }),
      ),
    ),
  ),
  time_after: takes(["string", "string"], (args) =>
    withTimes(args, (a, b) => a.nanoseconds > b.nanoseconds),
  ),
  time_before: takes(["string", "string"], (args) =>
    withTimes(args, (a, b) => a.nanoseconds < b.nanoseconds),
  ),
  time_between: takes(["string", "string", "string"], (args) =>
    withTime(args, 0, (moment) =>
      withTime(args, 1, (start) =>
        withTime(
          args,
          2,
          (end) => moment.nanoseconds > start.nanoseconds && moment.nanoseconds < end.nanoseconds,
        ),
      ),
    ),
  ),
  time_diff: takes(["string", "string"], (args) => withTimes(args, (a, b) => difference(a, b))),
  time_now: { accepts: undefined, variadic: false, run: nowText },
  time_now_utc: { accepts: undefined, variadic: false, run: nowText },
  time_parse: takes(["string", "string"], timeParse),
  time_since: takes(["string", "string", "string"], timeSince),
  time_to_cron: takes(["string"], (args) =>
    withTime(args, 0, (moment) => {
      const { minute, hour, day, month, weekday } = fieldsOf(moment);
      return `${minute} ${hour} ${day} ${month} ${weekday}`;
    }),
  ),
  time_truncate: takes(["string", "string"], (args) =>
    withTime(args, 0, (moment) =>
      withDuration(args, 1, (duration) => formatRfc3339(truncateMoment(moment, duration))),
    ),
  ),
  time_utc: takes(["string"], (args) =>
    withTime(args, 0, (moment) => formatRfc3339({ ...moment, offsetSeconds: 0 })),
  ),
};

const now = (runtime: QueryRuntime): Moment => ({
  nanoseconds: BigInt(Math.trunc(runtime.nowMs)) * 1_000_000n,
  offsetSeconds: 0,
});

function nowText(_args: Arguments, runtime: QueryRuntime): Outcome {
  return formatRfc3339(now(runtime));
}

function use<T>(read: Parsed<T>, then: (value: T) => Outcome): Outcome {
  return read.ok ? then(read.value) : failed(read.message);
}

const withTime = (args: Arguments, index: number, then: (moment: Moment) => Outcome): Outcome =>
  use(parseTime(rfc3339, textOf(args, index)), then);

const withDuration = (
  args: Arguments,
  index: number,
  then: (duration: bigint) => Outcome,
): Outcome => use(parseDuration(textOf(args, index)), then);

const withTimes = (args: Arguments, then: (a: Moment, b: Moment) => Outcome): Outcome =>
  withTime(args, 0, (a) => withTime(args, 1, (b) => then(a, b)));

/** From `a` to `b`, held within a duration's range as Time.Sub does. */
function difference(a: Moment, b: Moment): string {
  const limit = 2n ** 63n;
  const nanoseconds = b.nanoseconds - a.nanoseconds;
  if (nanoseconds >= limit) return formatDuration(limit - 1n);
  return formatDuration(nanoseconds < -limit ? -limit : nanoseconds);
}

function timeSince(args: Arguments, runtime: QueryRuntime): Outcome {
  const layout = textOf(args, 0) || rfc3339;
  return use(parseTime(layout, textOf(args, 1)), (start) => {
    const end = textOf(args, 2);
    if (end === "") return difference(start, now(runtime));
    return use(parseTime(layout, end), (moment) => difference(start, moment));
  });
}

/** A layout that is a number means seconds since 1970. */
function timeParse(args: Arguments): Outcome {
  const [layout, text] = [textOf(args, 0), textOf(args, 1)];
  if (!isInt64(layout)) return use(parseTime(layout, text), formatRfc3339);
  if (!isInt64(text)) return failed(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  const seconds = Number(text);
  // A Date holds 100 million days on either side of 1970; Go more, in years no certificate reaches.
  if (Math.abs(seconds) > 8.64e12) return failed("time is out of range");
  return formatRfc3339({ nanoseconds: BigInt(text) * 1_000_000_000n, offsetSeconds: 0 });
}

const isInt64 = (text: string): boolean =>
  /^[+-]?[0-9]{1,20}$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text);
