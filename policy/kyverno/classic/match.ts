// SPDX-License-Identifier: Apache-2.0
import { field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseKindSelector } from "#policy/kyverno/classic/kind-selector";
import { compileFilter, texts } from "#policy/kyverno/classic/resource-filter";
import type { ResourceFilter, Subject } from "#policy/kyverno/classic/resource-filter";

/**
 * Whether a rule speaks about an object. `exclusionUnknown`: an exclusion would apply to some users, but nobody is
 * known, so it was not applied.
 */
export type MatchAnswer = {
  readonly matches: boolean;
  readonly exclusionUnknown: boolean;
};

export type RuleMatch = (subject: Subject) => MatchAnswer;

const unmatched: MatchAnswer = { matches: false, exclusionUnknown: false };
const matched: MatchAnswer = { matches: true, exclusionUnknown: false };
const matchedBlindly: MatchAnswer = { matches: true, exclusionUnknown: true };

/** Plans match and exclude of a rule; a namespaced policy speaks only about its own namespace ('' for all). */
export function compileRuleMatch(rule: JsonObject, policyNamespace: string): RuleMatch {
  const match = compileBlocks(field(rule, "match"));
  const exclude = compileBlocks(field(rule, "exclude"));
  return (subject) => {
    if (policyNamespace !== "" && namespaceOf(subject.object) !== policyNamespace) return unmatched;
    const included =
      match.mode === "any"
        ? match.filters.some((filter) => includes(filter, subject))
        : match.filters.every((filter) => includes(filter, subject));
    if (!included) return unmatched;
    if (isExcluded(exclude, subject)) return unmatched;
    return isBlind(exclude, subject) ? matchedBlindly : matched;
  };
}

const namespaceOf = (object: JsonObject): string => textAt(object, ["metadata", "namespace"]);

type Blocks = { readonly mode: "any" | "all"; readonly filters: readonly ResourceFilter[] };

/** `any` counts before `all`, `all` before a block without either. */
function compileBlocks(value: Json | undefined): Blocks {
  const any = field(value, "any");
  if (isArray(any) && any.length > 0) {
    return { mode: "any", filters: any.map((block) => compileFilter(block)) };
  }
  const all = field(value, "all");
  if (isArray(all) && all.length > 0) {
    return { mode: "all", filters: all.map((block) => compileFilter(block)) };
  }
  return { mode: "all", filters: [compileFilter(value)] };
}

/** Without a known user, what a match block says about users is left out; a block that is empty then matches nothing. */
function includes(filter: ResourceFilter, subject: Subject): boolean {
  const user = subject.review.userInfo;
  if (filter.resourceEmpty && (filter.userEmpty || user === null)) return false;
  return filter.matchesResource(subject) && (user === null || filter.matchesUser(user));
}

function isExcluded(exclude: Blocks, subject: Subject): boolean {
  const hits = (filter: ResourceFilter): boolean =>
    !(filter.resourceEmpty && filter.userEmpty) &&
    filter.matchesResource(subject) &&
    filter.matchesUser(subject.review.userInfo);
  return exclude.mode === "any" ? exclude.filters.some(hits) : exclude.filters.every(hits);
}

/** Whether an exclusion fits but for its users, of whom none is known. */
function isBlind(exclude: Blocks, subject: Subject): boolean {
  if (subject.review.userInfo !== null) return false;
  return exclude.filters.some((filter) => !filter.userEmpty && filter.matchesResource(subject));
}

/** Kinds in lower case that a rule may match, or 'any' when it cannot be said. */
export function matchedKinds(rule: JsonObject): readonly string[] | "any" {
  const match = field(rule, "match");
  const any = field(match, "any");
  const all = field(match, "all");
  const blocks =
    isArray(any) && any.length > 0 ? any : isArray(all) && all.length > 0 ? all : [match];
  const names: string[] = [];
  for (const block of blocks) {
    const kinds = texts(field(field(block ?? null, "resources"), "kinds"));
    const parsed = kinds.map((kind) => parseKindSelector(kind).kind);
    if (kinds.length === 0 || parsed.some((kind) => /[*?]/.test(kind))) return "any";
    names.push(...parsed.map((kind) => kind.toLowerCase()));
  }
  return names;
}
