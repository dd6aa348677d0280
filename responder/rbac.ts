// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { isolateRbac } from "#responder/actions/isolate";
import { rollbackVerbs } from "#responder/actions/rollback";
import type { Config } from "#responder/config";

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

/** A kind that drift is watched on, with the plural that RBAC names. */
export type WatchedResource = { readonly apiVersion: string; readonly resource: string };

const name = "parapet-responder";

/**
 * The roles that the responder needs with this configuration, and nothing beyond: its own kinds, what its actions declare, and
 * the kinds that it is told to watch for drift. It cannot read Secrets, nor create the Approvals that it acts on, unless it serves the console.
 */
export function rolesFor(
  config: Pick<Config, "namespace"> & {
    readonly review: { readonly reviewers: readonly unknown[] };
  },
  watched: readonly WatchedResource[],
): readonly JsonObject[] {
  const own = ["parapet.dev"];
  const decides = config.review.reviewers.length > 0;
  const rules: readonly Rule[] = [
    { apiGroups: own, resources: ["remediations"], verbs: ["get", "list", "watch", "create"] },
    { apiGroups: own, resources: ["remediations/status"], verbs: ["update"] },
    {
      apiGroups: own,
      resources: ["approvals"],
      verbs: ["get", "list", "watch", ...(decides ? ["create"] : [])],
    },
    { apiGroups: own, resources: ["responsepolicies"], verbs: ["get", "list", "watch"] },
    { apiGroups: own, resources: ["responsepolicies/status"], verbs: ["update"] },
    { apiGroups: own, resources: ["driftexceptions"], verbs: ["get", "list", "watch"] },
    { apiGroups: [""], resources: ["namespaces"], verbs: ["get"] },
    ...isolateRbac,
    ...watched.map(({ apiVersion, resource }) => ({
      apiGroups: [apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : ""],
      resources: [resource],
      verbs: rollbackVerbs,
    })),
  ];
  const inNamespace: readonly Rule[] = [
    {
      apiGroups: ["coordination.k8s.io"],
      resources: ["leases"],
      verbs: ["get", "create", "update", "delete"],
    },
    { apiGroups: [""], resources: ["configmaps"], resourceNames: ["parapet-stop"], verbs: ["get"] },
  ];
  return [
    role("ClusterRole", { name }, rules),
    role("Role", { name, namespace: config.namespace }, inNamespace),
  ];
}

const role = (kind: string, metadata: JsonObject, rules: readonly Rule[]): JsonObject => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind,
  metadata,
  rules: rules.map((rule) => ({ ...rule })),
});

/** The bindings of {@link rolesFor} to one subject. */
export function bindingsFor(subject: JsonObject, namespace: string): readonly JsonObject[] {
  const binding = (kind: string, roleKind: string, metadata: JsonObject): JsonObject => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind,
    metadata,
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: roleKind, name },
    subjects: [subject],
  });
  return [
    binding("ClusterRoleBinding", "ClusterRole", { name }),
    binding("RoleBinding", "Role", { name, namespace }),
  ];
}
