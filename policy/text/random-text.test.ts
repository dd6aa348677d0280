// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { generateText, randomLengthMax } from "#policy/text/random-text";
import { compileRegex } from "#policy/text/regex";

function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test.each([
  "[a-z0-9]{6}",
  "abc",
  "(foo|bar|)-x",
  "a?b*c+",
  "[^a-c]{3,5}",
  "\\d{2}\\.\\w+\\s?",
  "[[:alpha:]_-]{4}",
  "(?:ab){2}(c|(d|e){3})",
  "(?P<name>x)y",
  "^.{8}$",
  "[\\]\\-a]{5}",
  "[]x]{3}",
  "x{2,}",
  "ü[ä-ö]",
  "",
])("makes texts that %j matches", (pattern) => {
  const whole = compileRegex(`^(?:${pattern})$`);
  for (let seed = 0; seed < 50; seed += 1) {
    const made = generateText(pattern, makeRandom(seed));
    expect(made.ok && whole.ok && whole.value.test(made.value)).toBe(true);
  }
});

test("the same random numbers give the same text, others another", () => {
  const texts = [1, 1, 2].map((seed) => generateText("[a-z]{20}", makeRandom(seed)));
  expect(texts[0]).toEqual(texts[1]);
  expect(texts[0]).not.toEqual(texts[2]);
});

test.each([
  { reason: "no regular expression", pattern: "[" },
  { reason: "a look-ahead, which RE2 has not", pattern: "(?=x)y" },
  { reason: "flags", pattern: "(?i)x" },
])("refuses $reason", ({ pattern }) => {
  expect(generateText(pattern, () => 0).ok).toBe(false);
});

test("the text has a limit", () => {
  const made = generateText(`(${"a{1000}".repeat(10)})`, () => 0.99);
  expect(made.ok).toBe(false);
  expect(randomLengthMax).toBeLessThan(10_000);
});
