// SPDX-License-Identifier: Apache-2.0
import { isIsolation } from "#responder/plan";
import { mayBeInForce, type Remediation } from "#responder/remediation";
import type { PolicySpec } from "#responder/response-policy";

/** Cause of the proposal to end a pod: a rule of our own, beside those of Falco. */
export const openConnectionsRule = "Open connections outlive an isolation";

export const isFollowUp = ({ cause }: Remediation): boolean => cause.rule === openConnectionsRule;

/** Whether an isolation's policy wants people asked. */
export const asksToEnd = (spec: PolicySpec): boolean =>
  spec.do.some((one) => one.isolate?.onOpenConnections === "Propose");

/**
 * What a follow-up does: nothing but end the pod, by the API that respects disruption budgets. Undefined where there is nothing to follow
 * any more: the policy asks for it no more, or the pod is not isolated.
 */
export function followUpSpec(
  spec: PolicySpec,
  { target }: Pick<Remediation, "target">,
  all: readonly Remediation[],
): Pick<PolicySpec, "do" | "limits"> | undefined {
  const isIsolated = all.some(
    (one) =>
      one.target.uid === target.uid &&
      isIsolation(one.plan) &&
      mayBeInForce[one.status.state] &&
      one.status.undo === undefined,
  );
  return isIsolated && asksToEnd(spec) ? { do: [{ evict: {} }], limits: spec.limits } : undefined;
}
