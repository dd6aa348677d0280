// SPDX-License-Identifier: Apache-2.0
import { formatKey } from "../input/resources.ts";
import { policyName } from "../verdict.ts";
import type { Verdict } from "../verdict.ts";
import type { LineOf } from "./lines.ts";

/** Verdicts that a reviewer should see beside the line. */
const isNoted = ({ result }: Verdict): boolean =>
  result.result === "fail" || result.result === "error" || result.result === "warn";

const levelOf = ({ result }: Verdict): "error" | "warning" =>
  result.action === "Enforce" && result.result !== "warn" ? "error" : "warning";

const titleOf = ({ result }: Verdict): string =>
  [policyName(result), result.rule].filter((part) => part !== "").join("/");

/**
 * Workflow commands that GitHub turns into annotations of the changed files
 * (docs.github.com/actions/reference/workflow-commands-for-github-actions).
 */
export function formatGithub(verdicts: readonly Verdict[], lineOf: LineOf): string {
  return verdicts
    .filter(isNoted)
    .map((verdict) => {
      const file = escapeProperty(verdict.file);
      const title = escapeProperty(`${titleOf(verdict)} on ${formatKey(verdict.resource)}`);
      const message = escapeData(verdict.result.message);
      return `::${levelOf(verdict)} file=${file},line=${lineOf(verdict)},title=${title}::${message}\n`;
    })
    .join("");
}

const escapeData = (text: string): string =>
  text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

const escapeProperty = (text: string): string =>
  escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

/** SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0): one rule per policy and rule, one result per violation. */
export function formatSarif(
  verdicts: readonly Verdict[],
  lineOf: LineOf,
  toolVersion: string,
): string {
  const noted = verdicts.filter(isNoted);
  const rules = new Map(noted.map((verdict) => [titleOf(verdict), verdict]));
  const driver = {
    name: "parapet",
    version: toolVersion,
    rules: [...rules].map(([id, { result }]) => ({
      id,
      shortDescription: { text: id },
      properties: {
        ...(result.category === undefined ? {} : { category: result.category }),
        ...(result.severity === undefined ? {} : { severity: result.severity }),
      },
    })),
  };
  const places = new Map([...rules.keys()].map((id, index) => [id, index]));
  const results = noted.map((verdict) => ({
    ruleId: titleOf(verdict),
    ruleIndex: places.get(titleOf(verdict)) ?? 0,
    level: levelOf(verdict),
    message: { text: verdict.result.message || verdict.result.result },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(verdict.file) },
          region: { startLine: lineOf(verdict) },
        },
        logicalLocations: [{ fullyQualifiedName: formatKey(verdict.resource), kind: "resource" }],
      },
    ],
  }));
  const log = {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [{ tool: { driver }, results }],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

const uriOf = (file: string): string =>
  (file === "-" ? "stdin" : file).split("/").map(encodeURIComponent).join("/");
