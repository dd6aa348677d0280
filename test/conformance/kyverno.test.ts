// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, test } from "vitest";
import { workedMs } from "#test/support/cpu-time";
import { corporaFolder } from "./corpora.ts";
import { makeDeviationFilter } from "./deviations.ts";
import { runCorpus } from "./test-files.ts";

/**
 * Checks that hold only because no rule answered (Kyverno calls them excluded and good too). More of them would mean that
 * policies stopped matching.
 */
const excludedMax = { policies: 13, cli: 9 };

/** Both corpora together, in seconds of a processor. */
const secondsMax = 20;

describe.skipIf(corporaFolder === "")("kyverno-test files give what their authors expect", () => {
  let seconds = 0;

  test.each(["policies", "cli"] as const)("%s", (corpus) => {
    const started = workedMs();
    const { checks, errors, files } = runCorpus(corpus);
    seconds += (workedMs() - started) / 1000;
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

  afterAll(() => {
    if (seconds > secondsMax) throw new Error(`${seconds} s of a processor, ${secondsMax} at most`);
  });
});
