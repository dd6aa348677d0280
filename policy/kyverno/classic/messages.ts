// SPDX-License-Identifier: Apache-2.0
import { compileTemplate } from "#policy/kyverno/classic/variables";
import { goValue } from "#policy/kyverno/classic/go-value";
import { joinNonEmpty } from "#policy/kyverno/classic/rule-state";
import type { Messages } from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";

/** The reference's own words (pkg/engine/handlers/validation/validate_resource.go). */
export function makeMessages(rule: string, message: string): Messages {
  const template = compileTemplate(message);
  const place = (failure: string, path: string): string =>
    path === "" ? `execution error: ${failure}` : `failed at path ${path}`;
  return {
    denied: (conditionMessage, scope) => denied(rule, message, conditionMessage, scope),
    mismatch: (failure, path, scope) => {
      if (message === "") return `validation error: rule ${rule} ${place(failure, path)}`;
      const substituted = template.substitute(scope);
      if (!substituted.ok) {
        return `validation error: variables substitution error in rule ${rule} execution error: ${failure}`;
      }
      return `validation error: ${withPeriod(goValue(substituted.value))} rule ${rule} ${place(failure, path)}`;
    },
    noneOf: (failures, scope) => {
      const text = failures.join(" ");
      if (message === "") return `validation error: ${text}`;
      const substituted = template.substitute(scope);
      return substituted.ok
        ? `validation error: ${withPeriod(goValue(substituted.value))} ${text}`
        : `validation error: variables substitution error in rule ${rule} execution error: ${text}`;
    },
  };
}

const withPeriod = (text: string): string => (text.endsWith(".") ? text : `${text}.`);

function denied(rule: string, message: string, conditionMessage: string, scope: Scope): string {
  if (message === "" && conditionMessage === "") return `validation error: rule ${rule} failed`;
  const joined = joinNonEmpty([message, conditionMessage], "; ");
  const substituted = compileTemplate(joined).substitute(scope);
  if (!substituted.ok) return conditionMessage;
  return typeof substituted.value === "string"
    ? substituted.value
    : "the produced message didn't resolve to a string, check your policy definition.";
}
