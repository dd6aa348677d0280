// SPDX-License-Identifier: Apache-2.0
import { documentName } from "#policy/document";
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { tooDeep } from "#policy/jmespath/query";
import { compileExceptionConditions } from "#policy/kyverno/classic/conditions";
import type { Conditions } from "#policy/kyverno/classic/conditions";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import type { ContextEntries } from "#policy/kyverno/classic/context";
import { compileFilter } from "#policy/kyverno/classic/resource-filter";
import type { ResourceFilter, Subject } from "#policy/kyverno/classic/resource-filter";
import { below } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem } from "#policy/kyverno/classic/rule-state";
import { makeScope } from "#policy/kyverno/classic/scope";
import { deletionProperties, deletionResult } from "#policy/kyverno/deletion";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import { scheduleProblem } from "#policy/kyverno/schedule";
import type { CompiledPolicy } from "#policy/policy-set";
import { requiredObject } from "#policy/required-object";
import type { Problem } from "#policy/problem";
import { policyMeta } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

type Parts = {
  readonly meta: PolicyMeta;
  readonly match: (subject: Subject) => boolean;
  readonly exclude: (subject: Subject) => boolean;
  readonly context: ContextEntries;
  readonly conditions: Conditions | undefined;
  readonly properties: Readonly<Record<string, string>>;
};

/**
 * Compiles a CleanupPolicy or ClusterCleanupPolicy of kyverno.io (pkg/controllers/cleanup): which objects its next run
 * would delete, and why. Nothing is deleted, and no change to an object is judged.
 */
export function compileCleanupPolicy(document: JsonObject): KindCompilation {
  const problems: Problem[] = [];
  const parts = compileParts(document, problems);
  if (parts === undefined || problems.length > 0) return { ...nothingCompiled, problems };
  const policy: CompiledPolicy = {
    ref: parts.meta.ref,
    annotations: parts.meta.annotations,
    // It says of every object whether it is deleted, as the reference does.
    index: "any",
    deletion: (review, world) => [judge(parts, review, world)],
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

function compileParts(document: JsonObject, problems: Problem[]): Parts | undefined {
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return undefined;
  const found: RuleProblem[] = [];
  const wrong = scheduleProblem(textAt(spec, ["schedule"]), "cleanup");
  if (wrong !== undefined) found.push({ path: "schedule", message: wrong });
  const conditions = field(spec, "conditions") ?? null;
  const compiled = conditions === null ? undefined : compileExceptionConditions(conditions);
  const { context, problems: contextProblems } = compileContextEntries(field(spec, "context"));
  found.push(...below("conditions", compiled?.problems ?? []), ...contextProblems);
  const match = field(spec, "match");
  if (blocksOf(match).filters.length === 0) {
    const message = "must have any or all, with at least one block of resources";
    found.push({ path: "match", message });
  }
  const name = documentName(document);
  problems.push(...below("spec", found).map((problem) => ({ document: name, ...problem })));
  const meta = policyMeta(document, "kyverno");
  const exclude = field(spec, "exclude") ?? null;
  return {
    meta,
    match: compileMatch(match),
    exclude: exclude === null ? () => false : compileMatch(exclude),
    context,
    conditions: compiled,
    properties: deletionProperties(spec),
  };
}

type Blocks = { readonly any: boolean; readonly filters: readonly ResourceFilter[] };

function blocksOf(value: Json | undefined): Blocks {
  const any = field(value, "any");
  if (isArray(any) && any.length > 0) return { any: true, filters: any.map(compileBlock) };
  const all = field(value, "all");
  return { any: false, filters: isArray(all) ? all.map(compileBlock) : [] };
}

/** Operations count for nothing: nobody asks for one (pkg/utils/match). */
function compileBlock(block: Json): ResourceFilter {
  const resources = field(block, "resources");
  if (!isObject(block) || !isObject(resources)) return compileFilter(block);
  const { operations: _, ...kept } = resources;
  return compileFilter({ ...block, resources: kept }, { selectsNamespaces: true });
}

/** No blocks match everything: an `exclude: {}` keeps all objects, as in the reference. */
function compileMatch(value: Json | undefined): (subject: Subject) => boolean {
  const { any, filters } = blocksOf(value);
  const fits = (filter: ResourceFilter, subject: Subject): boolean =>
    !(filter.resourceEmpty && filter.userEmpty) &&
    filter.matchesResource(subject) &&
    filter.matchesUser(null);
  return any
    ? (subject) => filters.some((filter) => fits(filter, subject))
    : (subject) => filters.every((filter) => fits(filter, subject));
}

function judge(parts: Parts, review: Review, world: World): RuleResult {
  try {
    return decide(parts, review, world);
  } catch (error) {
    return deletionResult(parts, { result: "error", message: tooDeep(error).message });
  }
}

function decide(parts: Parts, review: Review, world: World): RuleResult {
  const object = review.object ?? review.oldObject ?? {};
  const subject: Subject = { review, world, object };
  const own = textAt(object, ["metadata", "namespace"]);
  const { namespace } = parts.meta.ref;
  const kept = (reason: string): RuleResult =>
    deletionResult(parts, { result: "fail", message: `is kept: ${reason}` });
  if (namespace !== "" && namespace !== own) return kept("it is in another namespace");
  if (!parts.match(subject)) return kept("match does not fit");
  if (parts.exclude(subject)) return kept("exclude fits");
  if (parts.conditions === undefined) {
    const message = "would be deleted: it is matched, and there are no conditions";
    return deletionResult(parts, { result: "pass", message });
  }
  const identity = { policy: parts.meta.ref.name, rule: "" };
  // What a condition sees is the object as `target`, and no request but for the namespace.
  const scope = makeScope({ ...review, object, oldObject: null }, world, identity)
    .withVariables({ target: object, request: { namespace: own } })
    .withEntries(parts.context);
  const outcome = parts.conditions.evaluate(scope);
  if (outcome.kind === "error") {
    const { message, kind } = outcome.failure;
    return deletionResult(parts, {
      result: "error",
      message,
      ...(kind === "unavailable" ? { unsupported: message } : {}),
    });
  }
  if (!outcome.holds) return kept("the conditions do not hold");
  return deletionResult(parts, {
    result: "pass",
    message: "would be deleted: the conditions hold",
  });
}
