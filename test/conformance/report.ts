// SPDX-License-Identifier: Apache-2.0
// Prints how far the engine agrees with the recorded answers of Kyverno, for whoever works on it:
//   npx node test/conformance/report.ts [cel|classic|mutated|policies|cli] [part of the policy file's path] [--all]
import { replayDecisions, replayMutations } from "./decisions.ts";
import type { Difference, Replay } from "./decisions.ts";
import { runCorpus } from "./test-files.ts";
import type { Corpus } from "./test-files.ts";

const [which = "cel", filter = ""] = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const all = process.argv.includes("--all");

/** Groups printed without --all. */
const groupsShown = 25;
/** Longest value printed without --all, in characters. */
const valueShown = 400;

function replay(): Replay {
  switch (which) {
    case "cel":
    case "classic":
      return replayDecisions(which, filter);
    case "mutated":
      return replayMutations(filter);
    case "policies":
    case "cli":
      return replayTests(which);
    default:
      throw new Error(`unknown suite ${which}: cel, classic, mutated, policies or cli`);
  }
}

/** A check of a kyverno-test file that failed, or that nothing answered, is a difference. */
function replayTests(corpus: Corpus): Replay {
  const { checks, errors, reference } = runCorpus(corpus, filter);
  const wrong = checks.filter(
    (check) => check.status === "failed" || check.status === "unsupported",
  );
  const skipped = checks.filter((check) => check.status === "skipped").length;
  console.log(`${skipped} checks passed only because no rule answered`);
  const differences = wrong.map((check): Difference => {
    const failed = reference.get(check.file)?.failed ?? 0;
    const note = failed === 0 ? "" : ` (the reference fails ${failed} here)`;
    return { ...check, actual: `${check.actual} ${check.status}: ${check.message}${note}` };
  });
  return {
    compared: checks.length,
    same: checks.length - differences.length,
    differences,
    refused: errors.map(({ file, message }) => ({ file, reason: message })),
  };
}

const shorten = (text: string): string =>
  all || text.length <= valueShown ? text : `${text.slice(0, valueShown)}...`;

function printGroup([name, differences]: readonly [string, readonly Difference[]]): void {
  console.log(`\n${differences.length} x ${name}`);
  for (const one of all ? differences : differences.slice(0, 1)) {
    console.log(`  on       ${one.resource}`);
    console.log(`  expected ${shorten(one.expected === "" ? "(no verdict)" : one.expected)}`);
    console.log(`  actual   ${shorten(one.actual === "" ? "(no verdict)" : one.actual)}`);
  }
}

const verdictWord = (verdict: string): string =>
  verdict === "" ? "nothing" : (/^[a-z]+/.exec(verdict)?.[0] ?? "document");

const started = performance.now();
const result = replay();
const seconds = (performance.now() - started) / 1000;
const groups = new Map<string, Difference[]>();
for (const one of result.differences) {
  const kind = `${verdictWord(one.expected)} -> ${verdictWord(one.actual)}`;
  const name = `${one.file} ${one.rule === "" ? one.policy : one.rule} (${kind})`;
  const group = groups.get(name);
  if (group === undefined) groups.set(name, [one]);
  else group.push(one);
}
const sorted = [...groups].sort(([, left], [, right]) => right.length - left.length);
for (const group of sorted.slice(0, all ? sorted.length : groupsShown).reverse()) printGroup(group);
for (const { file, reason } of result.refused.slice(0, all ? undefined : groupsShown)) {
  console.log(`refused ${file}: ${shorten(reason)}`);
}
const files = new Set(result.differences.map((one) => one.file)).size;
console.log(
  `\n${which}: ${result.same} of ${result.compared} the same, ${result.differences.length} differ in ${files} files` +
    ` (${groups.size} groups), ${result.refused.length} files refused, ${seconds.toFixed(1)} s`,
);
