// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, isObject, textAt } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import { makeIndex } from "#responder/caches";
import type { Cluster, ResourceType } from "#responder/cluster";
import { keyOf, nameOf, types } from "#responder/cluster";
import { makeDiscovery, type NetworkView, resourceText } from "#responder/isolation/network-view";
import { rootNamespaceDefault } from "#responder/reachability/istio";
import { type PolicyKind, typeOfKind, withoutCopies } from "#responder/reachability/policy-kinds";
import { type Change, makeWatcher, type Watcher } from "#responder/watcher";

/** A policy or a namespace that came, went or changed; `namespace` '' for what may be about all of them. */
export type WorldChange = {
  readonly namespace: string;
  readonly before: JsonObject | undefined;
  readonly after: JsonObject | undefined;
};

type Options = {
  readonly cluster: Cluster;
  /** Undefined: Istio's default. */
  readonly istioRootNamespace?: string | undefined;
  readonly now: () => number;
  readonly onChange: (change: WorldChange) => void;
  readonly onFailure: (message: string) => void;
};

/** How often it is asked whether the cluster serves a kind of policy more. */
const discoveryMs = 60_000;
/** After a discovery that failed. */
const againMs = 2_000;

/** Something that may be about everything. */
const anything: WorldChange = { namespace: "", before: undefined, after: undefined };

/**
 * What decides about traffic, kept by watches while somebody needs it: every kind of policy that the cluster serves, kinds that
 * are installed later too, and namespaces.
 */
export class World {
  readonly #options: Options;
  readonly #rootNamespace: string;
  readonly #policies = makeIndex<JsonObject>();
  readonly #watchers = new Map<string, { readonly kind: PolicyKind; readonly watcher: Watcher }>();
  readonly #namespaces: Watcher;
  readonly #discover: ReturnType<typeof makeDiscovery>;
  #discovered = false;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#rootNamespace = options.istioRootNamespace ?? rootNamespaceDefault;
    this.#discover = makeDiscovery(options.cluster, options.now);
    this.#namespaces = watchNamespaces(options);
    void this.#look();
  }

  /** Undefined until every kind that is served has been read. */
  viewOf(namespace: string): NetworkView | undefined {
    if (this.unread().length > 0) return undefined;
    const groups = new Set(["", namespace, this.#rootNamespace]);
    const policies = [...groups].flatMap(this.#policies.of);
    return {
      served: [...this.#watchers.values()].map(({ kind }) => kind),
      policies: withoutCopies(policies.filter((one) => hasSay(one, namespace))),
      namespace: this.namespaceOf(namespace),
      istioRootNamespace: this.#rootNamespace,
    };
  }

  namespaceOf(name: string): JsonObject {
    return this.#namespaces.get(name) ?? { metadata: { name } };
  }

  policyOf(type: ResourceType, key: string): JsonObject | undefined {
    const found = [...this.#watchers.values()].find(({ kind }) => isOfType(kind, type));
    return found?.watcher.get(key);
  }

  /** What is not read yet, or may not be read. */
  unread(): readonly string[] {
    if (!this.#discovered) return ["what the cluster serves"];
    const kinds = [...this.#watchers].filter(([, { watcher }]) => !watcher.isSynced());
    return [...(this.#namespaces.isSynced() ? [] : ["namespaces"]), ...kinds.map(([name]) => name)];
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await Promise.all([...this.#watchers.values()].map(({ watcher }) => watcher.stop()));
    await this.#namespaces.stop();
  }

  async #look(): Promise<void> {
    const served = await this.#discover();
    if (this.#stopping) return;
    this.#timer = setTimeout(() => void this.#look(), served.ok ? discoveryMs : againMs);
    if (!served.ok) {
      this.#options.onFailure(served.message);
      return;
    }
    this.#discovered = true;
    const names = new Set(served.value.map(resourceText));
    for (const [name, { watcher }] of this.#watchers) {
      if (!names.has(name)) this.#forget(name, watcher);
    }
    for (const kind of served.value) {
      const name = resourceText(kind);
      if (!this.#watchers.has(name)) this.#watchers.set(name, { kind, watcher: this.#watch(kind) });
    }
  }

  /** The kind is not served any more. */
  #forget(name: string, watcher: Watcher): void {
    this.#watchers.delete(name);
    for (const object of watcher.all()) {
      this.#policies.change(`${name} ${keyOf(nameOf(object))}`, undefined, "");
    }
    void watcher.stop();
    this.#options.onChange(anything);
  }

  #watch(kind: PolicyKind): Watcher {
    const watcher = makeWatcher({
      cluster: this.#options.cluster,
      type: typeOfKind(kind),
      keep: saying,
      onChange: (change) => this.#take(kind, change),
      onFailure: this.#options.onFailure,
    });
    // Where there is none of the kind its first list tells nothing by itself.
    void watcher.synced.then(() => this.#options.onChange(anything));
    return watcher;
  }

  #take(kind: PolicyKind, { key, before, after: whole }: Change): void {
    const after = whole === undefined ? undefined : saying(whole);
    const namespace = textAt(after ?? before, ["metadata", "namespace"]);
    this.#policies.change(`${resourceText(kind)} ${key}`, after, namespace);
    // A status, or who manages what, changes nothing for anybody.
    if (before !== undefined && after !== undefined && isSame(before, after)) return;
    const about = namespace === this.#rootNamespace ? "" : namespace;
    this.#options.onChange({ namespace: about, before, after });
  }
}

/** What a policy says and whose it is, without what is written about it: there may be very many. */
function saying(object: JsonObject): JsonObject {
  const { metadata, status: _status, ...rest } = object;
  const { managedFields: _managedFields, ...kept } = isObject(metadata) ? metadata : {};
  return { ...rest, metadata: kept };
}

/** Of Istio's root namespace only its own policies are about other namespaces. */
const hasSay = (policy: JsonObject, namespace: string): boolean => {
  const own = textAt(policy, ["metadata", "namespace"]);
  const isOfMesh = textAt(policy, ["apiVersion"]).startsWith("security.istio.io/");
  return own === "" || own === namespace || isOfMesh;
};

const isOfType = (kind: PolicyKind, type: ResourceType): boolean =>
  `${kind.group}/${kind.version}` === type.apiVersion && kind.resource === type.resource;

function isSame(before: JsonObject, after: JsonObject): boolean {
  return (
    sameJson(before["spec"], after["spec"]) &&
    sameJson(before["specs"], after["specs"]) &&
    sameJson(at(before, ["metadata", "labels"]), at(after, ["metadata", "labels"]))
  );
}

function watchNamespaces(options: Options): Watcher {
  const watcher = makeWatcher({
    cluster: options.cluster,
    type: types.namespace,
    onChange: ({ key, before, after }) => {
      const isNews = !sameJson(
        at(before, ["metadata", "labels"]),
        at(after, ["metadata", "labels"]),
      );
      if (isNews) options.onChange({ namespace: key, before: undefined, after: undefined });
    },
    onFailure: options.onFailure,
  });
  void watcher.synced.then(() => options.onChange(anything));
  return watcher;
}
