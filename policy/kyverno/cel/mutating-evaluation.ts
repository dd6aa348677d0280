// SPDX-License-Identifier: Apache-2.0
import { matchConditions, unsupportedReason } from "#policy/admission/expressions";
import type { NamedProgram, Variables } from "#policy/admission/expressions";
import { mutateOnce } from "#policy/admission/mutations";
import type { Mutator } from "#policy/admission/mutations";
import { makeBudget } from "#policy/cel/budget";
import type { Activation } from "#policy/cel/compile";
import { CelError } from "#policy/cel/values";
import type { JsonObject } from "#policy/json";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { baseActivation, withVariables } from "#policy/kyverno/cel/activation";
import { exceptionResult, findExceptions } from "#policy/kyverno/cel/exceptions";
import type { Exception } from "#policy/kyverno/cel/exceptions";
import type { Mutation } from "#policy/policy-set";
import { makeResult } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { Result, RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** One compiled spec of a MutatingPolicy: its own, or one derived from it. */
export type MutatingPolicyParts = {
  readonly meta: PolicyMeta;
  /** '' for cluster-scoped policies. */
  readonly namespace: string;
  readonly constraints: MatchConstraints;
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly mutators: readonly Mutator[];
  readonly annotations: readonly NamedProgram[];
  readonly exceptions: readonly Exception[];
  readonly ignoreErrors: boolean;
};

/** Texts and order are Kyverno's (pkg/cel/policies/mpol/{compiler/policy.go,engine/engine.go}). */
export function evaluateMutatingPolicy(
  parts: MutatingPolicyParts,
  review: Review,
  world: World,
): Mutation {
  const object = review.object ?? {};
  if (parts.constraints.match(review, world) !== "match") return { object, results: [] };
  if (review.object === null) return { object, results: [] };
  return mutateObject(parts, parts.conditions, review, review.object, world);
}

/**
 * Mutates one object: the one under review, or a target whose change the review triggers. `conditions` are those that
 * the object must meet.
 */
export function mutateObject(
  parts: MutatingPolicyParts,
  conditions: readonly NamedProgram[],
  review: Review,
  start: JsonObject,
  world: World,
): Mutation {
  const budget = makeBudget();
  const base = { ...baseActivation(review, world, parts), object: start };
  const exempted = findExceptions(parts, base, budget, world);
  if (exempted.is === "exempt") {
    return {
      object: start,
      results: [exceptionResult(parts.meta, "Mutation", exempted.exceptions)],
    };
  }
  if (exempted.is === "error") {
    return {
      object: start,
      results: [
        failure(
          parts,
          exempted.errors.map(({ error }) => error),
        ),
      ],
    };
  }
  // Variables are computed once, from the object as it is when they are first read: later mutations see them as they are.
  let activation: Activation = withVariables(base, exempted, parts.variables, budget);
  const variables = parts.variables.bind(() => activation, budget);
  activation = { ...activation, variables };
  const matched = matchConditions(conditions, activation, budget);
  if (matched.is === "no match")
    return { object: start, results: [outcome(parts, "skip", "skip")] };
  if (matched.is === "error") {
    return {
      object: start,
      results: [
        failure(
          parts,
          matched.errors.map(({ error }) => error),
        ),
      ],
    };
  }
  let object = start;
  for (const mutator of parts.mutators) {
    const patched = mutateOnce(mutator, object, activation, budget, world);
    if (!patched.ok) {
      const error = patched.error ?? new CelError(patched.message);
      return { object: start, results: [failure(parts, [error])] };
    }
    object = patched.object;
    activation = { ...activation, object };
  }
  const properties: [string, string][] = [];
  for (const { name, program } of parts.annotations) {
    const value = program.evaluate(activation, budget);
    if (value instanceof CelError) {
      const text = `failed to evaluate auditAnnotation "${name}": ${value.message}`;
      return { object: start, results: [failure(parts, [new CelError(text, value.code)])] };
    }
    if (typeof value === "string" && value !== "") properties.push([name, value]);
  }
  return { object, results: [outcome(parts, "pass", "success", Object.fromEntries(properties))] };
}

function outcome(
  parts: MutatingPolicyParts,
  result: Result,
  message: string,
  properties: Readonly<Record<string, string>> = {},
): RuleResult {
  return makeResult(parts.meta, {
    rule: "",
    type: "Mutation",
    result,
    message,
    action: "Enforce",
    properties,
  });
}

function failure(parts: MutatingPolicyParts, errors: readonly CelError[]): RuleResult {
  const texts = errors.map((error) => error.message).join("; ");
  const unsupported = errors.map(unsupportedReason).find((reason) => reason !== undefined);
  return makeResult(parts.meta, {
    rule: "evaluation",
    type: "Mutation",
    result: "error",
    message: `failed to evaluate policy: ${texts}`,
    action: parts.ignoreErrors ? "Audit" : "Enforce",
    ...(unsupported === undefined ? {} : { unsupported }),
  });
}
