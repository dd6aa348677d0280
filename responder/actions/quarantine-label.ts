// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import {
  type ActionInfo,
  type ActionInput,
  notPlanned,
  type Planned,
} from "#responder/actions/action";
import { detachRbac, planDetachment } from "#responder/actions/detach";
import { labelKey, labelValue, ttl, ttlMsDefault } from "#responder/actions/parameters";
import { editOf, podChange } from "#responder/actions/pod-edit";

export const quarantineLabelInfo: ActionInfo = {
  name: "quarantine-label",
  does: "puts a label on the pod; detached, also takes it out of its Services and from its controller",
  targets: ["Pod"],
  inverse:
    "the labels as they were; a detached pod is deleted, since its controller has replaced it",
  verified: "read back at once, after the settle time, and as long as it lasts",
  rbac: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] }, ...detachRbac],
};

export const quarantineLabelParameters = z.strictObject({
  label: z
    .strictObject({ key: labelKey, value: labelValue })
    .prefault({ key: "parapet.dev/quarantine", value: "true" }),
  detach: z.boolean().default(false),
  ttl: ttl.default(ttlMsDefault),
});

type Parameters = z.infer<typeof quarantineLabelParameters>;

/** `isIsolated`: the same plan isolates the pod, by a policy that does not depend on the labels taken away here. */
export async function planQuarantineLabel(
  input: ActionInput,
  parameters: Parameters,
  isIsolated: boolean,
): Promise<Planned> {
  const { key, value } = parameters.label;
  const label = editOf(input.pod, ["metadata", "labels", key], value);
  if (!parameters.detach) {
    const changes = [podChange(input.target, [label])];
    return { ok: true, action: { action: "quarantine-label", changes }, notes: [] };
  }
  const detached = await planDetachment(input, parameters.label);
  if (!detached.ok) return detached;
  if (detached.lost.length > 0 && !isIsolated) {
    return notPlanned(
      `NetworkPolicy ${detached.lost.join(", ")} would no longer cover the pod: isolate it in the same policy`,
    );
  }
  const changes = [podChange(input.target, [...detached.edits, label], "delete")];
  return { ok: true, action: { action: "quarantine-label", changes }, notes: detached.notes };
}
