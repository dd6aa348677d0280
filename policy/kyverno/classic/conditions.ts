// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt, type Json } from "#policy/json";
import { QueryFailure, tooDeep } from "#policy/jmespath/query";
import { findOperator } from "#policy/kyverno/classic/condition-operators";
import type { Holds, Operator } from "#policy/kyverno/classic/condition-sets";
import { joinNonEmpty } from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";
import { compileTemplate, type Template } from "#policy/kyverno/classic/variables";

/** Preconditions or deny conditions, planned: keys and values are templates, operators are functions. */
export type Conditions = {
  readonly evaluate: (scope: Scope) => ConditionsOutcome;
  /** What is wrong with the document itself (unknown operators and the like); the outcome is an error then. */
  readonly problems: readonly ConditionProblem[];
};

export type ConditionProblem = { readonly path: string; readonly message: string };

/** `message` joins the `message` fields of the conditions that decided, '' when they have none. */
export type ConditionsOutcome =
  | { readonly kind: "decided"; readonly holds: boolean; readonly message: string }
  | { readonly kind: "error"; readonly failure: QueryFailure };

/** Most conditions of one block. */
export const conditionsMax = 1_000;

/**
 * Plans `{any, all}`, the old flat list of conditions, or a list of `{any, all}`. Undefined and null hold always.
 * An error's message starts with `failed to substitute variables in condition key: ` or `... value: `.
 */
export function compileConditions(document: Json | undefined): Conditions {
  const problems: ConditionProblem[] = [];
  const evaluate = planDocument(document, problems);
  return { evaluate, problems };
}

/**
 * Plans the `conditions` of a PolicyException (pkg/utils/conditions): `all` is asked before `any`, and an empty `any`
 * asks for nothing, unlike in preconditions.
 */
export function compileExceptionConditions(document: Json): Conditions {
  const all = field(document, "all");
  const any = field(document, "any");
  const needed = isArray(any) && any.length > 0 ? compileConditions({ any }) : undefined;
  const first = compileConditions(isArray(all) ? { all } : {});
  return {
    problems: [...first.problems, ...(needed?.problems ?? [])],
    evaluate: (scope) => {
      const outcome = first.evaluate(scope);
      if (needed === undefined || outcome.kind === "error" || !outcome.holds) return outcome;
      return needed.evaluate(scope);
    },
  };
}

type Evaluate = (scope: Scope) => ConditionsOutcome;

const always: ConditionsOutcome = { kind: "decided", holds: true, message: "" };

function planDocument(document: Json | undefined, problems: ConditionProblem[]): Evaluate {
  if (document === undefined || document === null) return () => always;
  if (isArray(document)) {
    const isBlocks = document.some((item) => isBlock(item));
    return isBlocks ? planBlocks(document, problems) : planFlat(document, problems);
  }
  if (!isObject(document)) {
    problems.push({ path: "", message: "must be an object with any and all, or a list" });
    return () => invalid("invalid condition");
  }
  return planBlock(document, "", problems);
}

const isBlock = (item: Json): boolean =>
  isObject(item) && (Object.hasOwn(item, "any") || Object.hasOwn(item, "all"));

const invalid = (message: string): ConditionsOutcome => ({
  kind: "error",
  failure: new QueryFailure("failed", message),
});

/** All blocks must hold (variables/evaluate.go, EvaluateAnyAllConditions). */
function planBlocks(list: readonly Json[], problems: ConditionProblem[]): Evaluate {
  const blocks = list.map((item, index) => planBlock(item, `[${index}].`, problems));
  return (scope) => {
    const messages: string[] = [];
    for (const block of blocks) {
      const outcome = block(scope);
      if (outcome.kind === "error" || !outcome.holds) return outcome;
      messages.push(outcome.message);
    }
    return decided(true, messages, ";");
  };
}

/** The old way: a list of conditions that must all hold. */
function planFlat(list: readonly Json[], problems: ConditionProblem[]): Evaluate {
  const conditions = planList(list, "", problems);
  return (scope) => {
    const messages: string[] = [];
    for (const condition of conditions) {
      const holds = condition.evaluate(scope);
      if (holds instanceof QueryFailure) return { kind: "error", failure: holds };
      if (!holds) return decided(false, [condition.message], ";");
      messages.push(condition.message);
    }
    return decided(true, messages, ";");
  };
}

/** `any` holds when one of its conditions does: present and empty it never does. `all` and `any` are both needed. */
function planBlock(document: Json, path: string, problems: ConditionProblem[]): Evaluate {
  const anyList = field(document, "any");
  const any = isArray(anyList) ? planList(anyList, `${path}any`, problems) : undefined;
  const allList = field(document, "all");
  const all = isArray(allList) ? planList(allList, `${path}all`, problems) : [];
  return (scope) => {
    const trueMessages: string[] = [];
    const falseMessages: string[] = [];
    let anyHolds = any === undefined;
    for (const condition of any ?? []) {
      const holds = condition.evaluate(scope);
      if (holds instanceof QueryFailure) return { kind: "error", failure: holds };
      (holds ? trueMessages : falseMessages).push(condition.message);
      anyHolds = holds;
      if (holds) break;
    }
    let allHold = true;
    for (const condition of all) {
      const holds = condition.evaluate(scope);
      if (holds instanceof QueryFailure) return { kind: "error", failure: holds };
      (holds ? trueMessages : falseMessages).push(condition.message);
      allHold = holds;
      if (!holds) break;
    }
    const holds = anyHolds && allHold;
    return decided(holds, holds ? trueMessages : falseMessages, "; ");
  };
}

const decidedTrue: ConditionsOutcome = always;
const decidedFalse: ConditionsOutcome = { kind: "decided", holds: false, message: "" };

function decided(
  holds: boolean,
  messages: readonly string[],
  separator: string,
): ConditionsOutcome {
  const message = joinNonEmpty(messages, separator);
  if (message === "") return holds ? decidedTrue : decidedFalse;
  return { kind: "decided", holds, message };
}

type Condition = {
  readonly message: string;
  readonly evaluate: (scope: Scope) => boolean | QueryFailure;
};

function planList(
  list: readonly Json[],
  path: string,
  problems: ConditionProblem[],
): readonly Condition[] {
  if (list.length > conditionsMax) {
    problems.push({ path, message: `must not have more than ${conditionsMax} conditions` });
  }
  return list
    .slice(0, conditionsMax)
    .map((item, index) => planCondition(item, `${path}[${index}]`, problems));
}

/** Key first, then value, then the operator: an unknown operator shows only after both could be substituted. */
function planCondition(document: Json, path: string, problems: ConditionProblem[]): Condition {
  const name = textAt(document, ["operator"]);
  const operator = findOperator(name);
  if (operator === undefined) {
    problems.push({ path: `${path}.operator`, message: `unknown operator ${name}` });
  }
  const message = textAt(document, ["message"]);
  const key = compileTemplate(field(document, "key") ?? null);
  const value = compileTemplate(field(document, "value") ?? null);
  const planned = value.constant === undefined ? undefined : operator?.(value.constant);
  if (planned === undefined) {
    return { message, evaluate: (scope) => evaluateCondition(key, value, operator, scope) };
  }
  return {
    message,
    evaluate: (scope) => {
      const left = key.substitute(scope);
      return left.ok ? judge(planned, left.value) : wrapped("key", left.failure);
    },
  };
}

function evaluateCondition(
  key: Template,
  value: Template,
  operator: Operator | undefined,
  scope: Scope,
): boolean | QueryFailure {
  const left = key.substitute(scope);
  if (!left.ok) return wrapped("key", left.failure);
  const right = value.substitute(scope);
  if (!right.ok) return wrapped("value", right.failure);
  if (operator === undefined) {
    return new QueryFailure("failed", "failed to create handler for condition operator");
  }
  return judge((substituted) => operator(right.value)(substituted), left.value);
}

function judge(holds: Holds, key: Json): boolean | QueryFailure {
  try {
    return holds(key);
  } catch (error) {
    return tooDeep(error);
  }
}

function wrapped(side: "key" | "value", failure: QueryFailure): QueryFailure {
  return new QueryFailure(
    failure.kind,
    `failed to substitute variables in condition ${side}: ${failure.message}`,
  );
}
