// SPDX-License-Identifier: Apache-2.0
import type { Binding } from "#policy/admission/bindings";
import {
  joinErrors,
  matchConditions,
  textOf,
  unsupportedReason,
} from "#policy/admission/expressions";
import type { ExpressionError, NamedProgram, Variables } from "#policy/admission/expressions";
import {
  notMatched,
  recordAll,
  recordValidations,
  recordVariables,
} from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import { authorizerVariables, admittedNamespaceOf, requestOf } from "#policy/admission/request";
import { makeBudget, matchConditionStepsMax } from "#policy/cel/budget";
import type { Budget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { CelError } from "#policy/cel/values";
import type { JsonObject } from "#policy/json";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import type { Explanation } from "#policy/policy-set";
import { makeResult } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** Longest message that an expression may make, in bytes (apiserver pkg/apis/cel/config.go). */
const messageBytesMax = 5 * 1024;

export type Validation = {
  readonly program: Program;
  readonly messageExpression: Program | undefined;
  readonly message: string;
  readonly reason: string;
};

/** A compiled ValidatingAdmissionPolicy. */
export type ValidatingParts = {
  readonly meta: PolicyMeta;
  readonly constraints: MatchConstraints;
  readonly bindings: readonly Binding[];
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly validations: readonly Validation[];
  readonly annotations: readonly NamedProgram[];
  readonly ignoreErrors: boolean;
};

/** What each expression of the policy gave. */
export function explainValidations(
  parts: ValidatingParts,
  review: Review,
  world: World,
): readonly Explanation[] {
  const log: Log = [];
  const recorded: ValidatingParts = {
    ...parts,
    conditions: recordAll(parts.conditions, "matchConditions", log),
    variables: recordVariables(parts.variables, log),
    validations: recordValidations(parts.validations, log),
    annotations: recordAll(parts.annotations, "auditAnnotations", log),
  };
  const results = evaluateValidations(recorded, review, world);
  return results.length === 0 ? [notMatched] : log;
}

/** One result for each binding that matches and each of its params: the first error or denial, else a pass. */
export function evaluateValidations(
  parts: ValidatingParts,
  review: Review,
  world: World,
): readonly RuleResult[] {
  // The API server never puts its own admission configuration under policies: one could lock itself in.
  if (review.kind.group === "admissionregistration.k8s.io") return [];
  const outcome = parts.constraints.match(review, world);
  if (outcome === "no match") return [];
  const results: RuleResult[] = [];
  for (const binding of parts.bindings) {
    const bound = binding.match(review, world);
    if (bound === "no match") continue;
    if (outcome === "equivalent" || bound === "equivalent") {
      results.push(errorResult(parts, binding, conversionNeeded(review), conversionNeeded(review)));
      continue;
    }
    const found = binding.params(review, world);
    if (found.is === "error") {
      const message = `failed to configure binding: ${found.message}`;
      results.push(
        errorResult(parts, binding, message, found.unsupported ? found.message : undefined),
      );
      continue;
    }
    for (const params of found.params) {
      results.push(judge(parts, binding, review, world, params));
    }
  }
  return results;
}

export const conversionNeeded = (review: Review): string =>
  `the policy names another version of ${review.resource.resource} than ${review.resource.version}; matchPolicy Equivalent would convert the object first, which only the API server can`;

/** A policy with failurePolicy Ignore lets pass what it cannot judge: its errors are reported, but block nothing. */
function errorResult(
  parts: ValidatingParts,
  binding: Binding,
  message: string,
  unsupported: string | undefined,
): RuleResult {
  return makeResult(parts.meta, {
    rule: parts.meta.ref.name,
    type: "Validation",
    result: "error",
    message,
    action: parts.ignoreErrors ? "Audit" : binding.action,
    properties: bindingProperties(binding),
    ...(unsupported === undefined ? {} : { unsupported }),
  });
}

const bindingProperties = (binding: Binding): Readonly<Record<string, string>> =>
  binding.name === "" ? {} : { binding: binding.name };

const errorText = ({ expression, error }: ExpressionError): string =>
  `expression '${expression}' resulted in error: ${error.message}`;

function judge(
  parts: ValidatingParts,
  binding: Binding,
  review: Review,
  world: World,
  params: JsonObject | null,
): RuleResult {
  const result = (kind: "pass" | "fail" | "skip", message: string, properties = {}): RuleResult =>
    makeResult(parts.meta, {
      rule: parts.meta.ref.name,
      type: "Validation",
      result: kind,
      message,
      action: binding.action,
      properties: { ...bindingProperties(binding), ...properties },
    });
  const base = {
    object: review.object,
    oldObject: review.oldObject,
    params,
    request: requestOf(review),
    ...authorizerVariables,
  };
  const conditionActivation: Activation = { ...base, namespaceObject: null };
  const conditionBudget = makeBudget(matchConditionStepsMax);
  const matched = matchConditions(parts.conditions, conditionActivation, conditionBudget);
  if (matched.is === "no match") return result("skip", "match conditions aren't met");
  if (matched.is === "error") {
    if (parts.ignoreErrors) return result("skip", "match conditions aren't met");
    return errorResult(
      parts,
      binding,
      joinErrors(matched.errors.map(errorText)),
      unsupportedOf(matched.errors),
    );
  }
  const budget = makeBudget();
  const activation: Activation = {
    ...base,
    namespaceObject: admittedNamespaceOf(review, world),
    variables: parts.variables.bind(() => activation, budget),
  };
  let ignored: RuleResult | undefined;
  for (const validation of parts.validations) {
    const value = validation.program.evaluate(activation, budget);
    if (value instanceof CelError) {
      const error = { expression: validation.program.source, error: value };
      const failed = errorResult(parts, binding, errorText(error), unsupportedReason(value));
      if (!parts.ignoreErrors) return failed;
      // An error that is ignored hides no violation of the validations after it.
      ignored ??= failed;
    } else if (value !== true) {
      return result("fail", messageOf(validation, activation, budget), reasonOf(validation));
    }
  }
  return ignored ?? annotate(parts, binding, activation, budget, result);
}

const reasonOf = (validation: Validation): Readonly<Record<string, string>> =>
  validation.reason === "" ? {} : { reason: validation.reason };

const unsupportedOf = (errors: readonly ExpressionError[]): string | undefined =>
  errors.map(({ error }) => unsupportedReason(error)).find((reason) => reason !== undefined);

/** The message expression's text if it is one usable line, else the message, else the expression itself. */
function messageOf(validation: Validation, activation: Activation, budget: Budget): string {
  const made =
    textOf(validation.messageExpression?.evaluate(activation, budget) ?? null)?.trim() ?? "";
  const usable = made !== "" && !made.includes("\n") && Buffer.byteLength(made) <= messageBytesMax;
  if (usable) return made;
  if (validation.message !== "") return validation.message;
  return `failed expression: ${validation.program.source.trim()}`;
}

function annotate(
  parts: ValidatingParts,
  binding: Binding,
  activation: Activation,
  budget: Budget,
  result: (
    kind: "pass",
    message: string,
    properties: Readonly<Record<string, string>>,
  ) => RuleResult,
): RuleResult {
  const properties: [string, string][] = [];
  for (const { name, program } of parts.annotations) {
    const value = program.evaluate(activation, budget);
    if (value instanceof CelError) {
      if (parts.ignoreErrors) continue;
      const message = errorText({ expression: program.source, error: value });
      return errorResult(parts, binding, message, unsupportedReason(value));
    }
    const text = textOf(value)?.trim() ?? "";
    if (text !== "") properties.push([name, text]);
  }
  return result("pass", "", Object.fromEntries(properties));
}
