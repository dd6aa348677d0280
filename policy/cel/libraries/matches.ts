// SPDX-License-Identifier: Apache-2.0
import type { RE2JS } from "re2js";

/** One match: where it starts and ends, and the groups, undefined for one that took no part. */
export type Match = {
  readonly start: number;
  readonly end: number;
  readonly groups: readonly (string | undefined)[];
};

/**
 * At most `limit` matches from left to right, all when it is negative, with Go's rule for empty ones: none directly after
 * the match before it.
 */
export function matchesOf(pattern: RE2JS, text: string, limit = -1): readonly Match[] {
  const matches: Match[] = [];
  const matcher = pattern.matcher(text);
  const groupCount = matcher.groupCount();
  let previousEnd = -1;
  while (limit < 0 || matches.length < limit) {
    if (!matcher.find()) break;
    const start = matcher.start();
    const end = matcher.end();
    if (start === end && start === previousEnd) continue;
    const groups = Array.from(
      { length: groupCount + 1 },
      (_, group) => matcher.group(group) ?? undefined,
    );
    matches.push({ start, end, groups });
    previousEnd = end;
  }
  return matches;
}
