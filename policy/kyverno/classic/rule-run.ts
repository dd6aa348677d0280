// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { tooDeep } from "#policy/jmespath/query";
import type { RuleException } from "#policy/kyverno/classic/exceptions";
import type { TargetsOutcome } from "#policy/kyverno/classic/mutate-targets";
import type { Rule } from "#policy/kyverno/classic/rule";
import { errored, failedQuery, makeBudget, skipped } from "#policy/kyverno/classic/rule-state";
import type { RuleState, Verdict } from "#policy/kyverno/classic/rule-state";
import { makeScope } from "#policy/kyverno/classic/scope";
import type { Scope } from "#policy/kyverno/classic/scope";
import { preconditionsNotMet } from "#policy/kyverno/classic/validate";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** What came of one rule on one review; nothing when it does not speak about it. */
export type RuleOutcome = {
  readonly verdict: Verdict;
  /** After a mutate rule. */
  readonly object: JsonObject | undefined;
  /** Existing objects that a mutate rule with targets changed. */
  readonly targets: TargetsOutcome["targets"];
  /** From a generate rule. */
  readonly resources: readonly JsonObject[];
  /** An exclusion by user was not applied, because no user is known. */
  readonly exclusionUnknown: boolean;
};

const backgroundController = /^system:serviceaccount:[^:]*:kyverno-background-controller$/;

/**
 * Runs a rule (Kyverno, pkg/engine/engine.go): match, context, preconditions, exceptions, then what it does. A resource
 * that is nested too deeply to walk is an error of the rule.
 */
export function runRule(rule: Rule, review: Review, world: World): RuleOutcome | undefined {
  try {
    return run(rule, review, world);
  } catch (error) {
    return outcomeOf(errored(tooDeep(error).message), false);
  }
}

function run(rule: Rule, review: Review, world: World): RuleOutcome | undefined {
  const object = review.object ?? review.oldObject;
  if (object === null) return undefined;
  const subject = { review, world, object };
  const { matches, exclusionUnknown } = rule.match(subject);
  if (!matches) return undefined;
  if (rule.skipsBackground && backgroundController.test(review.userInfo?.username ?? "")) {
    return undefined;
  }
  const { handler } = rule;
  if (handler.kind === "verifyImages") {
    if (review.object === null || !handler.concerns(object, world)) return undefined;
  }
  const state = new LazyState(rule, review, world);
  const done = (verdict: Verdict | undefined): RuleOutcome | undefined =>
    verdict === undefined ? undefined : outcomeOf(verdict, exclusionUnknown);
  const stopped = checkPreconditions(rule, state);
  if (stopped !== undefined) return done(stopped);
  const granted =
    rule.exceptions.length === 0
      ? noExceptions
      : rule.exceptions.filter((exception) => exception.matches(subject, state.scope));
  if (handler.kind === "podSecurity") return done(runPodSecurity(rule, state, granted));
  if (granted.length > 0) return done(exempted(granted));
  switch (handler.kind) {
    case "validate":
      return done(unlessExisting(rule, state, handler.check(state)));
    case "verifyImages":
      return done(handler.check(state));
    case "mutate": {
      if (review.object === null) return undefined;
      const { verdict, object: after } = handler.mutate(state, review.object);
      return { ...outcomeOf(verdict, exclusionUnknown), object: after };
    }
    case "targets": {
      const { verdict, targets } = handler.mutate(state);
      return { ...outcomeOf(verdict, exclusionUnknown), targets };
    }
    case "generate": {
      const { verdict, resources } = handler.generate(state);
      return { ...outcomeOf(verdict, exclusionUnknown), resources };
    }
    case "unsupported":
      return done({ result: "error", message: handler.reason, unsupported: handler.reason });
    default:
      return handler satisfies never;
  }
}

const noExceptions: readonly RuleException[] = [];
const nothing: readonly never[] = [];

const outcomeOf = (verdict: Verdict, exclusionUnknown: boolean): RuleOutcome => ({
  verdict,
  object: undefined,
  targets: nothing,
  resources: nothing,
  exclusionUnknown,
});

/** The scope is made when it is first asked for: a rule without variables never does. */
class LazyState implements RuleState {
  readonly review: Review;
  readonly world: World;
  readonly element = undefined;
  readonly nesting = 0;
  readonly budget = makeBudget();
  readonly #rule: Rule;
  #scope: Scope | undefined;

  constructor(rule: Rule, review: Review, world: World) {
    this.review = review;
    this.world = world;
    this.#rule = rule;
  }

  get scope(): Scope {
    this.#scope ??= makeScope(this.review, this.world, this.#rule.identity).withEntries(
      this.#rule.context,
    );
    return this.#scope;
  }
}

function checkPreconditions(rule: Rule, state: RuleState): Verdict | undefined {
  if (rule.preconditions === undefined) return undefined;
  const outcome = rule.preconditions.evaluate(state.scope);
  if (outcome.kind === "error") {
    return failedQuery("failed to evaluate preconditions", outcome.failure);
  }
  return outcome.holds ? undefined : skipped(preconditionsNotMet(outcome.message));
}

/** The reference forgets the space before the names here. */
function exempted(granted: readonly RuleException[]): Verdict {
  const exceptions = granted.map(({ name }) => name);
  const message = `rule is skipped due to policy exceptions${exceptions.join(", ")}`;
  return { ...skipped(message), exceptions };
}

/** An exception without podSecurity exempts from all of the rule, one with it from the controls that it names. */
function runPodSecurity(
  rule: Rule,
  state: RuleState,
  granted: readonly RuleException[],
): Verdict | undefined {
  const { handler } = rule;
  if (handler.kind !== "podSecurity" || state.review.object === null) return undefined;
  const whole = granted.find(({ podSecurity }) => podSecurity.length === 0);
  if (whole !== undefined) {
    const message = `rule is skipped due to policy exception ${whole.name}`;
    return { ...skipped(message), exceptions: [whole.name] };
  }
  const exclusions = {
    exclusions: granted.flatMap(({ podSecurity }) => podSecurity),
    names: granted.map(({ name }) => name),
  };
  return unlessExisting(rule, state, handler.check(state, exclusions));
}

/**
 * A failure under Enforce is let be when the object that an update replaces fails too: the old object is judged as if
 * it were created now, if the rule matches it at all.
 */
function unlessExisting(
  rule: Rule,
  state: RuleState,
  verdict: Verdict | undefined,
): Verdict | undefined {
  const { review, world } = state;
  const { oldObject } = review;
  const applies =
    verdict?.result === "fail" &&
    rule.allowsExisting &&
    rule.action.stated === "Enforce" &&
    review.operation === "UPDATE";
  if (!applies || oldObject === null) return verdict;
  const before: Review = { ...review, operation: "CREATE", object: oldObject, oldObject: null };
  const subject = { review: { ...before, userInfo: null }, world, object: oldObject };
  if (!rule.match(subject).matches) return verdict;
  const old = new LazyState(rule, before, asCreated(world));
  if (checkPreconditions(rule, old) !== undefined) return verdict;
  const { handler } = rule;
  const earlier =
    handler.kind === "podSecurity"
      ? handler.check(old, { exclusions: [], names: [] })
      : handler.kind === "validate"
        ? handler.check(old)
        : undefined;
  return earlier?.result === "fail" ? skipped(existingAllowed) : verdict;
}

/** A Values file does not make the earlier creation an update. */
function asCreated(world: World): World {
  return {
    ...world,
    contextValues: (policy, rule, resource) => {
      const given = world.contextValues(policy, rule, resource);
      if (given === undefined) return undefined;
      const { ["request.operation"]: _, ...values } = given.values;
      return { ...given, values };
    },
  };
}

/** Message of the result of a rule that lets a violation be which was there before. */
export const existingAllowed =
  "skipping the rule evaluation as pre-existing violations are allowed";
