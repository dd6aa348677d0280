// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, test } from "vitest";
import { workedMs } from "#test/support/cpu-time";
import { corporaFolder } from "./corpora.ts";
import { replayDecisions, replayMutations } from "./decisions.ts";
import type { Replay } from "./decisions.ts";
import { makeDeviationFilter } from "./deviations.ts";

/** All three together, in seconds of a processor. */
const secondsMax = 60;

type Suite = {
  readonly name: "cel" | "classic" | "mutated";
  readonly replay: () => Replay;
  /** What the recording holds: a replay of less has lost some of it. */
  readonly comparedMin: number;
};

const suites: readonly Suite[] = [
  { name: "cel", replay: () => replayDecisions("cel"), comparedMin: 15_409 },
  { name: "classic", replay: () => replayDecisions("classic"), comparedMin: 85_376 },
  { name: "mutated", replay: () => replayMutations(), comparedMin: 19_000 },
];

describe.skipIf(corporaFolder === "")("recorded answers of Kyverno v1.19.1", () => {
  let seconds = 0;

  test.each(suites)("$name", ({ name, replay, comparedMin }) => {
    const started = workedMs();
    const { compared, differences, refused } = replay();
    seconds += (workedMs() - started) / 1000;
    expect(compared).toBeGreaterThanOrEqual(comparedMin);
    const { isKnown, unused } = makeDeviationFilter(name);
    const wrong = differences.filter(({ file, rule }) => !isKnown(file, rule));
    const shown = wrong.map(
      (one) => `${one.file} ${one.rule} ${one.resource}: ${one.expected} / ${one.actual}`,
    );
    expect(shown.slice(0, 50)).toEqual([]);
    expect(refused.filter(({ file }) => !isKnown(file, ""))).toEqual([]);
    expect(unused().map(({ file, rule }) => [file, rule])).toEqual([]);
  });

  afterAll(() => {
    if (seconds > secondsMax) throw new Error(`${seconds} s of a processor, ${secondsMax} at most`);
  });
});
