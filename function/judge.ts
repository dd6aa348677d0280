// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { existingAllowed } from "#policy/kyverno/classic/rule-run";
import type { CompiledPolicy } from "#policy/policy-set";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";
import { adoptedPaths, changesOf } from "./changes.ts";
import { admitted, type Composed } from "./composed.ts";
import { ownershipOf } from "./ownership.ts";

/**
 * Judges a candidate for this resource: all results of the validating policies. Where it is recorded what was applied last,
 * the old object is that: what somebody else wrote since is no change of the composition's, and to undo it neither.
 */
export function judge(
  resource: Composed,
  candidate: JsonObject,
  fieldManager: string,
  world: World,
): readonly RuleResult[] {
  const { live, last } = resource;
  if (!resource.policies.some((policy) => policy.validate !== undefined)) return [];
  const object = admitted(candidate, live, fieldManager);
  const before = last === undefined ? live : admitted(last.object, live, fieldManager);
  const review = reviewOf(object, {
    operation: live === undefined ? "CREATE" : "UPDATE",
    oldObject: before ?? null,
    world,
  });
  const all: RuleResult[] = [];
  for (const policy of resource.policies) {
    const results = policy.validate?.(review, world) ?? [];
    const told = results.some(isLetBe)
      ? withExisting(results, policy, review, { resource, fieldManager, world })
      : results;
    for (const result of told) all.push(result);
  }
  return all;
}

const isLetBe = ({ result, message }: RuleResult): boolean =>
  result === "skip" && message === existingAllowed;

type Asked = {
  readonly resource: Composed;
  readonly fieldManager: string;
  readonly world: World;
};

/**
 * A classic rule lets a violation be that the old object has too. Here it is told all the same, as a background scan would
 * tell it; and where somebody else wrote into the old object, that object proves nothing, so the rule counts in full.
 */
function withExisting(
  results: readonly RuleResult[],
  policy: CompiledPolicy,
  review: Review,
  { resource, fieldManager, world }: Asked,
): readonly RuleResult[] {
  const inFull = policy.validate?.({ ...review, oldObject: null }, world) ?? [];
  const isTrusted = !isWrittenOver(resource, fieldManager);
  return results.map((result) => {
    if (!isLetBe(result)) return result;
    const told = inFull.find(({ rule }) => rule === result.rule) ?? result;
    return isTrusted ? { ...told, action: "Audit" } : told;
  });
}

function isWrittenOver({ injected, live, last }: Composed, fieldManager: string): boolean {
  if (live === undefined || last !== undefined) return false;
  const ownership = ownershipOf(live, fieldManager);
  return (
    adoptedPaths(injected, live, ownership).length > 0 ||
    changesOf(injected, live, ownership).some(({ kind }) => kind === "repair")
  );
}
