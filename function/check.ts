// SPDX-License-Identifier: Apache-2.0
import { field, textAt, type JsonObject } from "#policy/json";
import { isNamespacedKind, guessPlural, objectKey, reviewOf } from "#policy/kubernetes/kinds";
import { formatProblem } from "#policy/problem";
import { summarize, type ReportGroup } from "#policy/report/policy-report";
import type { RuleResult } from "#policy/report/result";
import { emptyWorld, type World } from "#policy/world";
import {
  namespaceOf,
  reportOn,
  reportSelectors,
  resourceNameOf,
  verdictText,
} from "./check-reports.ts";
import { readable } from "./composed-set.ts";
import { readComposite } from "./composite.ts";
import type { CheckSource, Guardrails } from "./input.ts";
import type { Meter } from "./meter.ts";
import type { CompiledGuard } from "./policies.ts";
import { makeMask, type Mask } from "./secrets.ts";
import { oneLine, policyName, textOf } from "./violation.ts";
import type { Request } from "./wire/request.ts";
import type { FunctionResult, ResourceChange, Selector } from "./wire/response.ts";
import { decodeStruct } from "./wire/struct.ts";
import { makeWorld } from "./world.ts";

/** The requirement under which a WatchOperation hands over what changed (core apis/ops/v1alpha1/watchoperation_types.go). */
export const watchedResource = "ops.crossplane.io/watched-resource";

/**
 * Most reports that one run writes. An Operation's status takes 99 resources (core apis/ops/v1alpha1/operation_types.go,
 * AppliedResourceRefs); a run writes only what changed, so the next one goes on where this one stopped.
 */
export const reportsMax = 90;

/** Most violations that the Operation's status lists; the reports have all of them. */
const listedMax = 50;

/** Whether the request is an Operation's, over resources that exist: a composition's always has a composite. */
export const isCheck = (request: Request, { check }: Guardrails): boolean =>
  request.observed.composite === undefined &&
  (check.length > 0 || request.required.has(watchedResource));

/** What must be fetched before the check can begin. */
export const checkRequirements = ({ check }: Guardrails): ReadonlyMap<string, Selector> =>
  new Map(check.map((source, index) => [requirementName(index), source]));

const requirementName = (index: number): string => `check/${index}`;

export type CheckSpec = {
  readonly request: Request;
  readonly check: readonly CheckSource[];
  readonly reportGroups: readonly ReportGroup[];
  readonly guard: CompiledGuard;
  readonly nowMs: number;
  readonly meter: Meter;
};

export type Check = {
  /** Lookups of the policies, and reports that exist already. */
  readonly requirements: ReadonlyMap<string, Selector>;
  /** Whether some of them must be fetched before the rest of this counts. */
  readonly isOpen: boolean;
  readonly reports: ReadonlyMap<string, ResourceChange>;
  readonly results: readonly FunctionResult[];
  /** For the Operation's status. */
  readonly output: JsonObject;
};

/** Judges resources that exist and writes a report for each whose verdict changed. Nothing is held, mutated or added. */
export function checkExisting(spec: CheckSpec): Check {
  const { request, guard, nowMs, meter } = spec;
  const subjects = subjectsOf(spec);
  const view = makeWorld({
    nowMs,
    composite: readComposite({}),
    needsNamespaces: guard.needsNamespaces,
    isWhole: false,
    composed: () => subjects,
    fetched: (name) => fetched(request, name),
  });
  const mask = makeMask(() => subjects);
  const judged = subjects.map((subject) => ({
    subject,
    results: judgeExisting(subject, guard, view.world).map((result) => masked(result, mask)),
  }));
  const known = reportSelectors(subjects, spec.reportGroups);
  const missing = [...known.keys()].some((name) => !request.required.has(name));
  const existing = new Map(
    [...known.keys()]
      .flatMap((name) => fetched(request, name) ?? [])
      .map((report) => [identity(report), report]),
  );
  const changed = judged.flatMap(({ subject, results }) =>
    spec.reportGroups.flatMap((group): readonly JsonObject[] => {
      const report = reportOn(subject, results, { group, nowMs });
      const before = existing.get(identity(report));
      const isSame =
        before === undefined ? results.length === 0 : verdictText(before) === verdictText(report);
      return isSame ? [] : [report];
    }),
  );
  const isOpen = missing || view.wanted.size > 0;
  const all = judged.flatMap(({ results }) => results);
  if (!isOpen) countChecked(meter, subjects.length, all);
  const left = Math.max(0, changed.length - reportsMax);
  return {
    requirements: new Map([...view.used, ...known]),
    isOpen,
    reports: new Map(
      changed
        .slice(0, reportsMax)
        .map((object) => [resourceNameOf(object), { object, ready: undefined }]),
    ),
    results: warnings(guard, left),
    output: {
      checked: subjects.length,
      summary: summarize(all),
      reportsWritten: changed.length - left,
      reportsLeft: left,
      violations: judged.flatMap(listed).slice(0, listedMax),
      unusablePolicies: guard.problems.map((problem) => oneLine(formatProblem(problem), 400)),
    },
  };
}

const fetched = (request: Request, name: string): readonly JsonObject[] | undefined =>
  request.required.get(name)?.map((slice) => readable(name, () => decodeStruct(slice)));

/** Everything to be judged, once each, in a fixed order. What is being deleted needs no verdict any more. */
function subjectsOf({ request, check }: CheckSpec): readonly JsonObject[] {
  const names = [watchedResource, ...check.map((_, index) => requirementName(index))];
  const byIdentity = new Map(
    names
      .flatMap((name) => fetched(request, name) ?? [])
      // A WatchOperation tells a deletion by an object of nothing but a name (core internal/controller/ops/watched).
      .filter((object) => field(field(object, "metadata"), "deletionTimestamp") === undefined)
      .map((object) => [identity(object), object]),
  );
  return [...byIdentity].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

const identity = (object: JsonObject): string =>
  [textAt(object, ["apiVersion"]), textAt(object, ["kind"]), objectKey(object)].join(" ");

function judgeExisting(
  subject: JsonObject,
  guard: CompiledGuard,
  world: World,
): readonly RuleResult[] {
  const own: World = {
    ...world,
    composite: emptyWorld(0).composite,
    resourceOf: (kind) =>
      isNamespacedKind(kind) === undefined
        ? { resource: guessPlural(kind.kind), namespaced: namespaceOf(subject) !== "" }
        : undefined,
  };
  const review = reviewOf(subject, { world: own });
  const policies = guard.candidates(textAt(subject, ["apiVersion"]), textAt(subject, ["kind"]));
  return policies
    .flatMap((policy) => policy.validate?.(review, own) ?? [])
    .map((result) => withoutSecrets(result, subject));
}

/** A policy about something else may have looked at a Secret. */
function masked(result: RuleResult, mask: Mask): RuleResult {
  if (result.result === "pass") return result;
  const properties = Object.entries(result.properties).map(
    ([key, value]) => [key, mask(value)] as const,
  );
  return { ...result, message: mask(result.message), properties: Object.fromEntries(properties) };
}

/** Many people may read reports: of a Secret they say nothing but the verdict. */
function withoutSecrets(result: RuleResult, subject: JsonObject): RuleResult {
  if (textAt(subject, ["kind"]) !== "Secret") return result;
  const message = result.result === "pass" ? "" : textOf(result, subject);
  return { ...result, message, properties: {} };
}

type Judged = { readonly subject: JsonObject; readonly results: readonly RuleResult[] };

const listed = ({ subject, results }: Judged): readonly JsonObject[] =>
  results
    .filter(({ result }) => result === "fail" || result === "error" || result === "warn")
    .map((result) => ({
      resource: identity(subject),
      policy: policyName(result.policy),
      rule: result.rule,
      result: result.result,
      message: oneLine(textOf(result, subject), 400),
    }));

function warnings(guard: CompiledGuard, left: number): readonly FunctionResult[] {
  const sentences = guard.problems
    .slice(0, 10)
    .map((problem) => `a policy cannot be used: ${oneLine(formatProblem(problem), 400)}`);
  if (left > 0) sentences.push(`${left} reports are left for the next run`);
  return sentences.map((message) => ({
    severity: "warning",
    reason: "IncompleteCheck",
    message,
    target: "composite",
  }));
}

function countChecked(meter: Meter, checked: number, results: readonly RuleResult[]): void {
  const violations = results.filter(({ result }) => result !== "pass" && result !== "skip");
  meter.judged({
    outcomes: Array.from({ length: checked }, () => "checked" as const),
    violations: violations.map(({ action, result, policy }) => ({
      ...(action === "Enforce" && result !== "warn"
        ? { action, answer: "Report" }
        : { action: "Audit", answer: "Tell" }),
      policy: policyName(policy),
    })),
    injected: 0,
    companions: 0,
  });
}
