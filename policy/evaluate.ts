// SPDX-License-Identifier: Apache-2.0
import type { CompiledPolicy, Generation, Mutation, PolicySet } from "#policy/policy-set";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";
import type { JsonObject } from "#policy/json";

/** Judges one change by every policy of the set that matches it. One result per rule; a rule that does not match has none. */
export function validate(set: PolicySet, review: Review, world: World): readonly RuleResult[] {
  return set.candidates(review).flatMap((policy) => policy.validate?.(review, world) ?? []);
}

/** What each policy did to the object, for `--diff` and for results on transitions. */
export type MutationStep = {
  readonly policy: CompiledPolicy;
  readonly before: JsonObject;
  readonly after: JsonObject;
};

/** Runs the mutating policies in order, each on what the one before it left. */
export function mutate(
  set: PolicySet,
  review: Review,
  world: World,
): Mutation & { readonly steps: readonly MutationStep[] } {
  const results: RuleResult[] = [];
  const steps: MutationStep[] = [];
  let object: JsonObject = review.object ?? {};
  for (const policy of set.candidates(review)) {
    if (policy.mutate === undefined) continue;
    const done = policy.mutate({ ...review, object }, world);
    results.push(...done.results);
    if (done.object !== object) steps.push({ policy, before: object, after: done.object });
    object = done.object;
  }
  return { object, results, steps };
}

/** The resources that the set's generating policies add for one change. */
export function generate(set: PolicySet, review: Review, world: World): Generation {
  const outcomes = set
    .candidates(review)
    .flatMap((policy) => (policy.generate === undefined ? [] : [policy.generate(review, world)]));
  return {
    resources: outcomes.flatMap((outcome) => outcome.resources),
    results: outcomes.flatMap((outcome) => outcome.results),
  };
}
