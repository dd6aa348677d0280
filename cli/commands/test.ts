// SPDX-License-Identifier: Apache-2.0
import type { Arguments } from "../arguments.ts";
import { exitCodes } from "../command.ts";
import type { Command, Io } from "../command.ts";
import { findTests, runTestFile } from "../kyverno-test/suite.ts";
import type { FileCheck, FileError } from "../kyverno-test/suite.ts";
import { formatJunit } from "../output/junit.ts";
import { makeProgress } from "../output/progress.ts";
import { countText, formatTable } from "../output/table.ts";

/** `parapet test`: kyverno-test files as they are. */
export const testCommand: Command = {
  name: "test",
  summary: "run kyverno-test files",
  usage: "test PATH... [-o table|json|junit] [--strict]",
  details: `Runs the tests of Kyverno's command line as they are: each result of a kyverno-test.yaml, for each resource that it
lists, is one check. Folders are searched for test files, hidden folders too. Nothing is fetched over the network.`,
  options: [
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["table", "json", "junit"],
      help: "how to print the checks",
    },
    {
      name: "strict",
      help: "fail where no rule answered, where Kyverno passes, and where a policy is unsupported",
    },
    {
      name: "file-name",
      short: "f",
      value: "NAME",
      help: "name of the test files in folders (default kyverno-test.yaml)",
    },
    { name: "fail-only", help: "print only the checks that are not good" },
  ],
  examples: [
    { line: "parapet test policies/", does: "run all tests below a folder" },
    {
      line: "parapet test policies/ -o junit > report.xml",
      does: "give a CI system its test report",
    },
    {
      line: "parapet test --strict a/kyverno-test.yaml b/kyverno-test.yaml",
      does: "two files; a check that no rule answered fails",
    },
  ],
  failsWhen: "a check failed",
  run,
};

type Outcome = {
  readonly checks: readonly FileCheck[];
  readonly errors: readonly FileError[];
  readonly files: number;
  readonly seconds: number;
};

function run(args: Arguments, io: Io): number {
  if (args.positionals.length === 0) {
    io.err("parapet test: name a folder or file with tests, e.g. parapet test policies/\n");
    return exitCodes.usage;
  }
  const outcome = runAll(args, io);
  for (const error of outcome.errors) io.err(`parapet test: ${error.file}: ${error.message}\n`);
  if (outcome.files === 0 && outcome.errors.length === 0) {
    const name = args.one("file-name") ?? "kyverno-test.yaml";
    io.err(`parapet test: no file named ${name} under ${args.positionals.join(", ")}\n`);
    return exitCodes.usage;
  }
  if (outcome.checks.length === 0 && outcome.errors.length === 0) {
    io.err("parapet test: the tests hold no check: nothing was proven\n");
    return exitCodes.usage;
  }
  io.out(format(outcome, args));
  const unsupported = outcome.checks.filter((check) => check.status === "unsupported").length;
  if (unsupported > 0) {
    io.err(
      `parapet test: ${countText(unsupported, "check")} cannot be evaluated here; --strict fails on ${unsupported === 1 ? "it" : "them"}\n`,
    );
  }
  if (outcome.errors.length > 0) return exitCodes.usage;
  return outcome.checks.some((check) => check.status === "failed")
    ? exitCodes.failed
    : exitCodes.good;
}

function runAll(args: Arguments, io: Io): Outcome {
  const started = performance.now();
  const found = findTests(args.positionals, args.one("file-name") ?? "kyverno-test.yaml", io);
  const progress = makeProgress(io, "tests", found.files.length);
  const nowMs = io.nowMs();
  const checks: FileCheck[] = [];
  const errors = [...found.errors];
  for (const file of found.files) {
    const outcome = runTestFile(file, io, nowMs);
    checks.push(...outcome.checks);
    errors.push(...outcome.errors);
    progress.step();
  }
  progress.end();
  const seconds = (performance.now() - started) / 1000;
  const strict = args.flag("strict");
  return {
    checks: strict ? checks.map(makeStrict) : checks,
    errors,
    files: found.files.length,
    seconds,
  };
}

/** Where nothing was proven, strict says so. */
function makeStrict(check: FileCheck): FileCheck {
  const unproven = check.status === "skipped" || check.status === "unsupported";
  return unproven ? { ...check, ok: false, status: "failed" } : check;
}

function format(outcome: Outcome, args: Arguments): string {
  const shown = args.flag("fail-only")
    ? outcome.checks.filter((check) => !check.ok)
    : outcome.checks;
  switch (args.one("output") ?? "table") {
    case "json":
      return `${JSON.stringify({ summary: summaryOf(outcome), results: shown.map(resultOf) }, null, 2)}\n`;
    case "junit":
      return formatJunit(shown.map(junitOf), outcome.seconds);
    default:
      return formatText(outcome, shown);
  }
}

function summaryOf(outcome: Outcome): Record<string, number> {
  const of = (status: FileCheck["status"]): number =>
    outcome.checks.filter((check) => check.status === status).length;
  return {
    files: outcome.files,
    checks: outcome.checks.length,
    passed: of("passed"),
    failed: of("failed"),
    skipped: of("skipped"),
    unsupported: of("unsupported"),
    seconds: Math.round(outcome.seconds * 1000) / 1000,
  };
}

const resultOf = (check: FileCheck): Record<string, string | boolean> => ({
  file: check.file,
  policy: check.policy,
  rule: check.rule,
  kind: check.kind,
  resource: check.resource,
  expected: check.expected,
  actual: check.actual,
  status: check.status,
  ok: check.ok,
  message: check.message,
});

const junitOf = (check: FileCheck): Parameters<typeof formatJunit>[0][number] => ({
  suite: check.file,
  name: [check.policy, check.rule, check.resource, check.expected].filter(Boolean).join(" "),
  status: check.status,
  message: check.message,
});

function formatText(outcome: Outcome, shown: readonly FileCheck[]): string {
  const files = Map.groupBy(shown, (check) => check.file);
  const tables = [...files].map(([file, checks]) => {
    const rows = checks.map((check) => [
      check.status,
      check.policy,
      check.rule,
      check.resource,
      check.expected,
      check.status === "passed" ? "" : check.message,
    ]);
    return `${file}\n${formatTable(["", "POLICY", "RULE", "RESOURCE", "EXPECTED", ""], rows)}\n`;
  });
  const { files: count = 0, checks = 0, passed, failed, skipped, unsupported } = summaryOf(outcome);
  const summary = `${countText(count, "file")}, ${countText(checks, "check")}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${unsupported} unsupported in ${outcome.seconds.toFixed(2)} s\n`;
  return `${tables.join("")}${summary}`;
}
