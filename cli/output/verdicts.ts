// SPDX-License-Identifier: Apache-2.0
import { formatKey } from "../input/resources.ts";
import { countVerdicts, policyName } from "../verdict.ts";
import type { Verdict } from "../verdict.ts";
import { formatTable } from "./table.ts";

/** The machine-readable form of a check: a summary, and one entry per verdict. */
export function formatJson(verdicts: readonly Verdict[]): string {
  const results = verdicts.map(({ result, resource }) => ({
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
  }));
  return `${JSON.stringify({ summary: countVerdicts(verdicts), results }, null, 2)}\n`;
}

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
