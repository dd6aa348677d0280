// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

/** What the Pod Security Standards look at: a pod, or the pod template of a controller. */
export type PodView = {
  readonly annotations: JsonObject;
  readonly spec: JsonObject;
};

export type ContainerView = {
  readonly container: JsonObject;
  readonly name: string;
  /** e.g. `spec.initContainers[0]`. */
  readonly path: string;
  /** Undefined when the container has no securityContext, which some checks tell from an empty one. */
  readonly security: JsonObject | undefined;
};

export const podView = (metadata: Json | undefined, spec: Json | undefined): PodView => ({
  annotations: objectAt(metadata, "annotations") ?? {},
  spec: isObject(spec) ? spec : {},
});

export const containerLists = ["initContainers", "containers", "ephemeralContainers"] as const;

const containers = new WeakMap<PodView, readonly ContainerView[]>();

/** All containers in the order in which the upstream checks visit them; a dozen checks ask for them. */
export function containersOf(pod: PodView): readonly ContainerView[] {
  const known = containers.get(pod);
  if (known !== undefined) return known;
  const found = findContainers(pod);
  containers.set(pod, found);
  return found;
}

const findContainers = (pod: PodView): readonly ContainerView[] =>
  containerLists.flatMap((list) =>
    objectsAt(pod.spec, list).map((container, index) => ({
      container,
      name: textAt(container, ["name"]),
      path: `spec.${list}[${index}]`,
      security: objectAt(container, "securityContext"),
    })),
  );

export function objectAt(value: Json | undefined, key: string): JsonObject | undefined {
  const found = field(value, key);
  return isObject(found) ? found : undefined;
}

export function objectsAt(value: Json | undefined, key: string): readonly JsonObject[] {
  const found = field(value, key);
  return isArray(found) ? found.map((item) => (isObject(item) ? item : {})) : [];
}

export function textsAt(value: Json | undefined, key: string): readonly string[] {
  const found = field(value, key);
  return isArray(found) ? found.filter((item) => typeof item === "string") : [];
}

/** The pod's own securityContext. */
export const podSecurityContext = (pod: PodView): JsonObject | undefined =>
  objectAt(pod.spec, "securityContext");

/** Windows pods are spared checks that mean nothing there. */
export const isWindows = (pod: PodView): boolean =>
  textAt(objectAt(pod.spec, "os"), ["name"]) === "windows";
