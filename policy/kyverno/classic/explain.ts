// SPDX-License-Identifier: Apache-2.0
import { formatValue, notMatched } from "#policy/admission/recording";
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { tooDeep } from "#policy/jmespath/query";
import { compileConditions } from "#policy/kyverno/classic/conditions";
import { makeMessages } from "#policy/kyverno/classic/messages";
import { compilePattern } from "#policy/kyverno/classic/pattern";
import type { Rule } from "#policy/kyverno/classic/rule";
import { makeBudget } from "#policy/kyverno/classic/rule-state";
import { makeScope } from "#policy/kyverno/classic/scope";
import type { Scope } from "#policy/kyverno/classic/scope";
import { compileCheck } from "#policy/kyverno/classic/validate";
import { compileTemplate } from "#policy/kyverno/classic/variables";
import type { Explanation } from "#policy/policy-set";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** A planned rule with the document that it was planned from. */
export type ExplainedRule = { readonly rule: Rule; readonly document: JsonObject };

/**
 * Why the rules of a policy say what they say about a review: the values of context entries, each condition with what its
 * sides were and whether it held, the path where a pattern failed, and what came of each foreach. Conditions are shown also
 * behind one that decided. Slower than judging: for people who ask.
 */
export function explainRules(
  rules: readonly ExplainedRule[],
  review: Review,
  world: World,
): readonly Explanation[] {
  const object = review.object ?? review.oldObject;
  if (object === null) return [notMatched];
  const found = rules
    .filter(({ rule }) => rule.match({ review, world, object }).matches)
    .flatMap((explained) => unlessTooDeep(explained, review, world));
  return found.length === 0 ? [notMatched] : found;
}

function unlessTooDeep(
  explained: ExplainedRule,
  review: Review,
  world: World,
): readonly Explanation[] {
  try {
    return explainRule(explained, review, world);
  } catch (error) {
    return [explanation(explained.rule.name, "", `error: ${tooDeep(error).message}`, true)];
  }
}

function explainRule(
  { rule, document }: ExplainedRule,
  review: Review,
  world: World,
): readonly Explanation[] {
  const scope = makeScope(review, world, rule.identity).withEntries(rule.context);
  const validate = field(document, "validate");
  return [
    ...listAt(document, "context").map((entry) => explainEntry(textAt(entry, ["name"]), scope)),
    ...explainConditions(field(document, "preconditions"), "preconditions", scope),
    ...explainConditions(at(validate, ["deny", "conditions"]), "deny.conditions", scope),
    ...explainPatterns(validate, review.object, scope),
    ...explainLoops(rule, validate, review, world, scope),
  ].map((one) => ({ ...one, part: `${rule.name}: ${one.part}` }));
}

const explanation = (part: string, source: string, value: string, failed = false): Explanation => ({
  part,
  source,
  value,
  failed,
  steps: [],
});

function explainEntry(name: string, scope: Scope): Explanation {
  const { value, failed } = substituted(`{{ ${name} }}`, scope);
  return explanation(`context.${name}`, "", value, failed);
}

/** A document with its variables replaced, as text, or why they cannot be. */
function substituted(document: Json, scope: Scope): { value: string; failed: boolean } {
  const outcome = compileTemplate(document).substitute(scope);
  return outcome.ok
    ? { value: formatValue(outcome.value), failed: false }
    : { value: `error: ${outcome.failure.message}`, failed: true };
}

/** All forms that conditions may have: `{any, all}`, a list of those, the old list of conditions. */
function explainConditions(
  stated: Json | undefined,
  path: string,
  scope: Scope,
): readonly Explanation[] {
  if (isArray(stated)) {
    return stated.flatMap((item, index) =>
      isObject(item) && ("any" in item || "all" in item)
        ? explainConditions(item, `${path}[${index}]`, scope)
        : [explainCondition(item, `${path}[${index}]`, scope)],
    );
  }
  return ["any", "all"].flatMap((key) =>
    listAt(stated, key).map((item, index) =>
      explainCondition(item, `${path}.${key}[${index}]`, scope),
    ),
  );
}

function explainCondition(condition: Json, part: string, scope: Scope): Explanation {
  const outcome = compileConditions({ all: [condition] }).evaluate(scope);
  const value = outcome.kind === "error" ? `error: ${outcome.failure.message}` : `${outcome.holds}`;
  const sides = ["key", "value"].map((side) => field(condition, side) ?? null);
  const texts = sides.map((side) => (typeof side === "string" ? side : JSON.stringify(side)));
  const source = texts.join(` ${textAt(condition, ["operator"])} `);
  // What holds no variable is its own value.
  const steps = sides.flatMap((side, index) => {
    const text = texts[index] ?? "";
    return text.includes("{{") ? [{ source: text, value: substituted(side, scope).value }] : [];
  });
  return { part, source, value, failed: outcome.kind === "error", steps };
}

function explainPatterns(
  validate: Json | undefined,
  object: JsonObject | null,
  scope: Scope,
): readonly Explanation[] {
  if (object === null) return [];
  const pattern = field(validate, "pattern") ?? null;
  return [
    ...(pattern === null ? [] : [explainPattern(pattern, "pattern", object, scope)]),
    ...listAt(validate, "anyPattern").map((one, index) =>
      explainPattern(one, `anyPattern[${index}]`, object, scope),
    ),
  ];
}

function explainPattern(
  pattern: Json,
  part: string,
  object: JsonObject,
  scope: Scope,
): Explanation {
  const outcome = compileTemplate(pattern).substitute(scope);
  if (!outcome.ok) return explanation(part, "", `error: ${outcome.failure.message}`, true);
  const found = compilePattern(outcome.value)(object);
  if (found.kind === "pass") return explanation(part, "", "matches");
  const where = found.kind === "fail" ? ` at ${found.path}` : "";
  return explanation(part, "", `${found.kind}${where}: ${found.message}`, found.kind === "error");
}

function explainLoops(
  rule: Rule,
  validate: Json | undefined,
  review: Review,
  world: World,
  scope: Scope,
): readonly Explanation[] {
  const names = { rule: rule.name, messages: makeMessages(rule.name, "") };
  return listAt(validate, "foreach").map((loop, index) => {
    const state = { review, world, scope, element: undefined, nesting: 0, budget: makeBudget() };
    const verdict = compileCheck({ foreach: [loop] }, names, [])?.(state);
    const value =
      verdict === undefined ? "no element applies" : `${verdict.result}: ${verdict.message}`;
    return explanation(`foreach[${index}]`, textAt(loop, ["list"]), value);
  });
}

const listAt = (value: Json | undefined, key: string): readonly Json[] => {
  const found = field(value, key);
  return isArray(found) ? found : [];
};
