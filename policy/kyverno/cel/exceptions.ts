// SPDX-License-Identifier: Apache-2.0
import { compileConditions, matchConditions } from "#policy/admission/expressions";
import type { ExpressionError, NamedProgram } from "#policy/admission/expressions";
import { recordAll } from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import type { Budget } from "#policy/cel/budget";
import type { Activation } from "#policy/cel/compile";
import type { Environment } from "#policy/cel/environment";
import { documentName } from "#policy/document";
import { at, field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { objectKey } from "#policy/kubernetes/kinds";
import type { Problem } from "#policy/problem";
import { makeResult } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { RuleResult } from "#policy/report/result";
import type { World } from "#policy/world";

/** A compiled PolicyException of policies.kyverno.io. */
export type Exception = {
  /** `namespace/name`. */
  readonly key: string;
  readonly conditions: readonly NamedProgram[];
  readonly images: readonly string[];
  readonly values: readonly string[];
  /** Milliseconds since 1970 after which it no longer counts; undefined for never. */
  readonly expiresAtMs: number | undefined;
  readonly reportsPass: boolean;
  /** Of the label `polex.kyverno.io/priority`; the highest decides between skip and pass. */
  readonly priority: number;
};

/** Compiles the exceptions that name a policy; one with problems is left out and named. */
export function exceptionsFor(
  policy: JsonObject,
  exceptions: readonly JsonObject[],
  environment: Environment,
  problems: Problem[],
): readonly Exception[] {
  return exceptions.flatMap((exception): readonly Exception[] => {
    if (!namesPolicy(exception, policy)) return [];
    const before = problems.length;
    const scope = { document: documentName(exception), environment, problems };
    const spec = field(exception, "spec");
    const conditions = compileConditions(scope, spec, "matchConditions");
    const expiresAt = textAt(spec, ["expiresAt"]);
    const expiresAtMs = expiresAt === "" ? undefined : Date.parse(expiresAt);
    if (Number.isNaN(expiresAtMs)) {
      problems.push({
        document: scope.document,
        path: "spec.expiresAt",
        message: "must be an RFC 3339 time",
      });
    }
    if (problems.length > before) return [];
    const priority = textAt(exception, ["metadata", "labels", "polex.kyverno.io/priority"]);
    return [
      {
        key: objectKey(exception),
        conditions,
        images: textsAt(spec, "images"),
        values: textsAt(spec, "allowedValues"),
        expiresAtMs,
        reportsPass: textAt(spec, ["reportResult"]) === "pass",
        priority: /^[+-]?\d{1,15}$/.test(priority) ? Number(priority) : 0,
      },
    ];
  });
}

export const recordExceptions = (
  exceptions: readonly Exception[],
  log: Log,
): readonly Exception[] =>
  exceptions.map((exception) => ({
    ...exception,
    conditions: recordAll(exception.conditions, `exception ${exception.key}`, log),
  }));

function namesPolicy(exception: JsonObject, policy: JsonObject): boolean {
  const refs = at(exception, ["spec", "policyRefs"]);
  if (!isArray(refs)) return false;
  const kind = textAt(policy, ["kind"]);
  const name = textAt(policy, ["metadata", "name"]);
  return refs.some((ref) => textAt(ref, ["name"]) === name && textAt(ref, ["kind"]) === kind);
}

function textsAt(spec: Json | undefined, key: string): readonly string[] {
  const list = field(spec, key);
  return isArray(list) ? list.filter((entry) => typeof entry === "string") : [];
}

export type Exempted =
  | { readonly is: "exempt"; readonly exceptions: readonly Exception[] }
  /** Not exempt as a whole; expressions see what is allowed. */
  | {
      readonly is: "subject";
      readonly images: readonly string[];
      readonly values: readonly string[];
    }
  | { readonly is: "error"; readonly errors: readonly ExpressionError[] };

const subject: Exempted = { is: "subject", images: [], values: [] };

/**
 * Which exceptions apply (pkg/cel/policies/vpol/compiler/policy.go): asked before the policy's own match conditions.
 * One without images and allowedValues exempts from the policy as a whole; an error in one counts unless an earlier
 * one has exempted.
 */
export function findExceptions(
  policy: { readonly exceptions: readonly Exception[]; readonly ignoreErrors: boolean },
  activation: Activation,
  budget: Budget,
  world: World,
): Exempted {
  if (policy.exceptions.length === 0) return subject;
  const applying: Exception[] = [];
  let full = false;
  for (const exception of policy.exceptions) {
    if (exception.expiresAtMs !== undefined && world.nowMs >= exception.expiresAtMs) continue;
    const matched = matchConditions(exception.conditions, activation, budget);
    if (matched.is === "no match") continue;
    if (matched.is === "error") {
      if (full || policy.ignoreErrors) continue;
      return matched;
    }
    applying.push(exception);
    if (exception.images.length === 0 && exception.values.length === 0) full = true;
  }
  if (full) return { is: "exempt", exceptions: applying };
  const images = applying.flatMap((exception) => exception.images);
  return { is: "subject", images, values: applying.flatMap((exception) => exception.values) };
}

/** The result for a resource that exceptions exempt: skip, or pass where the one of highest priority reports so. */
export function exceptionResult(
  meta: PolicyMeta,
  type: RuleResult["type"],
  exceptions: readonly Exception[],
): RuleResult {
  const keys = exceptions.map((exception) => exception.key);
  let deciding = exceptions[0];
  for (const exception of exceptions) {
    if (exception.priority > Math.max(0, deciding?.priority ?? 0)) deciding = exception;
  }
  const passes = deciding?.reportsPass === true;
  return makeResult(meta, {
    rule: "exception",
    type,
    result: passes ? "pass" : "skip",
    message: `rule is ${passes ? "passed" : "skipped"} due to policy exception: ${keys.join(", ")}`,
    action: "Audit",
    exceptions: keys,
  });
}
