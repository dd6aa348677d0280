// SPDX-License-Identifier: Apache-2.0
import { textAt } from "#policy/json";
import type { Json } from "#policy/json";
import { makeResult } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { Result, RuleResult } from "#policy/report/result";

/** When and how a policy deletes, as properties of its results. */
export function deletionProperties(spec: Json): Readonly<Record<string, string>> {
  const propagation = textAt(spec, ["deletionPropagationPolicy"]);
  return {
    schedule: textAt(spec, ["schedule"]),
    ...(propagation === "" ? {} : { deletionPropagationPolicy: propagation }),
  };
}

/**
 * What a policy that deletes says about an object, in Kyverno's words: pass where it would be deleted, fail where it
 * would be kept. Neither is a violation, so the action is Audit.
 */
export const deletionResult = (
  policy: { readonly meta: PolicyMeta; readonly properties: Readonly<Record<string, string>> },
  said: {
    readonly result: Extract<Result, "pass" | "fail" | "error">;
    readonly message: string;
    readonly exceptions?: readonly string[];
    readonly unsupported?: string;
  },
): RuleResult =>
  makeResult(policy.meta, {
    rule: policy.meta.ref.name,
    type: "Deletion",
    action: "Audit",
    properties: policy.properties,
    ...said,
  });
