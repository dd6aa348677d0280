// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { ActionInfo, ActionInput, Planned } from "#responder/actions/action";
import { gracePeriod } from "#responder/actions/parameters";
import { controllerOf } from "#responder/guard";

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
  { target, pod }: ActionInput,
  parameters: z.infer<typeof evictParameters>,
): Planned {
  const { namespace, name, uid } = target;
  const graceSeconds = parameters.gracePeriod;
  return {
    ok: true,
    action: {
      action: "evict",
      changes: [{ kind: "remove", how: "evict", namespace, name, uid, graceSeconds }],
    },
    notes: [
      "the pod ends and cannot be brought back",
      ...(controllerOf(pod) === undefined ? ["it has no controller: nothing replaces it"] : []),
    ],
  };
}
