// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { compileConditions } from "#policy/kyverno/classic/conditions";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import { compileForeach } from "#policy/kyverno/classic/foreach";
import { compilePattern } from "#policy/kyverno/classic/pattern";
import type { Pattern } from "#policy/kyverno/classic/pattern";
import {
  below,
  errored,
  failed,
  failedQuery,
  joinNonEmpty,
  passed,
  skipped,
} from "#policy/kyverno/classic/rule-state";
import type {
  RuleNames,
  RuleProblem,
  RuleState,
  Validator,
  Verdict,
} from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";
import { compileTemplate } from "#policy/kyverno/classic/variables";

/**
 * Plans the checks of a `validate` block or of a foreach entry: deny, else pattern or anyPattern, else foreach.
 * Undefined when it has none of them.
 */
export function compileCheck(
  body: JsonObject,
  names: RuleNames,
  problems: RuleProblem[],
): Validator | undefined {
  const deny = field(body, "deny");
  if (isObject(deny)) return compileDeny(deny, names, problems);
  const pattern = field(body, "pattern");
  if (pattern !== undefined && pattern !== null) return compilePatternCheck(pattern, names);
  const anyPattern = field(body, "anyPattern");
  if (anyPattern !== undefined && anyPattern !== null) return compileAnyPattern(anyPattern, names);
  const foreach = field(body, "foreach");
  if (!isArray(foreach)) return undefined;
  const entries = foreach.map((entry, index) => {
    const inner: RuleProblem[] = [];
    const validator = compileForeachEntry(isObject(entry) ? entry : {}, names, inner);
    problems.push(...below(`foreach[${index}]`, inner));
    return { entry, validator };
  });
  return compileForeach(entries, problems);
}

/** A foreach entry brings its own context and preconditions; both are looked at for each element. */
function compileForeachEntry(
  entry: JsonObject,
  names: RuleNames,
  problems: RuleProblem[],
): Validator {
  const { context, problems: contextProblems } = compileContextEntries(field(entry, "context"));
  problems.push(...contextProblems);
  const preconditions = compileConditions(field(entry, "preconditions"));
  problems.push(...below("preconditions", preconditions.problems));
  const check = compileCheck(entry, names, problems);
  return (outer) => {
    const state = { ...outer, scope: outer.scope.withEntries(context) };
    const outcome = preconditions.evaluate(state.scope);
    if (outcome.kind === "error") {
      return failedQuery("failed to evaluate preconditions", outcome.failure);
    }
    if (!outcome.holds) return skipped(preconditionsNotMet(outcome.message));
    return check?.(state);
  };
}

export const preconditionsNotMet = (message: string): string =>
  joinNonEmpty(["preconditions not met", message], "; ");

function compileDeny(deny: JsonObject, names: RuleNames, problems: RuleProblem[]): Validator {
  const conditions = compileConditions(field(deny, "conditions"));
  problems.push(...below("deny.conditions", conditions.problems));
  const pass = passed(`validation rule '${names.rule}' passed.`);
  return ({ scope }) => {
    const outcome = conditions.evaluate(scope);
    if (outcome.kind === "error")
      return failedQuery("failed to check deny conditions", outcome.failure);
    return outcome.holds ? failed(names.messages.denied(outcome.message, scope)) : pass;
  };
}

/** What a pattern is held against: the element of a foreach, else the new object; a deleted one is not checked. */
const patternTarget = (state: RuleState): JsonObject | null => state.element ?? state.review.object;

function compilePatternCheck(document: Json, names: RuleNames): Validator {
  const pass = passed(`validation rule '${names.rule}' passed.`);
  return withSubstituted(document, compilePattern, (pattern, state) => {
    const target = patternTarget(state);
    if (target === null) return undefined;
    const outcome = pattern(target);
    switch (outcome.kind) {
      case "pass":
        return pass;
      case "skip":
        return skipped(outcome.message);
      case "fail":
        return failed(names.messages.mismatch(outcome.message, outcome.path, state.scope));
      case "error":
        return errored(names.messages.mismatch(outcome.message, "", state.scope));
      default:
        return outcome satisfies never;
    }
  });
}

function compileAnyPattern(document: Json, names: RuleNames): Validator {
  const compileAll = (patterns: Json): readonly Pattern[] | undefined =>
    isArray(patterns) ? patterns.map((pattern) => compilePattern(pattern)) : undefined;
  return withSubstituted(document, compileAll, (patterns, state) => {
    const target = patternTarget(state);
    if (target === null) return undefined;
    if (patterns === undefined) {
      return errored("failed to deserialize anyPattern, expected type array");
    }
    return anyOf(patterns, target, names, state.scope);
  });
}

/** The first pattern that passes decides; else any failure fails; only skips skip. */
function anyOf(
  patterns: readonly Pattern[],
  target: JsonObject,
  names: RuleNames,
  scope: Scope,
): Verdict {
  const failures: string[] = [];
  const skips: string[] = [];
  for (const [index, pattern] of patterns.entries()) {
    const outcome = pattern(target);
    const place = `rule ${names.rule}[${index}]`;
    switch (outcome.kind) {
      case "pass":
        return passed(`validation rule '${names.rule}' anyPattern[${index}] passed.`);
      case "skip":
        skips.push(`${place} skipped: ${outcome.message}`);
        break;
      case "fail":
        failures.push(`${place} failed at path ${outcome.path}`);
        break;
      case "error":
        failures.push(`${place} failed: ${outcome.message}`);
        break;
      default:
        outcome satisfies never;
    }
  }
  if (failures.length > 0) return failed(names.messages.noneOf(failures, scope));
  return skips.length > 0 ? skipped(skips.join(" ")) : passed("");
}

/** Most plans kept of one document that holds variables; each is decided by what they were substituted with. */
const plansMax = 200;

/** Runs a check with the plan of a document: made once when it holds no variables, else per substituted document. */
function withSubstituted<Plan>(
  document: Json,
  compile: (document: Json) => Plan,
  check: (plan: Plan, state: RuleState) => Verdict | undefined,
): Validator {
  const template = compileTemplate(document);
  if (template.constant !== undefined) {
    const plan = compile(template.constant);
    return (state) => check(plan, state);
  }
  const plans = new Map<string, Plan>();
  return (state) => {
    const substituted = template.substitute(state.scope);
    if (!substituted.ok) return failedQuery("variable substitution failed", substituted.failure);
    const key = JSON.stringify(substituted.value);
    const known = plans.get(key);
    if (known !== undefined) return check(known, state);
    const plan = compile(substituted.value);
    if (plans.size < plansMax) plans.set(key, plan);
    return check(plan, state);
  };
}
