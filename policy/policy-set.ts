// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Problem } from "#policy/problem";
import type { PolicyRef, RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/**
 * One policy, compiled: what it can do is what it has. A classic policy may have all three.
 * Each answer is a pure function of its arguments; none throws on any review.
 */
export type CompiledPolicy = {
  readonly ref: PolicyRef;
  readonly annotations: Readonly<Record<string, string>>;
  /**
   * Which objects the policy may speak about, for the index: plurals (`pods`) and kinds (`Pod`) in lower case, or 'any'.
   * Too much is allowed, too little is a bug: the policy's own match decides.
   */
  readonly index: readonly string[] | "any";
  readonly validate?: (review: Review, world: World) => readonly RuleResult[];
  readonly mutate?: (review: Review, world: World) => Mutation;
  /**
   * reinvocationPolicy IfNeeded: mutates once more when policies after it changed the object, or, as the API server runs
   * its own policies, when any did, itself too.
   */
  readonly reinvoked?: "after others" | "after any";
  readonly generate?: (review: Review, world: World) => Generation;
  /**
   * Whether the policy's next run would delete the object: pass if it would, fail if it would keep it. Nothing is deleted
   * by anybody here, and neither is a violation.
   */
  readonly deletion?: (review: Review, world: World) => readonly RuleResult[];
  /** What a policy over requests to services says of one: pass allows it, fail denies it, skip leaves it to others. */
  readonly authorize?: (request: AuthorizationRequest, world: World) => readonly RuleResult[];
  /** What each expression gave on a review, in the order of evaluation: slower, for people who ask why. */
  readonly explain?: (review: Review, world: World) => readonly Explanation[];
};

/** A request to a service as a proxy asks about it: Envoy's CheckRequest, or a plain one over HTTP. Payloads are JSON. */
export type AuthorizationRequest = {
  readonly mode: "Envoy" | "HTTP";
  readonly payload: JsonObject;
};

export type Explanation = {
  /** Where in the policy, e.g. `matchConditions[0] not-system`, `variables.images`, `validations[1]`. */
  readonly part: string;
  readonly source: string;
  /** The value as JSON, shortened, or the error. */
  readonly value: string;
  readonly failed: boolean;
  /** The sub-expressions that were evaluated. */
  readonly steps: readonly { readonly source: string; readonly value: string }[];
};

/** `object` is the very object of the review when nothing changed. */
export type Mutation = {
  readonly object: JsonObject;
  readonly results: readonly RuleResult[];
  /** Other, existing objects that the policy changes when this one does; absent for nearly all policies. */
  readonly targets?: readonly TargetMutation[];
  /** No mutation was tried, as the policy does not match: it is not run again either. */
  readonly idle?: boolean;
};

/** `after` is the very object of `before` when nothing changed. */
export type TargetMutation = {
  readonly policy: PolicyRef;
  readonly before: JsonObject;
  readonly after: JsonObject;
};

export type Generation = {
  readonly resources: readonly JsonObject[];
  readonly results: readonly RuleResult[];
};

/** Policies in the order of their documents, which is the order they run in. */
export type PolicySet = {
  readonly policies: readonly CompiledPolicy[];
  /** Those of `policies` that may match a review, by its kind and plural; in order. */
  readonly candidates: (review: Review) => readonly CompiledPolicy[];
};

/** A document that is understood but cannot be evaluated exactly here: named, never passed over. */
export type Unsupported = {
  readonly policy: PolicyRef;
  readonly rule: string;
  readonly reason: string;
};

/** What came of compiling documents: problems do not stop the policies that have none. */
export type Compilation = {
  readonly set: PolicySet;
  readonly problems: readonly Problem[];
  readonly unsupported: readonly Unsupported[];
};
