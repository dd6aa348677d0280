// SPDX-License-Identifier: Apache-2.0
import { matchConditions, unsupportedReason } from "#policy/admission/expressions";
import type { ExpressionError, NamedProgram, Variables } from "#policy/admission/expressions";
import { makeBudget } from "#policy/cel/budget";
import type { Budget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { CelError } from "#policy/cel/values";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { baseActivation, withVariables } from "#policy/kyverno/cel/activation";
import { exceptionResult, findExceptions } from "#policy/kyverno/cel/exceptions";
import type { Exception } from "#policy/kyverno/cel/exceptions";
import { makeResult } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { EnforcementAction, RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

export type Validation = {
  readonly program: Program;
  readonly messageExpression: Program | undefined;
  readonly message: string;
};

/** One compiled spec of a ValidatingPolicy: its own, or one derived from it. */
export type ValidatingPolicyParts = {
  readonly meta: PolicyMeta;
  readonly jsonMode: boolean;
  /** '' for cluster-scoped policies. */
  readonly namespace: string;
  readonly constraints: MatchConstraints;
  readonly action: EnforcementAction;
  readonly ignoreErrors: boolean;
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly validations: readonly Validation[];
  readonly annotations: readonly NamedProgram[];
  readonly exceptions: readonly Exception[];
};

/** At most one result. Texts and order are Kyverno's (pkg/cel/policies/vpol/{compiler/policy.go,engine/engine.go}). */
export function evaluateValidatingPolicy(
  parts: ValidatingPolicyParts,
  review: Review,
  world: World,
): RuleResult | undefined {
  if (!parts.jsonMode && parts.constraints.match(review, world) !== "match") return undefined;
  const budget = makeBudget();
  const base = baseActivation(review, world, parts);
  const exempted = findExceptions(parts, base, budget, world);
  if (exempted.is === "exempt") {
    return exceptionResult(parts.meta, "Validation", exempted.exceptions);
  }
  if (exempted.is === "error") return contextError(parts, exempted.errors);
  // Match conditions cannot name the variables, which are there already.
  const activation: Activation = withVariables(base, exempted, parts.variables, budget);
  const matched = matchConditions(parts.conditions, activation, budget);
  if (matched.is === "no match") return result(parts, "skip", "skip");
  if (matched.is === "error") {
    return parts.ignoreErrors ? result(parts, "skip", "skip") : contextError(parts, matched.errors);
  }
  return judge(parts, activation, budget);
}

function judge(parts: ValidatingPolicyParts, activation: Activation, budget: Budget): RuleResult {
  let index = -1;
  for (const validation of parts.validations) {
    index++;
    const value = validation.program.evaluate(activation, budget);
    if (value === true) continue;
    const position = { "cel.validationIndex": String(index) };
    if (value instanceof CelError) {
      return error(parts, "", `error: ${value.message}`, unsupportedReason(value), position);
    }
    const message = messageOf(validation, index, activation, budget);
    return annotated(parts, activation, budget, (properties) =>
      result(parts, "fail", message, { ...position, ...properties }),
    );
  }
  return annotated(parts, activation, budget, (properties) =>
    result(parts, "pass", "success", properties),
  );
}

function messageOf(
  validation: Validation,
  index: number,
  activation: Activation,
  budget: Budget,
): string {
  const made = validation.messageExpression?.evaluate(activation, budget);
  if (made instanceof CelError) return `failed to evaluate message expression: ${made.message}`;
  const message = typeof made === "string" ? made : validation.message;
  return message === "" ? `CEL expression validation failed at index ${index}` : message;
}

/** The audit annotations become properties; one that cannot be evaluated makes the result an error. */
function annotated(
  parts: ValidatingPolicyParts,
  activation: Activation,
  budget: Budget,
  finish: (properties: Readonly<Record<string, string>>) => RuleResult,
): RuleResult {
  if (parts.annotations.length === 0) return finish(noProperties);
  const properties: [string, string][] = [];
  for (const { name, program } of parts.annotations) {
    const value = program.evaluate(activation, budget);
    if (value instanceof CelError) {
      const message = `failed to load context: failed to evaluate auditAnnotation '${name}': ${value.message}`;
      return error(parts, "evaluation", message, unsupportedReason(value), {});
    }
    if (typeof value === "string" && value !== "") properties.push([name, value]);
  }
  return finish(Object.fromEntries(properties));
}

const noProperties: Readonly<Record<string, string>> = Object.freeze({});

function result(
  parts: ValidatingPolicyParts,
  kind: "pass" | "fail" | "skip",
  message: string,
  properties: Readonly<Record<string, string>> = {},
): RuleResult {
  const { meta, action } = parts;
  return makeResult(meta, {
    rule: "",
    type: "Validation",
    result: kind,
    message,
    action,
    properties,
  });
}

function error(
  parts: ValidatingPolicyParts,
  rule: string,
  message: string,
  unsupported: string | undefined,
  properties: Readonly<Record<string, string>>,
): RuleResult {
  return makeResult(parts.meta, {
    rule,
    type: "Validation",
    result: "error",
    message,
    action: parts.ignoreErrors ? "Audit" : parts.action,
    properties,
    ...(unsupported === undefined ? {} : { unsupported }),
  });
}

function contextError(
  parts: ValidatingPolicyParts,
  errors: readonly ExpressionError[],
): RuleResult {
  const texts = errors.map((failed) => failed.error.message);
  const unsupported = errors
    .map((failed) => unsupportedReason(failed.error))
    .find((reason) => reason !== undefined);
  const message = `failed to load context: ${texts.join("; ")}`;
  return error(parts, "evaluation", message, unsupported, {});
}
