// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import type { JsonObject } from "#policy/json";
import type { Cluster, ResourceType } from "#responder/cluster";
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
  readonly onChange: (change: Change) => void;
  readonly onFailure: (message: string) => void;
}): Watcher {
  const { cluster, type } = options;
  const objects = new Map<string, JsonObject>();
  const stopping = new AbortController();
  const first = Promise.withResolvers<void>();
  const selector =
    options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector };
  let synced = false;
  let version = "";

  const set = (object: JsonObject, seen: Change["seen"]): void => {
    const key = keyOf(nameOf(object));
    const before = objects.get(key);
    if (before !== undefined && versionOf(before) === versionOf(object)) return;
    if (before !== undefined && uidOf(before) !== uidOf(object)) drop(key, seen);
    objects.set(key, object);
    const same = before !== undefined && uidOf(before) === uidOf(object);
    options.onChange({ key, before: same ? before : undefined, after: object, seen });
  };
  const drop = (key: string, seen: Change["seen"]): void => {
    const before = objects.get(key);
    objects.delete(key);
    if (before !== undefined) options.onChange({ key, before, after: undefined, seen });
  };

  const relist = async (): Promise<boolean> => {
    const reply = await cluster.list(type, selector);
    if (!reply.ok) {
      options.onFailure(`list of ${type.resource}: ${reply.code}: ${reply.message}`);
      return false;
    }
    const listed = new Set(reply.value.items.map((object) => keyOf(nameOf(object))));
    for (const key of [...objects.keys()]) if (!listed.has(key)) drop(key, "gap");
    for (const object of reply.value.items) set(object, "gap");
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
        if (event.type === "DELETED") drop(keyOf(nameOf(event.object)), "live");
        else if (event.type !== "BOOKMARK") set(event.object, "live");
      },
      stopping.signal,
    );
    if (reply.ok) return true;
    if (reply.code === "Gone") version = "";
    else options.onFailure(`watch of ${type.resource}: ${reply.code}: ${reply.message}`);
    return reply.code === "Gone";
  };

  const loop = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      const went = version === "" ? await relist() : await follow();
      failures = went ? 0 : failures + 1;
      if (failures === 0) continue;
      // Half of the pause is drawn, so that many watches do not come back in step.
      const pauseMs = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(failures - 1, 10));
      await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, {
        signal: stopping.signal,
        ref: false,
      }).catch(() => undefined);
    }
  };
  const running = loop();
  return {
    get: (key) => objects.get(key),
    all: () => [...objects.values()],
    synced: first.promise,
    isSynced: () => synced,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
