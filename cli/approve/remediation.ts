// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { ttlMsMax } from "#responder/actions/parameters";
import { approvalJson } from "#responder/record/approval-record";
import { type Reply, failure, types } from "#responder/cluster";
import { pathText } from "#responder/edit";
import { type Change, changeJson, changeText, type Plan, residualText } from "#responder/plan";
import { isFinal, type Remediation } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";
import type { Evidence } from "#responder/verification/evidence";
import { failureText } from "../cluster/connect.ts";
import { exitCodes } from "../command.ts";
import { formatYaml } from "#policy/yaml";
import { showControls } from "#policy/text/controls";
import type { ApprovePorts, Choice } from "./ports.ts";
import { decide, expiryOf, withApprover } from "./record.ts";

/** `parapet approve REMEDIATION`: shows the plan of a Remediation and records a person's decision on exactly that plan. */
export async function approveRemediation(
  ports: ApprovePorts,
  choice: Choice,
  name: string,
): Promise<number> {
  const what = `Remediation ${choice.namespace}/${name}`;
  const read = await readLive(ports, choice.namespace, name);
  if (!read.ok) {
    ports.err(`parapet approve: ${failureText(what, read)}\n`);
    return read.code === "NotFound" || read.code === "Invalid" ? exitCodes.failed : exitCodes.usage;
  }
  const remediation = read.value;
  const { plan } = remediation;
  const problem = whyNot(remediation, choice);
  if (plan === undefined || problem !== undefined) {
    ports.err(`parapet approve: ${what}: ${problem ?? "has no plan"}\n`);
    return exitCodes.failed;
  }
  if (!choice.dryRun && choice.output === "table") ports.out(formatRemediation(remediation, plan));
  const object = withApprover(
    approvalJson({
      remediation,
      name: `${name.slice(0, 200)}-${ports.suffix()}`,
      decision: choice.decision,
      approvedBy: "",
      reason: choice.reason,
      expiresAtMs: expiryOf(choice, ports.nowMs()),
      renewUntilMs: choice.renewMs === undefined ? undefined : ports.nowMs() + choice.renewMs,
    }),
    choice.as,
  );
  return decide(ports, choice, object, async () => {
    const again = await readLive(ports, choice.namespace, name);
    if (!again.ok) return failureText(what, again);
    return again.value.plan?.digest === plan.digest
      ? undefined
      : `${what} has another plan now; run the command again to see it`;
  });
}

async function readLive(
  ports: ApprovePorts,
  namespace: string,
  name: string,
): Promise<Reply<Remediation>> {
  const live = await ports.cluster.get(types.remediation, { namespace, name });
  if (!live.ok) return live;
  const read = readRemediation(live.value);
  return typeof read === "string"
    ? failure("Invalid", `cannot be read: ${read}`)
    : { ok: true, value: read };
}

/** Why a decision would have no effect; undefined when it has one. */
function whyNot(remediation: Remediation, choice: Choice): string | undefined {
  const { state } = remediation.status;
  if (remediation.plan === undefined) {
    return "has no plan: it is for review only, there is nothing to approve or deny";
  }
  if (isFinal(state)) return `is ${state}, which is final; a new finding opens a new one`;
  if (choice.decision === "Deny") return undefined;
  if (remediation.mode === "Observe") return "only observes: its policy never acts";
  if (choice.renewMs !== undefined) return whyNotRenew(remediation, choice.renewMs);
  return state === "Proposed"
    ? undefined
    : `is ${state} already; --renew gives it more time, --deny takes it back`;
}

const renewable: ReadonlySet<string> = new Set(["Applied", "Realised", "Verified", "Unverifiable"]);

function whyNotRenew({ status }: Remediation, renewMs: number): string | undefined {
  if (!renewable.has(status.state))
    return `is ${status.state}: only what is in force can be renewed`;
  if (status.expiresAtMs === undefined) return "has no end, so it needs no renewal";
  return renewMs > ttlMsMax ? "can be renewed for 30 days at a time, and no more" : undefined;
}

/** What a person should know before deciding: cause, target, plan, exact manifests, and what stays open. */
export function formatRemediation(remediation: Remediation, plan: Plan): string {
  const { target, cause, status } = remediation;
  const heads = [
    ["Remediation", `${remediation.name.namespace}/${remediation.name.name}`],
    ["State", `${status.state}, mode ${remediation.mode}, policy ${remediation.policy}`],
    ["Cause", `${cause.source} ${JSON.stringify(cause.rule)} (${cause.priority})`],
    ["Message", cause.message],
    ["Alerts", `${status.alerts.count}`],
    ["Target", `${target.kind} ${target.namespace}/${target.name}, uid ${target.uid}`],
    ["Workload", remediation.workload === "" ? "none" : remediation.workload],
    ["Lasts", remediation.ttlMs === 0 ? "until undone" : `${remediation.ttlMs / 60_000} minutes`],
    status.appliedAtMs === undefined
      ? ["Decide by", new Date(remediation.decideBeforeMs).toISOString()]
      : ["Ends", endText(status.expiresAtMs)],
    ["Digest", plan.digest],
  ].map(([label = "", value = ""]) => `${label.padEnd(12)} ${showControls(value)}\n`);
  return `${heads.join("")}\n${formatPlan(plan)}${formatEvidence(status.evidence)}\n`;
}

const endText = (atMs: number | undefined): string =>
  atMs === undefined ? "never by itself" : new Date(atMs).toISOString();

/** What was looked at to tell whether it has its effect, oldest first. */
const formatEvidence = (evidence: readonly Evidence[]): string =>
  evidence.length === 0
    ? ""
    : `Evidence\n${evidence
        .map(
          ({ atMs, check, finding, detail }) =>
            `  ${new Date(atMs).toISOString()} ${check} ${finding}: ${showControls(detail)}\n`,
        )
        .join("")}`;

/** The plan's actions with their manifests, the allows that stay open, and the notes. */
export function formatPlan(plan: Plan): string {
  const actions = plan.actions.map(
    ({ action, changes }) =>
      `Action ${action}\n${changes.map((change) => `  ${changeText(change)}\n${indent(changeBody(change))}`).join("")}`,
  );
  const open = plan.residualAllows.map((allow) => `  ${showControls(residualText(allow))}\n`);
  const notes = plan.notes.map((note) => `  ${showControls(note)}\n`);
  return [
    ...actions,
    open.length === 0 ? "" : `Stays open after this\n${open.join("")}`,
    notes.length === 0 ? "" : `Notes\n${notes.join("")}`,
  ].join("");
}

const indent = (text: string): string =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => `    ${showControls(line)}\n`)
    .join("");

function changeBody(change: Change): string {
  if (change.kind === "apply") return formatYaml(change.manifest);
  if (change.kind !== "edit") return formatYaml(changeJson(change));
  return change.edits
    .map(({ path, from, to }) => {
      const before = from === undefined ? "nothing" : JSON.stringify(from);
      const after = to === undefined ? "nothing" : JSON.stringify(to);
      return `${showControls(pathText(path))}: ${before} -> ${after}\n`;
    })
    .join("");
}

/** The same plan for machines. */
export const planView = (plan: Plan): JsonObject => ({
  digest: plan.digest,
  changes: plan.actions.flatMap(({ changes }) => changes.map(changeText)),
  residualAllows: plan.residualAllows.map((allow) => ({ ...allow })),
  notes: plan.notes,
});
