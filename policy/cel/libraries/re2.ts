// SPDX-License-Identifier: Apache-2.0
import { RE2JS, RE2JSException } from "re2js";

/** Longest pattern, in UTF-16 units. Kubernetes bounds it by cost; the matching time grows with it. */
export const patternLengthMax = 10_000;

/** Compiled patterns kept; the oldest is dropped. */
const cacheSizeMax = 1_000;

export type Compiled =
  | { readonly ok: true; readonly pattern: RE2JS }
  | { readonly ok: false; readonly message: string };

/**
 * Patterns that were compiled before. A cache of a pure function is invisible but for time; it lets patterns that come
 * from data, not from a literal, be compiled once too.
 */
const cache = new Map<string, Compiled>();

/** Compiles a pattern in RE2's syntax, which runs in time linear in the text. Never throws; the message is Go's style. */
export function compilePattern(source: string): Compiled {
  const known = cache.get(source);
  if (known !== undefined) return known;
  const compiled = compile(source);
  if (cache.size >= cacheSizeMax) {
    const [oldest] = cache.keys();
    if (oldest !== undefined) cache.delete(oldest);
  }
  cache.set(source, compiled);
  return compiled;
}

function compile(source: string): Compiled {
  if (source.length > patternLengthMax) {
    return { ok: false, message: "error parsing regexp: expression too large" };
  }
  try {
    return { ok: true, pattern: RE2JS.compile(source) };
  } catch (error) {
    if (error instanceof RE2JSException || error instanceof RangeError) {
      return { ok: false, message: error.message };
    }
    throw error;
  }
}

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
