// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import type { QueryFailure } from "#policy/jmespath/query";
import type { Scope } from "#policy/kyverno/classic/scope";

/** Preconditions or deny conditions, planned: keys and values are templates, operators are functions. */
export type Conditions = {
  readonly evaluate: (scope: Scope) => ConditionsOutcome;
  /** What is wrong with the document itself (unknown operators and the like); the outcome is an error then. */
  readonly problems: readonly { readonly path: string; readonly message: string }[];
};

/** `message` joins the `message` fields of the conditions that decided, '' when they have none. */
export type ConditionsOutcome =
  | { readonly kind: "decided"; readonly holds: boolean; readonly message: string }
  | { readonly kind: "error"; readonly failure: QueryFailure };

/**
 * Plans `{any, all}`, the old flat list of conditions, or a list of `{any, all}`. Undefined and null hold always.
 * An error's message starts with `failed to substitute variables in condition key: ` or `... value: `.
 */
export declare function compileConditions(document: Json | undefined): Conditions;
