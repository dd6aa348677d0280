// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { textAt } from "#policy/json";

/** A kind as the API server serves it. */
export type ResourceType = {
  /** e.g. `v1`, `apps/v1`. */
  readonly apiVersion: string;
  readonly kind: string;
  /** Plural, e.g. `pods`; `deployments/scale` reads and patches that subresource of an object, as RBAC writes it. */
  readonly resource: string;
  readonly namespaced: boolean;
  /** Only where a cluster in memory is told what to serve. */
  readonly categories?: readonly string[];
};

/** One object; `namespace` is '' for cluster-scoped ones. */
export type ObjectName = { readonly namespace: string; readonly name: string };

export type FailureCode =
  | "NotFound"
  | "AlreadyExists"
  /** The object changed meanwhile, or a JSON patch's test failed. */
  | "Conflict"
  /** Somebody else acts on the same target; not an answer of the API server. */
  | "Busy"
  | "Invalid"
  | "Unauthorized"
  | "Forbidden"
  /** The asked resource version is no longer kept (HTTP 410). */
  | "Gone"
  /** No answer, or one that says "later": worth another try. */
  | "Unavailable";

export type Failure = { readonly ok: false; readonly code: FailureCode; readonly message: string };
export type Reply<T> = { readonly ok: true; readonly value: T } | Failure;

export type ObjectList = {
  readonly items: readonly JsonObject[];
  readonly resourceVersion: string;
};

export type PatchStep =
  | { readonly op: "test" | "add" | "replace"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string };

export type WatchEvent = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: JsonObject;
};

export type WriteOptions = { readonly dryRun?: boolean };

export type EndOptions = {
  /** How a pod is ended; undefined: with its own grace period. */
  readonly graceSeconds?: number | undefined;
  /** Only this very version: one that was written since is a Conflict. */
  readonly version?: string | undefined;
};

/** The field manager of everything that the responder writes. */
export const fieldManager = "parapet-responder";

/**
 * What the responder needs of a Kubernetes API server. Every answer is a value; only a bug throws.
 * Implemented by adapters/api-server.ts and adapters/memory-cluster.ts, both held to one contract suite.
 */
export type Cluster = {
  readonly get: (type: ResourceType, name: ObjectName) => Promise<Reply<JsonObject>>;
  /** All pages. `namespace` '' lists over all namespaces. */
  readonly list: (
    type: ResourceType,
    query: { readonly namespace?: string; readonly labelSelector?: string },
  ) => Promise<Reply<ObjectList>>;
  readonly create: (
    type: ResourceType,
    object: JsonObject,
    options?: WriteOptions,
  ) => Promise<Reply<JsonObject>>;
  /** Server-side apply under {@link fieldManager}, never forced: a field that another manager holds is a Conflict. */
  readonly apply: (
    type: ResourceType,
    object: JsonObject,
    options?: WriteOptions,
  ) => Promise<Reply<JsonObject>>;
  readonly patch: (
    type: ResourceType,
    name: ObjectName,
    steps: readonly PatchStep[],
    options?: WriteOptions,
  ) => Promise<Reply<JsonObject>>;
  /** Replaces an object; fails with Conflict unless its resource version is the live one. */
  readonly replace: (type: ResourceType, object: JsonObject) => Promise<Reply<JsonObject>>;
  /** Replaces the status; fails with Conflict unless the object's resource version is the live one. */
  readonly replaceStatus: (type: ResourceType, object: JsonObject) => Promise<Reply<JsonObject>>;
  /** Deletes exactly the object of that uid: one of the same name made later is a Conflict. */
  readonly remove: (
    type: ResourceType,
    name: ObjectName,
    uid: string,
    options?: EndOptions,
  ) => Promise<Reply<undefined>>;
  /** Asks for the eviction of exactly the pod of that uid; Unavailable while a disruption budget forbids it. */
  readonly evict: (
    name: ObjectName,
    uid: string,
    options?: EndOptions,
  ) => Promise<Reply<undefined>>;
  /** The end of a container's log, cut by the server; Unavailable where no kubelet answers. */
  readonly podLog: (
    name: ObjectName,
    query: { readonly container: string; readonly lines: number; readonly bytesMax: number },
  ) => Promise<Reply<string>>;
  /**
   * Reports changes after `resourceVersion` until the server ends the stream (ok), it fails, or `signal` aborts (ok).
   * Bookmarks are asked for. `onEvent` must not throw.
   */
  readonly watch: (
    type: ResourceType,
    query: { readonly resourceVersion: string; readonly labelSelector?: string },
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ) => Promise<Reply<undefined>>;
  /** A cheap question that tells whether the API server answers and knows us. */
  readonly ping: () => Promise<Reply<undefined>>;
  /** The type of a kind, for ownerReferences and configuration; NotFound when it is not served. */
  readonly typeOf: (apiVersion: string, kind: string) => Promise<Reply<ResourceType>>;
  /** The types of a category (`kubectl get CATEGORY`), such as Crossplane's `managed`, in their preferred versions. */
  readonly typesIn: (category: string) => Promise<Reply<readonly ResourceType[]>>;
  readonly close: () => void;
};

const core = (kind: string, resource: string): ResourceType => ({
  apiVersion: "v1",
  kind,
  resource,
  namespaced: true,
});
const ours = (kind: string, resource: string): ResourceType => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind,
  resource,
  namespaced: true,
});

/** The types that the responder itself speaks of. */
export const types = {
  pod: core("Pod", "pods"),
  namespace: { apiVersion: "v1", kind: "Namespace", resource: "namespaces", namespaced: false },
  networkPolicy: {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    resource: "networkpolicies",
    namespaced: true,
  },
  node: { apiVersion: "v1", kind: "Node", resource: "nodes", namespaced: false },
  event: core("Event", "events"),
  service: core("Service", "services"),
  disruptionBudget: {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    resource: "poddisruptionbudgets",
    namespaced: true,
  },
  lease: {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    resource: "leases",
    namespaced: true,
  },
  remediation: ours("Remediation", "remediations"),
  approval: ours("Approval", "approvals"),
  responsePolicy: { ...ours("ResponsePolicy", "responsepolicies"), namespaced: false },
  driftException: ours("DriftException", "driftexceptions"),
} as const satisfies Record<string, ResourceType>;

export const nameOf = (object: JsonObject): ObjectName => ({
  namespace: textAt(object, ["metadata", "namespace"]),
  name: textAt(object, ["metadata", "name"]),
});

export const uidOf = (object: JsonObject): string => textAt(object, ["metadata", "uid"]);

export const versionOf = (object: JsonObject): string =>
  textAt(object, ["metadata", "resourceVersion"]);

/** `namespace/name`, or the name alone for cluster-scoped objects. */
export const keyOf = (name: ObjectName): string =>
  name.namespace === "" ? name.name : `${name.namespace}/${name.name}`;

export function fromKey(key: string): ObjectName {
  const slash = key.indexOf("/");
  return slash < 0
    ? { namespace: "", name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

export const failure = (code: FailureCode, message: string): Failure => ({
  ok: false,
  code,
  message,
});

/** Whether the same call may succeed later without anything being changed by us. */
export const retryable = {
  NotFound: false,
  AlreadyExists: false,
  Conflict: true,
  Busy: true,
  Invalid: false,
  // A credential or a role may be put right at any time, and an alert must not be lost until then.
  Unauthorized: true,
  Forbidden: true,
  Gone: true,
  Unavailable: true,
} as const satisfies Record<FailureCode, boolean>;
