// SPDX-License-Identifier: Apache-2.0
import { type Rule, ruleMatches } from "#responder/reachability/rule";
import type { Packet } from "#responder/reachability/traffic";

/**
 * Policies among which the order is not defined: each decides by its own first matching rule, and any of them may be
 * the one that counts.
 */
export type Group = readonly (readonly Rule[])[];

/** Groups in order; the first that decides ends it. What no rule decides is denied, or left to the next stage. */
export type Stage = {
  readonly groups: readonly Group[];
  readonly end: "deny" | "next" | "denyOrNext";
};

/** Every verdict that is possible for a packet; both where policies tie or cannot be evaluated exactly. */
export type Possible = { readonly allow: boolean; readonly deny: boolean };

type Outcome = "Allow" | "Deny" | "Pass" | "none";

/** What the stages say about a packet, one after the other; what none of them decides passes, as Kubernetes has it. */
export function judgePacket(stages: readonly Stage[], packet: Packet): Possible {
  let allow = false;
  let deny = false;
  for (const stage of stages) {
    const outcomes = stageOutcomes(stage, packet);
    allow ||= outcomes.has("Allow");
    deny ||= outcomes.has("Deny");
    if (!outcomes.has("Pass")) return { allow, deny };
  }
  return { allow: true, deny };
}

function stageOutcomes(stage: Stage, packet: Packet): ReadonlySet<Outcome> {
  const found = new Set<Outcome>();
  for (const group of stage.groups) {
    const outcomes = groupOutcomes(group, packet);
    for (const outcome of outcomes) if (outcome !== "none") found.add(outcome);
    if (!outcomes.has("none")) return found;
  }
  if (stage.end !== "next") found.add("Deny");
  if (stage.end !== "deny") found.add("Pass");
  return found;
}

function groupOutcomes(group: Group, packet: Packet): ReadonlySet<Outcome> {
  const found = new Set<Outcome>();
  let undecided = true;
  for (const rules of group) {
    const outcomes = policyOutcomes(rules, packet);
    for (const outcome of outcomes) if (outcome !== "none") found.add(outcome);
    undecided &&= outcomes.has("none");
  }
  if (undecided) found.add("none");
  return found;
}

function policyOutcomes(rules: readonly Rule[], packet: Packet): ReadonlySet<Outcome> {
  const found = new Set<Outcome>();
  for (const rule of rules) {
    const match = ruleMatches(rule, packet);
    if (match !== "no") found.add(rule.action);
    if (match === "yes") return found;
  }
  return found.add("none");
}
