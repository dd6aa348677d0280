// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { everything, labelsOf, parseLabelSelector } from "#policy/kubernetes/label-selector";
import type { LabelSelector } from "#policy/kubernetes/label-selector";
import type { Problem } from "#policy/problem";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

type Rule = {
  readonly groups: readonly string[];
  readonly versions: readonly string[];
  readonly resources: readonly (readonly [resource: string, subResource: string])[];
  readonly operations: readonly string[];
  readonly scope: string;
  readonly names: readonly string[];
};

export type MatchConstraints = {
  /** Plurals that the rules name, in lower case, or 'any': what the policy index needs. */
  readonly plurals: readonly string[] | "any";
  /**
   * `equivalent`: no rule names this version of the resource, but one names another version of it and matchPolicy is
   * not Exact, so the API server would convert the object first, which takes the CRD's own webhook.
   */
  readonly match: (review: Review, world: World) => "match" | "no match" | "equivalent";
};

export type ConstraintsProblem = { readonly path: string; readonly message: string };

/** The `matchConstraints` of a policy's spec; undefined when something is wrong with them, which is added to `problems`. */
export function readMatchConstraints(
  document: string,
  spec: JsonObject,
  problems: Problem[],
): MatchConstraints | undefined {
  const parsed = parseMatchConstraints(field(spec, "matchConstraints"), "spec.matchConstraints");
  if (parsed.ok) return parsed.constraints;
  problems.push(...parsed.problems.map((problem) => ({ document, ...problem })));
  return undefined;
}

/**
 * Compiles `matchConstraints` or a binding's `matchResources` (apiserver pkg/admission/plugin/policy/matching): both
 * selectors, then excludeResourceRules, then resourceRules; no resource rules match everything. An absent value
 * matches everything too: callers for which it means nothing check first.
 */
export function parseMatchConstraints(
  value: Json | undefined,
  path: string,
):
  | { readonly ok: true; readonly constraints: MatchConstraints }
  | { readonly ok: false; readonly problems: readonly ConstraintsProblem[] } {
  const problems: ConstraintsProblem[] = [];
  const spec = value ?? {};
  if (!isObject(spec)) return { ok: false, problems: [{ path, message: "must be an object" }] };
  const namespaces = selectorAt(spec, "namespaceSelector", path, problems);
  const objects = selectorAt(spec, "objectSelector", path, problems);
  const excluded = rulesAt(spec, "excludeResourceRules", path, problems);
  const rules = rulesAt(spec, "resourceRules", path, problems);
  const matchPolicy = field(spec, "matchPolicy") ?? "Equivalent";
  if (matchPolicy !== "Equivalent" && matchPolicy !== "Exact") {
    problems.push({ path: `${path}.matchPolicy`, message: "must be Exact or Equivalent" });
  }
  if (problems.length > 0) return { ok: false, problems };
  const exact = matchPolicy === "Exact";
  return {
    ok: true,
    constraints: {
      plurals: pluralsOf(rules),
      match: (review, world) => {
        if (!namespaceMatches(namespaces, review, world)) return "no match";
        if (!objectMatches(objects, review)) return "no match";
        if (excluded.some((rule) => ruleMatches(rule, review, true))) return "no match";
        if (rules.length === 0) return "match";
        if (rules.some((rule) => ruleMatches(rule, review, true))) return "match";
        if (exact) return "no match";
        return rules.some((rule) => ruleMatches(rule, review, false)) ? "equivalent" : "no match";
      },
    },
  };
}

function selectorAt(
  spec: JsonObject,
  key: string,
  path: string,
  problems: ConstraintsProblem[],
): LabelSelector {
  const parsed = parseLabelSelector(field(spec, key));
  if (parsed.ok) return parsed.selector;
  const below = parsed.path === "" ? key : `${key}.${parsed.path}`;
  problems.push({ path: `${path}.${below}`, message: parsed.message });
  return everything;
}

function rulesAt(
  spec: JsonObject,
  key: string,
  path: string,
  problems: ConstraintsProblem[],
): readonly Rule[] {
  const value = field(spec, key) ?? [];
  if (!isArray(value)) {
    problems.push({ path: `${path}.${key}`, message: "must be a list of rules" });
    return [];
  }
  return value.map((rule, index) => parseRule(rule, `${path}.${key}[${index}]`, problems));
}

/** Another word would match no request and say nothing (pkg/apis/admissionregistration/validation). */
const knownOperations: readonly string[] = ["CREATE", "UPDATE", "DELETE", "CONNECT", "*"];

function parseRule(value: Json, path: string, problems: ConstraintsProblem[]): Rule {
  const texts = (key: string): readonly string[] => {
    const list = field(value, key) ?? [];
    if (isArray(list) && list.every((entry) => typeof entry === "string")) return list;
    problems.push({ path: `${path}.${key}`, message: "must be a list of strings" });
    return [];
  };
  const scope = field(value, "scope") ?? "*";
  if (!isObject(value)) problems.push({ path, message: "must be an object" });
  if (typeof scope !== "string") {
    problems.push({ path: `${path}.scope`, message: "must be *, Namespaced or Cluster" });
  }
  const stated = texts("operations");
  if (!stated.every((operation) => knownOperations.includes(operation))) {
    const message = `must be of ${knownOperations.join(", ")}`;
    problems.push({ path: `${path}.operations`, message });
  }
  return {
    groups: texts("apiGroups"),
    versions: texts("apiVersions"),
    resources: texts("resources").map(splitResource),
    operations: stated,
    scope: typeof scope === "string" ? scope : "",
    names: texts("resourceNames"),
  };
}

function splitResource(text: string): readonly [string, string] {
  const slash = text.indexOf("/");
  return slash < 0 ? [text, ""] : [text.slice(0, slash), text.slice(slash + 1)];
}

function pluralsOf(rules: readonly Rule[]): readonly string[] | "any" {
  if (rules.length === 0) return "any";
  const plurals = rules.flatMap((rule) => rule.resources.map(([resource]) => resource));
  return plurals.includes("*") ? "any" : [...new Set(plurals.map((name) => name.toLowerCase()))];
}

const listed = (items: readonly string[], wanted: string): boolean =>
  items.includes("*") || items.includes(wanted);

function ruleMatches(rule: Rule, review: Review, sameVersion: boolean): boolean {
  const { group, version, resource } = review.resource;
  return (
    scopeMatches(rule.scope, review) &&
    listed(rule.operations, review.operation) &&
    listed(rule.groups, group) &&
    (!sameVersion || listed(rule.versions, version)) &&
    rule.resources.some(
      ([main, sub]) =>
        (main === "*" || main === resource) && (sub === "*" || sub === review.subResource),
    ) &&
    (rule.names.length === 0 || rule.names.includes(review.name))
  );
}

const isNamespaceReview = (review: Review): boolean =>
  review.resource.group === "" && review.resource.resource === "namespaces";

/** Namespace objects are cluster-scoped although their requests carry a namespace. */
function scopeMatches(scope: string, review: Review): boolean {
  const namespaced = review.namespace !== "" && !isNamespaceReview(review);
  if (scope === "*") return true;
  return scope === "Namespaced" ? namespaced : scope === "Cluster" && !namespaced;
}

/**
 * Cluster-scoped objects other than namespaces are never exempt. A Namespace that is created or updated is judged by
 * its own new labels. Of a namespace that nobody knows only the name label is certain (Kyverno does the same).
 */
function namespaceMatches(selector: LabelSelector, review: Review, world: World): boolean {
  if (selector.empty) return true;
  const isNamespace = review.resource.resource === "namespaces";
  if (review.namespace === "" && !isNamespace) return true;
  const writes = review.operation === "CREATE" || review.operation === "UPDATE";
  if (isNamespace && review.subResource === "" && writes) {
    return selector.matches(labelsOf(review.object));
  }
  const namespace = world.namespace(review.namespace);
  if (namespace !== undefined) return selector.matches(labelsOf(namespace));
  return selector.matches({ "kubernetes.io/metadata.name": review.namespace });
}

function objectMatches(selector: LabelSelector, review: Review): boolean {
  if (selector.empty) return true;
  const selects = (object: JsonObject | null): boolean =>
    object !== null && selector.matches(labelsOf(object));
  return selects(review.object) || selects(review.oldObject);
}
