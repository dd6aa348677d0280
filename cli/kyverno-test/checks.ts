// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { RuleResult } from "#policy/report/result";
import type { Response } from "../evaluate.ts";
import { formatKey, keyOf } from "../input/resources.ts";
import { compareResources, findExpected, formatDifference } from "./compare.ts";
import type { LoadedTest } from "./load.ts";
import type { RunEntry, TestRun } from "./run.ts";
import type { ExpectedResult } from "./test-file.ts";

/** What became of one expectation on one resource. */
export type Check = {
  readonly policy: string;
  readonly rule: string;
  readonly kind: string;
  readonly resource: string;
  readonly expected: string;
  /** The result that the rule gave; '' when none did. */
  readonly actual: string;
  readonly ok: boolean;
  readonly message: string;
  /** `skipped`: nothing spoke against it, but no rule said it either. */
  readonly status: "passed" | "failed" | "skipped" | "unsupported";
};

/** Reads the resources of a file that a result names, as they should be after mutation or generation. */
export type ReadExpected = (
  file: string,
) => { readonly objects: readonly JsonObject[] } | { readonly error: string };

type Row = Pick<Check, "actual" | "ok" | "message" | "status">;

/** Checks one result of a test: one check per listed resource, or per resource of the test when it lists none. */
export function checkResult(
  result: ExpectedResult,
  loaded: LoadedTest,
  run: TestRun,
  readExpected: ReadExpected,
): readonly Check[] {
  const base = {
    policy: result.policy,
    rule: result.rule,
    kind: result.kind,
    expected: result.result,
  };
  const selected = selectEntries(result, run(result.operation));
  const reason = loaded.unsupported[0];
  if (selected.length === 0 && reason !== undefined) {
    const row = { actual: "", ok: false, message: reason, status: "unsupported" } as const;
    return [{ ...base, resource: "", ...row }];
  }
  return selected.map(({ name, entries }) => {
    if (entries.length === 0) return { ...base, resource: name, ...missing(result) };
    const rows = entries.flatMap((entry) => checkEntry(result, loaded, entry, readExpected));
    return { ...base, resource: name, ...joinRows(rows) };
  });
}

type Selected = { readonly name: string; readonly entries: readonly RunEntry[] };

/** When none of the listed resources exists, Kyverno checks all that there are; so do we. */
function selectEntries(result: ExpectedResult, entries: readonly RunEntry[]): readonly Selected[] {
  const listed = [
    ...result.resources.map((name) => ({
      name,
      entries: entries.filter((entry) => hasName(entry, name)),
    })),
    ...result.resourceSpecs.map((spec) => ({
      name: formatKey({ apiVersion: "", ...spec }),
      entries: entries.filter(({ key }) => {
        const apiVersion = spec.group === "" ? spec.version : `${spec.group}/${spec.version}`;
        const { namespace, name } = spec;
        return key.apiVersion === apiVersion && key.namespace === namespace && key.name === name;
      }),
    })),
  ];
  const found = listed.some((one) => one.entries.length > 0);
  if (found || (listed.length > 0 && result.failOnMissingResources)) return listed;
  return entries.map((entry) => ({ name: formatKey(entry.key), entries: [entry] }));
}

function hasName({ key }: RunEntry, listed: string): boolean {
  const parts = listed.split("/");
  const [namespace = "", name = ""] = parts;
  return parts.length === 2
    ? key.namespace === namespace && key.name === name
    : key.name === listed;
}

function missing(result: ExpectedResult): Row {
  const fails = result.failOnMissingResources;
  return {
    actual: "",
    ok: !fails,
    message: "no such resource in the test",
    status: fails ? "failed" : "skipped",
  };
}

function checkEntry(
  result: ExpectedResult,
  loaded: LoadedTest,
  entry: RunEntry,
  readExpected: ReadExpected,
): readonly Row[] {
  const responses = entry.responses.filter((response) => isPolicy(response, result.policy));
  const rows = responses.flatMap((response) =>
    response.results
      .filter((one) => isRule(result, one))
      .flatMap((one) => checkRule(result, entry, response, one, readExpected)),
  );
  if (rows.length > 0) return rows;
  const whole = loaded.compilation.unsupported.find(
    ({ policy, rule }) => rule === "" && responses.some((one) => one.policy.ref === policy),
  );
  if (whole !== undefined) {
    return [{ actual: "", ok: false, message: whole.reason, status: "unsupported" }];
  }
  if (responses.length > 0) {
    const message = "excluded: no rule of this name matched the resource";
    return [{ actual: "", ok: true, message, status: "skipped" }];
  }
  return [unanswered(result, loaded)];
}

function isPolicy({ policy }: Response, expected: string): boolean {
  const [name = "", namespace] = expected.split("/").reverse();
  const { ref } = policy;
  return ref.name === name && (namespace === undefined || ref.namespace === namespace);
}

/**
 * Rules of pod controllers carry a prefix; kinds without rules have no name to ask for, and a policy that cannot be run
 * at all says so for each of its rules.
 */
function isRule(result: ExpectedResult, { rule, policy, unsupported }: RuleResult): boolean {
  if (unsupported !== undefined && rule === "") return true;
  if (result.ruleless || !policy.apiVersion.startsWith("kyverno.io/")) return true;
  return ["", "autogen-", "autogen-cronjob-"].some((prefix) => rule === `${prefix}${result.rule}`);
}

/** Nothing answered for the policy: it is not there, was refused, or cannot be run here. */
function unanswered(result: ExpectedResult, loaded: LoadedTest): Row {
  const name = result.policy.split("/").at(-1) ?? "";
  const { problems, unsupported } = loaded.compilation;
  const reason =
    unsupported.find((one) => one.policy.name === name)?.reason ?? loaded.unsupported[0];
  if (reason !== undefined) {
    return { actual: "", ok: false, message: reason, status: "unsupported" };
  }
  const problem = problems.find((one) => one.document.split("/").at(-1) === name);
  if (problem !== undefined) {
    const isClassic = /^(Cluster)?Policy\//.test(problem.document);
    const message = `invalid policy: ${problem.path}: ${problem.message}`;
    // Kyverno passes over an invalid classic policy, and gives up on a CEL policy that does not compile.
    return { actual: "", ok: isClassic, message, status: isClassic ? "skipped" : "failed" };
  }
  const message = `not found: no policy named ${result.policy} answered for this resource`;
  return { actual: "", ok: false, message, status: "failed" };
}

function checkRule(
  result: ExpectedResult,
  entry: RunEntry,
  response: Response,
  rule: RuleResult,
  readExpected: ReadExpected,
): readonly Row[] {
  if (rule.unsupported !== undefined) {
    const row = { actual: rule.result, ok: false, message: rule.unsupported };
    return [{ ...row, status: "unsupported" }];
  }
  const row = verdictRow(result, rule);
  if (rule.type === "Generation") {
    // Kyverno has no row for a rule that passed without making anything.
    if (response.generated.length === 0) return rule.result === "pass" ? [] : [row];
    return [checkGenerated(result, response, readExpected) ?? row];
  }
  if (result.patchedResources === "") return [row];
  const isMutation = rule.type === "Mutation";
  const patched = isMutation ? patchedBy(response, entry) : response.before;
  return checkPatched(result, patched, readExpected, row);
}

function verdictRow(result: ExpectedResult, rule: RuleResult): Row {
  const ok = rule.result === result.result;
  const wrong = `expected ${result.result}, found ${rule.result}: ${rule.message}`;
  return {
    actual: rule.result,
    ok,
    message: ok ? rule.message : wrong,
    status: ok ? "passed" : "failed",
  };
}

/** Kyverno compares what all MutatingPolicies made together, but what each other policy made by itself. */
const patchedBy = (response: Response, entry: RunEntry): JsonObject =>
  response.policy.ref.kind.endsWith("MutatingPolicy") ? entry.object : response.after;

const failed = (actual: string, message: string): Row => ({
  actual,
  ok: false,
  message,
  status: "failed",
});

/** No row where the file has no document for the resource: Kyverno passes over it. */
function checkPatched(
  result: ExpectedResult,
  patched: JsonObject,
  readExpected: ReadExpected,
  row: Row,
): readonly Row[] {
  const file = readExpected(result.patchedResources);
  if ("error" in file) return [failed(row.actual, file.error)];
  const expected = findExpected(patched, file.objects);
  if (expected === undefined) {
    const message = `${result.patchedResources} has no document for it`;
    return [{ actual: "", ok: true, message, status: "skipped" }];
  }
  const differences = compareResources(patched, expected).map(formatDifference);
  if (differences.length === 0) return [row];
  return [failed(row.actual, `patched resource differs at ${differences.join("; ")}`)];
}

/**
 * A failure, or undefined when what was generated is as it is written. A policy of several rules does not say which of
 * them made what: then only the documents of the file count, and each has to be there.
 */
function checkGenerated(
  result: ExpectedResult,
  response: Response,
  readExpected: ReadExpected,
): Row | undefined {
  if (result.generatedResource === "") return undefined;
  const file = readExpected(result.generatedResource);
  if ("error" in file) return failed("", file.error);
  const several = response.results.length > 1;
  const wrong = response.generated.flatMap((generated) => {
    const expected = findExpected(generated, file.objects);
    if (expected === undefined) {
      return several ? [] : [`${formatKey(keyOf(generated))} is not expected`];
    }
    return compareResources(generated, expected).map(formatDifference);
  });
  const absent = file.objects
    .filter((expected) => several && findExpected(expected, response.generated) === undefined)
    .map((expected) => `${formatKey(keyOf(expected))} is missing`);
  const problems = [...wrong, ...absent];
  return problems.length === 0
    ? undefined
    : failed("", `generated resource differs: ${problems.join("; ")}`);
}

/** One check may stand for several rules: the worst of them is shown. */
function joinRows(rows: readonly Row[]): Row {
  const worst = ["failed", "unsupported", "passed", "skipped"] as const;
  for (const status of worst) {
    const row = rows.find((one) => one.status === status);
    if (row !== undefined) return row;
  }
  return { actual: "", ok: true, message: "nothing to check", status: "skipped" };
}
