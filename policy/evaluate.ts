// SPDX-License-Identifier: Apache-2.0
import type {
  CompiledPolicy,
  Generation,
  Mutation,
  PolicySet,
  TargetMutation,
} from "#policy/policy-set";
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

/**
 * Runs the mutating policies in order, each on what the one before it left; then those with reinvocationPolicy IfNeeded
 * once more where the object changed since, as the API server does. A deletion mutates nothing.
 */
export function mutate(
  set: PolicySet,
  review: Review,
  world: World,
): Mutation & { readonly steps: readonly MutationStep[] } {
  const results: RuleResult[] = [];
  const steps: MutationStep[] = [];
  const targets: TargetMutation[] = [];
  if (review.object === null) return { object: {}, results, steps };
  let object: JsonObject = review.object;
  const run = (policy: CompiledPolicy, again: boolean): Mutation | undefined => {
    const done = policy.mutate?.({ ...review, object }, world);
    if (done === undefined) return undefined;
    // The first run has told what the policy does; of the second only what went wrong is news.
    results.push(...done.results.filter(({ result }) => !again || result === "error"));
    targets.push(...(again ? [] : (done.targets ?? [])));
    if (done.object !== object) steps.push({ policy, before: object, after: done.object });
    object = done.object;
    return done;
  };
  const left = new Map<CompiledPolicy, JsonObject>();
  for (const policy of set.candidates(review)) {
    const done = run(policy, false);
    if (policy.reinvoked === undefined || done?.idle === true) continue;
    left.set(policy, policy.reinvoked === "after any" ? review.object : object);
  }
  for (const [policy, before] of left) {
    if (before !== object) run(policy, true);
  }
  return targets.length === 0 ? { object, results, steps } : { object, results, steps, targets };
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
