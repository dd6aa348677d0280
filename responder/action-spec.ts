// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { annotateParameters } from "#responder/actions/annotate";
import { captureEvidenceParameters } from "#responder/actions/capture-evidence";
import { cordonParameters } from "#responder/actions/cordon";
import { deleteParameters } from "#responder/actions/delete";
import { evictParameters } from "#responder/actions/evict";
import { isolateParameters } from "#responder/actions/isolate";
import { notifyParameters } from "#responder/actions/notify";
import { quarantineLabelParameters } from "#responder/actions/quarantine-label";
import { reconcileParameters } from "#responder/actions/reconcile";
import { rollbackParameters } from "#responder/actions/rollback";
import { scaleToZeroParameters } from "#responder/actions/scale-to-zero";

const oneAction = "name exactly one action";
const isOne = (action: object): boolean =>
  Object.values(action).filter((one) => one !== undefined).length === 1;

/** Every action by its name, with its parameters; an unknown one of either is a problem. */
export const actionSchema = z
  .strictObject({
    isolate: isolateParameters.optional(),
    rollback: rollbackParameters.optional(),
    "capture-evidence": captureEvidenceParameters.optional(),
    "quarantine-label": quarantineLabelParameters.optional(),
    annotate: annotateParameters.optional(),
    notify: notifyParameters.optional(),
    cordon: cordonParameters.optional(),
    "scale-to-zero": scaleToZeroParameters.optional(),
    evict: evictParameters.optional(),
    delete: deleteParameters.optional(),
    reconcile: reconcileParameters.optional(),
  })
  .refine(isOne, oneAction);

/** One entry of a policy's `do`: exactly one member is there. */
export type ActionSpec = z.infer<typeof actionSchema>;
export type ActionName = keyof ActionSpec;

/** Why these actions do not go together, or not with what the policy is about; undefined when they do. */
export function actionProblem(
  actions: readonly ActionSpec[],
  isAlert: boolean,
): string | undefined {
  const named = actions.map(actionName);
  const wrong = named.find((one) => (one === "rollback") === isAlert);
  if (wrong !== undefined) {
    const can = isAlert ? "an alert can anything but rollback" : "a drift can rollback";
    return `${wrong} is not possible here: ${can}`;
  }
  const twice = named.find((one, i) => one !== "notify" && named.indexOf(one) !== i);
  if (twice !== undefined) return `${twice} is there twice`;
  const detaching = actions.filter(
    (one) => one.isolate?.detach === true || one["quarantine-label"]?.detach === true,
  );
  if (detaching.length > 1) return "detach is there twice: once is enough, in either action";
  const end = named.findIndex((one) => one === "evict" || one === "delete");
  const after = end < 0 ? undefined : named.slice(end + 1).find((one) => !worksWithoutPod[one]);
  return after === undefined ? undefined : `${after} comes too late: the pod has ended by then`;
}

/** The one action of an entry of `do`. */
export function actionName(action: ActionSpec): ActionName {
  const found = actionNames.find((name) => action[name] !== undefined);
  if (found === undefined) throw new Error(oneAction);
  return found;
}

/** Whether an action has its meaning after the pod has ended. Evidence is captured first wherever it stands. */
const worksWithoutPod = {
  isolate: false,
  rollback: false,
  "capture-evidence": true,
  "quarantine-label": false,
  annotate: false,
  notify: true,
  cordon: true,
  "scale-to-zero": true,
  evict: false,
  delete: false,
  reconcile: true,
} as const satisfies Record<ActionName, boolean>;

/** All actions, by the names that a policy uses. */
export const actionNames: readonly ActionName[] = [
  "isolate",
  "rollback",
  "capture-evidence",
  "quarantine-label",
  "annotate",
  "notify",
  "cordon",
  "scale-to-zero",
  "evict",
  "delete",
  "reconcile",
];
