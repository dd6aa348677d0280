// SPDX-License-Identifier: Apache-2.0
import { admissionEnvironment } from "#policy/admission/environment";
import { bindingsOf } from "#policy/admission/bindings";
import {
  boolOnly,
  compileAt,
  compileConditions,
  compileVariables,
  listAt,
  report,
  stringOnly,
  stringOrNull,
} from "#policy/admission/expressions";
import type { ExpressionScope, NamedProgram } from "#policy/admission/expressions";
import { evaluateValidations, explainValidations } from "#policy/admission/validating-evaluation";
import type { Validation, ValidatingParts } from "#policy/admission/validating-evaluation";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { field, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { readMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { policyMeta } from "#policy/report/policy-meta";

/**
 * Compiles a ValidatingAdmissionPolicy with its bindings. Each matching binding (and each of its params) gives one
 * result, as Kyverno reports them: the first error or denial in the order of the validations, else a pass. Semantics:
 * apiserver pkg/admission/plugin/policy/validating.
 */
export function compileValidatingAdmissionPolicy(
  document: JsonObject,
  context: CompileContext,
): KindCompilation {
  const problems: Problem[] = [];
  const parts = compileParts(document, context, problems);
  if (parts === undefined || problems.length > 0)
    return { policies: [], problems, unsupported: [] };
  const policy: CompiledPolicy = {
    ref: parts.meta.ref,
    annotations: parts.meta.annotations,
    index: parts.constraints.plurals,
    validate: (review, world) => evaluateValidations(parts, review, world),
    explain: (review, world) => explainValidations(parts, review, world),
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

function compileParts(
  document: JsonObject,
  context: CompileContext,
  problems: Problem[],
): ValidatingParts | undefined {
  const name = documentName(document);
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return undefined;
  const params = isObject(field(spec, "paramKind"));
  if (requiredObject(document, "spec.matchConstraints", problems) === undefined) return undefined;
  const constraints = readMatchConstraints(name, spec, problems);
  if (constraints === undefined) return undefined;
  const scope = (authorizer: boolean): ExpressionScope => ({
    document: name,
    environment: admissionEnvironment({ params, authorizer, patches: false }),
    problems,
  });
  const conditions = compileConditions(scope(true), spec, "matchConditions");
  const variables = compileVariables(scope(true), spec);
  const full = { ...scope(true), environment: variables.environment };
  // messageExpression sees all but the authorizer; `variables` keep the fields that were compiled above.
  const quiet = compileVariables({ ...scope(false), problems: [] }, spec).environment;
  const validations = compileValidations(full, { ...full, environment: quiet }, spec);
  return {
    meta: policyMeta(document, "ValidatingAdmissionPolicy"),
    constraints: constraints,
    bindings: bindingsOf(document, context, problems),
    conditions,
    variables,
    validations,
    annotations: compileAnnotations(full, spec),
    ignoreErrors: textAt(spec, ["failurePolicy"]) === "Ignore",
  };
}

function compileValidations(
  scope: ExpressionScope,
  messageScope: ExpressionScope,
  spec: JsonObject,
): readonly Validation[] {
  const entries = listAt(scope, spec, "validations");
  if (entries.length === 0 && listAt(scope, spec, "auditAnnotations").length === 0) {
    report(scope, "spec.validations", "must have an entry, or auditAnnotations must");
  }
  return entries.flatMap((entry, index) => {
    const path = `spec.validations[${index}]`;
    const program = compileAt(scope, field(entry, "expression"), `${path}.expression`, boolOnly);
    const source = field(entry, "messageExpression");
    const messageExpression =
      source === undefined || source === ""
        ? undefined
        : compileAt(messageScope, source, `${path}.messageExpression`, stringOnly);
    checkWording(scope, entry, path);
    if (program === undefined) return [];
    const message = textAt(entry, ["message"]).trim();
    return [{ program, messageExpression, message, reason: textAt(entry, ["reason"]) }];
  });
}

const reasons: readonly string[] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

/** What the API server demands of message and reason before it takes a policy. */
function checkWording(scope: ExpressionScope, entry: Json, path: string): void {
  const message = textAt(entry, ["message"]);
  if (message !== "" && message.trim() === "") {
    report(scope, `${path}.message`, "must be non-empty if specified");
  }
  if (/[\r\n]/.test(message.trim())) {
    report(scope, `${path}.message`, "must not contain line breaks");
  }
  const reason = textAt(entry, ["reason"]);
  if (reason !== "" && !reasons.includes(reason)) {
    report(scope, `${path}.reason`, `must be one of ${reasons.join(", ")}`);
  }
}

export function compileAnnotations(
  scope: ExpressionScope,
  spec: JsonObject,
): readonly NamedProgram[] {
  return listAt(scope, spec, "auditAnnotations").flatMap((entry, index) => {
    const path = `spec.auditAnnotations[${index}].valueExpression`;
    const program = compileAt(scope, field(entry, "valueExpression"), path, stringOrNull);
    return program === undefined ? [] : [{ name: textAt(entry, ["key"]), program }];
  });
}
