// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { QueryFailure } from "#policy/jmespath/query";
import type { Scope } from "#policy/kyverno/classic/scope";
import type { Result } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** What one rule works on for one review. */
export type RuleState = {
  readonly review: Review;
  readonly world: World;
  readonly scope: Scope;
  /** The element of the innermost foreach whose elements are objects: patterns are held against it. */
  readonly element: JsonObject | undefined;
  /** What a mutate rule changes: the object under review, or another one that variables call `target`. */
  readonly mutates?: "object" | "target";
  /** How many foreach loops are around. */
  readonly nesting: number;
  /** Counts the elements of all loops of the rule down. */
  readonly budget: { elements: number };
};

/** Most elements that the foreach loops of one rule visit for one resource, nested ones included. */
export const foreachElementsMax = 20_000;

export const makeBudget = (): { elements: number } => ({ elements: foreachElementsMax });

/** What a rule says; a rule that does not apply after all says nothing. */
export type Verdict = {
  readonly result: Result;
  readonly message: string;
  /** Why the rule cannot be evaluated here. */
  readonly unsupported?: string;
  /** Exceptions that decided it, as `namespace/name`. */
  readonly exceptions?: readonly string[];
};

export const passed = (message: string): Verdict => ({ result: "pass", message });
export const failed = (message: string): Verdict => ({ result: "fail", message });
export const skipped = (message: string): Verdict => ({ result: "skip", message });
export const errored = (message: string): Verdict => ({ result: "error", message });

/** An error that a query caused; one that the World could not answer is named as such. */
export function failedQuery(message: string, failure: QueryFailure): Verdict {
  const verdict = errored(`${message}: ${failure.message}`);
  return failure.kind === "unavailable" ? { ...verdict, unsupported: failure.message } : verdict;
}

export const joinNonEmpty = (parts: readonly string[], separator: string): string =>
  parts.filter((part) => part !== "").join(separator);

/** The texts of a validate rule. */
export type Messages = {
  readonly denied: (conditionMessage: string, scope: Scope) => string;
  /** `path` is '' where the reference has none: it calls that an execution error. */
  readonly mismatch: (failure: string, path: string, scope: Scope) => string;
  readonly noneOf: (failures: readonly string[], scope: Scope) => string;
};

/** The check of a rule or of one foreach entry; undefined where the reference gives no response at all. */
export type Validator = (state: RuleState) => Verdict | undefined;

export type RuleNames = { readonly rule: string; readonly messages: Messages };

/** One thing of a rule that cannot be compiled. */
export type RuleProblem = { readonly path: string; readonly message: string };

/** Problems of a part of a rule, with their places in the whole. */
export const below = (path: string, problems: readonly RuleProblem[]): readonly RuleProblem[] =>
  problems.map((problem) => ({
    path: problem.path === "" ? path : `${path}.${problem.path}`,
    message: problem.message,
  }));
