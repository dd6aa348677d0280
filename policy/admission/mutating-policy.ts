// SPDX-License-Identifier: Apache-2.0
import { bindingsOf } from "#policy/admission/bindings";
import type { Binding } from "#policy/admission/bindings";
import { admissionEnvironment } from "#policy/admission/environment";
import {
  compileConditions,
  compileVariables,
  joinErrors,
  matchConditions,
  unsupportedReason,
} from "#policy/admission/expressions";
import type { ExpressionError, NamedProgram, Variables } from "#policy/admission/expressions";
import { compileMutations, mutateOnce } from "#policy/admission/mutations";
import type { Mutator } from "#policy/admission/mutations";
import {
  notMatched,
  recordAll,
  recordMutators,
  recordVariables,
} from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import { authorizerVariables, admittedNamespaceOf, requestOf } from "#policy/admission/request";
import { conversionNeeded } from "#policy/admission/validating-evaluation";
import { makeBudget, matchConditionStepsMax } from "#policy/cel/budget";
import type { Activation } from "#policy/cel/compile";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { field, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { withObject } from "#policy/kubernetes/kinds";
import { readMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy, Mutation } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { Result, RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

type Parts = {
  readonly meta: PolicyMeta;
  readonly constraints: MatchConstraints;
  readonly bindings: readonly Binding[];
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly mutators: readonly Mutator[];
  readonly ignoreErrors: boolean;
};

/**
 * Compiles a MutatingAdmissionPolicy with its bindings (apiserver pkg/admission/plugin/policy/mutating). Each matching
 * binding, and each of its params, mutates what the one before left; each mutation gives one result, named as
 * Kyverno's command line names it. A mutation with an error changes nothing and the next ones still run.
 */
export function compileMutatingAdmissionPolicy(
  document: JsonObject,
  context: CompileContext,
): KindCompilation {
  const problems: Problem[] = [];
  const parts = compileParts(document, context, problems);
  if (parts === undefined || problems.length > 0) return { ...nothingCompiled, problems };
  const policy: CompiledPolicy = {
    ref: parts.meta.ref,
    annotations: parts.meta.annotations,
    index: parts.constraints.plurals,
    mutate: (review, world) => mutate(parts, review, world),
    ...(isReinvoked(document) ? { reinvoked: "after any" as const } : {}),
    explain: (review, world) => {
      const log: Log = [];
      const recorded: Parts = {
        ...parts,
        conditions: recordAll(parts.conditions, "matchConditions", log),
        variables: recordVariables(parts.variables, log),
        mutators: recordMutators(parts.mutators, log),
      };
      return mutate(recorded, review, world).results.length === 0 ? [notMatched] : log;
    },
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

/** Whether the policy wants to see what others changed after it. */
export const isReinvoked = (document: JsonObject): boolean =>
  textAt(document, ["spec", "reinvocationPolicy"]) === "IfNeeded";

function compileParts(
  document: JsonObject,
  context: CompileContext,
  problems: Problem[],
): Parts | undefined {
  const name = documentName(document);
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return undefined;
  if (requiredObject(document, "spec.matchConstraints", problems) === undefined) return undefined;
  const constraints = readMatchConstraints(name, spec, problems);
  if (constraints === undefined) return undefined;
  const params = isObject(field(spec, "paramKind"));
  const environment = admissionEnvironment({ params, authorizer: true, patches: true });
  const scope = { document: name, environment, problems };
  const variables = compileVariables(scope, spec);
  const full = { ...scope, environment: variables.environment };
  return {
    meta: policyMeta(document, "MutatingAdmissionPolicy"),
    constraints: constraints,
    bindings: bindingsOf(document, context, problems),
    conditions: compileConditions(full, spec, "matchConditions"),
    variables,
    mutators: compileMutations(full, spec, { replaceAtomics: false, strict: true }),
    ignoreErrors: textAt(spec, ["failurePolicy"]) === "Ignore",
  };
}

function mutate(parts: Parts, review: Review, world: World): Mutation {
  const start = review.object;
  const exempt = review.kind.group === "admissionregistration.k8s.io";
  if (start === null || exempt) return { object: start ?? {}, results: [] };
  const outcome = parts.constraints.match(review, world);
  if (outcome === "no match") return { object: start, results: [] };
  const results: RuleResult[] = [];
  let object = start;
  let idle = true;
  for (const binding of parts.bindings) {
    const bound = binding.match(review, world);
    if (bound === "no match") continue;
    if (outcome === "equivalent" || bound === "equivalent") {
      const reason = conversionNeeded(review);
      results.push(makeError(parts, binding, reason, reason));
      continue;
    }
    const found = binding.params(review, world);
    if (found.is === "error") {
      const message = `failed to configure binding: ${found.message}`;
      results.push(makeError(parts, binding, message, found.unsupported ? message : undefined));
      continue;
    }
    for (const params of found.params) {
      const step = mutateBound(parts, binding, withObject(review, object), world, params);
      object = step.object;
      idle &&= step.idle === true;
      results.push(...step.results);
    }
  }
  return { object, results, idle };
}

function mutateBound(
  parts: Parts,
  binding: Binding,
  review: Review,
  world: World,
  params: JsonObject | null,
): Mutation {
  let object = review.object ?? {};
  const base = {
    oldObject: review.oldObject,
    params,
    request: requestOf(review),
    ...authorizerVariables,
  };
  const early = makeBudget(matchConditionStepsMax);
  const conditionActivation: Activation = {
    ...base,
    object,
    namespaceObject: null,
    variables: parts.variables.bind(() => conditionActivation, early),
  };
  const matched = matchConditions(parts.conditions, conditionActivation, early);
  if (matched.is === "no match" || (matched.is === "error" && parts.ignoreErrors)) {
    const results = [makeOutcome(parts, binding, "skip", "match conditions not met")];
    return { object, results, idle: true };
  }
  if (matched.is === "error")
    return { object, results: [conditionError(parts, binding, matched.errors)], idle: true };
  const results: RuleResult[] = [];
  const budget = makeBudget();
  const namespaceObject = admittedNamespaceOf(review, world);
  for (const mutator of parts.mutators) {
    const activation: Activation = {
      ...base,
      object,
      namespaceObject,
      variables: parts.variables.bind(() => activation, budget),
    };
    const patched = mutateOnce(mutator, object, activation, budget, world);
    if (!patched.ok) {
      const { error } = patched;
      const message =
        error === undefined
          ? patched.message
          : `expression '${mutator.program.source}' resulted in error: ${error.message}`;
      const failed = makeError(parts, binding, message, error && unsupportedReason(error));
      // The server reports such a failure instead of those before it.
      if (patched.fatal === true) return { object, results: [{ ...failed, action: "Enforce" }] };
      results.push(failed);
      continue;
    }
    const changed = patched.object !== object;
    object = patched.object;
    results.push(
      changed
        ? makeOutcome(parts, binding, "pass", "")
        : makeOutcome(parts, binding, "skip", "mutation had no effect"),
    );
  }
  return { object, results };
}

function conditionError(
  parts: Parts,
  binding: Binding,
  errors: readonly ExpressionError[],
): RuleResult {
  const texts = errors.map(
    ({ expression, error }) => `expression '${expression}' resulted in error: ${error.message}`,
  );
  const message = joinErrors(texts);
  const unsupported = errors
    .map(({ error }) => unsupportedReason(error))
    .find((reason) => reason !== undefined);
  return makeError(parts, binding, message, unsupported);
}

function makeOutcome(parts: Parts, binding: Binding, result: Result, message: string): RuleResult {
  return makeResult(parts.meta, {
    rule: parts.meta.ref.name,
    type: "Mutation",
    result,
    message,
    action: "Enforce",
    properties: binding.name === "" ? {} : { mapBinding: binding.name },
  });
}

function makeError(
  parts: Parts,
  binding: Binding,
  message: string,
  unsupported: string | undefined,
): RuleResult {
  const outcome = makeOutcome(parts, binding, "error", message);
  return { ...outcome, unsupported, action: parts.ignoreErrors ? "Audit" : "Enforce" };
}
