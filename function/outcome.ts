// SPDX-License-Identifier: Apache-2.0
import { textAt, type JsonObject } from "#policy/json";
import type { Followers } from "./answer.ts";
import { hasClaim, type Composite } from "./composite.ts";
import { dependantsOf, type Named } from "./references.ts";
import { knownCondition, policyCompliant, sentenceOf } from "./sentences.ts";
import { isBlocking, oneLine, type Violation } from "./violation.ts";
import type { PendingApproval, Verdict } from "./verdict.ts";
import type { Condition, FunctionResult, Target } from "./wire/response.ts";

/** What people are told: conditions always, results (events) only when something changed since the last call. */
export type Outcome = {
  readonly conditions: readonly Condition[];
  readonly results: readonly FunctionResult[];
  /** For `status.parapet` of the composite. */
  readonly status: JsonObject;
};

/** Most violations that one message names; the rest is counted. */
const namedMax = 20;
/** Most events of one call: Crossplane's event broadcaster drops bursts. */
const eventsMax = 10;

export const approvalPending = "ApprovalPending";

type Line = { readonly text: string; readonly violation: Violation };

/** What else is told about a resource that waits: who depends on it, and who waits with it. */
export type Surroundings = {
  /** All resources of the composition. */
  readonly composed: () => readonly Named[];
  readonly followers: Followers;
};

/** The outcome of verdicts of which none stops the pipeline. */
export function outcomeOf(
  verdicts: readonly Verdict[],
  composite: Composite,
  around: Surroundings,
): Outcome {
  const target: Target = hasClaim(composite) ? "compositeAndClaim" : "composite";
  const lines = linesOf(verdicts, around);
  const held = new Set([
    ...verdicts
      .filter(({ step }) => step.kind === "wait" || step.kind === "hold")
      .map(({ resource }) => resource.name),
    ...around.followers.keys(),
  ]);
  const conditions: Condition[] = [
    {
      type: policyCompliant,
      status: lines.length === 0 ? "True" : "False",
      reason: reasonOf(lines, held.size),
      message: messageOf(lines, held.size, verdicts.length),
      target,
    },
    ...approvalCondition(verdicts, composite, target),
  ];
  const results = conditions.flatMap((condition) => eventsOf(condition, lines, composite, target));
  return { conditions, results, status: statusOf(verdicts, lines, around.followers) };
}

/** A result that ends the pipeline, with the condition that says the same. */
export function fatalOutcome(
  reason: string,
  sentences: readonly string[],
  composite: Composite | undefined,
): Outcome {
  const target: Target =
    composite !== undefined && hasClaim(composite) ? "compositeAndClaim" : "composite";
  const message = bounded(sentences);
  return {
    conditions: [{ type: policyCompliant, status: "False", reason, message, target }],
    results: [{ severity: "fatal", reason, message, target }],
    status: {},
  };
}

/** The sentences of verdicts that stop the pipeline. */
export const stopSentences = (verdicts: readonly Verdict[]): readonly string[] =>
  verdicts
    .filter(({ step }) => step.kind === "stop")
    .flatMap((verdict) => {
      const reason = verdict.step.kind === "stop" ? verdict.step.reason : "";
      const sentences = verdict.violations.filter(isBlocking).map(sentenceOf);
      return reason === "" ? sentences : [...sentences, `${verdict.resource.name}: ${reason}`];
    });

function linesOf(verdicts: readonly Verdict[], around: Surroundings): readonly Line[] {
  const waiting = verdicts.filter(({ step }) => step.kind === "wait").slice(0, namedMax);
  return verdicts.flatMap((verdict) => {
    if (verdict.violations.length === 0) return [];
    const dependants = waiting.includes(verdict) ? dependantsText(verdict, around) : "";
    return verdict.violations.map((violation) => ({
      violation,
      text: `${sentenceOf(violation)}${consequence(verdict, violation, dependants)}`,
    }));
  });
}

/** Whoever refers to a resource that does not come to exist should hear of it, and whoever cannot exist without it. */
function dependantsText(
  { resource: { name, injected } }: Verdict,
  { composed, followers }: Surroundings,
): string {
  const all = composed();
  const behind = all.filter((each) => each.subject === "" && followers.get(each.name) === name);
  const others = all.filter(
    (each) => each.subject === "" && each.name !== name && !followers.has(each.name),
  );
  const parts = [
    ["; referred to by", dependantsOf(injected, others)],
    ["; with it wait", behind.map((each) => each.name).sort()],
  ] as const;
  return parts
    .filter(([, names]) => names.length > 0)
    .map(([word, names]) => `${word} ${bounded(names, ", ")}`)
    .join("");
}

function consequence({ step }: Verdict, violation: Violation, dependants: string): string {
  if (!isBlocking(violation)) return "";
  if (violation.stands === true) return " - exists already";
  switch (step.kind) {
    case "wait":
      return ` - not created until this is resolved${dependants}`;
    case "hold":
      return ` - held back: ${bounded(step.paths, ", ")}`;
    case "known":
      return " - exists already";
    case "send":
    case "stop":
      return "";
    default:
      return step satisfies never;
  }
}

function reasonOf(lines: readonly Line[], held: number): string {
  if (lines.length === 0) return "Compliant";
  if (held > 0) return "Held";
  return lines.some(({ violation }) => isBlocking(violation)) ? "Violated" : "Reported";
}

function messageOf(lines: readonly Line[], held: number, total: number): string {
  if (lines.length === 0) return `${count(total, "composed resource")} checked`;
  const head = held === 0 ? "" : `${count(held, "resource")} held back. `;
  return `${head}${bounded(lines.map(({ text }) => text))}`;
}

const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? "" : "s"}`;

/** The first sentences and how many there are beside them. */
function bounded(sentences: readonly string[], separator = "; "): string {
  const named = sentences.slice(0, namedMax).map((sentence) => oneLine(sentence, 800));
  const more = sentences.length - named.length;
  return `${named.join(separator)}${more > 0 ? `${separator}and ${more} more` : ""}`;
}

function approvalCondition(
  verdicts: readonly Verdict[],
  composite: Composite,
  target: Target,
): readonly Condition[] {
  // A violation that exists already waits for nobody: there is no change to approve.
  const asked = verdicts.flatMap(({ resource, approval, step }) =>
    approval === undefined || step.kind === "known" ? [] : [{ name: resource.name, approval }],
  );
  const open = asked.filter(({ approval }) => approval.state.kind !== "approved");
  if (open.length === 0) {
    if (knownCondition(composite, approvalPending) === undefined) return [];
    const message =
      asked.length === 0
        ? "no change waits for approval"
        : bounded(asked.map(({ name, approval }) => approvalSentence(name, approval)));
    const reason = asked.length === 0 ? "NothingToApprove" : "Approved";
    return [{ type: approvalPending, status: "False", reason, message, target }];
  }
  const denied = open.every(({ approval }) => approval.state.kind === "denied");
  const message = bounded(open.map(({ name, approval }) => approvalSentence(name, approval)));
  return [
    {
      type: approvalPending,
      status: denied ? "False" : "True",
      reason: denied ? "Denied" : "WaitingForApproval",
      message,
      target,
    },
  ];
}

function approvalSentence(name: string, { digest, state }: PendingApproval): string {
  switch (state.kind) {
    case "approved":
      return `${name}: ${digest} approved by ${oneLine(state.by.join(" and "), 200)}`;
    case "denied":
      return `${name}: ${digest} denied by ${oneLine(state.by, 100)}`;
    case "waiting": {
      const reason = state.reason === "" ? "" : `, ${state.reason}`;
      return `${name}: ${digest} waits for approval${state.have === 0 ? "" : ` (${state.have} so far)`}${reason}`;
    }
    default:
      return state satisfies never;
  }
}

/** Events when a condition differs from what the composite says already, so that none repeats with every call. */
function eventsOf(
  condition: Condition,
  lines: readonly Line[],
  composite: Composite,
  target: Target,
): readonly FunctionResult[] {
  const known = knownCondition(composite, condition.type);
  const before = textAt(known, ["message"]);
  const isSame =
    textAt(known, ["status"]) === condition.status &&
    textAt(known, ["reason"]) === condition.reason &&
    before === condition.message;
  if (isSame) return [];
  const { reason, message } = condition;
  const isGood =
    condition.type === policyCompliant ? condition.status === "True" : condition.status === "False";
  if (isGood) {
    // The first verdict on a compliant composite is no news.
    const wasBad = known !== undefined && textAt(known, ["status"]) !== condition.status;
    return wasBad ? [{ severity: "normal", reason, message, target }] : [];
  }
  if (condition.type !== policyCompliant) return [{ severity: "warning", reason, message, target }];
  const fresh = lines.map(({ text }) => text).filter((text) => !before.includes(text));
  const told = fresh.slice(0, eventsMax);
  if (fresh.length > told.length) told.push(`and ${fresh.length - told.length} more violations`);
  return told.map((text) => ({ severity: "warning", reason, message: text, target }));
}

function statusOf(
  verdicts: readonly Verdict[],
  lines: readonly Line[],
  followers: Followers,
): JsonObject {
  const behind = [...followers].map(([resource, waitsFor]) => ({ resource, paths: [], waitsFor }));
  const held = verdicts.flatMap(({ resource, step }): readonly JsonObject[] => {
    if (step.kind === "wait") return [{ resource: resource.name, paths: [] }];
    return step.kind === "hold" ? [{ resource: resource.name, paths: step.paths }] : [];
  });
  const approvals = verdicts.flatMap(({ resource, approval }): readonly JsonObject[] =>
    approval === undefined
      ? []
      : [{ resource: resource.name, digest: approval.digest, state: approval.state.kind }],
  );
  const violations = lines
    .slice(0, 100)
    .map(({ violation: { resource, policy, rule, message, answer } }) => ({
      resource,
      policy,
      rule,
      message,
      action: answer === "Tell" ? "Audit" : "Enforce",
    }));
  return { violations, violationCount: lines.length, held: [...held, ...behind], approvals };
}
