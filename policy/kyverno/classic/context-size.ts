// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import { QueryFailure, tooDeep } from "#policy/jmespath/query";

/** Most that the entries of one rule may hold together, in characters of JSON; the reference counts bytes. */
export const contextSizeMax = 2_097_152;

/** What the entries of a rule on one review have used so far. */
export type ContextSize = { used: number };

/** Counts a loaded value; a failure once the rule's entries hold too much. */
export function countSize(value: Json, size: ContextSize): QueryFailure | undefined {
  const left = contextSizeMax - size.used;
  let after: number;
  try {
    after = subtractSize(value, left);
  } catch (error) {
    return tooDeep(error);
  }
  if (after < 0) {
    return new QueryFailure(
      "failed",
      `context size limit exceeded: more than the limit of ${contextSizeMax} bytes`,
    );
  }
  size.used += left - after;
  return undefined;
}

/** What is left of a budget after a value; negative as soon as it is used up. */
function subtractSize(value: Json, budget: number): number {
  if (typeof value === "string") return budget - value.length - 2;
  if (typeof value !== "object" || value === null) return budget - 4;
  let left = budget - 2;
  for (const [key, item] of Object.entries(value)) {
    left = subtractSize(item, left - (isArray(value) ? 1 : key.length + 4));
    if (left < 0) return left;
  }
  return left;
}
