// SPDX-License-Identifier: Apache-2.0
import {
  compileAt,
  compileConditions,
  compileVariables,
  listAt,
  matchConditions,
  unsupportedReason,
} from "#policy/admission/expressions";
import type { ExpressionScope, NamedProgram, Variables } from "#policy/admission/expressions";
import { makeBudget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { makeEnvironment } from "#policy/cel/environment";
import { cachedEnvironments } from "#policy/cel/environment-cache";
import type { Environment } from "#policy/cel/environment";
import { envoyLibrary } from "#policy/cel/libraries/envoy";
import { checkRequestName, envoyMessages, envoyNames } from "#policy/cel/libraries/envoy-messages";
import {
  httpAuthorizationLibrary,
  httpMessages,
  httpRequestName,
  httpResponseName,
} from "#policy/cel/libraries/http-authorization";
import { authorizationLibraries } from "#policy/cel/libraries/kyverno";
import { WorldValue, worldKey } from "#policy/cel/libraries/world";
import { readMessage } from "#policy/cel/message-reader";
import { MessageValue } from "#policy/cel/messages";
import { nullType, objectOf } from "#policy/cel/types";
import { CelError, type CelValue } from "#policy/cel/values";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { field, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { exceptionsFor } from "#policy/kyverno/cel/exceptions";
import type { Exception } from "#policy/kyverno/cel/exceptions";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { AuthorizationRequest, CompiledPolicy } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { Result, RuleResult } from "#policy/report/result";
import type { World } from "#policy/world";

type Mode = AuthorizationRequest["mode"];

const modes = {
  Envoy: {
    request: checkRequestName,
    response: envoyNames.response,
    schemas: envoyMessages,
    dialect: "protobuf",
    library: envoyLibrary,
  },
  HTTP: {
    request: httpRequestName,
    response: httpResponseName,
    schemas: httpMessages,
    dialect: "go",
    library: httpAuthorizationLibrary,
  },
} as const;

type Parts = {
  readonly meta: PolicyMeta;
  readonly mode: Mode;
  readonly ignoreErrors: boolean;
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly rules: readonly Program[];
  readonly exceptions: readonly Exception[];
};

const environmentOf = cachedEnvironments<{ readonly mode: Mode }>(({ mode }): Environment =>
  makeEnvironment({
    variables: { object: objectOf(modes[mode].request) },
    libraries: [...authorizationLibraries, modes[mode].library],
    options: { homogeneousAggregates: true },
  }),
);

/**
 * Compiles a ValidatingPolicy that judges requests to services (kyverno-authz, pkg/engine/compiler): the first of its
 * validations that gives a response answers, null leaves the request to the next. Resources are not its matter.
 */
export function compileAuthorizingPolicy(
  document: JsonObject,
  context: CompileContext,
  mode: Mode,
): KindCompilation {
  const problems: Problem[] = [];
  const parts = compileParts(document, context, mode, problems);
  if (parts === undefined || problems.length > 0) return { ...nothingCompiled, problems };
  const policy: CompiledPolicy = {
    ref: parts.meta.ref,
    annotations: parts.meta.annotations,
    index: [],
    authorize: (request, world) => (request.mode === mode ? [judge(parts, request, world)] : []),
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

function compileParts(
  document: JsonObject,
  context: CompileContext,
  mode: Mode,
  problems: Problem[],
): Parts | undefined {
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return undefined;
  const environment = environmentOf({ mode });
  const scope: ExpressionScope = { document: documentName(document), environment, problems };
  const conditions = compileConditions(scope, spec, "matchConditions");
  const variables = compileVariables(scope, spec, "kyverno.variables");
  const full = { ...scope, environment: variables.environment };
  const answers = [objectOf(modes[mode].response), nullType];
  const rules = listAt(full, spec, "validations").flatMap((entry, index) => {
    const path = `spec.validations[${index}].expression`;
    const program = compileAt(full, field(entry, "expression"), path, answers);
    return program === undefined ? [] : [program];
  });
  return {
    meta: policyMeta(document, "KyvernoValidatingPolicy"),
    mode,
    ignoreErrors: textAt(spec, ["failurePolicy"]) === "Ignore",
    conditions,
    variables,
    rules,
    exceptions: exceptionsFor(document, context.exceptions, full.environment, problems),
  };
}

function judge(parts: Parts, request: AuthorizationRequest, world: World): RuleResult {
  const { request: name, schemas, dialect } = modes[parts.mode];
  const read = readMessage(schemas, name, request.payload, dialect);
  if (!read.ok) {
    return resultOf(parts, "error", `the payload is no ${name}: ${read.path}: ${read.message}`);
  }
  const response = evaluate(parts, read.value, world);
  if (response instanceof CelError) {
    if (parts.ignoreErrors) return resultOf(parts, "skip", unmatched);
    const unsupported = unsupportedReason(response);
    const result = resultOf(parts, "error", response.message);
    return unsupported === undefined ? result : { ...result, unsupported };
  }
  if (response === undefined) return resultOf(parts, "skip", unmatched);
  return parts.mode === "Envoy" ? envoyResult(parts, response) : httpResult(parts, response);
}

const unmatched = "request does not match";

/** The first response of the rules; undefined where none gives one. */
function evaluate(
  parts: Parts,
  object: MessageValue,
  world: World,
): MessageValue | CelError | undefined {
  const budget = makeBudget();
  const activation: Activation = {
    object,
    [worldKey]: new WorldValue(world),
    variables: parts.variables.bind(() => activation, budget),
  };
  const matched = matchConditions(parts.conditions, activation, budget);
  if (matched.is === "error") return matched.errors[0]?.error;
  if (matched.is === "no match") return undefined;
  for (const exception of parts.exceptions) {
    const exempted = matchConditions(exception.conditions, activation, budget);
    if (exempted.is === "error") return exempted.errors[0]?.error;
    if (exempted.is === "match") return undefined;
  }
  for (const rule of parts.rules) {
    const value = rule.evaluate(activation, budget);
    if (value instanceof CelError || value instanceof MessageValue) return value;
  }
  return undefined;
}

function envoyResult(parts: Parts, response: MessageValue): RuleResult {
  if (response.hasField("ok_response")) return resultOf(parts, "pass", "request allowed");
  const denied = response.getField("denied_response");
  const status = denied instanceof MessageValue ? denied.getField("status") : undefined;
  const code = status instanceof MessageValue ? textOf(status.getField("code")) : "0";
  return resultOf(parts, "fail", `request denied with status code ${code}`);
}

function httpResult(parts: Parts, response: MessageValue): RuleResult {
  if (response.hasField("ok")) return resultOf(parts, "pass", "request allowed");
  const denied = response.getField("denied");
  const reason = denied instanceof MessageValue ? textOf(denied.getField("reason")) : "";
  return resultOf(parts, "fail", `request denied, reason: ${reason}`);
}

/** A field that is a text or a number. */
const textOf = (value: CelValue | undefined): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";

const resultOf = (parts: Parts, result: Result, message: string): RuleResult =>
  makeResult(parts.meta, {
    rule: parts.meta.ref.name,
    type: "Validation",
    result,
    message,
    action: "Enforce",
  });
