// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, isObject, textAt } from "#policy/json";
import { admissionPatchOptions, applyJsonPatch, sameJson } from "#policy/kubernetes/json-patch";
import type { Cluster, Failure, PatchStep, Reply } from "#responder/cluster";
import { failure, keyOf, nameOf, uidOf, versionOf } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import { editState, pathText } from "#responder/edit";
import type { WriteChange } from "#responder/plan";
import { changeText, ownershipLabel } from "#responder/plan";

/** Times that an edit is worked out anew because the object moved between read and write. */
export const conflictsMax = 5;

/** What became of one change: whether the cluster had to be written. */
export type Made = Reply<{ readonly wrote: boolean }>;

/**
 * Objects by uid as they were a moment ago. A write tests the version that it was worked out on, so one that is old costs a try and
 * does no harm; and what an old one says beside that is not believed, but read anew.
 */
export type Seen = Map<string, JsonObject>;

/**
 * Makes one change so that it can be repeated at any time: what is already as wanted is left alone, an object of ours is created
 * and never taken over from somebody else, and an edit fails with Invalid rather than overwrite a third value.
 */
export function makeChange(
  cluster: Cluster,
  change: WriteChange,
  remediation: string,
  dryRun: boolean,
  seen: Seen = new Map(),
): Promise<Made> {
  return change.kind === "apply"
    ? applyOwn(cluster, change, remediation, dryRun)
    : applyEdits(cluster, change, change.edits, { dryRun, seen });
}

type Apply = Extract<WriteChange, { kind: "apply" }>;
export type EditChange = Extract<WriteChange, { kind: "edit" }>;

async function applyOwn(
  cluster: Cluster,
  change: Apply,
  remediation: string,
  dryRun: boolean,
): Promise<Made> {
  const created = await cluster.create(change.type, change.manifest, { dryRun });
  if (created.ok) return wrote;
  if (created.code !== "AlreadyExists") return created;
  const live = await cluster.get(change.type, nameOf(change.manifest));
  if (!live.ok) return live;
  if (!isOwn(live.value, remediation)) return notOurs(change);
  if (sameJson(live.value["spec"], change.manifest["spec"])) return already;
  const applied = await cluster.apply(change.type, change.manifest, { dryRun });
  return applied.ok ? wrote : applied;
}

const wrote: Made = { ok: true, value: { wrote: true } };
const already: Made = { ok: true, value: { wrote: false } };

export const isOwn = (object: JsonObject, remediation: string): boolean =>
  textAt(object, ["metadata", "labels", ownershipLabel]) === remediation;

const notOurs = (change: WriteChange): Failure =>
  failure("Invalid", `${changeText(change)}: an object of that name belongs to somebody else`);

async function applyEdits(
  cluster: Cluster,
  change: EditChange,
  edits: readonly Edit[],
  { dryRun, seen }: { readonly dryRun: boolean; readonly seen: Seen },
): Promise<Made> {
  let last: Failure = failure("Conflict", "the object keeps changing");
  for (let tries = 0; tries < conflictsMax; tries++) {
    const before = seen.get(change.uid);
    seen.delete(change.uid);
    const guess = before === undefined ? undefined : stepsFor(before, edits);
    const isGuessed = guess?.ok === true && guess.value.length > 0;
    const live: Reply<JsonObject> =
      isGuessed && before !== undefined
        ? { ok: true, value: before }
        : await readTarget(cluster, change);
    if (!live.ok) return live;
    const steps = isGuessed ? guess : stepsFor(live.value, edits);
    if (!steps.ok) return steps;
    if (steps.value.length === 0) return already;
    const patch = [...boundTo(live.value), ...steps.value];
    const reply = await cluster.patch(change.type, change, patch, { dryRun });
    if (reply.ok) {
      // A dry run leaves the object as it was; what comes after a write works on what that made.
      seen.set(change.uid, dryRun ? live.value : reply.value);
      return wrote;
    }
    if (reply.code !== "Conflict") return reply;
    last = reply;
  }
  return last;
}

/** Tests that hold a patch to the very version that it was worked out on. */
export const boundTo = (live: JsonObject): readonly PatchStep[] => [
  { op: "test", path: "/metadata/uid", value: uidOf(live) },
  { op: "test", path: "/metadata/resourceVersion", value: versionOf(live) },
];

/** What is to be patched to bring about all edits; empty when they are there. */
export function stepsFor(live: JsonObject, edits: readonly Edit[]): Reply<readonly PatchStep[]> {
  const steps: PatchStep[] = [];
  let object = live;
  for (const edit of edits) {
    const state = editState(object, edit);
    if (state.kind === "changed") return failure("Invalid", state.reason);
    if (state.kind === "done") continue;
    steps.push(...state.steps);
    // Later edits are worked out on what the earlier ones leave: one may add the map that the next needs.
    const next = applyJsonPatch(object, state.steps, admissionPatchOptions);
    if (!next.ok || !isObject(next.value)) return failure("Invalid", pathText(edit.path));
    object = next.value;
  }
  return { ok: true, value: steps };
}

/** The object of that name, NotFound unless it is the very one that the change is bound to. */
export async function readTarget(cluster: Cluster, change: EditChange): Promise<Reply<JsonObject>> {
  const live = await cluster.get(change.type, change);
  if (!live.ok || uidOf(live.value) === change.uid) return live;
  return failure("NotFound", `${change.type.kind} ${change.name} is another one now`);
}

/** Whether a change is in the cluster exactly as planned, by reading it back; a text says what differs. */
export async function readBack(
  cluster: Cluster,
  change: WriteChange,
  remediation: string,
): Promise<ReadBack> {
  if (change.kind === "apply") {
    const live = await cluster.get(change.type, nameOf(change.manifest));
    if (!live.ok) return missing(live, change);
    if (!isOwn(live.value, remediation)) return differs(`${changeText(change)}: not ours any more`);
    const same = sameJson(live.value["spec"], change.manifest["spec"]);
    return same ? asPlanned(live.value) : differs(`${changeText(change)}: its spec is another`);
  }
  const live = await readTarget(cluster, change);
  if (!live.ok) return missing(live, change);
  const open = change.edits.filter((edit) => editState(live.value, edit).kind !== "done");
  return open.length === 0 ? asPlanned(live.value) : differs(`${changeText(change)}: not in force`);
}

/** `seen`: which object was read, as evidence. */
type ReadBack = Reply<{ readonly difference: string | undefined; readonly seen?: string }>;

const asPlanned = (live: JsonObject): ReadBack => {
  const generation = at(live, ["metadata", "generation"]);
  const which = [
    `uid ${uidOf(live)}`,
    ...(typeof generation === "number" ? [`generation ${generation}`] : []),
  ];
  const seen = `${textAt(live, ["kind"])} ${keyOf(nameOf(live))} as planned, ${which.join(", ")}`;
  return { ok: true, value: { difference: undefined, seen } };
};
const differs = (difference: string): ReadBack => ({ ok: true, value: { difference } });
const missing = (reply: Failure, change: WriteChange): ReadBack =>
  reply.code === "NotFound" ? differs(`${changeText(change)}: not there`) : reply;
