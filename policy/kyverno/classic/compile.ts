// SPDX-License-Identifier: Apache-2.0
import { documentName } from "#policy/document";
import { at, isArray, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { withAutogenRules } from "#policy/kyverno/classic/autogen";
import { explainRules } from "#policy/kyverno/classic/explain";
import type { ExplainedRule } from "#policy/kyverno/classic/explain";
import { makePolicy } from "#policy/kyverno/classic/policy";
import { findSpecProblems, findWordProblems } from "#policy/kyverno/classic/policy-check";
import { unknownFields } from "#policy/kyverno/classic/rule-fields";
import { compileRule } from "#policy/kyverno/classic/rule";
import type { Rule } from "#policy/kyverno/classic/rule";
import { findShapeProblems } from "#policy/kyverno/classic/rule-check";
import { below } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem } from "#policy/kyverno/classic/rule-state";
import { findVariableProblems } from "#policy/kyverno/classic/variable-check";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy, Unsupported } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { policyMeta } from "#policy/report/policy-meta";

/** Most rules in one policy, before those for pod controllers; Kyverno's own policies have a dozen. */
export const rulesMax = 1_000;

/**
 * Compiles a ClusterPolicy or Policy of kyverno.io with the rules that are generated for pod controllers.
 * `exceptions` are the PolicyExceptions of kyverno.io that count. Rules that cannot be evaluated here are named in
 * `unsupported` and give an error wherever they apply. Throws nothing.
 */
export function compileClassicPolicy(
  document: JsonObject,
  exceptions: readonly JsonObject[],
): KindCompilation {
  const name = documentName(document);
  const problem = (path: string, message: string): Problem => ({ document: name, path, message });
  const stated = at(document, ["spec", "rules"]);
  if (!isArray(stated) || stated.length === 0 || stated.length > rulesMax) {
    const message = `must be a list of 1 to ${rulesMax} rules`;
    return { ...nothingCompiled, problems: [problem("spec.rules", message)] };
  }
  const spec = at(document, ["spec"]);
  const problems = [
    ...below("spec", isObject(spec) ? findSpecProblems(spec) : []),
    ...findProblems(stated),
  ].map(({ path, message }) => problem(path, message));
  if (problems.length > 0) return { ...nothingCompiled, problems };
  const meta = policyMeta(document, "kyverno");
  const owner = {
    policy: document,
    namespace: textAt(document, ["kind"]) === "Policy" ? meta.ref.namespace : "",
    name: meta.ref.name,
    exceptions,
  };
  const rules: Rule[] = [];
  const explained: ExplainedRule[] = [];
  for (const rule of withAutogenRules(stated.filter(isObject), meta.annotations)) {
    const found: RuleProblem[] = [];
    const compiled = compileRule(rule, owner, found);
    problems.push(
      ...found.map(({ path, message }) => problem(pathOf(stated, rule, path), message)),
    );
    if (compiled === undefined) continue;
    rules.push(compiled);
    explained.push({ rule: compiled, document: rule });
  }
  if (problems.length > 0) return { ...nothingCompiled, problems };
  const applyOne = textAt(document, ["spec", "applyRules"]) === "One";
  const unsupported = rules.flatMap((rule): readonly Unsupported[] => {
    const reason = unsupportedReason(rule);
    return reason === undefined ? [] : [{ policy: meta.ref, rule: rule.name, reason }];
  });
  const policy: CompiledPolicy = {
    ...makePolicy(meta, rules, applyOne),
    explain: (review, world) => explainRules(explained, review, world),
  };
  return { policies: [policy], problems: [], unsupported };
}

function unsupportedReason({ handler }: Rule): string | undefined {
  if (handler.kind === "verifyImages") return handler.unsupported;
  return handler.kind === "unsupported" ? handler.reason : undefined;
}

/** What is wrong with the list of rules as such. */
function findProblems(rules: readonly unknown[]): readonly RuleProblem[] {
  const problems: RuleProblem[] = [];
  const names = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    const path = `spec.rules[${index}]`;
    if (!isObject(rule)) {
      problems.push({ path, message: "must be an object" });
      continue;
    }
    const name = textAt(rule, ["name"]);
    if (name === "") problems.push({ path: `${path}.name`, message: "must be a non-empty string" });
    if (names.has(name)) {
      problems.push({ path: `${path}.name`, message: `"${name}" names two rules` });
    }
    names.add(name);
    problems.push(...below(path, unknownFields(rule)));
    problems.push(...below(path, findShapeProblems(rule, name)));
    problems.push(...below(path, findWordProblems(rule)));
    problems.push(...below(path, findVariableProblems(rule)));
  }
  return problems;
}

/** The place of a problem in the document; of a generated rule, that of the rule it was made from. */
function pathOf(rules: readonly unknown[], rule: JsonObject, path: string): string {
  const index = rules.indexOf(rule);
  const place = index < 0 ? `spec.rules (${textAt(rule, ["name"])})` : `spec.rules[${index}]`;
  return path === "" ? place : `${place}.${path}`;
}
