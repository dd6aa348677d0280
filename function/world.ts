// SPDX-License-Identifier: Apache-2.0
import { field, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { guessPlural, isNamespacedKind, kindOf, parseApiVersion } from "#policy/kubernetes/kinds";
import {
  emptyWorld,
  type Answer,
  type ListQuery,
  type ObjectQuery,
  type World,
} from "#policy/world";
import type { Composite } from "./composite.ts";
import { withPath } from "./json-edit.ts";
import type { Selector } from "./wire/response.ts";

/**
 * Kinds of Kubernetes that policies may look up in the cluster: served since v1.27 at least, so asking never fails the
 * pipeline where Crossplane's account may read them.
 * Secrets are left out on purpose: a policy's answer must not depend on what nobody may see.
 */
const fetchableKinds: Readonly<Record<string, string>> = {
  "v1/configmaps": "ConfigMap",
  "v1/endpoints": "Endpoints",
  "v1/limitranges": "LimitRange",
  "v1/namespaces": "Namespace",
  "v1/nodes": "Node",
  "v1/persistentvolumeclaims": "PersistentVolumeClaim",
  "v1/persistentvolumes": "PersistentVolume",
  "v1/pods": "Pod",
  "v1/podtemplates": "PodTemplate",
  "v1/replicationcontrollers": "ReplicationController",
  "v1/resourcequotas": "ResourceQuota",
  "v1/serviceaccounts": "ServiceAccount",
  "v1/services": "Service",
  "apps/v1/daemonsets": "DaemonSet",
  "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
  "admissionregistration.k8s.io/v1/validatingwebhookconfigurations":
    "ValidatingWebhookConfiguration",
  "apiextensions.k8s.io/v1/customresourcedefinitions": "CustomResourceDefinition",
  "apps/v1/controllerrevisions": "ControllerRevision",
  "apps/v1/deployments": "Deployment",
  "apps/v1/replicasets": "ReplicaSet",
  "apps/v1/statefulsets": "StatefulSet",
  "autoscaling/v2/horizontalpodautoscalers": "HorizontalPodAutoscaler",
  "batch/v1/cronjobs": "CronJob",
  "batch/v1/jobs": "Job",
  "coordination.k8s.io/v1/leases": "Lease",
  "discovery.k8s.io/v1/endpointslices": "EndpointSlice",
  "networking.k8s.io/v1/ingressclasses": "IngressClass",
  "networking.k8s.io/v1/ingresses": "Ingress",
  "networking.k8s.io/v1/networkpolicies": "NetworkPolicy",
  "node.k8s.io/v1/runtimeclasses": "RuntimeClass",
  "policy/v1/poddisruptionbudgets": "PodDisruptionBudget",
  "rbac.authorization.k8s.io/v1/clusterrolebindings": "ClusterRoleBinding",
  "rbac.authorization.k8s.io/v1/clusterroles": "ClusterRole",
  "rbac.authorization.k8s.io/v1/rolebindings": "RoleBinding",
  "rbac.authorization.k8s.io/v1/roles": "Role",
  "scheduling.k8s.io/v1/priorityclasses": "PriorityClass",
  "storage.k8s.io/v1/csidrivers": "CSIDriver",
  "storage.k8s.io/v1/storageclasses": "StorageClass",
  "storage.k8s.io/v1/volumeattachments": "VolumeAttachment",
};

/** Most lookups that one request may cause; the rest is answered with an error, which blocks under Enforce. */
const lookupsMax = 50;

export type WorldSpec = {
  readonly nowMs: number;
  readonly composite: Composite;
  /** Whether some policy selects by namespace: else nobody is asked for one. */
  readonly needsNamespaces: boolean;
  /** Whether `composed` is all there is of the kinds that cannot be fetched, so that others are absent. */
  readonly isWhole: boolean;
  /** All composed resources as they would be applied. */
  readonly composed: () => readonly JsonObject[];
  /** Objects of a requirement of this name, undefined when the request has none. */
  readonly fetched: (requirement: string) => readonly JsonObject[] | undefined;
};

export type CompositionWorld = {
  readonly world: World;
  /** What policies asked for and the request does not hold: to be fetched before the verdict counts. */
  readonly wanted: ReadonlyMap<string, Selector>;
  /** How often policies looked at anything beside the object and what every review has. */
  readonly touches: () => number;
  /** All lookups, so that their requirements are stated in every answer. */
  readonly used: ReadonlyMap<string, Selector>;
};

/**
 * What policies may see beside the object under review: the composed set, the composite, and objects of Kubernetes' own
 * kinds that Crossplane fetches on demand. Of other kinds the composed set is all there is.
 */
export function makeWorld(spec: WorldSpec): CompositionWorld {
  const { fetch, wanted, used } = makeFetch(spec);
  let touches = 0;
  const matching = (query: Omit<ObjectQuery, "name">): readonly JsonObject[] =>
    spec.composed().filter((object) => isOf(object, query));
  const get = (asked: ObjectQuery): Answer => {
    touches++;
    const query = scoped(asked);
    const composed = matching(query).find((object) => nameOf(object) === query.name);
    if (composed !== undefined) return { kind: "found", value: composed };
    const kind = fetchableKind(query);
    if (kind === undefined) return unknownKind(query, spec) ?? { kind: "absent" };
    // Crossplane's client would refuse it, and the whole pipeline with it.
    if (query.name === "" || (query.namespace === "" && !isClusterScoped(query))) return noIdentity;
    const name = `get/${query.apiVersion}/${query.resource}/${query.namespace}/${query.name}`;
    const match = { name: query.name };
    const namespace = query.namespace === "" ? undefined : query.namespace;
    const objects = fetch(name, { apiVersion: query.apiVersion, kind, match, namespace });
    if (objects === undefined) return notFetched;
    const found = objects.find((object) => nameOf(object) === query.name && isIn(object, query));
    return found === undefined ? { kind: "absent" } : { kind: "found", value: found };
  };
  const list = (asked: ListQuery): Answer => {
    touches++;
    const query = scoped(asked);
    const composed = matching(query).filter((object) => hasLabels(object, query.labels));
    const kind = fetchableKind(query);
    if (kind === undefined)
      return unknownKind(query, spec) ?? foundList(composed.toSorted(byIdentity));
    const labels = Object.entries(query.labels).map(([key, value]) => `${key}=${value}`);
    const name = `list/${query.apiVersion}/${query.resource}/${query.namespace}/${labels.sort().join(",")}`;
    const objects = fetch(name, {
      apiVersion: query.apiVersion,
      kind,
      match: { labels: query.labels },
      namespace: query.namespace === "" ? undefined : query.namespace,
    });
    if (objects === undefined) return notFetched;
    const others = objects.filter(
      (each) =>
        isIn(each, query) &&
        !composed.some(
          (known) => nameOf(known) === nameOf(each) && namespaceOf(known) === namespaceOf(each),
        ),
    );
    return foundList([...composed, ...others].sort(byIdentity));
  };
  const namespace = (name: string): JsonObject | undefined => {
    if (name === "" || !spec.needsNamespaces) return undefined;
    const answer = get({ apiVersion: "v1", resource: "namespaces", namespace: "", name });
    // The API server gives every namespace this label; one that is only composed yet has it not.
    return answer.kind === "found" && isObject(answer.value)
      ? withPath(answer.value, ["metadata", "labels", "kubernetes.io/metadata.name"], name)
      : undefined;
  };
  const world: World = {
    ...emptyWorld(spec.nowMs),
    resourceOf: (kind) =>
      isNamespacedKind(kind) === undefined
        ? { resource: guessPlural(kind.kind), namespaced: spec.composite.namespace !== "" }
        : undefined,
    namespace,
    get,
    list,
    call: ({ method, url }) => (method === "GET" ? callPath(url, get, list) : noNetwork),
    composite: spec.composite.object,
  };
  return { world, wanted, used, touches: () => touches };
}

/** Objects of a requirement; one that the request does not hold is noted, to be asked for. */
function makeFetch(spec: WorldSpec) {
  const wanted = new Map<string, Selector>();
  const used = new Map<string, Selector>();
  const fetch = (requirement: string, selector: Selector): readonly JsonObject[] | undefined => {
    if (!used.has(requirement) && used.size >= lookupsMax) return undefined;
    used.set(requirement, selector);
    const objects = spec.fetched(requirement);
    if (objects === undefined) wanted.set(requirement, selector);
    return objects;
  };
  return { fetch, wanted, used };
}

const notFetched: Answer = { kind: "unavailable", reason: "the object has not been fetched" };
const noIdentity: Answer = {
  kind: "unavailable",
  reason: "an object can only be looked up by its name, and its namespace where it has one",
};
const noNetwork: Answer = {
  kind: "unavailable",
  reason: "a composition function may only read Kubernetes objects, by GET",
};

const nameOf = (object: JsonObject): string => textAt(object, ["metadata", "name"]);
const namespaceOf = (object: JsonObject): string => textAt(object, ["metadata", "namespace"]);

/** Objects of cluster-scoped kinds have no namespace, whatever a policy says. */
const scoped = <Query extends Omit<ObjectQuery, "name">>(query: Query): Query =>
  isClusterScoped(query) ? { ...query, namespace: "" } : query;

function isClusterScoped(query: Omit<ObjectQuery, "name">): boolean {
  const kind = fetchableKind(query);
  return (
    kind !== undefined && isNamespacedKind({ ...parseApiVersion(query.apiVersion), kind }) === false
  );
}

/** A Crossplane that knows no namespaces in selectors answers with the objects of all. */
const isIn = (object: JsonObject, { namespace }: Omit<ObjectQuery, "name">): boolean =>
  namespace === "" || namespaceOf(object) === namespace;

const fetchableKind = ({ apiVersion, resource }: Omit<ObjectQuery, "name">): string | undefined => {
  const name = `${apiVersion}/${resource}`;
  return Object.hasOwn(fetchableKinds, name) ? fetchableKinds[name] : undefined;
};

/** Kinds of Kubernetes that are not fetched are not known to be absent either. */
function unknownKind(
  { apiVersion, resource }: Omit<ObjectQuery, "name">,
  { isWhole }: WorldSpec,
): Answer | undefined {
  const { group } = parseApiVersion(apiVersion);
  const isKubernetes = !group.includes(".") || group.endsWith(".k8s.io");
  if (!isKubernetes && isWhole) return undefined;
  return {
    kind: "unavailable",
    reason: `${resource} of ${apiVersion} cannot be looked up from a composition function`,
  };
}

function isOf(object: JsonObject, query: Omit<ObjectQuery, "name">): boolean {
  const kind = kindOf(object);
  return (
    textAt(object, ["apiVersion"]) === query.apiVersion &&
    guessPlural(kind.kind) === query.resource &&
    (query.namespace === "" || namespaceOf(object) === query.namespace)
  );
}

function hasLabels(object: JsonObject, labels: Readonly<Record<string, string>>): boolean {
  const own = field(field(object, "metadata"), "labels");
  return Object.entries(labels).every(([key, value]) => field(own, key) === value);
}

/** The API server lists by namespace and name; composed objects that have no name yet keep their order. */
function byIdentity(a: JsonObject, b: JsonObject): number {
  const [one, other] = [a, b].map((each) => `${namespaceOf(each)}/${nameOf(each)}`);
  if (one === other || one === undefined || other === undefined) return 0;
  return one < other ? -1 : 1;
}

const foundList = (items: readonly Json[]): Answer => ({ kind: "found", value: { items } });

/** A read over the API server's paths: `/api/v1/...` or `/apis/GROUP/VERSION/...`, with a labelSelector of equalities. */
function callPath(path: string, get: World["get"], list: World["list"]): Answer {
  const url = decoded(path);
  const parsed =
    /^\/(?:api|apis\/([^/?]+))\/([^/?]+)(?:\/namespaces\/([^/?]+)(?=\/))?\/([^/?]+)(?:\/([^/?]+))?(?:\?(.*))?$/.exec(
      url,
    );
  if (parsed === null) return noNetwork;
  const [, group, version, namespace, resource, name, search] = parsed;
  const query = {
    apiVersion: group === undefined ? (version ?? "") : `${group}/${version}`,
    resource: resource ?? "",
    namespace: namespace ?? "",
  };
  if (name !== undefined) return get({ ...query, name });
  const labels = parseLabels(new URLSearchParams(search ?? ""));
  return labels === undefined ? noNetwork : list({ ...query, labels });
}

/** Percent-encoding undone; '' when it is not well-formed. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "";
  }
}

function parseLabels(search: URLSearchParams): Readonly<Record<string, string>> | undefined {
  if ([...search.keys()].some((key) => key !== "labelSelector")) return undefined;
  const terms = (search.get("labelSelector") ?? "").split(",").filter((term) => term !== "");
  const pairs = terms.map((term) => /^([^=!<>()\s]+)==?([^=!<>()\s]*)$/.exec(term));
  if (pairs.includes(null)) return undefined;
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", pair?.[2] ?? ""]));
}
