// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import type { ActionInfo, ActionInput, Planned } from "#responder/actions/action";
import { type Cluster, failure, types, uidOf } from "#responder/cluster";
import type { Done, EffectPorts } from "#responder/effects";
import { keptText } from "#responder/evidence";
import { mask, maskJson } from "#responder/mask";
import { ownersOf } from "#responder/owner";
import type { Effect } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { iso } from "#responder/record/remediation-record";

export const captureEvidenceInfo: ActionInfo = {
  name: "capture-evidence",
  does: "keeps the pod, its owners, Events, NetworkPolicies and logs as one masked JSON bundle with its hash",
  targets: ["Pod"],
  inverse: "none: what was kept is kept",
  verified: "the bundle's hash is in the history; a later run finds it and does not write again",
  rbac: [
    { apiGroups: [""], resources: ["pods", "namespaces"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
    { apiGroups: [""], resources: ["events"], verbs: ["list"] },
    { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list"] },
    {
      apiGroups: ["apps"],
      resources: ["replicasets", "deployments", "statefulsets", "daemonsets"],
      verbs: ["get"],
    },
    { apiGroups: ["batch"], resources: ["jobs", "cronjobs"], verbs: ["get"] },
  ],
};

export const captureEvidenceParameters = z.strictObject({
  /** Of each container, from the end. */
  logLines: z.int().min(0).max(10_000).default(1_000),
  /** Whether what follows is done without evidence: a store that is away can hold an isolation up, or its traces be lost. */
  onFailure: z.enum(["Stop", "Continue"]).default("Stop"),
});

/** Bytes of one container's log. */
export const logBytesMax = 262_144;
const containersMax = 20;
const eventsMax = 200;
const policiesMax = 200;
/** Characters of a bundle; what goes beyond is left out part by part, and the bundle says so. */
export const bundleMax = 4_194_304;

export function planCaptureEvidence(
  { target }: ActionInput,
  parameters: z.infer<typeof captureEvidenceParameters>,
): Planned {
  const { namespace, name, uid } = target;
  const { logLines, onFailure } = parameters;
  const change = { kind: "capture", namespace, name, uid, logLines } as const;
  const goesOn = onFailure === "Continue";
  return {
    ok: true,
    action: {
      action: "capture-evidence",
      changes: [goesOn ? { ...change, onFailure } : change],
    },
    notes: goesOn ? ["what follows is done even where no evidence could be kept"] : [],
  };
}

type Capture = Extract<Effect, { kind: "capture" }>;

/** Keeps the bundle once; where the plan says so, a failure is told in the history and stops nothing. */
export async function captureEvidence(
  ports: Pick<EffectPorts, "cluster" | "evidence" | "now">,
  effect: Capture,
  remediation: Remediation,
): Promise<Done> {
  const done = await capture(ports, effect, remediation);
  if (done.ok || effect.onFailure !== "Continue") return done;
  const note = `no evidence was kept: ${done.code}: ${done.message}`;
  return { ok: true, value: { wrote: false, note } };
}

/** Part by part, so that one that cannot be had (no kubelet answers) leaves its reason, not nothing. */
async function capture(
  ports: Pick<EffectPorts, "cluster" | "evidence" | "now">,
  effect: Capture,
  remediation: Remediation,
): Promise<Done> {
  // With the uid: a name may come again long after its record was deleted, and must not find the evidence of before.
  const part = remediation.uid.replaceAll(/[^A-Za-z0-9-]/g, "").slice(0, 8);
  const name = `${remediation.name.namespace}_${remediation.name.name}_${part}`;
  const there = await ports.evidence.find(name);
  if (!there.ok) return there;
  if (there.value !== undefined) {
    return { ok: true, value: { wrote: false, note: keptText(there.value) } };
  }
  const pod = await ports.cluster.get(types.pod, effect);
  if (!pod.ok) return pod;
  if (uidOf(pod.value) !== effect.uid) return failure("NotFound", "the pod is another one now");
  const head = {
    version: 1,
    capturedAt: iso(ports.now()),
    remediation: { ...remediation.name, uid: remediation.uid, policy: remediation.policy },
    target: { ...remediation.target },
    cause: { ...remediation.cause },
  };
  const parts = await gather(ports.cluster, pod.value, effect);
  const kept = await ports.evidence.keep(name, bundleText(head, parts));
  if (!kept.ok) return kept;
  return { ok: true, value: { wrote: true, note: keptText(kept.value) } };
}

type Part = readonly [name: string, value: Json];

/** The most telling parts come first: what does not fit is left out from the end. */
async function gather(
  cluster: Cluster,
  pod: JsonObject,
  effect: Capture,
): Promise<readonly Part[]> {
  const { namespace } = effect;
  const owners = await ownersOf(cluster.get, pod);
  const events = await cluster.list(types.event, { namespace });
  const policies = await cluster.list(types.networkPolicy, { namespace });
  const space = await cluster.get(types.namespace, { namespace: "", name: namespace });
  const about = (event: JsonObject): boolean =>
    textAt(event, ["involvedObject", "uid"]) === effect.uid;
  return [
    ["pod", bare(pod)],
    ["owners", owners.map((one) => (one.ok ? bare(one.value) : unavailable(one)))],
    ["namespace", space.ok ? bare(space.value) : unavailable(space)],
    [
      "events",
      events.ok
        ? events.value.items.filter(about).slice(-eventsMax).map(bare)
        : unavailable(events),
    ],
    [
      "networkPolicies",
      policies.ok ? policies.value.items.slice(0, policiesMax).map(bare) : unavailable(policies),
    ],
    ...(await logsOf(cluster, pod, effect)),
  ];
}

async function logsOf(
  cluster: Cluster,
  pod: JsonObject,
  effect: Capture,
): Promise<readonly Part[]> {
  if (effect.logLines === 0) return [];
  const parts: Part[] = [];
  for (const container of containersOf(pod).slice(0, containersMax)) {
    const log = await cluster.podLog(effect, {
      container,
      lines: effect.logLines,
      bytesMax: logBytesMax,
    });
    const value = log.ok ? mask(log.value.slice(-logBytesMax).toWellFormed()) : unavailable(log);
    parts.push([`log ${container}`, value]);
  }
  return parts;
}

function containersOf(pod: JsonObject): readonly string[] {
  return ["containers", "initContainers", "ephemeralContainers"].flatMap((name) => {
    const list = at(pod, ["spec", name]);
    return isArray(list) ? list.map((one) => textAt(one, ["name"])).filter((n) => n !== "") : [];
  });
}

const unavailable = (reply: { readonly code: string; readonly message: string }): JsonObject => ({
  unavailable: `${reply.code}: ${mask(reply.message)}`,
});

/** Without bookkeeping, without the copy of the whole object that `kubectl apply` leaves, and masked. */
function bare(object: JsonObject): Json {
  const metadata = at(object, ["metadata"]);
  const kept = (from: Json | undefined, without: string): JsonObject =>
    Object.fromEntries(Object.entries(isObject(from) ? from : {}).filter(([k]) => k !== without));
  const annotations = kept(
    at(metadata, ["annotations"]),
    "kubectl.kubernetes.io/last-applied-configuration",
  );
  return maskJson({ ...object, metadata: { ...kept(metadata, "managedFields"), annotations } });
}

function bundleText(head: JsonObject, parts: readonly Part[]): string {
  const taken: Record<string, Json> = {};
  const leftOut: string[] = [];
  let size = 0;
  for (const [name, value] of parts) {
    const length = JSON.stringify(value).length;
    if (size + length > bundleMax) leftOut.push(name);
    else {
      taken[name] = value;
      size += length;
    }
  }
  return `${JSON.stringify({ ...head, parts: taken, leftOut }, null, 1)}\n`;
}
