// SPDX-License-Identifier: Apache-2.0
import { compileConditions, compileVariables } from "#policy/admission/expressions";
import type { NamedProgram } from "#policy/admission/expressions";
import { isReinvoked } from "#policy/admission/mutating-policy";
import { compileMutations } from "#policy/admission/mutations";
import { explained, recordAll, recordMutators, recordVariables } from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import { compileAnnotations } from "#policy/admission/validating-policy";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { at, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { readMatchConstraints } from "#policy/kubernetes/match-constraints";
import { autogenSpecs, rewriteMutations } from "#policy/kyverno/cel/autogen";
import { kyvernoEnvironment } from "#policy/kyverno/cel/environment";
import { exceptionsFor, recordExceptions } from "#policy/kyverno/cel/exceptions";
import { evaluateMutatingPolicy } from "#policy/kyverno/cel/mutating-evaluation";
import type { MutatingPolicyParts } from "#policy/kyverno/cel/mutating-evaluation";
import { compileTargets, mutateTargets } from "#policy/kyverno/cel/mutation-targets";
import type { TargetSelection } from "#policy/kyverno/cel/mutation-targets";
import { indexOf } from "#policy/kyverno/cel/validating-policy";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy, Mutation } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { policyMeta } from "#policy/report/policy-meta";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/**
 * Compiles a MutatingPolicy or NamespacedMutatingPolicy and its variants for the controllers of pods
 * (pkg/cel/policies/mpol). Its mutations run in order, each on what the one before left; the first error leaves the
 * object as it was. With evaluation.mutateExisting it changes other objects instead: see {@link compileTargets}.
 */
export function compileMutatingPolicy(
  document: JsonObject,
  context: CompileContext,
): KindCompilation {
  const problems: Problem[] = [];
  const variants = compileVariants(document, context, problems);
  if (problems.length > 0) return { ...nothingCompiled, problems };
  const meta = policyMeta(document, "KyvernoMutatingPolicy");
  const policy: CompiledPolicy = {
    ref: meta.ref,
    annotations: meta.annotations,
    index: indexOf(variants.map((variant) => variant.constraints)),
    ...(isReinvoked(document) ? { reinvoked: "after others" as const } : {}),
    explain: (review, world) =>
      explained((log) => {
        for (const variant of variants) mutateVariant(recorded(variant, log), review, world);
      }),
    mutate: (review, world) => {
      let object = review.object ?? {};
      if (meta.ref.namespace !== "" && review.namespace !== meta.ref.namespace) {
        return { object, results: [] };
      }
      const done = variants.map((variant) => {
        const mutation = mutateVariant(variant, { ...review, object }, world);
        object = mutation.object;
        return mutation;
      });
      const targets = done.flatMap((mutation) => mutation.targets ?? []);
      const results = done.flatMap((mutation) => mutation.results);
      return targets.length === 0 ? { object, results } : { object, results, targets };
    },
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

/** `targets`: what it changes instead of the object under review; undefined for an ordinary policy. */
type Variant = MutatingPolicyParts & { readonly targets: TargetSelection | undefined };

const mutateVariant = (variant: Variant, review: Review, world: World): Mutation =>
  variant.targets === undefined
    ? evaluateMutatingPolicy(variant, review, world)
    : mutateTargets(variant, variant.targets, review, world);

const recorded = (variant: Variant, log: Log): Variant => ({
  ...variant,
  exceptions: recordExceptions(variant.exceptions, log),
  conditions: recordAll(variant.conditions, "matchConditions", log),
  variables: recordVariables(variant.variables, log),
  mutators: recordMutators(variant.mutators, log),
  annotations: recordAll(variant.annotations, "auditAnnotations", log),
});

function compileVariants(
  document: JsonObject,
  context: CompileContext,
  problems: Problem[],
): readonly Variant[] {
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return [];
  const own = compileSpec(document, spec, context, problems);
  if (own === undefined || problems.length > 0) return own === undefined ? [] : [own];
  const derived = autogenSpecs(spec, rewriteMutations).flatMap((variant) => {
    const wrong: Problem[] = [];
    const parts = compileSpec(document, variant.spec, context, wrong);
    for (const problem of wrong) {
      const message = `in the rule derived for ${variant.name}: ${problem.message}`;
      problems.push({ ...problem, message });
    }
    return parts === undefined ? [] : [parts];
  });
  return [own, ...derived];
}

function compileSpec(
  document: JsonObject,
  spec: JsonObject,
  context: CompileContext,
  problems: Problem[],
): Variant | undefined {
  const name = documentName(document);
  const meta = policyMeta(document, "KyvernoMutatingPolicy");
  const constraints = readMatchConstraints(name, spec, problems);
  if (constraints === undefined) return undefined;
  const namespaced = meta.ref.namespace !== "";
  const environment = kyvernoEnvironment({ kind: "mutating", namespaced });
  const scope = { document: name, environment, problems };
  const variables = compileVariables(scope, spec, "kyverno.variables");
  const full = { ...scope, environment: variables.environment };
  const conditions = compileConditions(full, spec, "matchConditions");
  const replaceAtomics = at(spec, ["evaluation", "useServerSideApply"]) === true;
  const annotations: readonly NamedProgram[] = compileAnnotations(full, spec);
  return {
    meta,
    namespace: meta.ref.namespace,
    constraints: constraints,
    conditions,
    variables,
    mutators: compileMutations(full, spec, { replaceAtomics, strict: false }),
    annotations,
    exceptions: exceptionsFor(document, context.exceptions, environment, problems),
    ignoreErrors: textAt(spec, ["failurePolicy"]) === "Ignore",
    targets: compileTargets(full, spec),
  };
}
