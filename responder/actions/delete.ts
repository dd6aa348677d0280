// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { ActionInfo, ActionInput, Planned } from "#responder/actions/action";
import { gracePeriod } from "#responder/actions/parameters";
import { planRemoval } from "#responder/actions/removal";

export const deleteInfo: ActionInfo = {
  name: "delete",
  does: "deletes the pod of that uid, and no other of its name",
  targets: ["Pod"],
  inverse: "none: a controller makes another pod, a bare pod is gone",
  verified: "the pod of that uid is gone",
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "delete"] },
    // A deletion goes past disruption budgets, so they are read before.
    { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["list"] },
  ],
};

export const deleteParameters = z.strictObject({ gracePeriod });

/** Bound to the uid by the API's own precondition. */
export function planDelete(
  input: ActionInput,
  parameters: z.infer<typeof deleteParameters>,
): Planned {
  return planRemoval("delete", input, parameters.gracePeriod);
}
