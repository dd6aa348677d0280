// SPDX-License-Identifier: Apache-2.0
import { captureEvidence } from "#responder/actions/capture-evidence";
import { notify } from "#responder/actions/notify";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, types, uidOf } from "#responder/cluster";
import type { EvidenceStore } from "#responder/evidence";
import { checkGuard } from "#responder/guard";
import type { Send } from "#responder/notify/notification";
import type { Effect, Target } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { textAt } from "#policy/json";

/** Ports of the changes that write no value to the cluster. */
export type EffectPorts = {
  readonly cluster: Cluster;
  readonly now: () => number;
  readonly evidence: EvidenceStore;
  /** Sends to a configured destination by its name. */
  readonly send: Send;
};

const noPlace = failure("Invalid", "no place for evidence is configured");

/** Where no destination is configured and evidence is kept nowhere, the actions say so. */
export const noEffects: Pick<EffectPorts, "evidence" | "send"> = {
  evidence: { find: () => Promise.resolve(noPlace), keep: () => Promise.resolve(noPlace) },
  send: (to) => Promise.resolve(failure("Invalid", `no destination is called ${to}`)),
};

/** `note`: what an SRE should read in the history, such as where the evidence is and its hash. */
export type Done = Reply<{ readonly wrote: boolean; readonly note: string }>;

/** Does one effect. Safe to repeat: what was done is found done, by its trace in the cluster or in the store. */
export async function doEffect(
  ports: EffectPorts,
  effect: Effect,
  remediation: Remediation,
): Promise<Done> {
  switch (effect.kind) {
    case "remove":
      return removePod(ports.cluster, effect);
    case "guard": {
      const held = await checkGuard(ports.cluster, effect);
      return held.ok ? { ok: true, value: { wrote: false, note: "" } } : held;
    }
    case "capture":
      return captureEvidence(ports, effect, remediation);
    case "notify":
      return notify(ports, effect, remediation);
    default:
      return effect satisfies never;
  }
}

async function removePod(
  cluster: Cluster,
  effect: Extract<Effect, { kind: "remove" }>,
): Promise<Done> {
  const end = await podEnd(cluster, effect);
  if (!end.ok) return end;
  if (end.value !== "present") return { ok: true, value: { wrote: false, note: "" } };
  const options = { graceSeconds: effect.graceSeconds };
  const reply =
    effect.how === "evict"
      ? await cluster.evict(effect, effect.uid, options)
      : await cluster.remove(types.pod, effect, effect.uid, options);
  // Another one of that name by now, or none: the one that was meant is gone.
  if (reply.ok || reply.code === "NotFound") return { ok: true, value: { wrote: true, note: "" } };
  return failure(reply.code, `${effect.how}: ${reply.message}`);
}

/** How far a pod has ended; of another uid counts as gone. */
export async function podEnd(
  cluster: Cluster,
  pod: Pick<Target, "namespace" | "name" | "uid">,
): Promise<Reply<"present" | "ending" | "gone">> {
  const live = await cluster.get(types.pod, pod);
  if (!live.ok) return live.code === "NotFound" ? { ok: true, value: "gone" } : live;
  if (uidOf(live.value) !== pod.uid) return { ok: true, value: "gone" };
  const ending = textAt(live.value, ["metadata", "deletionTimestamp"]) !== "";
  return { ok: true, value: ending ? "ending" : "present" };
}
