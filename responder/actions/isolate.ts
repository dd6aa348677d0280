// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { JsonObject } from "#policy/json";
import { at, isObject, textAt } from "#policy/json";
import { type ActionInfo, type NotPlanned, notPlanned } from "#responder/actions/action";
import { isolationNotes } from "#responder/actions/isolate-notes";
import { labelKey, labelValue, ttl, ttlMsDefault } from "#responder/actions/parameters";
import { editOf, podChange } from "#responder/actions/pod-edit";
import type { ResourceType } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import type { NetworkView } from "#responder/isolation/network-view";
import type { Change, PlannedAction, ResidualAllow, Target } from "#responder/plan";
import { isolationPrefix, ownershipLabel } from "#responder/plan";
import {
  type Backend,
  type BackendChoice,
  backendKinds,
  chooseBackend,
} from "#responder/reachability/backend";
import type { AllowedPeer } from "#responder/reachability/isolation-manifests";
import { protocols } from "#responder/reachability/traffic";
import { podViewOf } from "#responder/reachability/pod-view";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";

const peersMax = 20;

/** Exactly one of the two: a network, or pods of one namespace (all of them without `pods`). */
const allowedPeer = z
  .strictObject({
    cidr: z.union([z.cidrv4(), z.cidrv6()]).optional(),
    namespace: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be the name of a namespace")
      .optional(),
    pods: z
      .record(labelKey, labelValue)
      .refine((labels) => Object.keys(labels).length <= 20, "has more than 20 labels")
      .optional(),
    /** Destination ports; without them all. */
    ports: z
      .array(
        z.strictObject({
          port: z.int().min(1).max(65_535),
          protocol: z.enum(protocols).default("TCP"),
        }),
      )
      .min(1)
      .max(10)
      .optional(),
    /** Without it both. */
    direction: z.enum(["Ingress", "Egress"]).optional(),
  })
  .transform((peer, context): AllowedPeer => {
    const { cidr, namespace, pods, ...narrowed } = peer;
    if (cidr !== undefined && namespace === undefined && pods === undefined) {
      return { kind: "network", cidr, ...narrowed };
    }
    if (namespace !== undefined && cidr === undefined) {
      return { kind: "pods", namespace, labels: pods ?? {}, ...narrowed };
    }
    const message = "must have either cidr, or namespace with or without pods (labels)";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });

export const isolateParameters = z.strictObject({
  ttl: ttl.default(ttlMsDefault),
  /** Peers that an isolated pod may still talk to: a DNS server, a forensic collector. */
  allow: z.array(allowedPeer).max(peersMax).default([]),
  /** Also out of its Services and from its controller, by its labels; then the end of it deletes the pod. */
  detach: z.boolean().default(false),
  /** What an Automatic policy does where other policies still let something through after it. */
  onResidualAllows: z.enum(["Act", "Propose"]).default("Act"),
  /** Where connections that were open before live on, and new ones were seen to be cut: whether people are asked to end the pod. */
  onOpenConnections: z.enum(["Report", "Propose"]).default("Report"),
});

export type IsolateParameters = z.infer<typeof isolateParameters>;

const ownKinds = policyKinds.filter((kind) =>
  backendKinds.some((one) => one.group === kind.group && one.kind === kind.kind),
);

export const isolateInfo: ActionInfo = {
  name: "isolate",
  does: "cuts one pod's network in both directions, by policies that select this pod alone: a NetworkPolicy, and with it a kind that can deny where others allow; detached, also takes it out of its Services and from its controller",
  targets: ["Pod", ...new Set(ownKinds.map((kind) => kind.kind))],
  inverse: "the label is taken off and the policies deleted; a detached pod is deleted first",
  verified:
    "policies and label are read back, and watched while it lasts; allows of other policies that stay open are named",
  rbac: [
    // Detaching needs those of quarantine-label as well, which alone may delete pods.
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch", "patch"] },
    { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list", "watch"] },
    { apiGroups: [""], resources: ["events"], verbs: ["get", "create"] },
    // Every kind that decides about traffic is read; those that the responder writes itself it also writes.
    ...policyKinds.map((kind) => ({
      apiGroups: [kind.group],
      resources: [kind.resource],
      verbs: ["get", "list", "watch"],
    })),
    ...ownKinds.map((kind) => ({
      apiGroups: [kind.group],
      resources: [kind.resource],
      verbs: ["create", "patch", "delete"],
    })),
    // Calico asks for this one for policies of a tier, beside the kind's own
    // (docs.tigera.io/calico/latest/network-policy/policy-tiers/rbac-tiered-policies).
    {
      apiGroups: ["projectcalico.org"],
      resources: ["tier.globalnetworkpolicies"],
      verbs: ["get", "list", "watch", "create", "patch", "delete"],
    },
    {
      apiGroups: ["projectcalico.org"],
      resources: ["tier.networkpolicies"],
      verbs: ["get", "list", "watch"],
    },
  ],
};

export type IsolationInput = {
  readonly target: Target;
  /** The live pod of that uid. */
  readonly pod: JsonObject;
  /** What the same response does to the pod's labels beside this. */
  readonly otherEdits?: readonly Edit[];
  /** The edits by which the pod is detached; undefined: it stays where it is. */
  readonly detachment?: { readonly edits: readonly Edit[]; readonly notes: readonly string[] };
  readonly network: NetworkView;
  /** Backends whose manifest the server did not take, with its reason. */
  readonly refused?: ReadonlyMap<Backend, string>;
  /** Name of the remediation that this is part of. */
  readonly remediation: string;
  readonly parameters: Pick<IsolateParameters, "allow">;
};

export type PlannedIsolation =
  | {
      readonly ok: true;
      readonly backend: Backend;
      readonly action: PlannedAction;
      readonly residualAllows: readonly ResidualAllow[];
      readonly notes: readonly string[];
    }
  | NotPlanned;

/**
 * Isolates one pod: policies of our own that select exactly this pod by a label whose value is the pod's uid and allow
 * nothing (or the allow-list) in both directions; then the label on the pod. The policies come first, so the label is the
 * moment of isolation. A pod recreated under the same name does not bear the label, nor do the other replicas.
 */
export function planIsolation(input: IsolationInput): PlannedIsolation {
  const { target, pod, network, remediation } = input;
  const phase = textAt(pod, ["status", "phase"]);
  if (["Succeeded", "Failed"].includes(phase)) return notPlanned("the pod has ended");
  const label = isolationLabel(remediation);
  const edits = [
    ...(input.detachment?.edits ?? []),
    editOf(pod, ["metadata", "labels", label], target.uid),
  ];
  const choice = chooseBackend({
    namespace: target.namespace,
    name: `parapet-${remediation}`,
    labels: { [ownershipLabel]: remediation, "app.kubernetes.io/managed-by": "parapet-responder" },
    annotations: {
      "parapet.dev/target": `Pod/${target.name}/${target.uid}`,
      [remediationNamespaceKey]: target.namespace,
    },
    selector: { key: label, value: target.uid },
    allow: input.parameters.allow,
    pod: podViewOf(
      withLabels(pod, [...(input.otherEdits ?? []), ...(input.detachment?.edits ?? [])]),
      network.namespace,
    ),
    hostNetwork: at(pod, ["spec", "hostNetwork"]) === true,
    served: network.served,
    policies: network.policies,
    istioRootNamespace: network.istioRootNamespace,
    ...(input.refused === undefined ? {} : { refused: input.refused }),
  });
  if (!choice.ok) return notPlanned(refusalText(choice, target));
  const changes: readonly Change[] = [
    ...choice.manifests.map((manifest): Change => ({
      kind: "apply",
      type: typeOfManifest(manifest),
      manifest,
    })),
    podChange(target, edits, input.detachment === undefined ? undefined : "delete"),
  ];
  const residualAllows = choice.residualAllows.map(({ policy, ...rest }) => ({
    ...policy,
    ...rest,
  }));
  return {
    ok: true,
    backend: choice.backend,
    action: { action: "isolate", changes },
    residualAllows,
    notes: [...isolationNotes(pod, choice, network), ...(input.detachment?.notes ?? [])],
  };
}

/** Annotation of our policies: where their Remediation is, which those of the cluster do not show otherwise. */
export const remediationNamespaceKey = "parapet.dev/remediation-namespace";

/** One label for each remediation, so that undoing one never opens what another closed. */
export const isolationLabel = (remediation: string): string =>
  `${isolationPrefix}${remediation.slice(-10)}`;

function refusalText(choice: Extract<BackendChoice, { ok: false }>, target: Target): string {
  return choice.reason === "HostNetwork"
    ? `Pod ${target.namespace}/${target.name} uses its node's network (hostNetwork), which no network policy covers: evict, delete or scale-to-zero take it out of service, cordon keeps more from its node, and the node itself is cut off outside the cluster`
    : choice.message;
}

/** The pod with the labels that it will have. */
export function withLabels(pod: JsonObject, edits: readonly Edit[]): JsonObject {
  const before = at(pod, ["metadata", "labels"]);
  const labels = new Map(Object.entries(isObject(before) ? before : {}));
  for (const { path, to } of edits) {
    const [top, map, key] = path;
    if (top !== "metadata" || map !== "labels" || typeof key !== "string") continue;
    if (to === undefined) labels.delete(key);
    else labels.set(key, to);
  }
  const metadata = at(pod, ["metadata"]);
  return {
    ...pod,
    metadata: { ...(isObject(metadata) ? metadata : {}), labels: Object.fromEntries(labels) },
  };
}

function typeOfManifest(manifest: JsonObject): ResourceType {
  const apiVersion = textAt(manifest, ["apiVersion"]);
  const kind = ownKinds.find(
    (one) =>
      `${one.group}/${one.version}` === apiVersion && one.kind === textAt(manifest, ["kind"]),
  );
  if (kind === undefined) throw new Error(`${apiVersion} is no kind that isolations are made of`);
  return typeOfKind(kind);
}
