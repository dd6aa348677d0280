// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import {
  boundTo,
  conflictsMax,
  type EditChange,
  isOwn,
  readTarget,
  stepsFor,
} from "#responder/changes";
import type { Cluster, Failure, Reply } from "#responder/cluster";
import { failure, fieldManager, nameOf, uidOf, versionOf } from "#responder/cluster";
import { holds, managersOf } from "#responder/drift/ownership";
import { type Edit, editState, pathText } from "#responder/edit";
import type { WriteChange } from "#responder/plan";
import { changeText, inverseEdits } from "#responder/plan";

/** What became of taking one change back; `left` says what was not touched because it is not ours alone any more. */
export type TakenBack = Reply<{ readonly left: string | undefined }>;

/** Who else of the responder's own records still wants what an edit set on the object of that uid; '' for nobody. */
export type WantedBy = (uid: string, edit: Edit) => string;

/** Takes one change back. What is already gone, or whose object is, is done. */
export async function takeBack(
  cluster: Cluster,
  change: WriteChange,
  remediation: string,
  wantedBy: WantedBy = () => "",
): Promise<TakenBack> {
  if (change.kind === "edit") {
    return change.undo === "delete"
      ? endEdited(cluster, change)
      : undoEdits(cluster, change, wantedBy);
  }
  const name = nameOf(change.manifest);
  const live = await cluster.get(change.type, name);
  if (!live.ok) return live.code === "NotFound" ? takenBack : live;
  if (!isOwn(live.value, remediation)) {
    return { ok: true, value: { left: `${changeText(change)}: belongs to somebody else` } };
  }
  const removed = await cluster.remove(change.type, name, uidOf(live.value));
  return removed.ok || removed.code === "NotFound" ? takenBack : removed;
}

const takenBack: TakenBack = { ok: true, value: { left: undefined } };

/**
 * Puts back each value that is still as we set it, and by us: one that somebody changed, set to the same value anew or states as their own
 * as well is theirs. A node that a person cordoned meanwhile stays cordoned.
 */
async function undoEdits(
  cluster: Cluster,
  change: EditChange,
  wantedBy: WantedBy,
): Promise<TakenBack> {
  let last: Failure = failure("Conflict", "the object keeps changing");
  for (let tries = 0; tries < conflictsMax; tries++) {
    const live = await readTarget(cluster, change);
    if (!live.ok) return live.code === "NotFound" ? takenBack : live;
    const whole = await wholeOf(cluster, change, live.value);
    if (!whole.ok) return whole;
    if (versionOf(whole.value) !== versionOf(live.value)) continue;
    const left: string[] = [];
    const ours = setByUs(change).filter((edit) => {
      const why = notOurs(live.value, whole.value, edit) || wantedBy(change.uid, edit);
      if (why !== "") left.push(why);
      return why === "";
    });
    const done: TakenBack = {
      ok: true,
      value: { left: left.length === 0 ? undefined : left.toReversed().join("; ") },
    };
    const steps = stepsFor(live.value, ours);
    if (!steps.ok) return { ok: true, value: { left: [...left, steps.message].join("; ") } };
    if (steps.value.length === 0) return done;
    const patch = [...boundTo(live.value), ...steps.value];
    const reply = await cluster.patch(change.type, change, patch);
    if (reply.ok || reply.code === "NotFound") return done;
    if (reply.code === "Invalid") return { ok: true, value: { left: reply.message } };
    if (reply.code !== "Conflict") return reply;
    last = reply;
  }
  return last;
}

/** What stood like that before we came is nothing that we set. */
const setByUs = (change: EditChange): readonly Edit[] =>
  inverseEdits(change.edits).filter((edit) => !sameJson(edit.from, edit.to));

/** A subresource's own object does not tell who holds what: that stands in the object whose part it is. */
export function wholeOf(
  cluster: Cluster,
  change: EditChange,
  live: JsonObject,
): Promise<Reply<JsonObject>> {
  const [resource = ""] = change.type.resource.split("/");
  return resource === change.type.resource
    ? Promise.resolve({ ok: true, value: live })
    : cluster.get({ ...change.type, resource }, change);
}

/** What the API server makes of more than ten writers' entries (apimachinery, capmanagers): ours may be among them. */
const manyManagers = "ancient-changes";

/** Why an inverse edit is not ours to make, '' when it is. Where nobody is said to hold the value, the value itself has to do. */
function notOurs(live: JsonObject, whole: JsonObject, inverse: Edit): string {
  const state = editState(live, inverse);
  if (state.kind === "changed") return state.reason;
  if (state.kind === "done" || inverse.from === undefined) return "";
  const other = managersOf(whole).find(
    ({ manager, ...entry }) =>
      manager !== fieldManager &&
      manager !== manyManagers &&
      holds({ manager, ...entry }, inverse.path),
  );
  return other === undefined
    ? ""
    : `${pathText(inverse.path)} was set by field manager ${other.manager.slice(0, 128)} as well`;
}

/**
 * Deletes the object that was edited, as long as it still is what the edits made of it. Not done until it is gone: what is taken back
 * after it, as the policies that cut its network, holds a pod on its way out as well.
 */
async function endEdited(cluster: Cluster, change: EditChange): Promise<TakenBack> {
  const live = await readTarget(cluster, change);
  if (!live.ok) return live.code === "NotFound" ? takenBack : live;
  const states = change.edits.map((edit) => editState(live.value, edit).kind);
  // Nothing was written before it failed, so there is nothing to take back.
  if (states.every((state) => state === "pending")) return takenBack;
  if (states.some((state) => state !== "done")) {
    return { ok: true, value: { left: `${changeText(change)}: somebody changed it since` } };
  }
  const removed = await cluster.remove(change.type, change, change.uid);
  if (!removed.ok) return removed.code === "NotFound" ? takenBack : removed;
  const left = await readTarget(cluster, change);
  if (!left.ok) return left.code === "NotFound" ? takenBack : left;
  return failure("Unavailable", `${change.type.kind} ${change.name} is on its way out`);
}
