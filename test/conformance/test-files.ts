// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { findTests, runTestFile } from "#cli/kyverno-test/suite";
import type { FileCheck, FileError } from "#cli/kyverno-test/suite";
import { corporaFolder, readRows } from "./corpora.ts";

export type Corpus = "policies" | "cli";

const folders = { policies: "kyverno-policies", cli: "kyverno-cli" } satisfies Record<
  Corpus,
  string
>;

/** Kyverno's own count for one test file; the counts vary by a few from run to run. */
export type ReferenceCount = {
  readonly checks: number;
  readonly failed: number;
  readonly note: string;
};

export type CorpusRun = {
  /** Paths of checks and errors are relative to the corpus. */
  readonly checks: readonly FileCheck[];
  readonly errors: readonly FileError[];
  readonly files: readonly string[];
  readonly reference: ReadonlyMap<string, ReferenceCount>;
};

/** Runs the test files of a corpus whose path contains `filter`, as `parapet test` does. */
export function runCorpus(corpus: Corpus, filter = ""): CorpusRun {
  const disk = { folder: path.join(corporaFolder, folders[corpus]), stdin: () => "" };
  const found = findTests(["."], "kyverno-test.yaml", disk);
  const files = found.files.filter((file) => file.includes(filter));
  const nowMs = Date.now();
  const outcomes = files.map((file) => runTestFile(file, disk, nowMs));
  return {
    files,
    checks: outcomes.flatMap((outcome) => outcome.checks),
    errors: [...found.errors, ...outcomes.flatMap((outcome) => outcome.errors)],
    reference: readReference(corpus),
  };
}

function readReference(corpus: Corpus): ReadonlyMap<string, ReferenceCount> {
  const [, ...rows] = readRows(`reference/${folders[corpus]}.tsv`);
  return new Map(
    rows.map(([file = "", checks = "", , failed = "", , note = ""]) => [
      file,
      { checks: Number(checks), failed: Number(failed), note },
    ]),
  );
}
