// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { showControls } from "#policy/text/controls";
import { alertView } from "#responder/intake/alert";
import type { Remediation } from "#responder/remediation";
import { modeIn, type ResponsePolicy } from "#responder/response-policy";
import { formatPlan, planView } from "../approve/remediation.ts";
import type { Explanation, PolicyExplanation } from "./explain.ts";

/** For people: the alert as it is read, its target, and policy by policy what would happen. */
export function formatExplanation(explanation: Explanation): string {
  const { alert, resolved, stopped } = explanation;
  const target =
    resolved.kind !== "unresolved"
      ? `${resolved.target.kind} ${resolved.target.namespace}/${resolved.target.name}, uid ${resolved.target.uid}`
      : `none in ${explanation.source}: ${resolved.reason}; nothing is ever done then but recording it for review`;
  const heads = [
    ["Alert", `${JSON.stringify(alert.rule)}, ${alert.priority}, source ${alert.source || "none"}`],
    [
      "Time",
      alert.timeNs === undefined
        ? `${alert.time || "none"}: unreadable, so for review only`
        : alert.time,
    ],
    ["Tags", alert.tags.join(", ") || "none"],
    ["Output", alert.output],
    ["Fingerprint", explanation.fingerprint],
    ["Says", explanation.clue],
    ["Target", target],
    [
      "Protected",
      explanation.protection === ""
        ? "no"
        : `yes: ${explanation.protection}, so it is only recorded`,
    ],
    [
      "Global stop",
      stopped === undefined ? "unknown" : stopped ? "on: all is only proposed" : "off",
    ],
  ].map(([label = "", value = ""]) => `${label.padEnd(12)} ${showControls(value)}\n`);
  const policies = explanation.policies.map((one) => formatPolicy(one, alert.rule));
  const none = policies.length === 0 ? "No ResponsePolicy was given.\n" : "";
  return `${heads.join("")}\n${none}${policies.join("\n")}`;
}

function formatPolicy(
  { policy, parts, response, remediation }: PolicyExplanation,
  rule: string,
): string {
  const lines = parts.map(({ part, matches, wanted, why }) => {
    const mark = matches === undefined ? "-" : matches ? "yes" : "no";
    return `  ${part.padEnd(9)} ${mark.padEnd(4)} ${showControls(wanted === "" ? why : `${wanted}: ${why}`)}\n`;
  });
  const limits = `  limits    ${limitsText(policy)}\n`;
  const isMatch = response !== undefined && response.outcome !== "notMatched";
  if (!isMatch) return `Policy ${policy.name}: does not respond\n${lines.join("")}`;
  const outcome = outcomeText(policy, response.outcome, remediation, rule);
  const plan = remediation?.plan === undefined ? "" : indent(formatPlan(remediation.plan));
  return `Policy ${policy.name}: ${outcome}\n${lines.join("")}${limits}${plan}`;
}

function limitsText({ spec }: ResponsePolicy): string {
  const { perWorkload, perNamespace, perCluster, minReady, cooldown } = spec.limits;
  return [
    `at most ${perWorkload} per workload`,
    `${perNamespace} per namespace`,
    ...(perCluster === undefined ? [] : [`${perCluster} in the cluster`]),
    ...(minReady === undefined ? [] : [`${minReady} ready pods left`]),
    `cool-down ${cooldown / 1_000} s`,
  ].join(", ");
}

function outcomeText(
  policy: ResponsePolicy,
  outcome: string,
  remediation: Remediation | undefined,
  rule: string,
): string {
  if (remediation === undefined) return "responds";
  const name = `Remediation ${remediation.name.namespace}/${remediation.name.name}`;
  if (outcome === "counted") {
    return `counts this alert on ${name} (${remediation.status.state}), which is about the same target and cause`;
  }
  const digest = remediation.plan === undefined ? "" : `, plan ${remediation.plan.digest}`;
  const { namespace } = remediation.name;
  const mode = modeIn(policy, namespace, rule);
  const where = mode === policy.mode ? "" : ` for this rule in ${namespace}`;
  return `policy mode ${mode}${where}; ${modeText[remediation.mode]} as ${name}${digest}`;
}

const modeText = {
  Observe: "would only be recorded",
  Propose: "would be proposed, and wait for an approval,",
  Automatic: "would be done at once",
} as const satisfies Record<Remediation["mode"], string>;

const indent = (text: string): string => text.replaceAll(/^(?=.)/gm, "  ");

/** For machines: the same. */
export function explanationJson(explanation: Explanation): JsonObject {
  const { alert, resolved } = explanation;
  // Whole numbers of output_fields may be too long for JSON's readers: they stand in the alert itself.
  const { output_fields: _, ...view } = alertView(alert);
  return {
    alert: view,
    fingerprint: explanation.fingerprint,
    clue: explanation.clue,
    target: resolved.target,
    unresolved: resolved.kind === "unresolved" ? resolved.reason : "",
    protected: explanation.protection !== "",
    protectedBy: explanation.protection,
    stopped: explanation.stopped ?? null,
    policies: explanation.policies.map(({ policy, parts, response, remediation }) => ({
      name: policy.name,
      mode: modeIn(policy, resolved.target.namespace, alert.rule),
      parts: parts.map(({ part, matches, wanted, why }) => ({
        part,
        matches: matches ?? null,
        wanted,
        why,
      })),
      outcome: response?.outcome ?? "notMatched",
      remediation: response?.remediation ?? "",
      effectiveMode: remediation?.mode ?? "",
      message: remediation?.cause.message ?? "",
      plan: remediation?.plan === undefined ? null : planView(remediation.plan),
    })),
  };
}
