// SPDX-License-Identifier: Apache-2.0
import { at, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import type { GroupVersionKind, Operation, Review, UserInfo } from "#policy/review";
import type { World } from "#policy/world";

export type GroupVersion = { readonly group: string; readonly version: string };

/** `apps/v1` -> group apps, version v1; `v1` -> the core group, whose name is ''. */
export function parseApiVersion(apiVersion: string): GroupVersion {
  const slash = apiVersion.indexOf("/");
  if (slash < 0) return { group: "", version: apiVersion };
  return { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

export const apiVersionOf = (gv: GroupVersion): string =>
  gv.group === "" ? gv.version : `${gv.group}/${gv.version}`;

/** The kind that an object states, with '' for what it leaves out. */
export function kindOf(object: JsonObject): GroupVersionKind {
  return { ...parseApiVersion(textAt(object, ["apiVersion"])), kind: textAt(object, ["kind"]) };
}

/** Words whose plural follows no rule, at the end of a kind's name in lower case. */
const irregularPlurals: readonly (readonly [singular: string, plural: string])[] = [
  ["endpoints", "endpoints"],
  ["index", "indices"],
  ["matrix", "matrices"],
  ["vertex", "vertices"],
];

/**
 * The plural of a kind in lower case, as English and the CRD tools build it: `Gateway` gateways, `NetworkPolicy`
 * networkpolicies, `Ingress` ingresses, `BucketOwnershipControls` as it is. A guess, right for all kinds of Kubernetes
 * and the provider CRDs it was compared with: who knows the cluster asks its World first ({@link pluralOf}).
 */
export function guessPlural(kind: string): string {
  const known = plurals.get(kind);
  if (known !== undefined) return known;
  const plural = makePlural(kind.toLowerCase());
  if (plurals.size < pluralsMax && kind.length <= kindLengthMax) plurals.set(kind, plural);
  return plural;
}

/** Kinds come again and again, and there are few. */
const plurals = new Map<string, string>();
const pluralsMax = 10_000;
const kindLengthMax = 253;

function makePlural(word: string): string {
  for (const [singular, plural] of irregularPlurals) {
    if (word.endsWith(singular)) return word.slice(0, word.length - singular.length) + plural;
  }
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  if (/(?:ss|us|is|as|x|z|ch|sh)$/.test(word)) return `${word}es`;
  return word.endsWith("s") ? word : `${word}s`;
}

/** Kinds of Kubernetes without a namespace, by group; every other kind of its own groups has one. */
const clusterScoped: Readonly<Record<string, readonly string[]>> = {
  "": ["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
  "admissionregistration.k8s.io": ["*"],
  "apiextensions.k8s.io": ["*"],
  "apiregistration.k8s.io": ["*"],
  "authentication.k8s.io": ["*"],
  "authorization.k8s.io": [
    "SelfSubjectAccessReview",
    "SelfSubjectRulesReview",
    "SubjectAccessReview",
  ],
  "certificates.k8s.io": ["*"],
  "flowcontrol.apiserver.k8s.io": ["*"],
  "internal.apiserver.k8s.io": ["*"],
  "networking.k8s.io": ["IngressClass", "IPAddress", "ServiceCIDR"],
  "node.k8s.io": ["*"],
  policy: ["PodSecurityPolicy"],
  "rbac.authorization.k8s.io": ["ClusterRole", "ClusterRoleBinding"],
  "resource.k8s.io": ["DeviceClass", "ResourceSlice", "DeviceTaintRule"],
  "scheduling.k8s.io": ["PriorityClass"],
  "storage.k8s.io": [
    "CSIDriver",
    "CSINode",
    "StorageClass",
    "VolumeAttachment",
    "VolumeAttributesClass",
  ],
  "storagemigration.k8s.io": ["*"],
};

/** Groups that Kubernetes itself serves and whose kinds are all namespaced. */
const namespacedGroups = [
  "apps",
  "batch",
  "autoscaling",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "events.k8s.io",
];

/** Whether objects of a kind of Kubernetes itself live in namespaces; undefined for a kind of somebody else. */
export function isNamespacedKind(kind: GroupVersionKind): boolean | undefined {
  if (namespacedGroups.includes(kind.group)) return true;
  if (!Object.hasOwn(clusterScoped, kind.group)) return undefined;
  const names = clusterScoped[kind.group] ?? [];
  return !(names.includes("*") || names.includes(kind.kind));
}

/** Plural and scope of a kind: as the World knows it, else as Kubernetes has it, else the guess with a namespace. */
export function pluralOf(
  kind: GroupVersionKind,
  world: World | undefined,
): { readonly resource: string; readonly namespaced: boolean } {
  const known = world?.resourceOf(kind);
  if (known !== undefined) return known;
  return { resource: guessPlural(kind.kind), namespaced: isNamespacedKind(kind) ?? true };
}

export type ReviewOptions = {
  /** CREATE when left out. DELETE puts the object under `oldObject`. */
  readonly operation?: Operation;
  /** What the object was before; an UPDATE without it compares the object with itself, as Kyverno's command line does. */
  readonly oldObject?: JsonObject | null;
  readonly subResource?: string;
  readonly userInfo?: UserInfo | null;
  readonly dryRun?: boolean;
  readonly options?: JsonObject | null;
  /** Asked for the plural of the kind. */
  readonly world?: World;
};

/**
 * The review of a change to an object. `name` is '' for an object that has only a generateName: which
 * name a server makes up before admission nobody knows. A Namespace has its own name as namespace.
 */
export function reviewOf(object: JsonObject, options: ReviewOptions = {}): Review {
  const operation = options.operation ?? "CREATE";
  const kind = kindOf(object);
  const { resource } = pluralOf(kind, options.world);
  const name = textAt(object, ["metadata", "name"]);
  const isNamespace = kind.group === "" && kind.kind === "Namespace";
  const gone = operation === "DELETE";
  return {
    operation,
    kind,
    resource: { group: kind.group, version: kind.version, resource },
    subResource: options.subResource ?? "",
    name,
    namespace: isNamespace ? name : textAt(object, ["metadata", "namespace"]),
    object: gone ? null : object,
    oldObject: oldObjectOf(object, operation, options.oldObject),
    userInfo: options.userInfo ?? null,
    dryRun: options.dryRun ?? false,
    options: options.options ?? null,
  };
}

function oldObjectOf(
  object: JsonObject,
  operation: Operation,
  given: JsonObject | null | undefined,
): JsonObject | null {
  if (given !== undefined) return given;
  return operation === "UPDATE" || operation === "DELETE" ? object : null;
}

/** The same review about another state of the object, e.g. after a mutation; the oldObject stays. */
export const withObject = (review: Review, object: JsonObject): Review =>
  object === review.object ? review : { ...review, object };

/** `namespace/name`, or the name alone where there is no namespace, as client-go's MetaNamespaceKeyFunc. */
export function objectKey(object: JsonObject): string {
  const namespace = textAt(object, ["metadata", "namespace"]);
  const name = textAt(object, ["metadata", "name"]);
  return namespace === "" ? name : `${namespace}/${name}`;
}

/** The object's UID, '' when it has none yet. */
export const uidOf = (object: JsonObject): string => {
  const uid = at(object, ["metadata", "uid"]);
  return typeof uid === "string" ? uid : "";
};
