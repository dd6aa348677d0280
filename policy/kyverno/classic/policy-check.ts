// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { isControlName } from "#policy/kyverno/classic/pod-security-exclusions";
import { below } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem } from "#policy/kyverno/classic/rule-state";

/** Fields of a policy's spec in Kyverno v1.19. */
const specKeys = new Set([
  "admission",
  "applyRules",
  "background",
  "emitWarning",
  "failurePolicy",
  "generateExisting",
  "generateExistingOnPolicyUpdate",
  "mutateExistingOnPolicyUpdate",
  "rules",
  "schemaValidation",
  "useServerSideApply",
  "validationFailureAction",
  "validationFailureActionOverrides",
  "webhookConfiguration",
  "webhookTimeoutSeconds",
]);

const failureActions = ["Audit", "Enforce", "audit", "enforce"];
const operations = ["CREATE", "UPDATE", "DELETE", "CONNECT"];
const levels = ["privileged", "baseline", "restricted"];

/**
 * What the CustomResourceDefinition of ClusterPolicy refuses beside the rules: a word that is none of those known would
 * otherwise count as the default, so that a misspelt `Enforce` only audits.
 */
export function findSpecProblems(spec: JsonObject): readonly RuleProblem[] {
  return [
    ...Object.keys(spec)
      .filter((key) => !specKeys.has(key))
      .map((key) => ({ path: key, message: "unknown field" })),
    ...oneOf(spec, "validationFailureAction", failureActions),
    ...overrideProblems(spec, "validationFailureActionOverrides"),
    ...oneOf(spec, "applyRules", ["All", "One"]),
    ...oneOf(spec, "failurePolicy", ["Ignore", "Fail"]),
  ];
}

/** The same for the words in a rule, and what match and exclude must be (api/kyverno/v1, MatchResources.Validate). */
export function findWordProblems(rule: JsonObject): readonly RuleProblem[] {
  const problems: RuleProblem[] = [];
  if (!isObject(field(rule, "match"))) {
    problems.push({ path: "match", message: "must say which resources the rule is about" });
  }
  for (const key of ["match", "exclude"]) {
    const block = field(rule, key);
    if (isObject(block)) problems.push(...below(key, blockProblems(block)));
  }
  const validate = field(rule, "validate");
  if (!isObject(validate)) return problems;
  const podSecurity = field(validate, "podSecurity");
  const inside = [
    ...oneOf(validate, "failureAction", failureActions),
    ...overrideProblems(validate, "failureActionOverrides"),
    ...(isObject(podSecurity) ? below("podSecurity", podSecurityProblems(podSecurity)) : []),
  ];
  return [...problems, ...below("validate", inside)];
}

function blockProblems(block: JsonObject): readonly RuleProblem[] {
  const any = listOf(block, "any");
  const all = listOf(block, "all");
  const both = { path: "", message: "only one of any, all, and has any, all" };
  return [
    ...(any.length > 0 && all.length > 0 ? [both] : []),
    ...any.flatMap((entry, index) => below(`any[${index}]`, operationProblems(entry))),
    ...all.flatMap((entry, index) => below(`all[${index}]`, operationProblems(entry))),
    ...operationProblems(block),
  ];
}

function operationProblems(filter: Json): readonly RuleProblem[] {
  const named = listOf(field(filter, "resources"), "operations");
  return named
    .filter((operation) => !operations.some((one) => one === operation))
    .map((operation) => ({
      path: "resources.operations",
      message: mustBe(operations, operation),
    }));
}

function podSecurityProblems(block: JsonObject): readonly RuleProblem[] {
  return [
    ...oneOf(block, "level", levels),
    ...listOf(block, "exclude").flatMap((entry, index) => {
      const name = field(entry, "controlName");
      if (typeof name === "string" && isControlName(name)) return [];
      const message = `must be the name of a control of the Pod Security Standards, got ${JSON.stringify(name ?? null)}`;
      return [{ path: `exclude[${index}].controlName`, message }];
    }),
  ];
}

const overrideProblems = (block: JsonObject, key: string): readonly RuleProblem[] =>
  listOf(block, key).flatMap((entry, index) =>
    isObject(entry) ? below(`${key}[${index}]`, oneOf(entry, "action", failureActions)) : [],
  );

function oneOf(block: JsonObject, key: string, known: readonly string[]): readonly RuleProblem[] {
  const value = field(block, key);
  if (value === undefined || value === null || known.some((one) => one === value)) return [];
  return [{ path: key, message: mustBe(known, value) }];
}

const mustBe = (known: readonly string[], value: Json): string =>
  `must be one of ${known.join(", ")}, got ${JSON.stringify(value)}`;

function listOf(value: Json | undefined, key: string): readonly Json[] {
  const list = field(value, key);
  return isArray(list) ? list : [];
}
