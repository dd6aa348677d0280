// SPDX-License-Identifier: Apache-2.0
import type { CompiledPolicy, PolicySet } from "#policy/policy-set";
import type { Review } from "#policy/review";

/** Most kinds whose candidate lists are kept; beyond it they are found anew for each review. */
const rememberedKindsMax = 10_000;

/** Puts policies in a set that finds those of a kind without asking the others. */
export function indexPolicies(policies: readonly CompiledPolicy[]): PolicySet {
  const byName = new Map<string, number[]>();
  const always: number[] = [];
  for (const [position, policy] of policies.entries()) {
    if (policy.index === "any") {
      always.push(position);
      continue;
    }
    for (const name of new Set(policy.index)) {
      const positions = byName.get(name);
      if (positions === undefined) byName.set(name, [position]);
      if (positions !== undefined) positions.push(position);
    }
  }
  const remembered = new Map<string, readonly CompiledPolicy[]>();
  const candidates = (review: Review): readonly CompiledPolicy[] => {
    const kind = review.kind.kind.toLowerCase();
    const plural = review.resource.resource.toLowerCase();
    const key = `${kind}\n${plural}`;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const positions = new Set([
      ...always,
      ...(byName.get(kind) ?? []),
      ...(byName.get(plural) ?? []),
    ]);
    const found = policies.filter((_, position) => positions.has(position));
    if (remembered.size < rememberedKindsMax) remembered.set(key, found);
    return found;
  };
  return { policies, candidates };
}
