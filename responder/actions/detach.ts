// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import {
  type ActionInput,
  type NotPlanned,
  notPlanned,
  type RbacRule,
} from "#responder/actions/action";
import { editOf } from "#responder/actions/pod-edit";
import type { Failure, Reply, ResourceType } from "#responder/cluster";
import { failure, types } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import { controllerOf } from "#responder/guard";

/** What planning a detachment reads, what its inverse deletes, and what the guard of that counts. */
export const detachRbac: readonly RbacRule[] = [
  { apiGroups: [""], resources: ["services"], verbs: ["list"] },
  { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list"] },
  { apiGroups: ["apps"], resources: ["replicasets", "statefulsets", "daemonsets"], verbs: ["get"] },
  { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
  { apiGroups: [""], resources: ["pods"], verbs: ["delete", "list"] },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["list"] },
];

/** Where a detached pod's labels are kept, as JSON. */
export const originalLabelsAnnotation = "parapet.dev/original-labels";

/**
 * How a pod is taken out of its Services and from its controller by its labels alone. Turned round, these edits would do harm
 * (the controller takes the pod back and ends one of one too many), so what they changed is ended by deleting the pod.
 */
export type Detachment = {
  readonly ok: true;
  /** Without the label that is added. */
  readonly edits: readonly Edit[];
  /** NetworkPolicies that select the pod now and no longer will: what no policy selects is open. */
  readonly lost: readonly string[];
  readonly notes: readonly string[];
};

/** `added` is the label that marks the pod: it stays, whoever selects by it. */
export async function planDetachment(
  input: ActionInput,
  added: { readonly key: string; readonly value: string },
): Promise<Detachment | NotPlanned | Failure> {
  const { target, pod } = input;
  const labels = labelsOf(pod);
  const services = await input.listIn(types.service, target.namespace);
  if (!services.ok) return services.code === "Forbidden" ? missingRights : services;
  const policies = await input.listIn(types.networkPolicy, target.namespace);
  if (!policies.ok) return policies;
  const selector = await controllerSelector(input);
  if (!selector.ok) return selector;
  const inService = services.value.filter((one) => selectsService(one, labels));
  const away = keysToDrop(labels, inService, selector.value).filter((key) => key !== added.key);
  const kept = Object.entries(labels).filter(([key]) => !away.includes(key));
  const after = { ...Object.fromEntries(kept), [added.key]: added.value };
  const still = stillHeld(after, inService, selector.value);
  if (still !== undefined) return notPlanned(`${still} still selects the pod without those labels`);
  const lost = policies.value.filter((one) => selectsPod(one, labels) && !selectsPod(one, after));
  return {
    ok: true,
    edits: [
      editOf(pod, ["metadata", "annotations", originalLabelsAnnotation], JSON.stringify(labels)),
      ...away.map((key) => editOf(pod, ["metadata", "labels", key], undefined)),
    ],
    lost: lost.map((one) => textAt(one, ["metadata", "name"])).sort(),
    notes: detachmentNotes(pod, inService, away),
  };
}

function detachmentNotes(
  pod: JsonObject,
  services: readonly JsonObject[],
  away: readonly string[],
): readonly string[] {
  const names = services.map((one) => textAt(one, ["metadata", "name"])).sort();
  const owner = textAt(controllerOf(pod), ["kind"]);
  const replaced = {
    ReplicaSet: "its ReplicaSet makes another pod",
    StatefulSet: "its StatefulSet cannot replace it while the name is taken",
    DaemonSet: "its DaemonSet makes another pod on the same node",
    Job: "its Job counts it as lost",
  };
  const consequence = Object.entries(replaced).find(([kind]) => kind === owner)?.[1];
  return [
    `takes the label(s) ${away.join(", ") || "none"} away; leaves Service(s) ${names.join(", ") || "none"}`,
    ...(consequence === undefined ? [] : [consequence]),
    "the end of it deletes the pod",
  ];
}

/** Keys by which Services and the controller select the pod. */
function keysToDrop(
  labels: JsonObject,
  services: readonly JsonObject[],
  selector: Json | undefined,
): readonly string[] {
  const keys = new Set<string>();
  const take = (from: Json | undefined): void => {
    for (const key of isObject(from) ? Object.keys(from) : []) keys.add(key);
  };
  for (const service of services) take(at(service, ["spec", "selector"]));
  take(at(selector, ["matchLabels"]));
  const expressions = at(selector, ["matchExpressions"]);
  for (const one of isArray(expressions) ? expressions : []) {
    if (["In", "Exists"].includes(textAt(one, ["operator"]))) keys.add(textAt(one, ["key"]));
  }
  return [...keys].filter((key) => Object.hasOwn(labels, key)).sort();
}

function stillHeld(
  after: JsonObject,
  services: readonly JsonObject[],
  selector: Json | undefined,
): string | undefined {
  const service = services.find((one) => selectsService(one, after));
  if (service !== undefined) return `Service ${textAt(service, ["metadata", "name"])}`;
  if (selector === undefined) return undefined;
  const parsed = parseLabelSelector(selector);
  return !parsed.ok || parsed.selector.matches(after) ? "its controller" : undefined;
}

/** A Service without a selector selects nothing. */
function selectsService(service: JsonObject, labels: JsonObject): boolean {
  const selector = at(service, ["spec", "selector"]);
  if (!isObject(selector) || Object.keys(selector).length === 0) return false;
  const parsed = parseLabelSelector({ matchLabels: selector });
  return parsed.ok && parsed.selector.matches(labels);
}

function selectsPod(policy: JsonObject, labels: JsonObject): boolean {
  const parsed = parseLabelSelector(at(policy, ["spec", "podSelector"]));
  return !parsed.ok || parsed.selector.matches(labels);
}

const missingRights = failure(
  "Forbidden",
  "to detach pods the responder needs the rights of quarantine-label (`parapet rbac --actions isolate,quarantine-label` prints the role)",
);

const labelsOf = (pod: JsonObject): JsonObject => {
  const labels = at(pod, ["metadata", "labels"]);
  return isObject(labels) ? labels : {};
};

const controllers: readonly ResourceType[] = [
  { apiVersion: "apps/v1", kind: "ReplicaSet", resource: "replicasets", namespaced: true },
  { apiVersion: "apps/v1", kind: "StatefulSet", resource: "statefulsets", namespaced: true },
  { apiVersion: "apps/v1", kind: "DaemonSet", resource: "daemonsets", namespaced: true },
  { apiVersion: "batch/v1", kind: "Job", resource: "jobs", namespaced: true },
];

/** The selector by which the controller holds the pod; undefined when it has none. */
async function controllerSelector(
  input: ActionInput,
): Promise<Reply<Json | undefined> | NotPlanned> {
  const reference = controllerOf(input.pod);
  if (reference === undefined) return { ok: true, value: undefined };
  const kind = textAt(reference, ["kind"]);
  const type = controllers.find(
    (one) => one.kind === kind && one.apiVersion === textAt(reference, ["apiVersion"]),
  );
  if (type === undefined) return notPlanned(`nothing is known of how a ${kind} holds its pods`);
  const { namespace } = input.target;
  const live = await input.read(type, { namespace, name: textAt(reference, ["name"]) });
  if (live.ok) return { ok: true, value: at(live.value, ["spec", "selector"]) };
  return live.code === "NotFound" ? { ok: true, value: undefined } : live;
}
