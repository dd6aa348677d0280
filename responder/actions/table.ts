// SPDX-License-Identifier: Apache-2.0
import type { ActionName } from "#responder/action-spec";
import type { ActionInfo } from "#responder/actions/action";
import { annotateInfo } from "#responder/actions/annotate";
import { captureEvidenceInfo } from "#responder/actions/capture-evidence";
import { cordonInfo } from "#responder/actions/cordon";
import { deleteInfo } from "#responder/actions/delete";
import { evictInfo } from "#responder/actions/evict";
import { isolateInfo } from "#responder/actions/isolate";
import { notifyInfo } from "#responder/actions/notify";
import { quarantineLabelInfo } from "#responder/actions/quarantine-label";
import { reconcileInfo } from "#responder/actions/reconcile";
import { rollbackInfo } from "#responder/actions/rollback";
import { scaleToZeroInfo } from "#responder/actions/scale-to-zero";

/** Every action with what it needs; `rollback` needs its rights on the kinds that are watched for drift, so none here. */
export const actionTable: Readonly<Record<ActionName, ActionInfo>> = {
  isolate: isolateInfo,
  rollback: rollbackInfo,
  "capture-evidence": captureEvidenceInfo,
  "quarantine-label": quarantineLabelInfo,
  annotate: annotateInfo,
  notify: notifyInfo,
  cordon: cordonInfo,
  "scale-to-zero": scaleToZeroInfo,
  evict: evictInfo,
  delete: deleteInfo,
  reconcile: reconcileInfo,
};
