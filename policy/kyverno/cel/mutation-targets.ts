// SPDX-License-Identifier: Apache-2.0
import {
  compileAt,
  compileConditions,
  matchConditions,
  unsupportedReason,
} from "#policy/admission/expressions";
import type { ExpressionScope, NamedProgram } from "#policy/admission/expressions";
import { toJson } from "#policy/cel/convert";
import { makeBudget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { CelError } from "#policy/cel/values";
import { at, field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { kindOf, objectKey, reviewOf } from "#policy/kubernetes/kinds";
import { parseMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { baseActivation } from "#policy/kyverno/cel/activation";
import { mutateObject } from "#policy/kyverno/cel/mutating-evaluation";
import type { MutatingPolicyParts } from "#policy/kyverno/cel/mutating-evaluation";
import type { Mutation, TargetMutation } from "#policy/policy-set";
import { makeResult } from "#policy/report/policy-meta";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** Which existing objects a policy with evaluation.mutateExisting changes when its trigger matches. */
export type TargetSelection = {
  /** Resource rules and selectors, with any operation; undefined when an expression selects. */
  readonly constraints: MatchConstraints;
  /** Group, version and plural of what must be listed to find them; undefined for a wildcard, which nobody can list. */
  readonly listed: readonly Listed[] | undefined;
  readonly expression: Program | undefined;
  readonly conditions: readonly NamedProgram[];
  /** Whether the policy states targets at all; else what triggers it is what it changes. */
  readonly stated: boolean;
};

type Listed = { readonly apiVersion: string; readonly resource: string };

/** Most targets of one trigger; the rest is an error. */
const targetsMax = 1_000;

/**
 * Compiles targetMatchConstraints and targetMatchConditions; undefined unless `evaluation.mutateExisting.enabled`.
 * Without constraints of its own the targets are what the policy matches (pkg/background/mpol).
 */
export function compileTargets(
  scope: ExpressionScope,
  spec: JsonObject,
): TargetSelection | undefined {
  if (at(spec, ["evaluation", "mutateExisting", "enabled"]) !== true) return undefined;
  const stated = field(spec, "targetMatchConstraints");
  const rules = field(stated, "resourceRules");
  const own = isArray(rules) && rules.length > 0;
  const source = own ? stated : field(spec, "matchConstraints");
  const expression = field(stated, "expression");
  const parsed = parseMatchConstraints(anyOperation(source), "spec.targetMatchConstraints");
  if (!parsed.ok) {
    scope.problems.push(...parsed.problems.map((p) => ({ document: scope.document, ...p })));
    return undefined;
  }
  return {
    constraints: parsed.constraints,
    listed: listedOf(field(source, "resourceRules")),
    expression:
      expression === undefined || expression === ""
        ? undefined
        : compileAt(scope, expression, "spec.targetMatchConstraints.expression"),
    conditions: compileConditions(scope, spec, "targetMatchConditions"),
    stated: own || (expression !== undefined && expression !== ""),
  };
}

function anyOperation(constraints: Json | undefined): JsonObject {
  const rules = field(constraints, "resourceRules");
  if (!isObject(constraints) || !isArray(rules)) return {};
  const open = rules.map((rule) => (isObject(rule) ? { ...rule, operations: ["*"] } : rule));
  const { expression: _, ...rest } = constraints;
  return { ...rest, resourceRules: open };
}

function listedOf(rules: Json | undefined): readonly Listed[] | undefined {
  if (!isArray(rules)) return undefined;
  const found = rules.flatMap((rule) =>
    textsOf(rule, "apiGroups").flatMap((group) =>
      textsOf(rule, "apiVersions").flatMap((version) =>
        textsOf(rule, "resources").map((resource) => ({
          apiVersion: group === "" ? version : `${group}/${version}`,
          resource,
        })),
      ),
    ),
  );
  const wild = found.some(({ apiVersion, resource }) => `${apiVersion}/${resource}`.includes("*"));
  return wild ? undefined : found;
}

function textsOf(rule: Json, key: string): readonly string[] {
  const list = field(rule, key);
  return isArray(list) ? list.filter((entry) => typeof entry === "string") : [];
}

type FoundTargets =
  | { readonly ok: true; readonly objects: readonly JsonObject[] }
  | { readonly ok: false; readonly message: string; readonly unsupported: boolean };

/**
 * Mutates the targets that the World holds; what it cannot list is an error that says so. The object under review is
 * a target like others when it matches. Where no targets are stated, others that cannot be listed are left to their
 * own reviews.
 */
export function mutateTargets(
  parts: MutatingPolicyParts,
  selection: TargetSelection,
  review: Review,
  world: World,
): Mutation {
  let object = review.object ?? {};
  if (parts.constraints.match(review, world) !== "match") return { object, results: [] };
  const triggered = isTriggered(parts, review, world);
  if (triggered !== true) return { object, results: triggered === false ? [] : [triggered] };
  const results: RuleResult[] = [];
  const targets: TargetMutation[] = [];
  const mutate = (target: JsonObject): JsonObject => {
    const asTrigger = { ...review, oldObject: null };
    const step = mutateObject(parts, selection.conditions, asTrigger, target, world);
    results.push(...step.results);
    return step.object;
  };
  const isSelf = (target: JsonObject): boolean => sameIdentity(target, object);
  const found = findTargets(parts, selection, review, world);
  if (!found.ok && selection.stated) {
    return { object, results: [targetError(parts, found.message, found.unsupported)] };
  }
  const others = found.ok ? found.objects : [];
  if (isOwnTarget(selection, review, world) || others.some(isSelf)) object = mutate(object);
  for (const target of others) {
    if (isSelf(target)) continue;
    targets.push({ policy: parts.meta.ref, before: target, after: mutate(target) });
  }
  return { object, results, targets };
}

function isOwnTarget(selection: TargetSelection, review: Review, world: World): boolean {
  if (review.object === null || selection.expression !== undefined) return false;
  return selection.constraints.match(review, world) === "match";
}

const sameIdentity = (a: JsonObject, b: JsonObject): boolean =>
  ["apiVersion", "kind"].every((key) => a[key] === b[key]) && objectKey(a) === objectKey(b);

/** Whether the trigger meets the policy's match conditions; an error result when that cannot be told. */
function isTriggered(
  parts: MutatingPolicyParts,
  review: Review,
  world: World,
): boolean | RuleResult {
  const budget = makeBudget();
  const activation: Activation = {
    ...baseActivation(review, world, parts),
    variables: parts.variables.bind(() => activation, budget),
  };
  const matched = matchConditions(parts.conditions, activation, budget);
  if (matched.is !== "error") return matched.is === "match";
  const [first] = matched.errors;
  const unsupported = first !== undefined && unsupportedReason(first.error) !== undefined;
  return targetError(parts, first?.error.message ?? "", unsupported);
}

function findTargets(
  parts: MutatingPolicyParts,
  selection: TargetSelection,
  review: Review,
  world: World,
): FoundTargets {
  if (selection.expression !== undefined)
    return byExpression(parts, selection.expression, review, world);
  if (selection.listed === undefined) {
    return { ok: false, message: "targets of any kind cannot be listed", unsupported: true };
  }
  const objects: JsonObject[] = [];
  for (const { apiVersion, resource } of selection.listed) {
    const answer = world.list({ apiVersion, resource, namespace: parts.namespace, labels: {} });
    if (answer.kind === "unavailable") {
      return { ok: false, message: `targets ${resource}: ${answer.reason}`, unsupported: true };
    }
    const items = answer.kind === "found" ? field(answer.value, "items") : [];
    for (const item of isArray(items) ? items.filter(isObject) : []) {
      const asTarget = { ...reviewOf(item, { world }), resource: { ...kindOf(item), resource } };
      if (selection.constraints.match(asTarget, world) === "match") objects.push(item);
    }
  }
  return bounded(objects);
}

/** The expression gives one object, or a list of them under `items`. */
function byExpression(
  parts: MutatingPolicyParts,
  expression: Program,
  review: Review,
  world: World,
): FoundTargets {
  const budget = makeBudget();
  const base = baseActivation(review, world, parts);
  const activation: Activation = {
    ...base,
    variables: parts.variables.bind(() => activation, budget),
  };
  const value = expression.evaluate(activation, budget);
  const json = value instanceof CelError ? value : toJson(value);
  if (json instanceof CelError) {
    return { ok: false, message: json.message, unsupported: json.code === "unsupported" };
  }
  const items = field(json, "items");
  if (isArray(items)) return bounded(items.filter(isObject));
  if (isObject(json)) return { ok: true, objects: [json] };
  return { ok: false, message: "the target expression gives no object", unsupported: false };
}

const bounded = (objects: readonly JsonObject[]): FoundTargets =>
  objects.length <= targetsMax
    ? { ok: true, objects }
    : { ok: false, message: `more than ${targetsMax} targets`, unsupported: true };

function targetError(
  parts: MutatingPolicyParts,
  message: string,
  unsupported: boolean,
): RuleResult {
  return makeResult(parts.meta, {
    rule: "evaluation",
    type: "Mutation",
    result: "error",
    message: `failed to evaluate policy: ${message}`,
    action: parts.ignoreErrors ? "Audit" : "Enforce",
    ...(unsupported ? { unsupported: message } : {}),
  });
}
