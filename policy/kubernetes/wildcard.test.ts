// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compileWildcard, compileWildcards, matchesWildcard } from "#policy/kubernetes/wildcard";
import { workedMs } from "#test/support/cpu-time";

const rows = [
  { reason: "a star takes any run", pattern: "*", text: "anything", want: true },
  { reason: "a star takes the empty run", pattern: "*", text: "", want: true },
  { reason: "an empty pattern is the empty text", pattern: "", text: "", want: true },
  { reason: "an empty pattern is no other text", pattern: "", text: "a", want: false },
  { reason: "no wildcard is equality", pattern: "nginx", text: "nginx", want: true },
  { reason: "no wildcard takes no prefix", pattern: "ngin", text: "nginx", want: false },
  { reason: "case counts", pattern: "Nginx*", text: "nginx:1", want: false },
  { reason: "a question mark is one character", pattern: "a?c", text: "abc", want: true },
  { reason: "a question mark is not none", pattern: "a?c", text: "ac", want: false },
  { reason: "at least one character", pattern: "?*", text: "", want: false },
  { reason: "at least one character is there", pattern: "?*", text: "x", want: true },
  { reason: "at least two characters", pattern: "??*", text: "x", want: false },
  { reason: "a suffix", pattern: "*:latest", text: "nginx:latest", want: true },
  { reason: "a suffix is at the end", pattern: "*:latest", text: "nginx:latest-1", want: false },
  { reason: "prefix and suffix", pattern: "docker*:v1", text: "docker.io/x:v1", want: true },
  { reason: "prefix and suffix do not share", pattern: "ab*ba", text: "aba", want: false },
  { reason: "a piece between stars", pattern: "a*b*c", text: "a-b-c", want: true },
  { reason: "a piece between stars is missing", pattern: "a*b*c", text: "a-c", want: false },
  { reason: "pieces in order", pattern: "*b*a*", text: "ab", want: false },
  {
    reason: "the piece before the suffix does not reach into it",
    pattern: "*ab*b",
    text: "ab",
    want: false,
  },
  { reason: "question marks in a piece", pattern: "*a?c*", text: "xxabcyy", want: true },
  { reason: "question marks in a piece fail", pattern: "*a?c*", text: "xxacyy", want: false },
  { reason: "question marks in prefix and suffix", pattern: "?a*b?", text: "xa..by", want: true },
  { reason: "stars side by side", pattern: "a**b", text: "ab", want: true },
  { reason: "no regular expression", pattern: "a.c", text: "abc", want: false },
  { reason: "brackets are themselves", pattern: "[a]*", text: "[a]b", want: true },
] as const;

describe("wildcards", () => {
  test.each(rows)("$reason", ({ pattern, text, want }) => {
    expect(compileWildcard(pattern)(text)).toBe(want);
    expect(matchesWildcard(pattern, text)).toBe(want);
  });

  test("of a list of patterns one is enough, of none there is none", () => {
    expect(compileWildcards(["a", "b*"])("bc")).toBe(true);
    expect(compileWildcards(["a"])("bc")).toBe(false);
    expect(compileWildcards([])("")).toBe(false);
  });

  test("a pattern that would backtrack takes linear time", () => {
    const matches = compileWildcard(`${"*a".repeat(500)}*b`);
    const started = workedMs();
    expect(matches("a".repeat(200_000))).toBe(false);
    expect(workedMs() - started).toBeLessThan(1_000);
  });

  test("agrees with a plain search on random patterns", () => {
    const random = makeRandom(7);
    const pick = (alphabet: string): string =>
      Array.from({ length: Math.floor(random() * 7) }, () =>
        alphabet.charAt(Math.floor(random() * alphabet.length)),
      ).join("");
    for (let round = 0; round < 5_000; round += 1) {
      const [pattern, text] = [pick("ab*?"), pick("ab")];
      expect([pattern, text, matchesWildcard(pattern, text)]).toEqual([
        pattern,
        text,
        slowMatch(pattern, text),
      ]);
    }
  });
});

function slowMatch(pattern: string, text: string): boolean {
  const [first = "", rest] = [pattern[0], pattern.slice(1)];
  if (pattern === "") return text === "";
  if (first === "*")
    return slowMatch(rest, text) || (text !== "" && slowMatch(pattern, text.slice(1)));
  return text !== "" && (first === "?" || first === text[0]) && slowMatch(rest, text.slice(1));
}

function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
