// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, isArray, textAt } from "#policy/json";
import { type Alert, fieldText } from "#responder/intake/alert";
import type { Cluster, Reply, ResourceType } from "#responder/cluster";
import { failure, keyOf, uidOf } from "#responder/cluster";
import type { ExternalNames } from "#responder/cloud/external-names";
import { actorOf, type CloudClue, cloudClueOf } from "#responder/cloud/external-names-clue";
import { readManaged } from "#responder/cloud/external-names-plan";
import { canonical } from "#responder/exact-json";
import { clueOf } from "#responder/finding";
import type { Target } from "#responder/plan";

/** What an alert is about in the cluster. */
export type Resolved =
  | { readonly kind: "pod"; readonly target: Target; readonly pod: JsonObject }
  /** A managed resource that a cloud alert is about; `actor` is the one whom the cloud authenticated. */
  | {
      readonly kind: "managed";
      readonly target: Target;
      readonly type: ResourceType;
      readonly object: JsonObject;
      readonly isReadOnly: boolean;
    }
  /** Kept for review: nothing is ever done to an object that is not surely the one. */
  | {
      readonly kind: "unresolved";
      readonly target: Target;
      readonly reason: string;
      /** Where it was, whose doing it is and in which container: two alerts of one rule are not one matter where these differ. */
      readonly about: string;
    };

/**
 * Finds the live pod of an alert and checks that it is the same one. Its uid or one of its containers proves it; without either, the
 * pod must be on the alert's host and must have been there before the alert (creation times have whole seconds, so one that was
 * made anew within the second of the alert is not told apart). A failed read is a failure, not an answer.
 */
export async function resolveTarget(
  getPod: (key: string) => Promise<Reply<JsonObject>>,
  alert: Alert,
  managed?: ManagedLookUp,
): Promise<Reply<Resolved>> {
  const cloud = cloudClueOf(alert);
  if (cloud !== undefined) return resolveManaged(alert, cloud, managed);
  const clue = clueOf(alert);
  if (clue.kind !== "pod") {
    const reason = clue.kind === "host" ? "the alert is about the host itself" : clue.reason;
    return unresolved(alert, reason, "", "");
  }
  const { namespace, name } = clue;
  const live = await getPod(keyOf({ namespace, name }));
  if (!live.ok && live.code !== "NotFound") return live;
  if (!live.ok) return unresolved(alert, "the pod no longer exists", namespace, name);
  const mismatch = mismatchOf(live.value, alert, clue);
  if (mismatch !== undefined) return unresolved(alert, mismatch, namespace, name);
  const target = { apiVersion: "v1", kind: "Pod", namespace, name, uid: uidOf(live.value) };
  return { ok: true, value: { kind: "pod", target, pod: live.value } };
}

/** Managed resources by external name, and the live objects. */
export type ManagedLookUp = {
  readonly names: ExternalNames;
  readonly isSynced: () => boolean;
  readonly cluster: Pick<Cluster, "get" | "typeOf">;
};

async function resolveManaged(
  alert: Alert,
  clue: CloudClue,
  managed: ManagedLookUp | undefined,
): Promise<Reply<Resolved>> {
  // Two alerts about two resources are not one matter only because neither is ours.
  const named = clue.names[0]?.[0]?.name ?? "";
  const review = (reason: string): Reply<Resolved> =>
    unresolved(alert, reason, "", named.slice(0, 253));
  if (managed === undefined) return review("no managed resources are watched (drift.managed)");
  const found = managed.names.find(clue);
  if (found.kind === "none") {
    return managed.isSynced()
      ? review(found.reason)
      : failure("Unavailable", "not all managed resources are known yet");
  }
  const live = await readManaged(managed.cluster, found.target);
  if (!live.ok && live.code !== "NotFound") return live;
  if (!live.ok || uidOf(live.object) !== found.target.uid) {
    return review("the managed resource no longer exists");
  }
  const { type, object } = live;
  const { isReadOnly } = clue;
  return { ok: true, value: { kind: "managed", target: found.target, type, object, isReadOnly } };
}

function unresolved(
  alert: Alert,
  reason: string,
  namespace: string,
  name: string,
): Reply<Resolved> {
  const target = {
    apiVersion: "",
    kind: "",
    namespace,
    name: name === "" ? alert.hostname.slice(0, 253) : name,
    uid: "",
  };
  const container = fieldText(alert, "container.id").slice(0, 64);
  const about = canonical([namespace, target.name, actorOf(alert), container]);
  return { ok: true, value: { kind: "unresolved", target, reason, about } };
}

const containerIdLengthMin = 12;

function mismatchOf(
  pod: JsonObject,
  alert: Alert,
  clue: { readonly uid: string; readonly containerId: string },
): string | undefined {
  if (clue.uid !== "" && clue.uid !== uidOf(pod)) return "the pod of that name is another one now";
  const ids = containerIds(pod);
  // Falco's twelve digits; fewer would be the beginning of many.
  const isWhole = clue.containerId.length >= containerIdLengthMin;
  const isKnown = isWhole && ids.some((id) => id.startsWith(clue.containerId));
  if (clue.containerId !== "" && ids.length > 0 && !isKnown) {
    return "the alert's container is none of the pod's";
  }
  // Proven by what only this very pod has: clocks and host names add nothing.
  if (clue.uid !== "" || isKnown) return undefined;
  const createdMs = Date.parse(textAt(pod, ["metadata", "creationTimestamp"]));
  const alertMs = alert.timeNs === undefined ? undefined : Number(alert.timeNs / 1_000_000n);
  if (alertMs !== undefined && createdMs > alertMs) {
    return "the pod of that name was created after the alert";
  }
  const node = textAt(pod, ["spec", "nodeName"]);
  return isElsewhere(alert, node)
    ? `the alert names neither uid nor a container of the pod, and its host ${alert.hostname.slice(0, 253)} is not the pod's node ${node}`
    : undefined;
}

/** Audit alerts come from wherever the plugin runs; a domain after the node's name, or before it, is no other node. */
function isElsewhere(alert: Alert, node: string): boolean {
  if (!["syscall", ""].includes(alert.source) || node === "" || alert.hostname === "") return false;
  const [short] = node.split(".");
  return alert.hostname !== node && alert.hostname.split(".")[0] !== short;
}

/** `containerd://<64 hex>`: Falco gives the first twelve digits. */
function containerIds(pod: JsonObject): readonly string[] {
  const lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
  const states = lists.flatMap((name) => {
    const list = at(pod, ["status", name]);
    return isArray(list) ? list : [];
  });
  return states.flatMap((state) => {
    // The container of the alert may have been restarted since.
    const now = textAt(state, ["containerID"]);
    const before = textAt(state, ["lastState", "terminated", "containerID"]);
    return [now, before].filter((id) => id !== "").map((id) => id.replace(/^[a-z-]+:\/\//, ""));
  });
}

/** The controller of an object as `Kind/name`; '' for none. */
export function workloadOf(object: JsonObject): string {
  const owners = at(object, ["metadata", "ownerReferences"]);
  const owner = isArray(owners)
    ? owners.find((one) => at(one, ["controller"]) === true)
    : undefined;
  return owner === undefined ? "" : `${textAt(owner, ["kind"])}/${textAt(owner, ["name"])}`;
}

/** Reads of one thing within this time are one read: a burst of alerts is about few pods. What acts reads anew. */
const sharedMs = 2_000;
const keptMax = 2_000;

/** A reader whose answers count for a second and are shared by those who ask at once. */
export function makeShared<T>(
  read: (key: string) => Promise<Reply<T>>,
  now: () => number,
  freshMs = sharedMs,
): (key: string) => Promise<Reply<T>> {
  const kept = new Map<string, { readonly atMs: number; readonly reply: Promise<Reply<T>> }>();
  return (key) => {
    const known = kept.get(key);
    if (known !== undefined && now() - known.atMs < freshMs) return known.reply;
    if (kept.size >= keptMax) kept.clear();
    const reply = read(key);
    kept.set(key, { atMs: now(), reply });
    return reply;
  };
}
