// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, field, isObject, textAt } from "#policy/json";
import { admissionPatchOptions, applyJsonPatch, sameJson } from "#policy/kubernetes/json-patch";
import { parseLabelSelectorText } from "#responder/adapters/label-selector-text";
import { makeDiscovery } from "#responder/adapters/memory-discovery";
import { afterUpdate, applied, content } from "#responder/adapters/memory-ownership";
import { makePodCalls } from "#responder/adapters/memory-pods";
import type { Cluster, ObjectName, Reply, ResourceType, WatchEvent } from "#responder/cluster";
import { failure, fieldManager, keyOf, nameOf, types, uidOf, versionOf } from "#responder/cluster";

/** Changes kept for watches that start in the past. */
const eventsMax = 5_000;

type Stored = { readonly version: number; readonly event: WatchEvent };

/** The state that several clients (field managers) share. */
type Store = {
  readonly objects: Map<string, JsonObject>;
  readonly events: Map<string, Stored[]>;
  readonly listeners: Set<() => void>;
  readonly known: readonly ResourceType[];
  version: number;
  uids: number;
  up: boolean;
};

export type MemoryCluster = {
  /** A client that writes as `manager`; `force` lets its applies take fields over, as Crossplane's do. */
  readonly client: (manager?: string, force?: boolean) => Cluster;
  /** false: every call answers Unavailable and watches end, as when the API server is down. */
  readonly setUp: (up: boolean) => void;
};

const plain = (apiVersion: string, kind: string, resource: string): ResourceType => ({
  apiVersion,
  kind,
  resource,
  namespaced: true,
});

/**
 * A Kubernetes API in memory for `make demo` on a laptop and for tests: versions, uids, dry run, server-side apply, JSON
 * patch, status subresources, preconditions and watches behave as the contract suite checks on both; lists are atomic,
 * and there is no validation, admission or defaulting. `now` gives the time that objects are stamped with.
 */
export function makeMemoryCluster(
  now: () => number,
  more: readonly ResourceType[] = [],
): MemoryCluster {
  const store: Store = {
    objects: new Map(),
    events: new Map(),
    listeners: new Set(),
    known: [
      ...Object.values(types),
      plain("v1", "ConfigMap", "configmaps"),
      plain("apps/v1", "Deployment", "deployments"),
      plain("apps/v1", "ReplicaSet", "replicasets"),
      plain("apps/v1", "StatefulSet", "statefulsets"),
      ...more,
    ],
    version: 1,
    uids: 0,
    up: true,
  };
  return {
    client: (manager = fieldManager, force = false) => makeClient(store, now, manager, force),
    setUp: (up) => {
      store.up = up;
      for (const wake of store.listeners) wake();
    },
  };
}

function makeClient(store: Store, now: () => number, manager: string, force: boolean): Cluster {
  const writes = makeWrites(store, now, manager, force);
  return {
    get: (type, name) => Promise.resolve(find(store, type, name)),
    list: (type, query) => Promise.resolve(listed(store, type, query)),
    ...writes,
    watch: (type, query, onEvent, signal) => watch(store, type, query, onEvent, signal),
    ...makePodCalls({
      get: (name) => find(store, types.pod, name),
      budgets: (namespace) => listed(store, types.disruptionBudget, { namespace }),
      remove: (name, uid) => writes.remove(types.pod, name, uid),
    }),
    ping: () =>
      store.up
        ? Promise.resolve({ ok: true, value: undefined })
        : reject("Unavailable", "the API server is down"),
    ...makeDiscovery(store.known),
    close: () => undefined,
  };
}

function find(store: Store, type: ResourceType, name: ObjectName): Reply<JsonObject> {
  if (!store.up) return failure("Unavailable", "the API server is down");
  const object = store.objects.get(storeKey(type, name));
  if (object !== undefined) return { ok: true, value: object };
  return failure("NotFound", `${type.resource} "${name.name}" not found`);
}

type Writes = Pick<Cluster, "create" | "apply" | "patch" | "replace" | "replaceStatus" | "remove">;

function makeWrites(store: Store, now: () => number, manager: string, force: boolean): Writes {
  const iso = (): string => new Date(now()).toISOString().replace(/\.\d+Z$/, "Z");
  const save = (
    type: ResourceType,
    before: JsonObject | undefined,
    after: JsonObject,
    dryRun: boolean | undefined,
  ): Reply<JsonObject> => {
    if (before !== undefined && sameJson(content(before), content(after))) {
      return { ok: true, value: before };
    }
    const object = stamped(store, type, before, after, iso());
    if (dryRun === true) return { ok: true, value: object };
    store.objects.set(storeKey(type, nameOf(object)), object);
    record(store, type, { type: before === undefined ? "ADDED" : "MODIFIED", object });
    return { ok: true, value: object };
  };
  return {
    create: (type, object, options) => {
      const there = find(store, type, nameOf(object));
      if (there.ok) return reject("AlreadyExists", "already exists");
      if (there.code !== "NotFound") return Promise.resolve(there);
      const bare = hasStatus(type) ? withoutStatus(object) : object;
      return Promise.resolve(
        save(type, undefined, afterUpdate(undefined, bare, manager, iso()), options?.dryRun),
      );
    },
    apply: (type, object, options) => {
      const there = find(store, type, nameOf(object));
      if (!there.ok && there.code !== "NotFound") return Promise.resolve(there);
      const before = there.ok ? there.value : undefined;
      const outcome = applied(before, object, manager, force, iso());
      if (!outcome.ok) return reject("Conflict", outcome.conflict);
      return Promise.resolve(save(type, before, outcome.object, options?.dryRun));
    },
    patch: (type, name, steps, options) => {
      const there = find(store, type, name);
      if (!there.ok) return Promise.resolve(there);
      const outcome = applyJsonPatch(there.value, steps, admissionPatchOptions);
      if (!outcome.ok) return reject("Conflict", outcome.message);
      if (!isObject(outcome.value)) return reject("Invalid", "the patch leaves no object");
      const after = afterUpdate(there.value, outcome.value, manager, iso());
      return Promise.resolve(save(type, there.value, after, options?.dryRun));
    },
    replace: (type, object) => {
      const there = find(store, type, nameOf(object));
      if (!there.ok) return Promise.resolve(there);
      if (!isSameVersion(there.value, object)) return reject("Conflict", "the object was modified");
      const kept = hasStatus(type) ? keepStatus(object, there.value) : object;
      return Promise.resolve(
        save(type, there.value, afterUpdate(there.value, kept, manager, iso()), false),
      );
    },
    replaceStatus: (type, object) => {
      const there = find(store, type, nameOf(object));
      if (!there.ok) return Promise.resolve(there);
      if (!isSameVersion(there.value, object)) return reject("Conflict", "the object was modified");
      return Promise.resolve(save(type, there.value, keepStatus(there.value, object), false));
    },
    remove: (...call) => Promise.resolve(removed(store, ...call)),
  };
}

function removed(store: Store, ...call: Parameters<Cluster["remove"]>): Reply<undefined> {
  const [type, name, uid, options] = call;
  const there = find(store, type, name);
  if (!there.ok) return there;
  const version = versionOf(there.value);
  const isOther = uidOf(there.value) !== uid || (options?.version ?? version) !== version;
  if (isOther) return failure("Conflict", "the uid or the version is another");
  store.objects.delete(storeKey(type, name));
  store.version += 1;
  record(store, type, { type: "DELETED", object: withVersion(there.value, store.version) });
  return { ok: true, value: undefined };
}

function withVersion(object: JsonObject, version: number): JsonObject {
  const metadata = field(object, "metadata");
  return {
    ...object,
    metadata: { ...(isObject(metadata) ? metadata : {}), resourceVersion: `${version}` },
  };
}

const reject = (...args: Parameters<typeof failure>) => Promise.resolve(failure(...args));

const storeKey = (type: ResourceType, name: ObjectName): string =>
  `${type.apiVersion} ${type.resource.split("/")[0] ?? ""} ${keyOf(name)}`;

const hasStatus = (type: ResourceType): boolean => type.apiVersion === types.remediation.apiVersion;

const withoutStatus = (object: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key !== "status"));

function keepStatus(object: JsonObject, from: JsonObject): JsonObject {
  const status = field(from, "status");
  return status === undefined ? withoutStatus(object) : { ...object, status };
}

const isSameVersion = (live: JsonObject, sent: JsonObject): boolean =>
  versionOf(sent) === "" || versionOf(sent) === versionOf(live);

function stamped(
  store: Store,
  type: ResourceType,
  before: JsonObject | undefined,
  after: JsonObject,
  time: string,
): JsonObject {
  store.version += 1;
  if (before === undefined) store.uids += 1;
  const old = field(before, "metadata");
  const metadata = field(after, "metadata");
  const specMoved = before === undefined || !sameJson(before["spec"], after["spec"]);
  const generation = Number(at(before, ["metadata", "generation"]) ?? 0) + (specMoved ? 1 : 0);
  const suffix = store.uids.toString(16).padStart(12, "0");
  return {
    ...after,
    apiVersion: type.apiVersion,
    kind: type.kind,
    metadata: {
      ...(isObject(metadata) ? metadata : {}),
      uid: before === undefined ? `00000000-0000-4000-8000-${suffix}` : uidOf(before),
      creationTimestamp: before === undefined ? time : textAt(old, ["creationTimestamp"]),
      resourceVersion: `${store.version}`,
      generation,
    },
  };
}

function record(store: Store, type: ResourceType, event: WatchEvent): void {
  const key = `${type.apiVersion} ${type.resource}`;
  const events = store.events.get(key) ?? [];
  events.push({ version: store.version, event });
  if (events.length > eventsMax) events.splice(0, events.length - eventsMax);
  store.events.set(key, events);
  for (const wake of store.listeners) wake();
}

function listed(
  store: Store,
  type: ResourceType,
  query: { readonly namespace?: string; readonly labelSelector?: string },
): Awaited<ReturnType<Cluster["list"]>> {
  if (!store.up) return failure("Unavailable", "the API server is down");
  const prefix = `${type.apiVersion} ${type.resource} `;
  const selects = parseLabelSelectorText(query.labelSelector ?? "");
  const items = [...store.objects]
    .filter(([key]) => key.startsWith(prefix))
    .map(([, object]) => object)
    .filter(
      (object) => (query.namespace ?? "") === "" || nameOf(object).namespace === query.namespace,
    )
    .filter((object) => selects(at(object, ["metadata", "labels"])))
    .sort((a, b) => (keyOf(nameOf(a)) < keyOf(nameOf(b)) ? -1 : 1));
  return { ok: true, value: { items, resourceVersion: `${store.version}` } };
}

async function watch(
  store: Store,
  type: ResourceType,
  query: { readonly resourceVersion: string; readonly labelSelector?: string },
  onEvent: (event: WatchEvent) => void,
  signal: AbortSignal,
): Promise<Reply<undefined>> {
  const selects = parseLabelSelectorText(query.labelSelector ?? "");
  let seen = Number(query.resourceVersion);
  while (!signal.aborted) {
    if (!store.up) return failure("Unavailable", "the API server is down");
    const events = store.events.get(`${type.apiVersion} ${type.resource}`) ?? [];
    const oldest = events[0]?.version ?? 0;
    if (events.length >= eventsMax && seen < oldest - 1) return failure("Gone", "too old");
    for (const { version, event } of events.filter((one) => one.version > seen)) {
      seen = version;
      if (selects(at(event.object, ["metadata", "labels"]))) onEvent(event);
    }
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        store.listeners.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      store.listeners.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
  return { ok: true, value: undefined };
}
