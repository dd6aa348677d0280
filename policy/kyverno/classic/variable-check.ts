// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { findExpressions } from "#policy/kyverno/classic/variable-text";

/** A variable that no review could resolve. */
export type VariableProblem = { readonly path: string; readonly message: string };

/** Parts of a rule whose texts are templates; CEL, manifests and match blocks have braces of their own. */
const templateParts = ["context", "preconditions", "validate", "mutate", "generate"];
const otherLanguages = new Set(["cel", "manifests", "podSecurity", "assert"]);

/** Most problems that are named for one rule. */
const problemsMax = 100;

/**
 * Variables of a rule whose expressions are no JMESPath. The reference refuses such a policy; found only at run time
 * they would be an error of every review. What variables make of other variables is not known yet and not looked at.
 */
export function findVariableProblems(rule: JsonObject): readonly VariableProblem[] {
  const problems: VariableProblem[] = [];
  for (const part of templateParts) {
    const value = field(rule, part);
    if (value !== undefined) collect(value, part, problems);
  }
  return problems;
}

function collect(value: Json, path: string, problems: VariableProblem[]): void {
  if (problems.length >= problemsMax) return;
  if (typeof value === "string") {
    checkText(value, path, problems);
  } else if (isArray(value)) {
    for (const [index, item] of value.entries()) collect(item, `${path}[${index}]`, problems);
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      checkText(key, path, problems);
      const isForeign = path === "validate" && otherLanguages.has(key);
      if (!isForeign) collect(item, `${path}.${key}`, problems);
    }
  }
}

function checkText(text: string, path: string, problems: VariableProblem[]): void {
  for (const expression of findExpressions(text)) {
    const { syntaxError } = compileQuery(expression);
    const message = expression === "" ? "the variable is empty" : syntaxError;
    if (message === undefined) continue;
    problems.push({ path, message: `variable {{ ${expression} }}: ${message}` });
  }
}
