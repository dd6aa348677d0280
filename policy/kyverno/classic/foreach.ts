// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json } from "#policy/json";
import { QueryFailure } from "#policy/jmespath/query";
import type { Query } from "#policy/jmespath/query";
import { compileQuery } from "#policy/jmespath/compile";
import { goType } from "#policy/kyverno/classic/go-value";
import {
  errored,
  failedQuery,
  foreachElementsMax,
  passed,
} from "#policy/kyverno/classic/rule-state";
import type {
  RuleProblem,
  RuleState,
  Validator,
  Verdict,
} from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";

type Loop = {
  readonly list: Query;
  /** undefined: the elements are scoped where they are objects. */
  readonly scoped: boolean | undefined;
  readonly validator: Validator;
};

/**
 * Plans the foreach list of a validate rule. A list that cannot be evaluated is passed over; elements that skip, and
 * errors of any but the last element, do not count; the first failure decides. Nothing counted is no response.
 */
export function compileForeach(
  entries: readonly { readonly entry: Json; readonly validator: Validator }[],
  problems: RuleProblem[],
): Validator {
  const loops = entries.map(({ entry, validator }, index): Loop => {
    const scope = field(entry, "elementScope");
    return {
      list: compileList(entry, `foreach[${index}]`, problems),
      scoped: typeof scope === "boolean" ? scope : undefined,
      validator,
    };
  });
  return (state) => {
    let applied = 0;
    for (const loop of loops) {
      const elements = evaluateList(loop.list, state.scope);
      if (elements instanceof QueryFailure) {
        if (elements.kind === "unavailable") {
          return failedQuery(`failed to evaluate list ${loop.list.source}`, elements);
        }
        continue;
      }
      const outcome = runLoop(loop, elements, state);
      if (typeof outcome !== "number") return outcome;
      applied += outcome;
    }
    return applied === 0 ? undefined : passed("rule passed");
  };
}

/** Plans the `list` of a foreach entry; it is an expression, not a text with variables. */
export function compileList(entry: Json, path: string, problems: RuleProblem[]): Query {
  const list = compileQuery(textAt(entry, ["list"]));
  if (list.syntaxError !== undefined) {
    problems.push({ path: `${path}.list`, message: list.syntaxError });
  }
  return list;
}

/** The elements to visit; a value that is no list is its only element. */
export function evaluateList(list: Query, scope: Scope): readonly Json[] | QueryFailure {
  const value = scope.query(list);
  if (value instanceof QueryFailure || isArray(value)) return value;
  return [value];
}

/** How many elements applied, or the verdict that ends the rule. */
function runLoop(loop: Loop, elements: readonly Json[], state: RuleState): number | Verdict {
  let applied = 0;
  for (const [index, element] of elements.entries()) {
    if (element === null) continue;
    if (!takeElement(state)) return tooManyElements;
    const verdict = runElement(loop, element, index, state);
    if (verdict === undefined || verdict.result === "skip") continue;
    if (verdict.result === "pass") {
      applied += 1;
      continue;
    }
    const isLast = index === elements.length - 1;
    if (verdict.result === "error" && !isLast && verdict.unsupported === undefined) continue;
    return { ...verdict, message: `validation failure: ${verdict.message}` };
  }
  return applied;
}

/** Whether there may be one more element; one whose patch walks through a large object counts as several. */
export function takeElement(state: RuleState, cost = 1): boolean {
  state.budget.elements -= cost;
  return state.budget.elements >= 0;
}

export const tooManyElements: Verdict = errored(
  `the foreach loops of this rule would visit more than ${foreachElementsMax} elements, or fewer in a larger object`,
);

function runElement(
  loop: Loop,
  element: Json,
  index: number,
  state: RuleState,
): Verdict | undefined {
  if (loop.scoped === true && !isObject(element)) {
    return errored(
      `failed to process foreach: cannot use elementScope=true foreach rules for elements that are not maps, expected type=map got type=${goType(element)}`,
    );
  }
  const scoped = isObject(element) && loop.scoped !== false;
  return loop.validator({
    ...state,
    scope: state.scope.withElement(element, index, state.nesting),
    element: scoped ? element : state.element,
    nesting: state.nesting + 1,
  });
}
