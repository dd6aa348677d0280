// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { RbacRule } from "#responder/actions/action";

/** Where probe pods and stand-ins are made. */
export type ProbePlaces = {
  readonly namespace: string;
  readonly standInNamespaces: readonly string[];
};

const name = "parapet-responder-probes";
const rbac = "rbac.authorization.k8s.io";

const pods: RbacRule = {
  apiGroups: [""],
  resources: ["pods"],
  verbs: ["get", "list", "create", "delete"],
};

/**
 * What probes need, in the namespaces that are named and nowhere else: whoever may create pods in a namespace may use all
 * that is in it. The self-test's policy is in the probe namespace alone.
 */
export function probeRoles(places: ProbePlaces): readonly JsonObject[] {
  const policies: RbacRule = {
    apiGroups: ["networking.k8s.io"],
    resources: ["networkpolicies"],
    verbs: ["get", "create", "delete"],
  };
  return namespacesOf(places).map((namespace) => ({
    apiVersion: `${rbac}/v1`,
    kind: "Role",
    metadata: { name, namespace },
    rules: namespace === places.namespace ? [{ ...pods }, { ...policies }] : [{ ...pods }],
  }));
}

export const probeBindings = (subject: JsonObject, places: ProbePlaces): readonly JsonObject[] =>
  namespacesOf(places).map((namespace) => ({
    apiVersion: `${rbac}/v1`,
    kind: "RoleBinding",
    metadata: { name, namespace },
    roleRef: { apiGroup: rbac, kind: "Role", name },
    subjects: [subject],
  }));

const namespacesOf = (places: ProbePlaces): readonly string[] =>
  [...new Set([places.namespace, ...places.standInNamespaces])].sort();
