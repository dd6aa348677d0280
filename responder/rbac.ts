// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { type ActionName, actionNames } from "#responder/action-spec";
import type { RbacRule } from "#responder/actions/action";
import { rollbackVerbs } from "#responder/actions/rollback";
import { actionTable } from "#responder/actions/table";
import type { Config } from "#responder/config/config";
import { backendStatusRbac } from "#responder/verification/backend-status";
import { detectRbac } from "#responder/verification/detect-network";
import { probeBindings, type ProbePlaces, probeRoles } from "#responder/verification/probe-rbac";

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
    /** 0: closed records are kept for ever, and so is the right to delete them away. */
    readonly retention?: number;
    readonly verification?: { readonly probes?: ProbePlaces | undefined };
  },
  watched: readonly WatchedResource[],
  actions: readonly ActionName[] = ["isolate", "rollback"],
): readonly JsonObject[] {
  const own = ["parapet.dev"];
  const decides = config.review.reviewers.length > 0;
  const tidies = config.retention === 0 ? [] : ["delete"];
  const probes = config.verification?.probes;
  const rules: readonly RbacRule[] = [
    {
      apiGroups: own,
      resources: ["remediations"],
      verbs: ["get", "list", "watch", "create", ...tidies],
    },
    { apiGroups: own, resources: ["remediations/status"], verbs: ["update"] },
    {
      apiGroups: own,
      resources: ["approvals"],
      verbs: ["get", "list", "watch", ...(decides ? ["create"] : []), ...tidies],
    },
    { apiGroups: own, resources: ["responsepolicies"], verbs: ["get", "list", "watch"] },
    { apiGroups: own, resources: ["responsepolicies/status"], verbs: ["update"] },
    { apiGroups: own, resources: ["driftexceptions"], verbs: ["get", "list", "watch"] },
    { apiGroups: [""], resources: ["namespaces", "pods"], verbs: ["get"] },
    // By its agents it is known what the network does with a policy, and by Cilium's endpoints that it is in force.
    ...(actions.includes("isolate") ? [...detectRbac, ...backendStatusRbac] : []),
    // A policy's condition may look at the workload that a pod belongs to.
    {
      apiGroups: ["apps"],
      resources: ["replicasets", "deployments", "statefulsets", "daemonsets"],
      verbs: ["get"],
    },
    { apiGroups: ["batch"], resources: ["jobs", "cronjobs"], verbs: ["get"] },
    // What happens to a target is told by Events on it.
    { apiGroups: [""], resources: ["events"], verbs: ["create"] },
    ...actionNames.filter((one) => actions.includes(one)).flatMap((one) => actionTable[one].rbac),
    // `minReady` counts the pods beside the target and reads budgets, whichever action takes it out of service.
    ...(actions.some((one) => takesOutOfService.has(one)) ? guardRbac : []),
    ...(actions.includes("rollback") || actions.includes("reconcile") ? watched : []).map(
      ({ apiVersion, resource }) => ({
        apiGroups: [apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : ""],
        resources: [resource],
        verbs: rollbackVerbs,
      }),
    ),
  ];
  const inNamespace: readonly RbacRule[] = [
    {
      apiGroups: ["coordination.k8s.io"],
      resources: ["leases"],
      verbs: ["get", "create", "update", "delete"],
    },
    { apiGroups: [""], resources: ["configmaps"], resourceNames: ["parapet-stop"], verbs: ["get"] },
  ];
  return [
    role("ClusterRole", { name }, merged(rules)),
    role("Role", { name, namespace: config.namespace }, inNamespace),
    ...(probes === undefined ? [] : probeRoles(probes)),
  ];
}

const takesOutOfService: ReadonlySet<ActionName> = new Set([
  "isolate",
  "quarantine-label",
  "evict",
  "delete",
]);

const guardRbac: readonly RbacRule[] = [
  { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["list"] },
];

/** Every verb that Kubernetes has, in the order that people write them. */
const verbOrder = ["get", "list", "watch", "create", "update", "patch", "delete"];

/** One rule for each resource, with all that is asked of it; sorted, so that the same actions give the same role. */
export function merged(rules: readonly RbacRule[]): readonly RbacRule[] {
  const verbs = new Map<
    string,
    { readonly group: string; readonly resource: string; readonly verbs: Set<string> }
  >();
  for (const rule of rules) {
    for (const group of rule.apiGroups) {
      for (const resource of rule.resources) {
        const key = `${group}/${resource}`;
        const entry = verbs.get(key) ?? { group, resource, verbs: new Set<string>() };
        for (const verb of rule.verbs) entry.verbs.add(verb);
        verbs.set(key, entry);
      }
    }
  }
  return [...verbs]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, entry]) => ({
      apiGroups: [entry.group],
      resources: [entry.resource],
      verbs: verbOrder.filter((verb) => entry.verbs.has(verb)),
    }));
}

const role = (kind: string, metadata: JsonObject, rules: readonly RbacRule[]): JsonObject => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind,
  metadata,
  rules: rules.map((rule) => ({ ...rule })),
});

/** The bindings of {@link rolesFor} to one subject. */
export function bindingsFor(
  subject: JsonObject,
  namespace: string,
  probes?: ProbePlaces,
): readonly JsonObject[] {
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
    ...(probes === undefined ? [] : probeBindings(subject, probes)),
  ];
}
