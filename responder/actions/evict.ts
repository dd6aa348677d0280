// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { ActionInfo, ActionInput, Planned } from "#responder/actions/action";
import { gracePeriod } from "#responder/actions/parameters";
import { planRemoval } from "#responder/actions/removal";

export const evictInfo: ActionInfo = {
  name: "evict",
  does: "ends the pod by the eviction API, which respects disruption budgets",
  targets: ["Pod"],
  inverse: "none: a controller makes another pod, a bare pod is gone",
  verified: "the pod of that uid is gone",
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods/eviction"], verbs: ["create"] },
  ],
};

export const evictParameters = z.strictObject({ gracePeriod });

/** While a disruption budget forbids it (429) it is tried again later and never forced. */
export function planEvict(
  input: ActionInput,
  parameters: z.infer<typeof evictParameters>,
): Planned {
  return planRemoval("evict", input, parameters.gracePeriod);
}
