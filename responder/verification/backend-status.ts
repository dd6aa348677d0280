// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, isArray, textAt } from "#policy/json";
import type { Cluster, Reply, ResourceType } from "#responder/cluster";
import { nameOf } from "#responder/cluster";
import type { RbacRule } from "#responder/actions/action";
import { changesOf, isolationPrefix, type Plan, type Target } from "#responder/plan";
import type { Evidence } from "#responder/verification/evidence";

/** What those who enforce the policies say themselves. `silent`: they say nothing, so that only time can tell. */
export type BackendStatus = {
  readonly kind: "realised" | "notYet" | "silent";
  readonly evidence: readonly Evidence[];
};

const ciliumEndpoint: ResourceType = {
  apiVersion: "cilium.io/v2",
  kind: "CiliumEndpoint",
  resource: "ciliumendpoints",
  namespaced: true,
};

export const backendStatusRbac: readonly RbacRule[] = [
  { apiGroups: ["cilium.io"], resources: ["ciliumendpoints"], verbs: ["get"] },
];

/** Reads the statuses of the objects that a plan applied, and of the target's endpoint where Cilium serves one. */
export async function readBackendStatus(
  cluster: Pick<Cluster, "get" | "typeOf">,
  plan: Plan,
  target: Target,
  nowMs: number,
): Promise<Reply<BackendStatus>> {
  const said: Said[] = [];
  for (const change of changesOf(plan)) {
    if (change.kind !== "apply") continue;
    const live = await cluster.get(change.type, nameOf(change.manifest));
    if (!live.ok) return live;
    said.push(...conditionsOf(live.value, change.type.kind));
  }
  const served = await cluster.typeOf(ciliumEndpoint.apiVersion, ciliumEndpoint.kind);
  const live = served.ok ? await cluster.get(ciliumEndpoint, target) : undefined;
  if (live?.ok === true) said.push(...endpointSays(live.value, plan));
  const evidence = said.map(({ finding, detail }): Evidence => ({
    atMs: nowMs,
    check: "BackendStatus",
    finding,
    detail,
  }));
  const counted = said.filter((one) => one.counts);
  if (said.some((one) => one.finding === "Fails")) return status("notYet", evidence);
  return status(counted.length > 0 ? "realised" : "silent", evidence);
}

const status = (
  kind: BackendStatus["kind"],
  evidence: readonly Evidence[],
): Reply<BackendStatus> => ({ ok: true, value: { kind, evidence } });

/** `counts`: if it holds, the policy is in force; else it only must not fail. */
type Said = Pick<Evidence, "finding" | "detail"> & { readonly counts: boolean };

/** Conditions that say that an object was understood, not that it is enforced. */
const understood: ReadonlySet<string> = new Set(["Valid", "Accepted"]);

/**
 * `status.conditions` of a policy: AdminNetworkPolicy and ClusterNetworkPolicy leave their types to the implementation
 * (network-policy-api apis: "Conditions"); OVN-Kubernetes writes one `Ready-In-Zone-…` for each zone, Cilium `Valid`. One
 * that speaks of an older generation says nothing yet.
 */
function conditionsOf(object: JsonObject, kind: string): readonly Said[] {
  const name = `${kind} ${textAt(object, ["metadata", "name"])}`;
  const generation = at(object, ["metadata", "generation"]);
  const conditions = at(object, ["status", "conditions"]);
  return (isArray(conditions) ? conditions : []).slice(0, 20).map((one): Said => {
    const type = textAt(one, ["type"]);
    const value = textAt(one, ["status"]);
    const observed = at(one, ["observedGeneration"]);
    const isOld = typeof observed === "number" && observed !== generation;
    const holds = value === "True" && !isOld;
    const why = isOld ? " for an older generation" : holds ? "" : `: ${textAt(one, ["message"])}`;
    return {
      finding: holds ? "Holds" : "Fails",
      detail: `${name}: ${type}=${value}${why}`,
      counts: !understood.has(type),
    };
  });
}

/** The agent's own word on one pod: the isolation's label is in its identity, and both directions are enforced. */
function endpointSays(endpoint: JsonObject, plan: Plan): readonly Said[] {
  const state = textAt(endpoint, ["status", "state"]);
  const labels = listOf(at(endpoint, ["status", "identity", "labels"]));
  const wanted = isolationLabels(plan);
  const missing = wanted.filter((one) => !labels.includes(`k8s:${one}`));
  const said = (holds: boolean, detail: string): Said => ({
    finding: holds ? "Holds" : "Fails",
    detail: `CiliumEndpoint: ${detail}`,
    counts: true,
  });
  const enforced = (["ingress", "egress"] as const).flatMap((side) => {
    const value = at(endpoint, ["status", "policy", side, "enforcing"]);
    return typeof value === "boolean" ? [said(value, `${side} enforcing=${value}`)] : [];
  });
  return [
    said(
      missing.length === 0,
      missing.length === 0
        ? "its identity bears the isolation's label"
        : "its identity does not bear the isolation's label (yet, or Cilium's label filter leaves it out)",
    ),
    ...(state === "" ? [] : [said(state === "ready", `state ${state}`)]),
    ...enforced,
  ];
}

/** `key=value` of the labels by which the plan's policies select the target. */
function isolationLabels(plan: Plan): readonly string[] {
  return changesOf(plan).flatMap((change) =>
    change.kind === "edit"
      ? change.edits.flatMap(({ path, to }) => {
          const key = path.at(-1);
          return typeof key === "string" && key.startsWith(isolationPrefix) && to !== undefined
            ? [`${key}=${typeof to === "string" ? to : JSON.stringify(to)}`]
            : [];
        })
      : [],
  );
}

const listOf = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
