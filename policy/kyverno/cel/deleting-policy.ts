// SPDX-License-Identifier: Apache-2.0
import {
  compileConditions,
  compileVariables,
  matchConditions,
  unsupportedReason,
} from "#policy/admission/expressions";
import type { ExpressionScope, NamedProgram, Variables } from "#policy/admission/expressions";
import { namespaceObjectOf } from "#policy/admission/request";
import { explained, recordAll, recordVariables } from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import { makeBudget } from "#policy/cel/budget";
import type { Activation } from "#policy/cel/compile";
import { WorldValue, worldKey } from "#policy/cel/libraries/world";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { readMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { kyvernoEnvironment } from "#policy/kyverno/cel/environment";
import { exceptionsFor, recordExceptions } from "#policy/kyverno/cel/exceptions";
import type { Exception } from "#policy/kyverno/cel/exceptions";
import { deletionProperties, deletionResult } from "#policy/kyverno/deletion";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import { scheduleProblem } from "#policy/kyverno/schedule";
import type { CompiledPolicy } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { policyMeta } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

type Parts = {
  readonly meta: PolicyMeta;
  /** Undefined where none are stated: then only JSON that is no Kubernetes object is looked at. */
  readonly constraints: MatchConstraints | undefined;
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly exceptions: readonly Exception[];
  readonly properties: Readonly<Record<string, string>>;
};

/**
 * Compiles a DeletingPolicy or NamespacedDeletingPolicy (pkg/cel/policies/dpol): which objects its next run would
 * delete, and why. Nothing is deleted, and no change to an object is judged.
 */
export function compileDeletingPolicy(
  document: JsonObject,
  context: CompileContext,
): KindCompilation {
  const problems: Problem[] = [];
  const parts = compileParts(document, context, problems);
  if (parts === undefined || problems.length > 0) return { ...nothingCompiled, problems };
  const { plurals } = parts.constraints ?? { plurals: [] };
  const policy: CompiledPolicy = {
    ref: parts.meta.ref,
    annotations: parts.meta.annotations,
    // JSON without a kind is looked at whatever the constraints say.
    index: plurals === "any" ? plurals : [...plurals, ""],
    deletion: (review, world) => judge(parts, review, world),
    explain: (review, world) => explained((log) => judge(recorded(parts, log), review, world)),
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

const recorded = (parts: Parts, log: Log): Parts => ({
  ...parts,
  exceptions: recordExceptions(parts.exceptions, log),
  conditions: recordAll(parts.conditions, "conditions", log),
  variables: recordVariables(parts.variables, log),
});

function compileParts(
  document: JsonObject,
  context: CompileContext,
  problems: Problem[],
): Parts | undefined {
  const name = documentName(document);
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return undefined;
  const wrong = scheduleProblem(textAt(spec, ["schedule"]), "deleting");
  if (wrong !== undefined) problems.push({ document: name, path: "spec.schedule", message: wrong });
  const meta = policyMeta(document, "KyvernoDeletingPolicy");
  const namespaced = meta.ref.namespace !== "";
  const environment = kyvernoEnvironment({ kind: "deleting", namespaced });
  const scope: ExpressionScope = { document: name, environment, problems };
  const variables = compileVariables(scope, spec, "kyverno.variables");
  const full = { ...scope, environment: variables.environment };
  return {
    meta,
    constraints: compileConstraints(name, spec, problems),
    conditions: compileConditions(full, spec, "conditions"),
    variables,
    exceptions: exceptionsFor(document, context.exceptions, variables.environment, problems),
    properties: deletionProperties(spec),
  };
}

/** Whatever operations the rules name, they speak of objects that are there. */
function compileConstraints(
  document: string,
  spec: JsonObject,
  problems: Problem[],
): MatchConstraints | undefined {
  const stated = field(spec, "matchConstraints") ?? null;
  if (stated === null) return undefined;
  const rules = field(stated, "resourceRules");
  const matchConstraints: Json =
    isObject(stated) && isArray(rules)
      ? { ...stated, resourceRules: rules.map(withAllOperations) }
      : stated;
  return readMatchConstraints(document, { matchConstraints }, problems);
}

const withAllOperations = (rule: Json): Json =>
  isObject(rule) ? { ...rule, operations: ["*"] } : rule;

const isNamespace = ({ kind }: Review): boolean => kind.group === "" && kind.kind === "Namespace";

function judge(parts: Parts, asked: Review, world: World): readonly RuleResult[] {
  const object = asked.object ?? asked.oldObject;
  if (object === null) return [];
  const { namespace } = parts.meta.ref;
  const review: Review = { ...asked, operation: "CREATE", object, oldObject: null };
  const isKubernetes = textAt(object, ["apiVersion"]) !== "" && textAt(object, ["kind"]) !== "";
  if (isKubernetes) {
    if (namespace !== "" && (review.namespace !== namespace || isNamespace(review))) return [];
    if (parts.constraints?.match(review, world) !== "match") return [];
  }
  const budget = makeBudget();
  const activation: Activation = {
    object,
    namespaceObject: isKubernetes ? namespaceFor(review, object, world) : null,
    [worldKey]: new WorldValue(world, { namespace }),
    variables: parts.variables.bind(() => activation, budget),
  };
  const exempting: string[] = [];
  for (const exception of parts.exceptions) {
    // When an exception expires is not asked here (dpol/engine/provider.go).
    const found = matchConditions(exception.conditions, activation, budget);
    if (found.is === "error") return [failed(parts, found.errors)];
    if (found.is === "match") exempting.push(exception.key);
  }
  if (exempting.length > 0) {
    const message = `is kept: exempted by policy exception ${exempting.join(", ")}`;
    return [deletionResult(parts, { result: "fail", message, exceptions: exempting })];
  }
  const matched = matchConditions(parts.conditions, activation, budget);
  if (matched.is === "error") return [failed(parts, matched.errors)];
  if (matched.is === "match") {
    return [deletionResult(parts, { result: "pass", message: reasonOf(parts.conditions) })];
  }
  const message = `is kept: condition ${matched.condition} is false`;
  return [deletionResult(parts, { result: "fail", message })];
}

function reasonOf(conditions: readonly NamedProgram[]): string {
  if (conditions.length === 0)
    return "would be deleted: it is matched, and there are no conditions";
  const names = conditions.map(({ name }) => name).join(", ");
  return `would be deleted: every condition holds (${names})`;
}

function failed(
  parts: Parts,
  errors: Extract<ReturnType<typeof matchConditions>, { readonly is: "error" }>["errors"],
): RuleResult {
  const message = errors.map(({ error }) => error.message).join("; ");
  const unsupported = errors.map(({ error }) => unsupportedReason(error)).find(Boolean);
  return deletionResult(parts, {
    result: "error",
    message,
    ...(unsupported === undefined ? {} : { unsupported }),
  });
}

/** Of a Namespace it is the namespace itself, under its name and labels where nobody knows more (dpol/engine). */
function namespaceFor(review: Review, object: JsonObject, world: World): JsonObject | null {
  if (!isNamespace(review)) return namespaceObjectOf(review, world);
  const known = world.namespace(review.name);
  if (known !== undefined) return known;
  const labels = at(object, ["metadata", "labels"]);
  return { metadata: { name: review.name, ...(labels === undefined ? {} : { labels }) } };
}
