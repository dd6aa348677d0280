// SPDX-License-Identifier: Apache-2.0
import { at, field, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { compileConditions } from "#policy/kyverno/classic/conditions";
import type { Conditions } from "#policy/kyverno/classic/conditions";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import type { ContextEntries } from "#policy/kyverno/classic/context";
import { exceptionsFor } from "#policy/kyverno/classic/exceptions";
import type { RuleException } from "#policy/kyverno/classic/exceptions";
import { compileFailureAction } from "#policy/kyverno/classic/failure-action";
import type { FailureAction } from "#policy/kyverno/classic/failure-action";
import { readImageExtractors } from "#policy/kyverno/classic/images";
import { compileRuleMatch, matchedKinds } from "#policy/kyverno/classic/match";
import type { RuleMatch } from "#policy/kyverno/classic/match";
import { compileHandler } from "#policy/kyverno/classic/rule-handler";
import type { RuleHandler } from "#policy/kyverno/classic/rule-handler";
import { below } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem } from "#policy/kyverno/classic/rule-state";
import type { RuleIdentity } from "#policy/kyverno/classic/scope";
import { stringMap } from "#policy/report/policy-meta";

/** One rule of a classic policy, planned. */
export type Rule = {
  readonly name: string;
  /** Kinds in lower case, for the index. */
  readonly kinds: readonly string[] | "any";
  readonly match: RuleMatch;
  readonly identity: RuleIdentity;
  readonly context: ContextEntries;
  readonly preconditions: Conditions | undefined;
  readonly exceptions: readonly RuleException[];
  readonly handler: RuleHandler;
  readonly action: FailureAction;
  /** A violation that the object had before the update is let be. */
  readonly allowsExisting: boolean;
  /** Requests of Kyverno's own background controller are not looked at. */
  readonly skipsBackground: boolean;
  readonly reportProperties: Readonly<Record<string, string>>;
};

/** What surrounds the rules of a policy. */
export type RuleOwner = {
  readonly policy: JsonObject;
  /** '' for a ClusterPolicy. */
  readonly namespace: string;
  readonly name: string;
  readonly exceptions: readonly JsonObject[];
};

/** Plans a rule; undefined when it has problems that leave nothing to run. */
export function compileRule(
  rule: JsonObject,
  owner: RuleOwner,
  problems: RuleProblem[],
): Rule | undefined {
  const name = textAt(rule, ["name"]);
  const { context, problems: contextProblems } = compileContextEntries(field(rule, "context"));
  problems.push(...contextProblems);
  const stated = field(rule, "preconditions");
  const preconditions =
    stated === undefined || stated === null ? undefined : compileConditions(stated);
  problems.push(...below("preconditions", preconditions?.problems ?? []));
  const handler = compileHandler(rule, owner.namespace, problems);
  if (handler === undefined) return undefined;
  const imageExtractors = readImageExtractors(field(rule, "imageExtractors"));
  const policyKey = owner.namespace === "" ? owner.name : `${owner.namespace}/${owner.name}`;
  return {
    name,
    kinds: matchedKinds(rule),
    match: compileRuleMatch(rule, owner.namespace),
    identity: {
      policy: owner.name,
      rule: name,
      ...(imageExtractors === undefined ? {} : { imageExtractors }),
    },
    context,
    preconditions,
    exceptions: exceptionsFor(owner.exceptions, policyKey, name),
    handler,
    action: compileFailureAction(field(owner.policy, "spec"), rule),
    allowsExisting: at(rule, ["validate", "allowExistingViolations"]) !== false,
    skipsBackground: field(rule, "skipBackgroundRequests") !== false,
    reportProperties: readProperties(field(rule, "reportProperties")),
  };
}

/** The properties of a rule that states none. */
export const noProperties: Readonly<Record<string, string>> = Object.freeze({});

const readProperties = (value: Json | undefined): Readonly<Record<string, string>> =>
  value === undefined ? noProperties : stringMap(value);
