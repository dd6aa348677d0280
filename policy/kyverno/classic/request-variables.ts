// SPDX-License-Identifier: Apache-2.0
import { textAt, type Json, type JsonObject } from "#policy/json";
import type { Review, UserInfo } from "#policy/review";

const remembered = new WeakMap<Review, JsonObject>();

/**
 * What a review says to variables: `request`, and for a service account its name and namespace. The rules of all
 * policies share it. Without a user it is what Kyverno's background scans and command line give
 * (pkg/engine/policycontext): no more of `request` than the objects, the namespace and the operation.
 */
export function requestVariables(review: Review): JsonObject {
  const known = remembered.get(review);
  if (known !== undefined) return known;
  const variables = build(review);
  remembered.set(review, variables);
  return variables;
}

function build(review: Review): JsonObject {
  const { object, oldObject, operation, userInfo } = review;
  const resource = object ?? oldObject;
  const request: JsonObject = {
    ...(object === null || operation === "DELETE" ? {} : { object }),
    ...(oldObject === null ? {} : { oldObject }),
    namespace: textAt(resource ?? undefined, ["metadata", "namespace"]),
    operation,
  };
  if (userInfo === null) return { request };
  return {
    request: { ...request, ...admissionFields(review), ...userFields(userInfo) },
    ...serviceAccount(userInfo.username),
  };
}

function admissionFields(review: Review): JsonObject {
  const { kind, resource, subResource, name, namespace, dryRun, options } = review;
  const shared = { kind: { ...kind }, resource: { ...resource } };
  const sub: JsonObject =
    subResource === "" ? {} : { subResource, requestSubResource: subResource };
  return {
    ...shared,
    requestKind: shared.kind,
    requestResource: shared.resource,
    ...sub,
    name,
    namespace,
    dryRun,
    options,
  };
}

function userFields({ username, uid, groups, extra, roles, clusterRoles }: UserInfo): JsonObject {
  const userInfo: JsonObject = {
    ...(username === "" ? {} : { username }),
    ...(uid === "" ? {} : { uid }),
    ...(groups.length === 0 ? {} : { groups }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
  const listOrNull = (list: readonly string[]): Json => (list.length === 0 ? null : list);
  return { userInfo, roles: listOrNull(roles), clusterRoles: listOrNull(clusterRoles) };
}

/** As the reference does: it takes for granted that a longer name starts with the prefix. */
function serviceAccount(username: string): JsonObject {
  const account = username.slice("system:serviceaccount:".length);
  const [namespace = "", name] = account.split(":");
  return {
    serviceAccountName: name ?? "",
    serviceAccountNamespace: name === undefined ? "" : namespace,
  };
}
