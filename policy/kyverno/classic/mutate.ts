// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { QueryFailure } from "#policy/jmespath/query";
import type { Query } from "#policy/jmespath/query";
import { compileConditions } from "#policy/kyverno/classic/conditions";
import type { Conditions } from "#policy/kyverno/classic/conditions";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import type { ContextEntries } from "#policy/kyverno/classic/context";
import {
  compileList,
  evaluateList,
  takeElement,
  tooManyElements,
} from "#policy/kyverno/classic/foreach";
import { compilePatcher } from "#policy/kyverno/classic/patch";
import type { Patched, Patcher } from "#policy/kyverno/classic/patch";
import { below, errored, failedQuery, passed, skipped } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, RuleState, Verdict } from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";

/** What a mutate rule says and the object after it. */
export type MutateOutcome = { readonly verdict: Verdict; readonly object: JsonObject };

export type Mutator = (state: RuleState, object: JsonObject) => MutateOutcome;

/** Plans the `mutate` block of a rule; undefined when nothing in it could be applied. */
export function compileMutation(rule: JsonObject, problems: RuleProblem[]): Mutator | undefined {
  const block = field(rule, "mutate");
  if (!isObject(block)) return undefined;
  const foreach = field(block, "foreach");
  if (isArray(foreach)) {
    const loops = compileLoops(foreach, "foreach", problems);
    return (state, object) => {
      const cost = 1 + Math.floor(countValues(object) / valuesPerElement);
      return mutateLoops(loops, { ...state, scope: state.scope, cost }, object);
    };
  }
  const patcher = compilePatcher(block, "/mutate", rule, problems);
  if (patcher === undefined) return undefined;
  return (state, object) => outcomeOf(patcher(object, state.scope), object);
}

/** The state of a loop that mutates: what one element takes of the budget. */
type LoopState = RuleState & { readonly cost: number };

/** So many values of an object count as one more element each time that it is patched. */
const valuesPerElement = 100;

function countValues(object: JsonObject): number {
  const open: Json[] = [object];
  let count = 0;
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    count += 1;
    if (typeof value === "object" && value !== null)
      for (const item of Object.values(value)) open.push(item);
  }
  return count;
}

function outcomeOf(patched: Patched, object: JsonObject): MutateOutcome {
  switch (patched.kind) {
    case "error":
      return { verdict: patched.verdict, object };
    case "unchanged":
      return { verdict: skipped("no patches applied"), object };
    case "patched":
      return { verdict: passed(mutatedMessage(patched.object)), object: patched.object };
    default:
      return patched satisfies never;
  }
}

/** The reference's words for a resource that a rule changed. */
function mutatedMessage(object: JsonObject): string {
  const name = `${textAt(object, ["kind"])}/${textAt(object, ["metadata", "name"])}`;
  const namespace = textAt(object, ["metadata", "namespace"]);
  return namespace === "" ? `mutated ${name}` : `mutated ${name} in namespace ${namespace}`;
}

/** The scope that sees what the object is by now: as the object under review, or as a target of its. */
const withCurrent = (state: RuleState, object: JsonObject): Scope =>
  state.mutates === "target"
    ? state.scope.withVariables({ target: object })
    : state.scope.withObject(object);

type Loop = {
  readonly list: Query;
  readonly context: ContextEntries;
  readonly preconditions: Conditions;
  /** Strategic merges put new list items first, so by default the last element is first. */
  readonly reversed: boolean;
  readonly inner: readonly Loop[] | undefined;
  readonly patcher: Patcher | undefined;
};

function compileLoops(
  entries: readonly Json[],
  path: string,
  problems: RuleProblem[],
): readonly Loop[] {
  return entries.map((value, index): Loop => {
    const entry = isObject(value) ? value : {};
    const at = `${path}[${index}]`;
    const { context, problems: contextProblems } = compileContextEntries(field(entry, "context"));
    const preconditions = compileConditions(field(entry, "preconditions"));
    problems.push(
      ...below(at, contextProblems),
      ...below(`${at}.preconditions`, preconditions.problems),
    );
    const order = textAt(entry, ["order"]);
    const merges = isObject(field(entry, "patchStrategicMerge"));
    const foreach = field(entry, "foreach");
    const inner: RuleProblem[] = [];
    const patcher = compilePatcher(entry, "", entry, inner);
    problems.push(...below(at, inner));
    return {
      list: compileList(entry, at, problems),
      context,
      preconditions,
      reversed: order === "" ? merges : order === "Descending",
      inner: isArray(foreach) ? compileLoops(foreach, `${at}.foreach`, problems) : undefined,
      patcher,
    };
  });
}

/** The loops one after the other, each element on what the ones before left. */
function mutateLoops(loops: readonly Loop[], state: LoopState, object: JsonObject): MutateOutcome {
  let applied = 0;
  let current = object;
  for (const loop of loops) {
    const scope = current === object ? state.scope : withCurrent(state, current);
    const elements = evaluateList(loop.list, scope);
    if (elements instanceof QueryFailure) {
      return {
        verdict: failedQuery(`failed to evaluate list ${loop.list.source}`, elements),
        object,
      };
    }
    const after = mutateElements(loop, elements, { ...state, scope }, current);
    if ("result" in after) {
      const message = `failed to mutate elements: ${after.message}`;
      return { verdict: { ...after, message }, object };
    }
    if (after.object === current) continue;
    applied += 1;
    current = after.object;
  }
  if (applied === 0) return { verdict: skipped("0 elements processed"), object };
  return { verdict: passed(mutatedMessage(current)), object: current };
}

function mutateElements(
  loop: Loop,
  elements: readonly Json[],
  state: LoopState,
  object: JsonObject,
): Verdict | { readonly object: JsonObject } {
  let current = object;
  const positions = elements.map((_, index) => index);
  for (const index of loop.reversed ? positions.reverse() : positions) {
    const element = elements[index] ?? null;
    if (element === null) continue;
    if (!takeElement(state, state.cost)) return tooManyElements;
    const after = mutateElement(loop, element, index, state, current);
    if ("result" in after) return after;
    current = after.object;
  }
  return { object: current };
}

function mutateElement(
  loop: Loop,
  element: Json,
  index: number,
  state: LoopState,
  object: JsonObject,
): Verdict | { readonly object: JsonObject } {
  // Always a scope of its own: what one element loads is not there for the next.
  const scope = withCurrent(state, object)
    .withElement(element, index, state.nesting)
    .withEntries(loop.context);
  const outcome = loop.preconditions.evaluate(scope);
  if (outcome.kind === "error") {
    return failedQuery(
      `failed to evaluate mutate.foreach[${index}].preconditions`,
      outcome.failure,
    );
  }
  if (!outcome.holds) return { object };
  if (loop.inner !== undefined) {
    const inner = mutateLoops(loop.inner, { ...state, scope, nesting: state.nesting + 1 }, object);
    return inner.verdict.result === "error" ? inner.verdict : { object: inner.object };
  }
  if (loop.patcher === undefined) return errored("empty mutate rule");
  const patched = loop.patcher(object, scope);
  if (patched.kind === "error") return patched.verdict;
  return { object: patched.kind === "patched" ? patched.object : object };
}
