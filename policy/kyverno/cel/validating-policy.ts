// SPDX-License-Identifier: Apache-2.0
import {
  boolOnly,
  compileAt,
  compileConditions,
  compileVariables,
  listAt,
  stringOnly,
} from "#policy/admission/expressions";
import type { ExpressionScope } from "#policy/admission/expressions";
import { actionOf } from "#policy/admission/bindings";
import { compileAnnotations } from "#policy/admission/validating-policy";
import {
  explained,
  recordAll,
  recordValidations,
  recordVariables,
} from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { field, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { readMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { compileAuthorizingPolicy } from "#policy/kyverno/cel/authorizing-policy";
import { autogenSpecs, rewriteText } from "#policy/kyverno/cel/autogen";
import { kyvernoEnvironment } from "#policy/kyverno/cel/environment";
import { exceptionsFor, recordExceptions } from "#policy/kyverno/cel/exceptions";
import { evaluateValidatingPolicy } from "#policy/kyverno/cel/validating-evaluation";
import type { ValidatingPolicyParts, Validation } from "#policy/kyverno/cel/validating-evaluation";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { policyMeta } from "#policy/report/policy-meta";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";

/**
 * Compiles a ValidatingPolicy or NamespacedValidatingPolicy and the variants that Kyverno derives from it for the
 * controllers of pods. Each review gives at most one result: the first validation that fails or errs, else a pass
 * (pkg/cel/policies/vpol). A policy in JSON mode looks at every document whatever its kind.
 */
export function compileValidatingPolicy(
  document: JsonObject,
  context: CompileContext,
): KindCompilation {
  const mode = textAt(document, ["spec", "evaluation", "mode"]);
  if (mode === "HTTP" || mode === "Envoy") return compileAuthorizingPolicy(document, context, mode);
  const problems: Problem[] = [];
  if (!["", "Kubernetes", "JSON"].includes(mode)) {
    const message = `must be Kubernetes, JSON, HTTP or Envoy, got "${mode}"`;
    problems.push({ document: documentName(document), path: "spec.evaluation.mode", message });
  }
  const variants = compileVariants(document, context, mode === "JSON", problems);
  if (problems.length > 0) return { ...nothingCompiled, problems };
  const meta = policyMeta(document, "KyvernoValidatingPolicy");
  const variantsFor = mode === "JSON" ? () => variants : byPlural(variants);
  const policy: CompiledPolicy = {
    ref: meta.ref,
    annotations: meta.annotations,
    index: mode === "JSON" ? "any" : indexOf(variants.map((variant) => variant.constraints)),
    validate: (review, world) => {
      if (meta.ref.namespace !== "" && review.namespace !== meta.ref.namespace) return [];
      const results: RuleResult[] = [];
      for (const variant of variantsFor(review)) {
        const result = evaluateValidatingPolicy(variant, review, world);
        if (result !== undefined) results.push(result);
      }
      return results;
    },
    explain: (review, world) =>
      explained((log) => {
        for (const variant of variants) {
          evaluateValidatingPolicy(recorded(variant, log), review, world);
        }
      }),
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

/** Finds the specs that may speak about a review's plural, so that the others cost nothing. */
export function byPlural<V extends { readonly constraints: MatchConstraints }>(
  variants: readonly V[],
): (review: Review) => readonly V[] {
  const known = new Map<string, readonly V[]>();
  const names = new Set(variants.flatMap(({ constraints: { plurals } }) => plurals));
  return (review) => {
    const plural = review.resource.resource;
    const found = known.get(plural);
    if (found !== undefined) return found;
    const made = variants.filter(
      ({ constraints: { plurals } }) => plurals === "any" || plurals.includes(plural.toLowerCase()),
    );
    // Only names that the policy itself states are remembered: there are few.
    if (names.has(plural)) known.set(plural, made);
    return made;
  };
}

const recorded = (parts: ValidatingPolicyParts, log: Log): ValidatingPolicyParts => ({
  ...parts,
  exceptions: recordExceptions(parts.exceptions, log),
  conditions: recordAll(parts.conditions, "matchConditions", log),
  variables: recordVariables(parts.variables, log),
  validations: recordValidations(parts.validations, log),
  annotations: recordAll(parts.annotations, "auditAnnotations", log),
});

/** The names that any of the constraints speak about, for the policy index. */
export function indexOf(constraints: readonly MatchConstraints[]): readonly string[] | "any" {
  const names = new Set<string>();
  for (const { plurals } of constraints) {
    if (plurals === "any") return "any";
    for (const name of plurals) names.add(name);
  }
  return [...names];
}

function compileVariants(
  document: JsonObject,
  context: CompileContext,
  jsonMode: boolean,
  problems: Problem[],
): readonly ValidatingPolicyParts[] {
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return [];
  const own = compileSpec(document, spec, context, jsonMode, problems);
  if (own === undefined || jsonMode || problems.length > 0) return own === undefined ? [] : [own];
  const derived = autogenSpecs(spec, rewriteText).flatMap((variant) => {
    const before = problems.length;
    const parts = compileSpec(document, variant.spec, context, false, problems);
    for (const [index, problem] of problems.entries()) {
      if (index < before) continue;
      const message = `in the rule derived for ${variant.name}: ${problem.message}`;
      problems[index] = { ...problem, message };
    }
    return parts === undefined ? [] : [parts];
  });
  return [own, ...derived];
}

function compileSpec(
  document: JsonObject,
  spec: JsonObject,
  context: CompileContext,
  jsonMode: boolean,
  problems: Problem[],
): ValidatingPolicyParts | undefined {
  const name = documentName(document);
  if (!jsonMode && !isObject(field(spec, "matchConstraints"))) {
    // Kyverno takes such a policy for one that matches nothing, which nobody means.
    problems.push({ document: name, path: "spec.matchConstraints", message: "must be an object" });
    return undefined;
  }
  const constraints = readMatchConstraints(name, spec, problems);
  if (constraints === undefined) return undefined;
  const action = actionOf(field(spec, "validationActions"));
  if (action === undefined) {
    const message = "must be a list of Deny, Warn, Audit without Deny and Warn together";
    problems.push({ document: name, path: "spec.validationActions", message });
  }
  const namespaced = textAt(document, ["metadata", "namespace"]);
  const environment = kyvernoEnvironment({
    kind: jsonMode ? "json" : "validating",
    namespaced: namespaced !== "",
  });
  const scope: ExpressionScope = { document: name, environment, problems };
  const conditions = compileConditions(scope, spec, "matchConditions");
  const variables = compileVariables(scope, spec, "kyverno.variables");
  const full = { ...scope, environment: variables.environment };
  return {
    meta: policyMeta(document, "KyvernoValidatingPolicy"),
    jsonMode,
    namespace: namespaced,
    constraints: constraints,
    action: action ?? "Enforce",
    ignoreErrors: textAt(spec, ["failurePolicy"]) === "Ignore",
    conditions,
    variables,
    validations: compileValidations(full, spec),
    annotations: compileAnnotations(full, spec),
    exceptions: exceptionsFor(document, context.exceptions, environment, problems),
  };
}

function compileValidations(scope: ExpressionScope, spec: JsonObject): readonly Validation[] {
  return listAt(scope, spec, "validations").flatMap((entry, index) => {
    const path = `spec.validations[${index}]`;
    const program = compileAt(scope, field(entry, "expression"), `${path}.expression`, boolOnly);
    const source = field(entry, "messageExpression");
    const messageExpression =
      source === undefined || source === ""
        ? undefined
        : compileAt(scope, source, `${path}.messageExpression`, stringOnly);
    if (program === undefined) return [];
    return [{ program, messageExpression, message: textAt(entry, ["message"]) }];
  });
}
