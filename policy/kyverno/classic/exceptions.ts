// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { objectKey } from "#policy/kubernetes/kinds";
import { matchesWildcard } from "#policy/kubernetes/wildcard";
import { compileExceptionConditions } from "#policy/kyverno/classic/conditions";
import type { Conditions } from "#policy/kyverno/classic/conditions";
import { compileExclusions } from "#policy/kyverno/classic/pod-security-exclusions";
import type { Exclusion } from "#policy/kyverno/classic/pod-security-exclusions";
import { compileFilter, texts } from "#policy/kyverno/classic/resource-filter";
import type { ResourceFilter, Subject } from "#policy/kyverno/classic/resource-filter";
import type { Scope } from "#policy/kyverno/classic/scope";

/** A PolicyException of kyverno.io, planned. */
export type RuleException = {
  /** `namespace/name`. */
  readonly name: string;
  readonly matches: (subject: Subject, scope: Scope) => boolean;
  /** Only these controls of a podSecurity rule are allowed; empty: the whole rule is. */
  readonly podSecurity: readonly Exclusion[];
};

/** The exceptions that name a rule of a policy; `policy` is `namespace/name` for a namespaced one. */
export function exceptionsFor(
  documents: readonly JsonObject[],
  policy: string,
  rule: string,
): readonly RuleException[] {
  return documents.filter((document) => names(document, policy, rule)).map(compileException);
}

function names(document: JsonObject, policy: string, rule: string): boolean {
  const entries = at(document, ["spec", "exceptions"]);
  if (!isArray(entries)) return false;
  return entries.some(
    (entry) =>
      textAt(entry, ["policyName"]) === policy &&
      texts(field(entry, "ruleNames")).some((pattern) => matchesWildcard(pattern, rule)),
  );
}

const compiled = new WeakMap<JsonObject, RuleException>();

/** One exception names many rules: it is planned once. */
function compileException(document: JsonObject): RuleException {
  const known = compiled.get(document);
  if (known !== undefined) return known;
  const spec = field(document, "spec");
  const match = field(spec, "match");
  const conditions = field(spec, "conditions");
  const made: RuleException = {
    name: objectKey(document),
    matches: makeMatches(
      match,
      conditions === undefined || conditions === null
        ? undefined
        : compileExceptionConditions(conditions),
    ),
    podSecurity: compileExclusions(field(spec, "podSecurity")),
  };
  compiled.set(document, made);
  return made;
}

/** Users count here as they are: an exception for somebody does not hold when nobody is known. */
function makeMatches(
  match: Json | undefined,
  conditions: Conditions | undefined,
): RuleException["matches"] {
  const any = field(match, "any");
  const all = field(match, "all");
  const isAny = isArray(any) && any.length > 0;
  const blocks = isAny ? any : isArray(all) ? all : [];
  const filters = blocks.map((block) => compileFilter(block, { selectsNamespaces: true }));
  return (subject, scope) => {
    if (filters.length === 0) return false;
    const included = isAny
      ? filters.some((filter) => fits(filter, subject))
      : filters.every((filter) => fits(filter, subject));
    if (!included) return false;
    if (conditions === undefined) return true;
    const outcome = conditions.evaluate(scope);
    return outcome.kind === "decided" && outcome.holds;
  };
}

const fits = (filter: ResourceFilter, subject: Subject): boolean =>
  !(filter.resourceEmpty && filter.userEmpty) &&
  filter.matchesResource(subject) &&
  filter.matchesUser(subject.review.userInfo);
