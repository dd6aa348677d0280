// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { corporaFolder } from "./corpora.ts";
import { makeDeviationFilter } from "./deviations.ts";
import { runCorpus } from "./test-files.ts";

/**
 * Checks that hold only because no rule answered (Kyverno calls them excluded and good too). More of them would mean that
 * policies stopped matching.
 */
const excludedMax = { policies: 13, cli: 9 };

/** Both corpora together, on two shared cores. */
const secondsMax = 20;

describe.skipIf(corporaFolder === "")("kyverno-test files give what their authors expect", () => {
  let seconds = 0;

  test.each(["policies", "cli"] as const)("%s", (corpus) => {
    const started = performance.now();
    const { checks, errors, files } = runCorpus(corpus);
    seconds += (performance.now() - started) / 1000;
    expect(files.length).toBeGreaterThan(100);
    const { isKnown, unused } = makeDeviationFilter(corpus);
    const wrong = checks
      .filter(({ status }) => status === "failed" || status === "unsupported")
      .filter(({ file, rule }) => !isKnown(file, rule))
      .map((one) => `${one.file} ${one.policy} ${one.rule} ${one.resource}: ${one.message}`);
    const unreadable = errors
      .filter(({ file }) => !isKnown(file, ""))
      .map(({ file, message }) => `${file}: ${message}`);
    expect([...wrong, ...unreadable]).toEqual([]);
    expect(unused().map(({ file }) => file)).toEqual([]);
    const excluded = checks.filter(({ status }) => status === "skipped").length;
    expect(excluded).toBeLessThanOrEqual(excludedMax[corpus]);
  });

  test(`all of it within ${secondsMax} seconds`, () => {
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(secondsMax);
  });
});
