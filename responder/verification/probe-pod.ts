// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type Json, type JsonObject, at, isArray, isObject, textAt } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import { type ObjectName, types } from "#responder/cluster";
import { isolationPrefix } from "#responder/plan";
import { outcomes } from "#responder/verification/probe";

/** Label of every probe pod; its value names the experiment. */
export const probeLabel = "parapet.dev/probe";
/** Label of a probe pod's part in it. */
export const probePartLabel = "parapet.dev/probe-part";

export type ProbeSettings = {
  readonly namespace: string;
  readonly image: string;
  /** What starts the probe program in that image; its arguments are added. */
  readonly command: readonly string[];
};

/** A probe pod must have ended by itself so many seconds after its start, whatever becomes of the responder. */
export const probeSecondsMax = 120;

export type PodPart = {
  readonly name: string;
  readonly namespace: string;
  readonly id: string;
  readonly part: string;
  /** Arguments of the program: numbers, addresses and words of ours. */
  readonly args: readonly string[];
  readonly labels?: JsonObject;
  /** {@link probeSecondsMax} unless given. */
  readonly secondsMax?: number;
  /** A stand-in's: bound to the target's node, owned by the remediation. */
  readonly standIn?: { readonly node: string; readonly owner: ObjectName & { uid: string } };
};

/**
 * A probe pod: within the restricted Pod Security Standard, without a token, on nobody's service account's behalf, ended by
 * a deadline. A stand-in is never ready, so that no Service sends it traffic, and has a controller, so that no
 * workload adopts it for the labels that it shares with the target.
 */
export function probePod(settings: ProbeSettings, one: PodPart): JsonObject {
  const { standIn } = one;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: one.name,
      namespace: one.namespace,
      labels: {
        ...one.labels,
        "app.kubernetes.io/managed-by": "parapet-responder",
        "sidecar.istio.io/inject": "false",
        [probeLabel]: one.id,
        [probePartLabel]: one.part,
      },
      // A mesh's proxy would accept every connection itself, and hide what the network does.
      annotations: { "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled" },
      ...(standIn === undefined ? {} : { ownerReferences: [ownerOf(standIn.owner)] }),
    },
    spec: {
      restartPolicy: "Never",
      activeDeadlineSeconds: one.secondsMax ?? probeSecondsMax,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65_532,
        runAsGroup: 65_532,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: "probe",
          image: settings.image,
          command: settings.command,
          args: one.args,
          resources: {
            requests: { cpu: "10m", memory: "48Mi" },
            limits: { memory: "128Mi" },
          },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
      ...(standIn === undefined ? {} : { readinessGates: [{ conditionType: neverReady }] }),
      ...(standIn === undefined || standIn.node === ""
        ? {}
        : { nodeName: standIn.node, tolerations: [{ operator: "Exists" }] }),
    },
  };
}

/**
 * How a live pod differs from the one that was asked for, '' where it is the same program in the same place. Names can be
 * foreseen, so a pod of that name may be somebody else's, or admission may have changed it: then what it reports proves
 * nothing. One that is the same says the truth whoever made it, since its status is its node's word.
 */
export function strangeness(live: JsonObject, made: JsonObject, withArgs: boolean): string {
  const containers = listOf(at(live, ["spec", "containers"]));
  if (containers.length !== 1) return "has other containers";
  for (const more of ["initContainers", "ephemeralContainers", "volumes"]) {
    if (listOf(at(live, ["spec", more])).length > 0) return `has ${more}`;
  }
  for (const more of ["env", "envFrom", "volumeMounts", "lifecycle"]) {
    const value = at(live, ["spec", "containers", 0, more]);
    if (value !== undefined && listOf(value).length > 0) return `its container has ${more}`;
  }
  for (const host of ["hostNetwork", "hostPID", "hostIPC"]) {
    if (at(live, ["spec", host]) === true) return `uses ${host}`;
  }
  for (const path of [
    ["spec", "containers", 0, "image"],
    ["spec", "containers", 0, "command"],
    ...(withArgs ? [["spec", "containers", 0, "args"] as const] : []),
  ] as const) {
    if (!sameJson(at(live, path), at(made, path))) return `has another ${path[3]}`;
  }
  return sameJson(policyLabels(live), policyLabels(made)) ? "" : "has other labels";
}

/** Labels without those that admission commonly adds: policies of ours select by none of them. */
const policyLabels = (pod: JsonObject): Json => {
  const labels = at(pod, ["metadata", "labels"]);
  const isAdded = (key: string): boolean => /^(topology|node)\.kubernetes\.io\//.test(key);
  const kept = Object.entries(isObject(labels) ? labels : {}).filter(([key]) => !isAdded(key));
  return Object.fromEntries(kept);
};

const listOf = (value: Json | undefined): readonly Json[] =>
  isArray(value) ? value : value === undefined || value === null ? [] : [value];

const neverReady = "parapet.dev/never-ready";

const ownerOf = (owner: ObjectName & { readonly uid: string }): JsonObject => ({
  apiVersion: types.remediation.apiVersion,
  kind: types.remediation.kind,
  name: owner.name,
  uid: owner.uid,
  controller: true,
});

/** Labels that say which pod it is, not what kind: a stand-in must not answer to them. */
const identityLabels: ReadonlySet<string> = new Set([
  "statefulset.kubernetes.io/pod-name",
  "apps.kubernetes.io/pod-index",
  "batch.kubernetes.io/job-completion-index",
  probeLabel,
  probePartLabel,
]);

/** The target's labels as a stand-in bears them, apart by whether they are an isolation. */
export function standInLabels(pod: JsonObject): {
  readonly labels: JsonObject;
  readonly isolation: JsonObject;
} {
  const labels = at(pod, ["metadata", "labels"]);
  const kept = Object.entries(isObject(labels) ? labels : {}).filter(
    ([key]) => !identityLabels.has(key),
  );
  const isIsolation = ([key]: readonly [string, unknown]): boolean =>
    key.startsWith(isolationPrefix);
  return {
    labels: Object.fromEntries(kept.filter((one) => !isIsolation(one))),
    isolation: Object.fromEntries(kept.filter(isIsolation)),
  };
}

const reportSchema = z.object({
  listening: z.boolean(),
  tries: z
    .array(
      z.object({
        role: z.string(),
        address: z.string(),
        port: z.int(),
        outcome: z.enum(outcomes),
      }),
    )
    .max(64),
  held: z.object({ echoedMs: z.number(), newMs: z.number(), forMs: z.number() }).optional(),
});
/** What a probe program wrote at its end. */
export type Report = z.infer<typeof reportSchema>;

export type PodState =
  | { readonly kind: "starting"; readonly why: string }
  | { readonly kind: "running"; readonly address: string }
  | { readonly kind: "ended"; readonly report: Report }
  | { readonly kind: "broken"; readonly why: string };

/** Container waiting reasons that no waiting mends (k8s.io/kubernetes pkg/kubelet/images and kuberuntime). */
const hopeless: ReadonlySet<string> = new Set([
  "CreateContainerConfigError",
  "CreateContainerError",
  "ErrImageNeverPull",
  "ImagePullBackOff",
  "InvalidImageName",
]);

/** How far a probe pod is, by its status alone. What its program wrote is read as strictly as any input. */
export function podState(pod: JsonObject): PodState {
  const phase = textAt(pod, ["status", "phase"]);
  const container = firstOf(at(pod, ["status", "containerStatuses"]));
  const waiting = textAt(container, ["state", "waiting", "reason"]);
  if (hopeless.has(waiting)) return { kind: "broken", why: waiting };
  const ended = at(container, ["state", "terminated"]);
  if (isObject(ended) || phase === "Succeeded" || phase === "Failed") {
    const report = parseReport(textAt(ended, ["message"]));
    if (report !== undefined) return { kind: "ended", report };
    const why = textAt(ended, ["reason"]) || textAt(pod, ["status", "reason"]) || phase;
    return { kind: "broken", why: `ended without a report: ${why.slice(0, 100)}` };
  }
  const address = textAt(pod, ["status", "podIP"]);
  if (phase === "Running" && address !== "") return { kind: "running", address };
  return { kind: "starting", why: waiting || phase || "not seen by any node" };
}

function parseReport(text: string): Report | undefined {
  try {
    const parsed = reportSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

const firstOf = (value: unknown): JsonObject | undefined =>
  Array.isArray(value) && isObject(value[0]) ? value[0] : undefined;

/** All addresses of a pod, the first one first. */
export function addressesOf(pod: JsonObject): readonly string[] {
  const all = at(pod, ["status", "podIPs"]);
  const listed = isArray(all) ? all.map((one) => textAt(one, ["ip"])) : [];
  const found = listed.length > 0 ? listed : [textAt(pod, ["status", "podIP"])];
  return found.filter((one) => one !== "");
}
