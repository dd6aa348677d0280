// SPDX-License-Identifier: Apache-2.0
import type { ActionName } from "#responder/action-spec";
import type { ActionInfo } from "#responder/actions/action";
import { annotateInfo } from "#responder/actions/annotate";
import { captureEvidenceInfo } from "#responder/actions/capture-evidence";
import { cordonInfo } from "#responder/actions/cordon";
import { deleteInfo } from "#responder/actions/delete";
import { evictInfo } from "#responder/actions/evict";
import { isolateRbac } from "#responder/actions/isolate";
import { notifyInfo } from "#responder/actions/notify";
import { quarantineLabelInfo } from "#responder/actions/quarantine-label";
import { scaleToZeroInfo } from "#responder/actions/scale-to-zero";

/** Every action with what it needs; `rollback` needs its rights on the kinds that are watched for drift, so none here. */
export const actionTable: Readonly<Record<ActionName, ActionInfo>> = {
  isolate: {
    name: "isolate",
    does: "cuts one pod's network in both directions, by a NetworkPolicy that selects this pod alone",
    targets: ["Pod", "NetworkPolicy"],
    inverse: "the label is taken off and the policy deleted",
    verified: "policy and label are read back; allows of other policies that stay open are named",
    rbac: isolateRbac,
  },
  rollback: {
    name: "rollback",
    does: "takes an out-of-band change back, each path to its trusted value",
    targets: ["every kind that is watched for drift"],
    inverse: "the values that stood before, unless somebody changed them meanwhile",
    verified: "read back at once and after the settle time",
    rbac: [],
  },
  "capture-evidence": captureEvidenceInfo,
  "quarantine-label": quarantineLabelInfo,
  annotate: annotateInfo,
  notify: notifyInfo,
  cordon: cordonInfo,
  "scale-to-zero": scaleToZeroInfo,
  evict: evictInfo,
  delete: deleteInfo,
};
