// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { formatProblem, type Problem } from "#policy/problem";
import { askPeople } from "./ask-people.ts";
import { checkExisting, checkRequirements, isCheck } from "./check.ts";
import { readinessOf } from "./companions.ts";
import { buildSet, namedSet, readable, wholeSet, type ComposedSet } from "./composed-set.ts";
import { toDesired, type Composed } from "./composed.ts";
import { readComposite, type Composite } from "./composite.ts";
import type { Guardrails } from "./input.ts";
import { withPath } from "./json-edit.ts";
import type { Memo } from "./memo.ts";
import type { Meter } from "./meter.ts";
import { fatalOutcome, outcomeOf, stopSentences, type Outcome } from "./outcome.ts";
import type { CompiledGuard, PolicyCache } from "./policies.ts";
import {
  passed,
  tallyOf,
  verdictOn,
  waitsForPeople,
  type Judging,
  type Verdict,
} from "./verdict.ts";
import type { Violation } from "./violation.ts";
import { readyFalse, type Request } from "./wire/request.ts";
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

/** How long Crossplane may wait before it asks again, in seconds: late changes of policies and approvals show by then. */
const ttlSecondsMax = 60;
/**
 * The same while a change waits for people: Crossplane before v2.4 watches no approvals (core PR 7565's design), and
 * nothing in a request tells which version asks.
 */
const waitingTtlSecondsMax = 10;

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
    return untouched(request, requirements);
  }
  const guard = readable("policies", () => cached.guard(request.required));
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
  { check }: Guardrails,
  guard: CompiledGuard,
  sources: ReadonlyMap<string, Selector>,
): Response {
  const done = checkExisting({ request, check, guard, nowMs, meter });
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
  const { memo } = engine;
  const set = buildSet({ request, composite, guard, pins: guardrails.pin, world, touches, memo });
  const prepared = [...set.subjects, ...set.companions];
  lookups.show(prepared);
  const approvals = new Map<string, Selector>();
  const judging: Judging = {
    composite,
    guard,
    world,
    unjudged: guard.problems.map((problem) => unusable(problem, guardrails)),
    approve: (resource, violations) =>
      askPeople({ request, engine, composite, guard, approvals }, resource, violations),
  };
  const verdicts = prepared.map((resource) => {
    if (set.settled.has(resource)) return passed(resource);
    const before = touches();
    const verdict = verdictOn(resource, judging);
    // An approval lets a violation through for a time: that is no verdict to remember.
    const isClean = verdict.violations.length === 0 && verdict.approval === undefined;
    if (isClean && touches() === before) set.settle(resource);
    return verdict;
  });
  const requirements = new Map([...sources, ...lookups.used, ...approvals]);
  const missing = [...approvals.keys()].some((name) => !request.required.has(name));
  if (missing || lookups.wanted.size > 0) return untouched(request, requirements);
  engine.meter.judged({ ...tallyOf(verdicts), remembered: set.settled.size });
  const stopped = stopSentences(verdicts);
  if (stopped.length > 0) {
    const outcome = fatalOutcome("PolicyViolation", stopped, composite);
    return respond(request, outcome, { ...nothing, requirements });
  }
  const outcome = outcomeOf(verdicts, composite, () => namedSet(prepared, request));
  const isHeld = verdicts.some(({ step }) => step.kind === "wait" || step.kind === "hold");
  return respond(request, outcome, {
    requirements,
    resources: changesFor(verdicts, set),
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

/** Only what differs from the request: all else goes back as the bytes it came in. */
function changesFor(
  verdicts: readonly Verdict[],
  set: ComposedSet,
): ReadonlyMap<string, ResourceChange | undefined> {
  const changes = new Map<string, ResourceChange | undefined>();
  for (const [name, kept] of set.kept) changes.set(name, kept);
  const heldSubjects = new Set(
    verdicts
      .filter(({ step }) => step.kind === "wait" || step.kind === "hold")
      .map(({ resource }) => resource.name),
  );
  for (const { resource, step } of verdicts) {
    const { name, injected, rendered, live, subject } = resource;
    const ready = subject === "" ? undefined : readinessOf(live);
    if (step.kind === "wait" || (live === undefined && heldSubjects.has(subject))) {
      changes.set(name, undefined);
      continue;
    }
    const object = step.kind === "hold" || step.kind === "known" ? step.object : injected;
    if (object === rendered && subject === "") continue;
    changes.set(name, { object: toDesired(resource, object), ready });
  }
  return changes;
}

function compositeChange(
  request: Request,
  isHeld: boolean,
  status: JsonObject | undefined,
): CompositeChange | undefined {
  if (!isHeld && status === undefined) return undefined;
  const ready = isHeld ? readyFalse : undefined;
  if (status === undefined) return { ready, object: undefined };
  const struct = request.desired.composite?.struct;
  const desired = struct === undefined ? {} : readable("composite", () => decodeStruct(struct));
  return { ready, object: withPath(desired, ["status", "parapet"], status) };
}

/** No longer than the next moment at which an exception or an approval ends, and short while one may come. */
function ttlOf(verdicts: readonly Verdict[], guard: CompiledGuard, nowMs: number): number {
  const approved = verdicts.flatMap(({ approval }) =>
    approval?.state.kind === "approved" && approval.state.untilMs !== undefined
      ? [approval.state.untilMs]
      : [],
  );
  const next = [...approved, ...guard.expiriesMs].filter((time) => time > nowMs);
  const seconds = next.map((time) => Math.ceil((time - nowMs) / 1000));
  const most = verdicts.some(waitsForPeople) ? waitingTtlSecondsMax : ttlSecondsMax;
  return Math.max(1, Math.min(most, ...seconds));
}

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
