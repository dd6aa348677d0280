// SPDX-License-Identifier: Apache-2.0
import { priorities, type Priority } from "#responder/intake/alert";

/** What one Falco counts of itself. */
export type FalcoFigures = {
  /** As it names itself in alerts; '' when it does not say. */
  readonly hostname: string;
  /** Matches of each rule since it was started. A rule that never matched is not there. */
  readonly matches: ReadonlyMap<string, { readonly count: number; readonly priority: Priority }>;
  /** Alerts that it dropped since its own queue was full. */
  readonly queueDrops: number;
};

/** Lines and rules of one answer; Falco has some hundred lines, one rule of each at most. */
const linesMax = 20_000;
const rulesMax = 2_000;

/**
 * Reads Falco's metrics in Prometheus' text format: `falcosecurity_falco_rules_matches_total{rule_name,priority}` since 0.40 and one
 * metric for each rule before. Falco repeats all of them for each event source with the same value, so the largest counts.
 * (falco: userspace/falco/falco_metrics.cpp) Undefined when the text has none of Falco's metrics.
 */
export function parseFalcoMetrics(text: string): FalcoFigures | undefined {
  const matches = new Map<string, { readonly count: number; readonly priority: Priority }>();
  let hostname = "";
  let queueDrops = 0;
  let isFalco = false;
  for (const line of text.split("\n", linesMax)) {
    if (!line.startsWith("falcosecurity_")) continue;
    const parsed = parseLine(line);
    if (parsed === undefined) continue;
    isFalco = true;
    const { name, labels, value } = parsed;
    if (name === "falcosecurity_evt_hostname_info") hostname = labels.get("hostname") ?? "";
    if (name === "falcosecurity_falco_outputs_queue_num_drops_total") {
      queueDrops = Math.max(queueDrops, value);
    }
    const rule = name.startsWith("falcosecurity_falco_rules_")
      ? (labels.get("rule_name") ?? labels.get("rule"))
      : undefined;
    if (rule === undefined || (matches.size >= rulesMax && !matches.has(rule))) continue;
    const count = Math.max(matches.get(rule)?.count ?? 0, value);
    matches.set(rule, { count, priority: toPriority(labels.get("priority")) });
  }
  return isFalco ? { hostname, matches, queueDrops } : undefined;
}

type Line = {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
};

function parseLine(line: string): Line | undefined {
  const name = /^[A-Za-z_:][\w:]*/.exec(line)?.[0] ?? "";
  const rest = line.slice(name.length);
  if (!rest.startsWith("{")) return counted(name, new Map(), rest);
  const labels = new Map<string, string>();
  const label = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"\s*,?\s*/y;
  label.lastIndex = 1;
  for (let found = label.exec(rest); found !== null; found = label.exec(rest)) {
    labels.set(found[1] ?? "", unescape(found[2] ?? ""));
    // A sticky expression that fails starts over at 0: where it stands now is kept.
    if (rest[label.lastIndex] === "}")
      return counted(name, labels, rest.slice(label.lastIndex + 1));
  }
  return undefined;
}

const unescape = (text: string): string =>
  text.replaceAll(/\\(.)/g, (_whole, char: string) => (char === "n" ? "\n" : char));

function counted(
  name: string,
  labels: ReadonlyMap<string, string>,
  rest: string,
): Line | undefined {
  const value = Number(/^\s+(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:\s|$)/i.exec(rest)?.[1] ?? "x");
  return Number.isFinite(value) ? { name, labels, value } : undefined;
}

/** The label is the number of the priority, most urgent first. */
const toPriority = (label: string | undefined): Priority =>
  priorities[/^[0-7]$/.test(label ?? "") ? Number(label) : -1] ??
  priorities.find((one) => one.toLowerCase() === label?.toLowerCase()) ??
  "Unknown";
