// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import type { JsonObject } from "#policy/json";
import type { Cluster, FailureCode, ResourceType } from "#responder/cluster";
import { keyOf, nameOf, uidOf, versionOf } from "#responder/cluster";

/** `gap`: found by a list, so versions between may have been missed; `live`: seen by the watch, none missed. */
export type Change = {
  readonly key: string;
  readonly before: JsonObject | undefined;
  readonly after: JsonObject | undefined;
  readonly seen: "gap" | "live";
};

export type Watcher = {
  /** The newest known object by `namespace/name`. */
  readonly get: (key: string) => JsonObject | undefined;
  readonly all: () => readonly JsonObject[];
  /** Resolves when the first list is in. */
  readonly synced: Promise<void>;
  readonly isSynced: () => boolean;
  readonly stop: () => Promise<void>;
};

const backoffMsMin = 200;
const backoffMsMax = 15_000;

/**
 * Keeps a copy of all objects of a type: list, then watch from there, reopened from the last bookmark; relisted when the server
 * no longer has the version (410), with a growing pause on anything else, for ever. `onChange` gets every difference, also those
 * that a relist finds: an object deleted and made again in between is a deletion and an addition.
 */
export function makeWatcher(options: {
  readonly cluster: Cluster;
  readonly type: ResourceType;
  readonly labelSelector?: string;
  /** What is kept of each object, and so of `before`; all of it unless told. Names, uid and version have to stay. */
  readonly keep?: (object: JsonObject) => JsonObject;
  readonly onChange: (change: Change) => void;
  readonly onFailure: (message: string, code: FailureCode) => void;
}): Watcher {
  const { cluster, type } = options;
  const mirror = makeMirror(options.onChange, options.keep ?? ((object) => object));
  const stopping = new AbortController();
  const first = Promise.withResolvers<void>();
  const selector =
    options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector };
  let synced = false;
  let version = "";

  const relist = async (): Promise<boolean> => {
    const reply = await cluster.list(type, selector);
    if (!reply.ok) {
      options.onFailure(`list of ${type.resource}: ${reply.code}: ${reply.message}`, reply.code);
      return false;
    }
    mirror.replaceAll(reply.value.items);
    version = reply.value.resourceVersion;
    synced = true;
    first.resolve();
    return true;
  };

  const follow = async (): Promise<boolean> => {
    const reply = await cluster.watch(
      type,
      { resourceVersion: version, ...selector },
      (event) => {
        version = versionOf(event.object);
        if (event.type === "DELETED") mirror.drop(keyOf(nameOf(event.object)), "live");
        else if (event.type !== "BOOKMARK") mirror.set(event.object, "live");
      },
      stopping.signal,
    );
    if (reply.ok) return true;
    if (reply.code === "Gone") version = "";
    else
      options.onFailure(`watch of ${type.resource}: ${reply.code}: ${reply.message}`, reply.code);
    return reply.code === "Gone";
  };

  const running = repeat(stopping.signal, () => (version === "" ? relist() : follow()));
  return {
    get: (key) => mirror.objects.get(key),
    all: () => [...mirror.objects.values()],
    synced: first.promise,
    isSynced: () => synced,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Runs `once` until the signal aborts, with a growing pause after each one that failed. */
async function repeat(signal: AbortSignal, once: () => Promise<boolean>): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    failures = (await once()) ? 0 : failures + 1;
    if (failures === 0) continue;
    // Half of the pause is drawn, so that many watches do not come back in step.
    const pauseMs = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(failures - 1, 10));
    const drawnMs = pauseMs * (0.5 + Math.random() / 2);
    await sleep(drawnMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

type Mirror = {
  readonly objects: Map<string, JsonObject>;
  readonly set: (object: JsonObject, seen: Change["seen"]) => void;
  readonly drop: (key: string, seen: Change["seen"]) => void;
  readonly replaceAll: (items: readonly JsonObject[]) => void;
};

/** The copy itself, which turns each new version into a difference. */
function makeMirror(
  onChange: (change: Change) => void,
  keep: (object: JsonObject) => JsonObject,
): Mirror {
  const objects = new Map<string, JsonObject>();
  const set: Mirror["set"] = (object, seen) => {
    const key = keyOf(nameOf(object));
    const before = objects.get(key);
    if (before !== undefined && versionOf(before) === versionOf(object)) return;
    const same = before !== undefined && uidOf(before) === uidOf(object);
    if (before !== undefined && !same) drop(key, seen);
    objects.set(key, keep(object));
    onChange({ key, before: same ? before : undefined, after: object, seen });
  };
  const drop: Mirror["drop"] = (key, seen) => {
    const before = objects.get(key);
    objects.delete(key);
    if (before !== undefined) onChange({ key, before, after: undefined, seen });
  };
  const replaceAll: Mirror["replaceAll"] = (items) => {
    const listed = new Set(items.map((object) => keyOf(nameOf(object))));
    for (const key of [...objects.keys()]) if (!listed.has(key)) drop(key, "gap");
    for (const object of items) set(object, "gap");
  };
  return { objects, set, drop, replaceAll };
}

/** For those who keep what they need of an object themselves: enough to tell versions apart. */
export function namesOnly(object: JsonObject): JsonObject {
  const { namespace, name } = nameOf(object);
  const metadata = { name, uid: uidOf(object), resourceVersion: versionOf(object) };
  return { metadata: namespace === "" ? metadata : { ...metadata, namespace } };
}
