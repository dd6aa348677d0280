// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { apiVersionOf, pluralOf } from "#policy/kubernetes/kinds";
import { containsWildcard, matchesWildcard } from "#policy/kubernetes/wildcard";
import { compileConditions } from "#policy/kyverno/classic/conditions";
import type { Conditions } from "#policy/kyverno/classic/conditions";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import type { ContextEntries } from "#policy/kyverno/classic/context";
import { parseKindSelector } from "#policy/kyverno/classic/kind-selector";
import { compileMutation } from "#policy/kyverno/classic/mutate";
import type { Mutator } from "#policy/kyverno/classic/mutate";
import { compileSelector } from "#policy/kyverno/classic/resource-filter";
import { below, errored, failedQuery, passed, skipped } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, RuleState, Verdict } from "#policy/kyverno/classic/rule-state";
import { compileTemplate } from "#policy/kyverno/classic/variables";
import type { Template } from "#policy/kyverno/classic/variables";
import type { World } from "#policy/world";

/** What a rule with targets did to each of them; the object that triggered it is left alone. */
export type TargetsOutcome = {
  readonly verdict: Verdict;
  readonly targets: readonly { readonly before: JsonObject; readonly after: JsonObject }[];
};

export type TargetsMutator = (state: RuleState) => TargetsOutcome;

type TargetPlan = {
  readonly template: Template;
  readonly context: ContextEntries;
  readonly preconditions: Conditions;
};

/** Most targets of one rule for one trigger. */
const targetsMax = 1_000;

/**
 * Plans `mutate.targets`: the existing objects that the World holds are patched when the rule's resource triggers it
 * (Kyverno, pkg/engine/handlers/mutation/mutate_existing.go). Undefined when there is nothing to patch with.
 */
export function compileTargets(
  rule: JsonObject,
  policyNamespace: string,
  problems: RuleProblem[],
): TargetsMutator | undefined {
  const mutate = compileMutation(rule, problems);
  if (mutate === undefined) return undefined;
  const stated = at(rule, ["mutate", "targets"]);
  const plans = (isArray(stated) ? stated : []).map((target, index) =>
    planTarget(target, index, problems),
  );
  return (state) => {
    const done: TargetsOutcome["targets"][number][] = [];
    const verdicts: Verdict[] = [];
    for (const plan of plans) {
      const found = findTargets(plan, state, policyNamespace);
      if ("result" in found) return { verdict: found, targets: [] };
      for (const before of found) {
        const { verdict, after } = mutateTarget(plan, mutate, before, state);
        verdicts.push(verdict);
        done.push({ before, after });
      }
    }
    return { verdict: summary(verdicts), targets: done };
  };
}

/** One verdict for the rule: its first error, else whether any target changed. */
function summary(verdicts: readonly Verdict[]): Verdict {
  const decisive =
    verdicts.find(({ result }) => result === "error") ??
    verdicts.find(({ result }) => result === "pass");
  if (decisive === undefined) return verdicts[0] ?? skipped("no target found");
  if (decisive.result === "error") return decisive;
  return passed(
    verdicts.flatMap(({ result, message }) => (result === "pass" ? [message] : [])).join(", "),
  );
}

const selectorKeys = ["apiVersion", "kind", "namespace", "name", "selector"];

function planTarget(target: Json, index: number, problems: RuleProblem[]): TargetPlan {
  const selected = Object.fromEntries(
    selectorKeys.flatMap((key): readonly [string, Json][] => {
      const value = field(target, key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const { context, problems: contextProblems } = compileContextEntries(field(target, "context"));
  const preconditions = compileConditions(field(target, "preconditions"));
  problems.push(
    ...below(`targets[${index}]`, contextProblems),
    ...below(`targets[${index}].preconditions`, preconditions.problems),
  );
  const template = compileTemplate(selected, { path: `/mutate/targets/${index}` });
  return { template, context, preconditions };
}

function findTargets(
  plan: TargetPlan,
  state: RuleState,
  policyNamespace: string,
): readonly JsonObject[] | Verdict {
  const substituted = plan.template.substitute(state.scope);
  if (!substituted.ok) {
    return failedQuery("failed to substitute variables in target", substituted.failure);
  }
  const target = substituted.value;
  const stated = [textAt(target, ["apiVersion"]), textAt(target, ["kind"])];
  const selector = parseKindSelector(stated.join("/"));
  const kind = { group: selector.group, version: selector.version, kind: selector.kind };
  if (kind.group === "*") kind.group = "";
  if (Object.values(kind).some(containsWildcard)) {
    const message = `targets of kind ${stated.join("/")} cannot be listed`;
    return { ...errored(message), unsupported: message };
  }
  const where = {
    apiVersion: apiVersionOf(kind),
    resource: pluralOf(kind, state.world).resource,
    namespace: policyNamespace === "" ? textAt(target, ["namespace"]) : policyNamespace,
    name: textAt(target, ["name"]),
  };
  return lookUp(where, compileSelector(field(target, "selector")), state.world);
}

type Where = {
  readonly apiVersion: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
};

function lookUp(
  where: Where,
  selects: ((labels: Json | undefined) => boolean) | undefined,
  world: World,
): readonly JsonObject[] | Verdict {
  const { apiVersion, resource, namespace, name } = where;
  const within = containsWildcard(namespace) ? "" : namespace;
  const answer = world.list({ apiVersion, resource, namespace: within, labels: {} });
  if (answer.kind === "unavailable") {
    const message = `targets ${resource} are not known here: ${answer.reason}`;
    return { ...errored(message), unsupported: message };
  }
  const items = answer.kind === "found" ? field(answer.value, "items") : undefined;
  const fits = (pattern: string, text: string): boolean =>
    pattern === "" || matchesWildcard(pattern, text);
  const found = (isArray(items) ? items : []).filter(
    (item): item is JsonObject =>
      isObject(item) &&
      fits(namespace, textAt(item, ["metadata", "namespace"])) &&
      fits(name, textAt(item, ["metadata", "name"])) &&
      (selects === undefined || selects(at(item, ["metadata", "labels"]))),
  );
  if (found.length <= targetsMax) return found;
  return errored(`the rule has more than ${targetsMax} targets`);
}

function mutateTarget(
  plan: TargetPlan,
  mutate: Mutator,
  target: JsonObject,
  outer: RuleState,
): { readonly verdict: Verdict; readonly after: JsonObject } {
  const scope = outer.scope.withVariables({ target }).withEntries(plan.context);
  const outcome = plan.preconditions.evaluate(scope);
  if (outcome.kind === "error") {
    return {
      verdict: failedQuery("failed to evaluate preconditions", outcome.failure),
      after: target,
    };
  }
  if (!outcome.holds) return { verdict: skipped("preconditions not met"), after: target };
  const { verdict, object } = mutate({ ...outer, scope, mutates: "target" }, target);
  return { verdict, after: object };
}
