// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { kindOf, pluralOf } from "#policy/kubernetes/kinds";
import type { World } from "#policy/world";
import type { InputError, SourceDocument } from "./files.ts";

/** A Kubernetes object to be judged, with where it came from. */
export type Resource = {
  readonly file: string;
  readonly object: JsonObject;
  /** The object named no namespace and was put into `default`. */
  readonly placed: boolean;
};

export type ParsedResources = {
  readonly resources: readonly Resource[];
  readonly errors: readonly InputError[];
};

/**
 * Takes documents as Kubernetes objects: unpacks `List` kinds, and puts objects of namespaced kinds (an unknown kind
 * counts as one) that name no namespace into `default`, as Kyverno's command line and kubectl do.
 */
export function parseResources(
  documents: readonly SourceDocument[],
  world: World,
): ParsedResources {
  const resources: Resource[] = [];
  const errors: InputError[] = [];
  for (const { file, position, value } of documents) {
    for (const item of unpackList(value)) {
      const wrong = findWrong(item);
      if (wrong !== undefined) errors.push({ file, message: `document ${position}: ${wrong}` });
      if (wrong === undefined && isObject(item)) {
        const object = withNamespace(item, world);
        resources.push({ file, object, placed: object !== item });
      }
    }
  }
  return { resources, errors };
}

export function unpackList(value: Json): readonly Json[] {
  const items = field(value, "items");
  const isList = textAt(value, ["kind"]).endsWith("List") && isArray(items);
  return isList ? items.flatMap((item) => unpackList(item)) : [value];
}

function findWrong(value: Json): string | undefined {
  if (!isObject(value)) return "is no object";
  if (textAt(value, ["kind"]) === "") return "has no kind";
  if (textAt(value, ["apiVersion"]) === "") return "has no apiVersion";
  const metadata = field(value, "metadata");
  return metadata === undefined || isObject(metadata) ? undefined : "metadata is no object";
}

function withNamespace(object: JsonObject, world: World): JsonObject {
  if (textAt(object, ["metadata", "namespace"]) !== "") return object;
  if (!pluralOf(kindOf(object), world).namespaced) return object;
  const metadata = field(object, "metadata");
  return { ...object, metadata: { ...(isObject(metadata) ? metadata : {}), namespace: "default" } };
}

/** What tells objects of one run apart. */
export type ResourceKey = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};

export function keyOf(object: Json): ResourceKey {
  return {
    apiVersion: textAt(object, ["apiVersion"]),
    kind: textAt(object, ["kind"]),
    namespace: textAt(object, ["metadata", "namespace"]),
    name: textAt(object, ["metadata", "name"]),
  };
}

/** `Pod/default/web`, or `Namespace/web`. */
export function formatKey(key: ResourceKey): string {
  return [key.kind, key.namespace, key.name].filter((part) => part !== "").join("/");
}

/** The first of several objects with one group, kind, namespace and name; the others are left out, as Kyverno does. */
export function uniqueResources(resources: readonly Resource[]): readonly Resource[] {
  const seen = new Map<string, Resource>();
  for (const resource of resources) {
    const { kind, namespace, name } = keyOf(resource.object);
    const key = JSON.stringify([kindOf(resource.object).group, kind, namespace, name]);
    if (!seen.has(key)) seen.set(key, resource);
  }
  return [...seen.values()];
}
