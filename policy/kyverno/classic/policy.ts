// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { noProperties } from "#policy/kyverno/classic/rule";
import type { Rule } from "#policy/kyverno/classic/rule";
import { runRule } from "#policy/kyverno/classic/rule-run";
import type { RuleOutcome } from "#policy/kyverno/classic/rule-run";
import type { CompiledPolicy, Generation, Mutation, TargetMutation } from "#policy/policy-set";
import { makeResult } from "#policy/report/policy-meta";
import type { PolicyMeta, ResultParts } from "#policy/report/policy-meta";
import type { Result, RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** Makes a policy of planned rules. Its rules run in order; with `applyOne` the first that applies ends the run. */
export function makePolicy(
  meta: PolicyMeta,
  rules: readonly Rule[],
  applyOne: boolean,
): CompiledPolicy {
  const validating = rules.filter(isOf("Validation", "ImageVerify"));
  const mutating = rules.filter(isOf("Mutation"));
  const generating = rules.filter(isOf("Generation"));
  const validatingFor = makeSelection(validating);
  return {
    ref: meta.ref,
    annotations: meta.annotations,
    index: indexOf(rules),
    ...(validating.length === 0
      ? {}
      : {
          validate: (review: Review, world: World) =>
            validate(meta, validatingFor(review), applyOne, review, world),
        }),
    ...(mutating.length === 0
      ? {}
      : {
          mutate: (review: Review, world: World) => mutate(meta, mutating, applyOne, review, world),
        }),
    ...(generating.length === 0
      ? {}
      : {
          generate: (review: Review, world: World) =>
            generate(meta, generating, applyOne, review, world),
        }),
  };
}

/** What kind of result a rule gives. */
export function typeOfRule(rule: Rule): RuleResult["type"] {
  switch (rule.handler.kind) {
    case "validate":
    case "podSecurity":
      return "Validation";
    case "verifyImages":
      return "ImageVerify";
    case "mutate":
    case "targets":
      return "Mutation";
    case "generate":
      return "Generation";
    case "unsupported":
      return rule.handler.type;
    default:
      return rule.handler satisfies never;
  }
}

const isOf =
  (...types: readonly RuleResult["type"][]) =>
  (rule: Rule): boolean =>
    types.includes(typeOfRule(rule));

/** Most kinds whose rules are remembered per policy. */
const selectionsMax = 1_000;

/** The rules that may match a review, by its kind: of a rule for pods, those for controllers are passed over. */
function makeSelection(rules: readonly Rule[]): (review: Review) => readonly Rule[] {
  const selections = new Map<string, readonly Rule[]>();
  return ({ kind: { kind } }) => {
    const known = selections.get(kind);
    if (known !== undefined) return known;
    const name = kind.toLowerCase();
    const selected = rules.filter(({ kinds }) => kinds === "any" || kinds.includes(name));
    if (selections.size < selectionsMax) selections.set(kind, selected);
    return selected;
  };
}

function indexOf(rules: readonly Rule[]): readonly string[] | "any" {
  const kinds = new Set<string>();
  for (const rule of rules) {
    if (rule.kinds === "any") return "any";
    for (const kind of rule.kinds) kinds.add(kind);
  }
  return [...kinds];
}

/** Results that count for `applyRules: One`. */
const applied = { pass: true, fail: true, warn: true, error: false, skip: false } satisfies Record<
  Result,
  boolean
>;

function validate(
  meta: PolicyMeta,
  rules: readonly Rule[],
  applyOne: boolean,
  review: Review,
  world: World,
): readonly RuleResult[] {
  const results: RuleResult[] = [];
  for (const rule of rules) {
    const outcome = runRule(rule, review, world);
    if (outcome === undefined) continue;
    results.push(resultOf(meta, rule, outcome, review, world));
    if (applyOne && applied[outcome.verdict.result]) break;
  }
  return results;
}

function mutate(
  meta: PolicyMeta,
  rules: readonly Rule[],
  applyOne: boolean,
  review: Review,
  world: World,
): Mutation {
  const results: RuleResult[] = [];
  const targets: TargetMutation[] = [];
  let object: JsonObject = review.object ?? {};
  for (const rule of rules) {
    const current =
      review.object === null || object === review.object ? review : { ...review, object };
    const outcome = runRule(rule, current, world);
    if (outcome === undefined) continue;
    results.push(resultOf(meta, rule, outcome, current, world));
    object = outcome.object ?? object;
    targets.push(...outcome.targets.map((target) => ({ policy: meta.ref, ...target })));
    if (applyOne && applied[outcome.verdict.result]) break;
  }
  return targets.length === 0 ? { object, results } : { object, results, targets };
}

function generate(
  meta: PolicyMeta,
  rules: readonly Rule[],
  applyOne: boolean,
  review: Review,
  world: World,
): Generation {
  const results: RuleResult[] = [];
  const resources: JsonObject[] = [];
  for (const rule of rules) {
    const outcome = runRule(rule, review, world);
    if (outcome === undefined) continue;
    results.push(resultOf(meta, rule, outcome, review, world));
    resources.push(...outcome.resources);
    if (applyOne && applied[outcome.verdict.result]) break;
  }
  return { resources, results };
}

/** The property that says that an exclusion by user was not applied. */
const blind = { exclude: "not applied: no user known" };

function resultOf(
  meta: PolicyMeta,
  rule: Rule,
  outcome: RuleOutcome,
  review: Review,
  world: World,
): RuleResult {
  const { verdict } = outcome;
  const parts: ResultParts = {
    rule: rule.name,
    type: typeOfRule(rule),
    result: verdict.result,
    message: messageOf(rule, verdict.result, verdict.message),
    action: rule.action.of(review, world),
    properties: outcome.exclusionUnknown
      ? { ...rule.reportProperties, ...blind }
      : rule.reportProperties,
  };
  if (verdict.exceptions === undefined && verdict.unsupported === undefined) {
    return makeResult(meta, parts);
  }
  return makeResult(meta, {
    ...parts,
    ...(verdict.exceptions === undefined ? {} : { exceptions: verdict.exceptions }),
    ...(verdict.unsupported === undefined ? {} : { unsupported: verdict.unsupported }),
  });
}

/** `passMessage`, `failMessage`, ... of the rule's reportProperties take the place of messages. */
function messageOf(rule: Rule, result: Result, message: string): string {
  if (rule.reportProperties === noProperties) return message;
  const key = `${result}Message`;
  const stated = Object.hasOwn(rule.reportProperties, key) ? rule.reportProperties[key] : undefined;
  return stated === undefined || stated === "" ? message : stated;
}
