// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { types } from "#responder/cluster";
import { residualAllows } from "#responder/network-policy";
import type { Change, PlannedAction, ResidualAllow, Target } from "#responder/plan";
import { ownershipLabel } from "#responder/plan";

/** Peers that an isolated pod may still talk to, in both directions: a DNS server, a forensic collector. */
export type IsolateParameters = {
  readonly allow: readonly { readonly cidr: string }[];
};

export type IsolationInput = {
  readonly target: Target;
  /** The live pod of that uid. */
  readonly pod: JsonObject;
  /** All NetworkPolicies of the pod's namespace. */
  readonly policies: readonly JsonObject[];
  /** Name of the remediation that this is part of. */
  readonly remediation: string;
  readonly parameters: IsolateParameters;
};

export type PlannedIsolation =
  | {
      readonly ok: true;
      readonly action: PlannedAction;
      readonly residualAllows: readonly ResidualAllow[];
      readonly notes: readonly string[];
    }
  | { readonly ok: false; readonly reason: string; readonly message: string };

/** RBAC that the action needs, for the generated role. */
export const isolateRbac = [
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["networkpolicies"],
    verbs: ["get", "list", "create", "patch", "delete"],
  },
] as const;

/**
 * Isolates one pod: a NetworkPolicy of our own that selects exactly this pod by a label whose value is the pod's uid and allows
 * nothing (or the allow-list) in both directions; then the label on the pod. The policy comes first, so the label is the
 * moment of isolation. A pod recreated under the same name does not bear the label, nor do the other replicas.
 */
export function planIsolation(input: IsolationInput): PlannedIsolation {
  const { target, pod } = input;
  if (at(pod, ["spec", "hostNetwork"]) === true) {
    return {
      ok: false,
      reason: "HostNetwork",
      message: "the pod uses its node's network, which no NetworkPolicy covers",
    };
  }
  if (["Succeeded", "Failed"].includes(textAt(pod, ["status", "phase"]))) {
    return { ok: false, reason: "PodFinished", message: "the pod has ended" };
  }
  const label = isolationLabel(input.remediation);
  const labels = at(pod, ["metadata", "labels"]);
  const after: JsonObject = { ...(isObject(labels) ? labels : {}), [label]: target.uid };
  const changes: readonly Change[] = [
    { kind: "apply", type: types.networkPolicy, manifest: isolatingPolicy(input, label) },
    {
      kind: "edit",
      type: types.pod,
      namespace: target.namespace,
      name: target.name,
      uid: target.uid,
      edits: [{ path: ["metadata", "labels", label], to: target.uid }],
    },
  ];
  const open = residualAllows(after, input.policies, (policy) => isOurs(policy, input.remediation));
  return {
    ok: true,
    action: { action: "isolate", changes },
    residualAllows: open,
    notes: notesOf(pod, open),
  };
}

/** One label for each remediation, so that undoing one never opens what another closed. */
export const isolationLabel = (remediation: string): string =>
  `${isolationPrefix}${remediation.slice(-10)}`;

export const isolationPrefix = "isolate.parapet.dev/";

/** 253 characters at most for the name; a remediation's name has 63. */
const policyName = (remediation: string): string => `parapet-${remediation}`;

function isolatingPolicy(input: IsolationInput, label: string): JsonObject {
  const peers = input.parameters.allow.map((peer) => ({ ipBlock: { cidr: peer.cidr } }));
  return {
    apiVersion: types.networkPolicy.apiVersion,
    kind: types.networkPolicy.kind,
    metadata: {
      name: policyName(input.remediation),
      namespace: input.target.namespace,
      labels: {
        [ownershipLabel]: input.remediation,
        "app.kubernetes.io/managed-by": "parapet-responder",
      },
      annotations: { "parapet.dev/target": `Pod/${input.target.name}/${input.target.uid}` },
    },
    spec: {
      podSelector: { matchLabels: { [label]: input.target.uid } },
      policyTypes: ["Ingress", "Egress"],
      ...(peers.length === 0 ? {} : { ingress: [{ from: peers }], egress: [{ to: peers }] }),
    },
  };
}

const isOurs = (policy: JsonObject, remediation: string): boolean =>
  textAt(policy, ["metadata", "labels", ownershipLabel]) === remediation &&
  textAt(policy, ["metadata", "name"]) === policyName(remediation);

function notesOf(pod: JsonObject, open: readonly ResidualAllow[]): readonly string[] {
  const owner = ownerText(at(pod, ["metadata", "ownerReferences"]));
  return [
    `changes one pod${owner === "" ? ", which has no owner" : ` of ${owner}`}; its other replicas are not touched`,
    "traffic between the pod and its own node stays possible; established connections end as the cluster's network implementation decides",
    ...(open.length === 0
      ? []
      : [`${open.length} allow rule(s) of other NetworkPolicies stay open after this`]),
  ];
}

function ownerText(references: Json | undefined): string {
  const owner = isArray(references)
    ? references.find((reference) => at(reference, ["controller"]) === true)
    : undefined;
  if (owner === undefined) return "";
  return `${textAt(owner, ["kind"])} ${textAt(owner, ["name"])}`;
}
