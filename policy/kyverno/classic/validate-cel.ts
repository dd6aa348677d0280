// SPDX-License-Identifier: Apache-2.0
import { compileValidatingAdmissionPolicy } from "#policy/admission/validating-policy";
import type { CompileContext } from "#policy/compile-context";
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { errored, failed, passed, skipped } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, Validator, Verdict } from "#policy/kyverno/classic/rule-state";
import type { RuleResult } from "#policy/report/result";

const everyResource = {
  resourceRules: [
    { apiGroups: ["*"], apiVersions: ["*"], resources: ["*", "*/*"], operations: ["*"] },
  ],
};

/**
 * Plans `validate.cel` with the rule's `celPreconditions`: it is a ValidatingAdmissionPolicy in all but the match, which
 * the rule has done already (Kyverno, pkg/engine/handlers/validation/validate_cel.go).
 */
export function compileCelCheck(
  cel: JsonObject,
  rule: JsonObject,
  problems: RuleProblem[],
): Validator {
  const name = textAt(rule, ["name"]);
  const message = textAt(rule, ["validate", "message"]);
  const document = admissionPolicy(cel, rule, name, message);
  const compiled = compileValidatingAdmissionPolicy(document, makeContext(cel, name));
  problems.push(
    ...compiled.problems.map((problem) => ({
      path: problem.path.replace(/^spec\./, "cel."),
      message: problem.message,
    })),
  );
  const validate = compiled.policies[0]?.validate;
  return ({ review, world }) => {
    const results = validate?.(review, world) ?? [];
    const decisive = results.find((result) => result.result !== "pass");
    return decisive === undefined
      ? passed(`Validation rule '${name}' passed.`)
      : verdictOf(decisive);
  };
}

/** An error of an expression denies: the handler states no failure policy, and none means Fail. */
function verdictOf(result: RuleResult): Verdict {
  if (result.result === "skip") return skipped("cel preconditions not met");
  if (result.unsupported !== undefined) {
    return { ...errored(result.message), unsupported: result.unsupported };
  }
  const binding = "failed to configure binding: ";
  if (result.message.startsWith(binding)) {
    return errored(`error in parameterized resource: ${result.message.slice(binding.length)}`);
  }
  return failed(result.message);
}

function admissionPolicy(
  cel: JsonObject,
  rule: JsonObject,
  name: string,
  message: string,
): JsonObject {
  const expressions = field(cel, "expressions");
  const validations = (isArray(expressions) ? expressions : []).map((entry): Json => {
    if (!isObject(entry) || textAt(entry, ["message"]) !== "" || message === "") return entry;
    return { ...entry, message };
  });
  const kept = ["variables", "paramKind"].flatMap((key): readonly [string, Json][] => {
    const value = field(cel, key);
    return value === undefined ? [] : [[key, value]];
  });
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: {
      matchConstraints: everyResource,
      matchConditions: field(rule, "celPreconditions") ?? [],
      validations,
      ...Object.fromEntries(kept),
    },
  };
}

function makeContext(cel: JsonObject, name: string): CompileContext {
  const paramRef = field(cel, "paramRef");
  const binding = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name },
    spec: {
      policyName: name,
      validationActions: ["Deny"],
      ...(paramRef === undefined ? {} : { paramRef }),
    },
  };
  return {
    exceptions: [],
    classicExceptions: [],
    bindings: new Map([[`ValidatingAdmissionPolicyBinding/${name}`, [binding]]]),
    options: {},
  };
}
