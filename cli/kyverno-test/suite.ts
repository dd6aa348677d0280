// SPDX-License-Identifier: Apache-2.0
import { isObject } from "#policy/json";
import { emptyWorld } from "#policy/world";
import { findFiles, isRemote, pathKind, readDocuments, readText, walk } from "../input/files.ts";
import type { Disk } from "../input/files.ts";
import { parseResources } from "../input/resources.ts";
import { parseText } from "#policy/yaml";
import { checkAssertions } from "./assertions.ts";
import { checkResult } from "./checks.ts";
import type { Check, ReadExpected } from "./checks.ts";
import { folderOf, loadTest } from "./load.ts";
import { runTest } from "./run.ts";
import { parseTest } from "./test-file.ts";

/** A check with the file that asked for it. */
export type FileCheck = Check & { readonly file: string };

/** A file whose test could not be run: unreadable, wrongly written, or naming what is not there. */
export type FileError = { readonly file: string; readonly message: string };

export type FileOutcome = {
  readonly checks: readonly FileCheck[];
  readonly errors: readonly FileError[];
};

/**
 * The test files under paths: a file as it is, a folder searched for `fileName` (hidden folders too: that is where
 * policy repositories keep them), sorted.
 */
export function findTests(
  paths: readonly string[],
  fileName: string,
  disk: Disk,
): { readonly files: readonly string[]; readonly errors: readonly FileError[] } {
  const files: string[] = [];
  const errors: FileError[] = [];
  for (const given of paths) {
    const found = testsUnder(given, fileName, disk);
    if (typeof found === "string") errors.push({ file: given, message: found });
    if (typeof found !== "string") files.push(...found);
  }
  return { files: [...new Set(files)], errors };
}

function testsUnder(given: string, fileName: string, disk: Disk): readonly string[] | string {
  if (!isRemote(given) && pathKind(given, disk) === "folder") {
    const found = walk(given, disk, (name) => name === fileName, true);
    return found.ok ? found.files : found.message;
  }
  const { files, errors } = findFiles([given], disk);
  return errors[0]?.message ?? files;
}

/** Runs every test document of one file. */
export function runTestFile(file: string, disk: Disk, nowMs: number): FileOutcome {
  const text = readText(file, disk);
  if (!text.ok) return { checks: [], errors: [{ file, message: text.message }] };
  const parsed = parseText(text.text);
  if (!parsed.ok) return { checks: [], errors: [{ file, message: parsed.message }] };
  const outcomes = parsed.documents.map((document) => runDocument(document, file, disk, nowMs));
  return {
    checks: outcomes.flatMap((outcome) => outcome.checks),
    errors: outcomes.flatMap((outcome) => outcome.errors),
  };
}

function runDocument(
  document: Parameters<typeof parseTest>[0],
  file: string,
  disk: Disk,
  nowMs: number,
): FileOutcome {
  const parsed = parseTest(document);
  if (!parsed.ok) {
    return { checks: [], errors: parsed.problems.map((message) => ({ file, message })) };
  }
  const below = folderOf(file, disk);
  const outcome = loadTest(parsed.test, below, nowMs);
  if (!outcome.ok) return { checks: [], errors: [{ file, message: outcome.message }] };
  const { loaded } = outcome;
  const run = runTest(loaded);
  const readExpected = makeReadExpected(below, loaded.options.world.resourceOf);
  const checks = parsed.test.results.flatMap((result) =>
    checkResult(result, loaded, run, readExpected),
  );
  const asserted = checkAssertions(parsed.test.assertions, loaded, run(undefined));
  const all = [...checks, ...asserted];
  return { checks: all.map((check) => ({ file, ...check })), errors: [] };
}

function makeReadExpected(
  disk: Disk,
  resourceOf: ReturnType<typeof emptyWorld>["resourceOf"],
): ReadExpected {
  const known = new Map<string, ReturnType<ReadExpected>>();
  const world = { ...emptyWorld(0), resourceOf };
  const read: ReadExpected = (file) => {
    const { files, errors: missing } = findFiles([file], disk);
    const { documents, errors } = readDocuments(files, disk);
    const wrong = [...missing, ...errors][0];
    if (wrong !== undefined) return { error: `${wrong.file}: ${wrong.message}` };
    const objects = documents.filter((one) => isObject(one.value));
    return { objects: parseResources(objects, world).resources.map((one) => one.object) };
  };
  return (file) => {
    const answer = known.get(file) ?? read(file);
    known.set(file, answer);
    return answer;
  };
}
