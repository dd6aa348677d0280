// SPDX-License-Identifier: Apache-2.0
import { RE2JS } from "re2js";

/** Patterns kept compiled: policies have dozens, and what objects bring must not pile up. */
const keptMax = 1000;
/** Longest pattern, in UTF-16 units: RE2 programs grow with it, and no policy comes near. */
const patternLengthMax = 10_000;

const kept = new Map<string, RE2JS | undefined>();

/**
 * A compiled RE2 pattern, undefined when it does not parse. Linear in the text whatever the pattern. Kept for the next
 * call, which no answer depends on.
 */
export function compileRegex(pattern: string): RE2JS | undefined {
  if (kept.has(pattern)) return kept.get(pattern);
  if (kept.size >= keptMax) kept.clear();
  const compiled = tryCompile(pattern);
  kept.set(pattern, compiled);
  return compiled;
}

function tryCompile(pattern: string): RE2JS | undefined {
  if (pattern.length > patternLengthMax) return undefined;
  try {
    return RE2JS.compile(pattern);
  } catch {
    return undefined;
  }
}
