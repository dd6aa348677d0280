// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { ActionInfo, ActionInput, Planned } from "#responder/actions/action";
import { labelKey, ttl } from "#responder/actions/parameters";
import { editOf, podChange } from "#responder/actions/pod-edit";

export const annotateInfo: ActionInfo = {
  name: "annotate",
  does: "writes annotations with fixed values on the pod",
  targets: ["Pod"],
  inverse: "each annotation gets the value back that it had, unless somebody changed it meanwhile",
  verified: "read back at once, after the settle time, and as long as it lasts",
  rbac: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] }],
};

/** Without a ttl the annotations stay. */
export const annotateParameters = z.strictObject({
  annotations: z
    .record(labelKey, z.string().max(1_024))
    .refine((all) => Object.keys(all).length > 0, "name at least one annotation")
    .refine((all) => Object.keys(all).length <= 20, "20 annotations at most"),
  ttl: ttl.optional(),
});

/** Values come from the policy as they stand; no alert text is put into them. */
export function planAnnotate(
  input: ActionInput,
  parameters: z.infer<typeof annotateParameters>,
): Planned {
  const edits = Object.entries(parameters.annotations)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => editOf(input.pod, ["metadata", "annotations", key], value));
  const changes = [podChange(input.target, edits)];
  return { ok: true, action: { action: "annotate", changes }, notes: [] };
}
