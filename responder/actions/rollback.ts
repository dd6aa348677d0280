// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { ActionInfo } from "#responder/actions/action";
import { ttl } from "#responder/actions/parameters";
import type { ResourceType } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import { pathText } from "#responder/edit";
import type { PlannedAction, Target } from "#responder/plan";

export const rollbackInfo: ActionInfo = {
  name: "rollback",
  does: "takes an out-of-band change back, each path to its trusted value",
  targets: ["every kind that is watched for drift"],
  inverse: "the values that stood before, unless somebody changed them meanwhile",
  verified: "read back at once and after the settle time",
  // On every kind that is watched for drift, which the table does not know: rbac.ts adds them.
  rbac: [],
};

/** Without a ttl it is for good. */
export const rollbackParameters = z.strictObject({ ttl: ttl.optional() });

/** RBAC that the action needs on every kind that is watched for drift. */
export const rollbackVerbs = ["get", "list", "watch", "patch"] as const;

/**
 * Takes an out-of-band change back: each path from the value that somebody set to the one of the trusted baseline, or away
 * where the baseline has none; `isOwned`: its owner should have done so by itself. Written as a JSON patch with a test of every value, so it fails rather than overwrite a newer one.
 */
export function planRollback(
  target: Target,
  type: ResourceType,
  edits: readonly Edit[],
  isOwned: boolean,
): { readonly action: PlannedAction; readonly notes: readonly string[] } {
  return {
    action: {
      action: "rollback",
      changes: [
        {
          kind: "edit",
          type,
          namespace: target.namespace,
          name: target.name,
          uid: target.uid,
          edits,
        },
      ],
    },
    notes: [
      `restores ${edits.map((edit) => pathText(edit.path)).join(", ")} of ${target.kind} ${target.namespace}/${target.name}`,
      isOwned
        ? "Crossplane states some of these fields and has not put them back"
        : "Crossplane does not own these fields and leaves them as they are",
    ],
  };
}
