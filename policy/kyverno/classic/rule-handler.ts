// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { compileGeneration } from "#policy/kyverno/classic/generate";
import type { Generator } from "#policy/kyverno/classic/generate";
import { makeMessages } from "#policy/kyverno/classic/messages";
import { compileMutation } from "#policy/kyverno/classic/mutate";
import type { Mutator } from "#policy/kyverno/classic/mutate";
import { compileTargets } from "#policy/kyverno/classic/mutate-targets";
import type { TargetsMutator } from "#policy/kyverno/classic/mutate-targets";
import { compilePodSecurity } from "#policy/kyverno/classic/pod-security";
import type { PodSecurityCheck } from "#policy/kyverno/classic/pod-security";
import { below } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, Validator } from "#policy/kyverno/classic/rule-state";
import { compileCheck } from "#policy/kyverno/classic/validate";
import { compileCelCheck } from "#policy/kyverno/classic/validate-cel";
import { compileVerifyImages } from "#policy/kyverno/classic/verify-images";
import type { ImageVerifier } from "#policy/kyverno/classic/verify-images";

/** What a rule does once it applies. */
export type RuleHandler =
  | { readonly kind: "validate"; readonly check: Validator }
  | { readonly kind: "podSecurity"; readonly check: PodSecurityCheck }
  | ({ readonly kind: "verifyImages" } & ImageVerifier)
  | { readonly kind: "mutate"; readonly mutate: Mutator }
  | { readonly kind: "targets"; readonly mutate: TargetsMutator }
  | { readonly kind: "generate"; readonly generate: Generator }
  | UnsupportedRule;

/** A rule that is recognised but cannot be evaluated here: an error wherever it applies. */
export type UnsupportedRule = {
  readonly kind: "unsupported";
  readonly reason: string;
  readonly type: "Validation";
};

/** Plans what a rule does; undefined when it does nothing, which is a problem that has been added. */
export function compileHandler(
  rule: JsonObject,
  policyNamespace: string,
  problems: RuleProblem[],
): RuleHandler | undefined {
  const validate = field(rule, "validate");
  if (isObject(validate)) return compileValidate(validate, rule, problems);
  const mutate = field(rule, "mutate");
  if (isObject(mutate)) return compileMutate(rule, policyNamespace, problems);
  const generate = field(rule, "generate");
  if (isObject(generate)) {
    const inner: RuleProblem[] = [];
    const made = compileGeneration(generate, inner);
    problems.push(...below("generate", inner));
    return { kind: "generate", generate: made };
  }
  if (isArray(field(rule, "verifyImages"))) {
    return { kind: "verifyImages", ...compileVerifyImages(rule) };
  }
  problems.push({ path: "", message: "must have validate, mutate, generate or verifyImages" });
  return undefined;
}

function compileValidate(
  validate: JsonObject,
  rule: JsonObject,
  problems: RuleProblem[],
): RuleHandler | undefined {
  if (isObject(field(validate, "manifests"))) {
    return {
      kind: "unsupported",
      type: "Validation",
      reason: "validate.manifests needs the keys and signatures of manifests",
    };
  }
  if (isObject(field(validate, "assert"))) {
    return {
      kind: "unsupported",
      type: "Validation",
      reason: "validate.assert needs the assertion language of kyverno-json",
    };
  }
  const inner: RuleProblem[] = [];
  const handler = compileSupported(validate, rule, inner);
  problems.push(...below("validate", inner));
  if (handler === undefined && inner.length === 0) {
    const message = "must have pattern, anyPattern, deny, foreach, podSecurity or cel";
    problems.push({ path: "validate", message });
  }
  return handler;
}

function compileSupported(
  validate: JsonObject,
  rule: JsonObject,
  problems: RuleProblem[],
): RuleHandler | undefined {
  const name = textAt(rule, ["name"]);
  const podSecurity = field(validate, "podSecurity");
  if (isObject(podSecurity)) {
    return { kind: "podSecurity", check: compilePodSecurity(podSecurity, name, problems) };
  }
  const cel = field(validate, "cel");
  if (isObject(cel)) return { kind: "validate", check: compileCelCheck(cel, rule, problems) };
  const messages = makeMessages(name, textAt(validate, ["message"]));
  const check = compileCheck(validate, { rule: name, messages }, problems);
  return check === undefined ? undefined : { kind: "validate", check };
}

function compileMutate(
  rule: JsonObject,
  policyNamespace: string,
  problems: RuleProblem[],
): RuleHandler | undefined {
  const stated = at(rule, ["mutate", "targets"]);
  const inner: RuleProblem[] = [];
  if (isArray(stated) && stated.length > 0) {
    const targets = compileTargets(rule, policyNamespace, inner);
    problems.push(...below("mutate", inner));
    if (targets !== undefined) return { kind: "targets", mutate: targets };
  } else {
    const mutate = compileMutation(rule, inner);
    problems.push(...below("mutate", inner));
    if (mutate !== undefined) return { kind: "mutate", mutate };
  }
  const message = "must have patchStrategicMerge, patchesJson6902 or foreach";
  problems.push({ path: "mutate", message });
  return undefined;
}
