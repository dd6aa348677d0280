// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { formatProblem, type Problem } from "#policy/problem";
import { changesFor, companionsBeside, compositeChange, followersOf, ttlOf } from "./answer.ts";
import { askPeople } from "./ask-people.ts";
import { checkExisting, checkRequirements, isCheck } from "./check.ts";
import { buildSet, namedSet, readable, secretsOf, wholeSet } from "./composed-set.ts";
import type { Composed } from "./composed.ts";
import { readComposite, type Composite } from "./composite.ts";
import type { Guardrails } from "./input.ts";
import type { Memo } from "./memo.ts";
import type { Meter } from "./meter.ts";
import { fatalOutcome, outcomeOf, stopSentences, type Outcome } from "./outcome.ts";
import type { CompiledGuard, PolicyCache } from "./policies.ts";
import { passed, tallyOf, verdictOn, type Judging, type Verdict } from "./verdict.ts";
import type { Named } from "./references.ts";
import { knownCondition, steadied } from "./sentences.ts";
import { makeMask } from "./secrets.ts";
import { unansweredSentence } from "./unanswered.ts";
import type { Violation } from "./violation.ts";
import type { Request } from "./wire/request.ts";
import type { CompositeChange, ResourceChange, Response, Selector } from "./wire/response.ts";
import { decodeStruct } from "./wire/struct.ts";
import { makeWorld, type CompositionWorld } from "./world.ts";

export type Engine = {
  readonly cache: PolicyCache;
  readonly memo: Memo;
  readonly nowMs: number;
  /** Where approvals of cluster-scoped composites live; '' for nowhere. */
  readonly approvalNamespace: string;
  readonly meter: Meter;
};

/** Answers one request. A pure function of request, time and settings; throws a Refusal for what cannot be judged. */
export function runFunction(request: Request, engine: Engine): Response {
  const { input } = request;
  if (input === undefined) return refuse(request, "InvalidInput", ["the step has no input"]);
  const cached = readable("input", () => engine.cache.input(input));
  if (!cached.parsed.ok) {
    return refuse(request, "InvalidInput", cached.parsed.problems.map(formatProblem));
  }
  const requirements = new Map(cached.sources.map(({ name, selector }) => [name, selector]));
  const { guardrails } = cached.parsed;
  const checks = isCheck(request, guardrails);
  if (!checks && guardrails.check.length > 0) {
    return refuse(request, "InvalidInput", ["check: works in an Operation only"]);
  }
  for (const [name, selector] of checkRequirements(guardrails)) requirements.set(name, selector);
  if ([...requirements.keys()].some((name) => !request.required.has(name))) {
    return checks ? untouched(request, requirements) : ask(request, requirements);
  }
  const guard = readable("policies", () =>
    cached.guard(request.required, checks ? "background" : "admission"),
  );
  if (guard.inlineProblems.length > 0) {
    return refuse(request, "InvalidPolicy", guard.inlineProblems.map(formatProblem));
  }
  return checks
    ? reportAll(request, engine, guardrails, guard, requirements)
    : judgeAll(request, engine, guardrails, guard, requirements);
}

function reportAll(
  request: Request,
  { nowMs, meter }: Engine,
  { check, reportGroups }: Guardrails,
  guard: CompiledGuard,
  sources: ReadonlyMap<string, Selector>,
): Response {
  const done = checkExisting({ request, check, reportGroups, guard, nowMs, meter });
  const requirements = new Map([...sources, ...done.requirements]);
  if (done.isOpen) return untouched(request, requirements);
  const outcome = { ...noOutcome, results: done.results };
  const changes = { ...nothing, requirements, resources: done.reports };
  return { ...respond(request, outcome, changes), output: done.output };
}

function judgeAll(
  request: Request,
  engine: Engine,
  guardrails: Guardrails,
  guard: CompiledGuard,
  sources: ReadonlyMap<string, Selector>,
): Response {
  const composite = compositeOf(request);
  const lookups = makeLookups(request, engine, composite, guard);
  const { world, touches } = lookups;
  const { pin: pins, recordApplied } = guardrails;
  const given = { request, composite, guard, pins, recordApplied };
  const set = buildSet({ ...given, world, touches, memo: engine.memo });
  lookups.show([...set.subjects, ...set.companions]);
  const approvals = new Map<string, Selector>();
  const judging: Judging = {
    composite,
    guard,
    world,
    mask: makeMask(() => secretsOf([...set.subjects, ...set.companions], request)),
    unjudged: guard.problems.map((problem) => unusable(problem, guardrails)),
    approve: (resource, violations) =>
      askPeople({ request, engine, composite, guard, approvals }, resource, violations),
  };
  const judge = (resource: Composed): Verdict => {
    if (set.settled.has(resource)) return passed(resource);
    const before = touches();
    const verdict = verdictOn(resource, judging);
    // An approval lets a violation through for a time: that is no verdict to remember.
    const isClean = verdict.violations.length === 0 && verdict.approval === undefined;
    if (isClean && touches() === before) set.settle(resource);
    return verdict;
  };
  const verdicts = set.subjects.map(judge);
  const companions = companionsBeside(verdicts, set);
  lookups.show([...set.subjects, ...companions]);
  verdicts.push(...companions.map(judge));
  const requirements = new Map([...sources, ...lookups.used, ...approvals]);
  const missing = [...approvals.keys()].some((name) => !request.required.has(name));
  if (missing || lookups.wanted.size > 0) return ask(request, requirements);
  engine.meter.judged({ ...tallyOf(verdicts), remembered: set.settled.size });
  const told = steadied(verdicts, guard, composite);
  const stopped = stopSentences(told);
  if (stopped.length > 0) {
    const outcome = fatalOutcome("PolicyViolation", stopped, composite);
    return respond(request, outcome, { ...nothing, requirements });
  }
  let named: readonly Named[] | undefined;
  const composed = () => (named ??= namedSet([...set.subjects, ...companions], request, composite));
  const followers = followersOf(verdicts, composed, request);
  const outcome = outcomeOf(told, composite, { composed, followers });
  const isHeld = verdicts.some(({ step }) => step.kind === "wait" || step.kind === "hold");
  return respond(request, outcome, {
    requirements,
    resources: changesFor(verdicts, followers, set),
    composite: compositeChange(
      request,
      isHeld,
      guardrails.writeStatus ? outcome.status : undefined,
    ),
    ttlSeconds: ttlOf(verdicts, guard, engine.nowMs),
  });
}

function compositeOf(request: Request): Composite {
  const struct = request.observed.composite?.struct ?? request.desired.composite?.struct;
  const object = struct === undefined ? {} : readable("composite", () => decodeStruct(struct));
  return readComposite(object);
}

type Lookups = CompositionWorld & { readonly show: (prepared: readonly Composed[]) => void };

/** The World of this request; until the set is shown, the composed resources are seen as they came. */
function makeLookups(
  request: Request,
  engine: Engine,
  composite: Composite,
  { needsNamespaces }: CompiledGuard,
): Lookups {
  let prepared: readonly Composed[] = [];
  let seen: readonly JsonObject[] | undefined;
  const view = makeWorld({
    nowMs: engine.nowMs,
    composite,
    needsNamespaces,
    isWhole: true,
    composed: () => (seen ??= wholeSet(prepared, request, composite)),
    fetched: (name) =>
      request.required.get(name)?.map((slice) => readable(name, () => decodeStruct(slice))),
  });
  return {
    ...view,
    show: (set) => {
      prepared = set;
      seen = undefined;
    },
  };
}

/** A policy that was found and cannot be used might have forbidden anything. */
const unusable = (problem: Problem, { onViolation }: Guardrails): Violation => ({
  resource: "",
  policy: problem.document === "" ? "a policy" : problem.document,
  ref: undefined,
  rule: "",
  message: `cannot be judged, as a policy cannot be used: ${formatProblem({ ...problem, document: "" })}`,
  answer: onViolation,
});

type Changes = {
  readonly requirements: ReadonlyMap<string, Selector>;
  readonly resources: ReadonlyMap<string, ResourceChange | undefined>;
  readonly composite: CompositeChange | undefined;
  readonly ttlSeconds: number | undefined;
};

const nothing: Changes = {
  requirements: new Map(),
  resources: new Map(),
  composite: undefined,
  ttlSeconds: undefined,
};

const noOutcome: Outcome = { conditions: [], results: [], status: {} };

/** Asks Crossplane for more, unless it says that it could not bring that the last time: people should hear of it. */
function ask(request: Request, requirements: ReadonlyMap<string, Selector>): Response {
  const missing = new Map([...requirements].filter(([name]) => !request.required.has(name)));
  const composite = compositeOf(request);
  const sentence = unansweredSentence(knownCondition(composite, "Synced"), missing);
  if (sentence === "") return untouched(request, requirements);
  const outcome = fatalOutcome("CannotLookUp", [sentence], composite);
  return respond(request, outcome, { ...nothing, requirements });
}

/** Asks Crossplane for more; it calls again before anything of this answer counts. */
const untouched = (request: Request, requirements: ReadonlyMap<string, Selector>): Response =>
  respond(request, noOutcome, { ...nothing, requirements });

/** A Fatal answer with the desired state as it came. */
export const refuse = (request: Request, reason: string, sentences: readonly string[]): Response =>
  respond(request, fatalOutcome(reason, sentences, undefined), nothing);

function respond(request: Request, outcome: Outcome, changes: Changes): Response {
  const { requirements, resources, composite, ttlSeconds } = changes;
  const { conditions, results } = outcome;
  return {
    tag: request.tag,
    ttlSeconds,
    desired: { from: request.desired, composite, resources },
    results,
    context: request.context,
    requirements,
    asExtraResources: !request.tellsCapabilities,
    conditions,
  };
}
