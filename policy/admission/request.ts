// SPDX-License-Identifier: Apache-2.0
import { authorizerValue, resourceCheckValue } from "#policy/cel/libraries/authorizer";
import { at, field, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { Review, UserInfo } from "#policy/review";
import type { World } from "#policy/world";

/**
 * The `request` variable as the JSON of an AdmissionRequest (apiserver CreateAdmissionRequest): empty optional fields
 * are absent, so that `has(request.namespace)` is false for cluster-scoped objects. Kept per review.
 */
export function requestOf(review: Review): JsonObject {
  if (last?.review !== review) last = { review, request: makeRequest(review, null, null) };
  return last.request;
}

/** One review is judged by all policies before the next comes. */
let last: { readonly review: Review; readonly request: JsonObject } | undefined;

/** Key by key in a fixed order, as this is made for every object. */
export function makeRequest(
  review: Review,
  object: JsonObject | null,
  oldObject: JsonObject | null,
): JsonObject {
  const { subResource, name, namespace } = review;
  const kind = { ...review.kind };
  const resource = { ...review.resource };
  const request: { [key: string]: Json } = { uid: "", kind, resource };
  if (subResource !== "") request["subResource"] = subResource;
  request["requestKind"] = kind;
  request["requestResource"] = resource;
  if (subResource !== "") request["requestSubResource"] = subResource;
  if (name !== "") request["name"] = name;
  if (namespace !== "") request["namespace"] = namespace;
  request["operation"] = review.operation;
  request["userInfo"] = userOf(review.userInfo);
  request["object"] = object;
  request["oldObject"] = oldObject;
  request["dryRun"] = review.dryRun;
  request["options"] = review.options;
  return request;
}

const filled = (key: string, value: string): JsonObject => (value === "" ? {} : { [key]: value });

function userOf(user: UserInfo | null): JsonObject {
  if (user === null) return {};
  return {
    ...filled("username", user.username),
    ...filled("uid", user.uid),
    ...(user.groups.length === 0 ? {} : { groups: user.groups }),
    ...(Object.keys(user.extra).length === 0 ? {} : { extra: user.extra }),
  };
}

/** `authorizer` and `authorizer.requestResource`: they can be asked, but nobody here can answer. */
export const authorizerVariables = {
  authorizer: authorizerValue,
  "authorizer.requestResource": resourceCheckValue,
};

/**
 * The `namespaceObject` variable: the namespace of a namespaced object without managedFields and owners, null for
 * cluster-scoped objects, for Namespaces themselves, and where the World does not know the namespace.
 */
export function namespaceObjectOf(review: Review, world: World): JsonObject | null {
  const { group, kind } = review.kind;
  if (review.namespace === "" || (group === "" && kind === "Namespace")) return null;
  const found = world.namespace(review.namespace);
  if (found === undefined) return null;
  const metadata = field(found, "metadata");
  return { ...pick(found, ["spec", "status"]), metadata: pick(metadata, namespaceMetadata) };
}

/**
 * The same for an admission policy: the API server knows every namespace, so one that the World does not know is at
 * least there under its name, as in Kyverno's evaluation of these policies.
 */
export function admittedNamespaceOf(review: Review, world: World): JsonObject | null {
  const known = namespaceObjectOf(review, world);
  if (known !== null || review.namespace === "" || review.kind.kind === "Namespace") return known;
  return { metadata: { name: review.namespace } };
}

const namespaceMetadata = [
  "name",
  "generateName",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
  "finalizers",
];

function pick(value: Json | undefined, keys: readonly string[]): JsonObject {
  if (!isObject(value)) return {};
  const entries = keys.flatMap((key): readonly [string, Json][] => {
    const found = at(value, [key]);
    return found === undefined ? [] : [[key, found]];
  });
  return Object.fromEntries(entries);
}
