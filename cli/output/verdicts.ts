// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { formatKey } from "../input/resources.ts";
import { countVerdicts, policyName } from "../verdict.ts";
import type { Verdict } from "../verdict.ts";
import { formatTable } from "./table.ts";

/** Verdicts written at a time: the whole of a large run is longer than a string may be. */
const verdictsPerChunk = 1_000;

/**
 * The machine-readable form of a check: a summary, one entry per verdict, and one per resource that a policy would
 * delete; in parts to be written one by one.
 */
export function* formatJson(
  verdicts: readonly Verdict[],
  deletions: readonly Verdict[],
): Generator<string> {
  yield `{\n  "summary": ${indent(countVerdicts(verdicts), "  ")},\n  "results": [`;
  yield* formatEntries(verdicts, entryOf);
  yield `],\n  "deletions": [`;
  yield* formatEntries(deletions, deletionEntry);
  yield "]\n}\n";
}

function* formatEntries(
  verdicts: readonly Verdict[],
  entry: (verdict: Verdict) => JsonObject,
): Generator<string> {
  for (let start = 0; start < verdicts.length; start += verdictsPerChunk) {
    const chunk = verdicts.slice(start, start + verdictsPerChunk);
    const texts = chunk.map((verdict) => `\n    ${indent(entry(verdict), "    ")}`);
    yield `${start === 0 ? "" : ","}${texts.join(",")}`;
  }
  if (verdicts.length > 0) yield "\n  ";
}

const deletionEntry = ({ result, resource }: Verdict): JsonObject => ({
  policy: policyName(result),
  resource: { ...resource },
  message: result.message,
  ...result.properties,
});

const indent = (value: Json, margin: string): string =>
  JSON.stringify(value, null, 2).replaceAll("\n", `\n${margin}`);

const entryOf = ({ result, resource }: Verdict): JsonObject => ({
  policy: policyName(result),
  rule: result.rule,
  resource: {
    apiVersion: resource.apiVersion,
    kind: resource.kind,
    namespace: resource.namespace,
    name: resource.name,
  },
  result: result.result,
  message: result.message,
  severity: result.severity ?? null,
  category: result.category ?? null,
  action: result.action,
});

/** For people: what is not good, each with what to look at, and the counts. `all` shows passes and skips too. */
export function formatVerdictTable(verdicts: readonly Verdict[], all: boolean): string {
  const shown = all
    ? verdicts
    : verdicts.filter(({ result }) => result.result !== "pass" && result.result !== "skip");
  const rows = shown.map(({ result, resource }) => [
    result.unsupported === undefined ? result.result : "unsupported",
    result.action,
    policyName(result),
    result.rule,
    formatKey(resource),
    result.message,
  ]);
  const head = ["RESULT", "ACTION", "POLICY", "RULE", "RESOURCE", "MESSAGE"];
  const table = rows.length === 0 ? "" : `${formatTable(head, rows)}\n`;
  const { pass, fail, warn, error, skip, unsupported } = countVerdicts(verdicts);
  return `${table}pass: ${pass}, fail: ${fail}, warn: ${warn}, error: ${error}, skip: ${skip}, unsupported: ${unsupported}\n`;
}

/** For people: which resources the next runs of policies that delete would delete, and why; '' when none. */
export function formatDeletions(deletions: readonly Verdict[]): string {
  if (deletions.length === 0) return "";
  const rows = deletions.map(({ result, resource }) => [
    formatKey(resource),
    `${result.policy.kind}/${policyName(result)}`,
    result.properties["schedule"] ?? "",
    result.message,
  ]);
  return `\n${formatTable(["RESOURCE", "DELETED BY", "SCHEDULE", "WHY"], rows)}`;
}
