// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { allOf, anyOf, not, ofOldObject, oldName } from "./cel-text.ts";
import { needsObject, rewriteConditions, rewriteMessage } from "./conditions.ts";
import { rewriteAnyPattern, rewritePattern } from "./pattern.ts";
import { Refusal } from "./refusal.ts";
import type { Assumptions } from "./refusal.ts";

/** What a validate rule says, in the fields of a ValidatingPolicy. */
export type Judged = {
  readonly spec: JsonObject;
  /** A condition on the object says nothing about a DELETE; CEL and conditions on the request speak of all operations. */
  readonly judges: "object" | "request" | "expressions";
};

/** A pattern says nothing of a deletion, so neither does its rewrite. */
export function operationsOf(judged: Judged | undefined): readonly string[] {
  if (judged === undefined || judged.judges === "object") return ["CREATE", "UPDATE"];
  return ["CREATE", "UPDATE", "DELETE", "CONNECT"];
}

export function rewriteValidation(rule: JsonObject, assumptions: Assumptions): Judged {
  const validate = field(rule, "validate");
  for (const key of ["foreach", "podSecurity", "manifests", "assert"]) {
    if (field(validate, key) !== undefined) {
      throw new Refusal(`validate.${key}`, validateReasons[key] ?? "has no equivalent");
    }
  }
  if (field(validate, "failureActionOverrides") !== undefined) {
    throw new Refusal("validate.failureActionOverrides", "actions by namespace");
  }
  const cel = field(validate, "cel");
  if (isObject(cel)) return rewriteCel(cel, textAt(validate, ["message"]));
  const pattern = field(validate, "pattern");
  const anyPattern = field(validate, "anyPattern");
  const message = textAt(validate, ["message"]);
  if (pattern !== undefined) {
    return { spec: validation(rewritePattern(pattern, assumptions), message), judges: "object" };
  }
  if (isArray(anyPattern)) {
    return {
      spec: validation(rewriteAnyPattern(anyPattern, assumptions), message),
      judges: "object",
    };
  }
  const deny = field(validate, "deny");
  if (!isObject(deny)) throw new Refusal("validate", "has no pattern, anyPattern, deny or cel");
  return rewriteDeny(deny, rule, message);
}

const validateReasons: Readonly<Record<string, string>> = {
  foreach: "lists of elements come from JMESPath and have preconditions of their own",
  podSecurity: "the Pod Security Standards have no function in CEL",
  manifests: "signatures of manifests need the cluster's keys",
  assert: "assertion trees have their own semantics",
};

function rewriteDeny(deny: JsonObject, rule: JsonObject, message: string): Judged {
  const conditions = field(deny, "conditions");
  const isEmpty =
    conditions === undefined ||
    (isArray(conditions) && conditions.length === 0) ||
    (isObject(conditions) && Object.keys(conditions).length === 0);
  const expression = isEmpty
    ? "false"
    : not(rewriteConditions(conditions, "validate.deny.conditions"));
  const asked = preconditions(rule).map((one) => one.expression);
  const object = [expression, ...asked].some(needsObject);
  const stated = statedOperations(rule);
  const deletes = stated.length === 0 || stated.includes("DELETE");
  if (object && deletes) {
    const elsewhere = asked.some((one) =>
      /request\.operation in \[(?!.*"(DELETE|CONNECT)")/.test(one),
    );
    if (!elsewhere) {
      throw new Refusal(
        "validate.deny",
        "judges deletions too, where Kyverno reads the old object in place of the new: state operations CREATE and UPDATE",
      );
    }
  }
  return { spec: validation(expression, message), judges: object ? "object" : "request" };
}

function statedOperations(rule: JsonObject): readonly Json[] {
  const blocks = [field(rule, "match"), ...["any", "all"].flatMap((key) => listAt(rule, key))];
  return blocks.flatMap((block) => {
    const operations = at(block, ["resources", "operations"]);
    return isArray(operations) ? operations : [];
  });
}

export const listAt = (rule: JsonObject, key: string): readonly Json[] => {
  const list = at(rule, ["match", key]);
  return isArray(list) ? list : [];
};

function validation(expression: string, message: string): JsonObject {
  const computed = rewriteMessage(message, "validate.message");
  const text = message === "" ? {} : { message };
  return {
    validations: [
      { expression, ...(computed === undefined ? text : { messageExpression: computed }) },
    ],
  };
}

function rewriteCel(cel: JsonObject, message: string): Judged {
  for (const key of ["paramKind", "paramRef", "generate"]) {
    if (field(cel, key) !== undefined)
      throw new Refusal(`validate.cel.${key}`, "ValidatingPolicy has no params");
  }
  const expressions = field(cel, "expressions");
  if (!isArray(expressions)) throw new Refusal("validate.cel.expressions", "is no list");
  const validations = expressions.map((one) => {
    const own = isObject(one) ? one : {};
    const hasMessage = Object.hasOwn(own, "message") || Object.hasOwn(own, "messageExpression");
    return hasMessage || message === "" ? own : { ...own, message };
  });
  const kept = (["variables", "auditAnnotations"] as const).flatMap((key) => {
    const value = field(cel, key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return { spec: { ...Object.fromEntries(kept), validations }, judges: "expressions" };
}

/** The preconditions of a rule as match conditions: both skip what does not meet them. */
export function preconditions(
  rule: JsonObject,
): readonly { readonly name: string; readonly expression: string }[] {
  const cel = field(rule, "celPreconditions");
  const own = isArray(cel)
    ? cel.map((one) => ({ name: textAt(one, ["name"]), expression: textAt(one, ["expression"]) }))
    : [];
  const classic = field(rule, "preconditions");
  if (classic === undefined || classic === null) return own;
  return [
    ...own,
    { name: "preconditions", expression: rewriteConditions(classic, "preconditions") },
  ];
}

/**
 * A rule that enforces lets an update be when the old object, judged as if it were created now, fails too
 * (`allowExistingViolations`, true where it is not stated). The rewrite says the same with a variable.
 */
export function withExistingAllowed(
  spec: JsonObject,
  rule: JsonObject,
  conditions: readonly { readonly expression: string }[],
): JsonObject {
  const operations = statedOperations(rule);
  const created = operations.length === 0 || operations.includes("CREATE");
  const updated = operations.length === 0 || operations.includes("UPDATE");
  if (!created || !updated || at(rule, ["validate", "allowExistingViolations"]) === false) {
    return spec;
  }
  const validations = objectsOf(spec["validations"]);
  const variables = objectsOf(spec["variables"]);
  const expressions = validations.map((one) => textAt(one, ["expression"]));
  const all = [...expressions, ...variables.map((one) => textAt(one, ["expression"]))];
  if (all.some((expression) => /\boldObject\b/.test(expression))) {
    throw new Refusal(
      "validate.allowExistingViolations",
      "judges the old object by expressions that name oldObject: state false",
    );
  }
  const asked = conditions.map(({ expression }) => ofOldObject(expression));
  const judged = not(allOf(expressions.map(ofOldObject)));
  const violated = allOf(['request.operation == "UPDATE"', ...asked, judged]);
  const { validations: _, ...others } = spec;
  return {
    ...others,
    variables: [
      ...variables,
      ...variables.map((one) => ({
        name: oldName(textAt(one, ["name"])),
        expression: ofOldObject(textAt(one, ["expression"])),
      })),
      { name: existing, expression: violated },
    ],
    validations: validations.map((one) => ({
      ...one,
      expression: anyOf([textAt(one, ["expression"]), `variables.${existing}`]),
    })),
  };
}

const existing = "alreadyViolated";

const objectsOf = (value: Json | undefined): readonly JsonObject[] =>
  isArray(value) ? value.filter(isObject) : [];
