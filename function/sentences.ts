// SPDX-License-Identifier: Apache-2.0
import { at, isArray, textAt, type Json } from "#policy/json";
import type { Composite } from "./composite.ts";
import type { CompiledGuard } from "./policies.ts";
import { steadyMessage, type Frame } from "./steady.ts";
import type { Verdict } from "./verdict.ts";
import type { Violation } from "./violation.ts";

export const policyCompliant = "PolicyCompliant";

/** A violation as people read it. */
export const sentenceOf = (violation: Violation): string => {
  const { prefix, suffix } = frameOf(violation);
  return `${prefix}${violation.message}${suffix}`;
};

/** What stands around its message. */
function frameOf({
  resource,
  policy,
  rule,
}: Pick<Violation, "resource" | "policy" | "rule">): Frame {
  const by = rule === "" ? policy : `${policy}, rule ${rule}`;
  return { prefix: resource === "" ? "" : `${resource}: `, suffix: ` (${by})` };
}

/** The verdicts with the messages that tell the time as they were told before, where they say the same. */
export function steadied(
  verdicts: readonly Verdict[],
  { isTimed, looksAtTime }: CompiledGuard,
  composite: Composite,
): readonly Verdict[] {
  if (!isTimed) return verdicts;
  const told = toldBefore(composite);
  const steady = (violation: Violation): Violation =>
    violation.ref !== undefined && looksAtTime(violation.ref)
      ? { ...violation, message: steadyMessage(violation.message, frameOf(violation), told) }
      : violation;
  return verdicts.map((verdict) => ({ ...verdict, violations: verdict.violations.map(steady) }));
}

/** All that people were told by the call before: the condition names the first violations only, the status more. */
function toldBefore(composite: Composite): string {
  const listed = at(composite.object, ["status", "parapet", "violations"]);
  const sentences = (isArray(listed) ? listed : []).map((each) => {
    const text = (key: string) => textAt(each, [key]);
    const { prefix, suffix } = frameOf({
      resource: text("resource"),
      policy: text("policy"),
      rule: text("rule"),
    });
    return `${prefix}${text("message")}${suffix}`;
  });
  const condition = textAt(knownCondition(composite, policyCompliant), ["message"]);
  return [condition, ...sentences].join("\n");
}

/** A condition that the composite has already. */
export function knownCondition(composite: Composite, type: string): Json | undefined {
  const conditions = at(composite.object, ["status", "conditions"]);
  return (isArray(conditions) ? conditions : []).find((each) => textAt(each, ["type"]) === type);
}
