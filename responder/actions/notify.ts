// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { JsonObject } from "#policy/json";
import type { ActionInfo } from "#responder/actions/action";
import { keyOf, types } from "#responder/cluster";
import type { Done, EffectPorts } from "#responder/effects";
import { sha256 } from "#responder/finding";
import type { Effect } from "#responder/plan";
import { changesOf } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { cut, iso } from "#responder/record/remediation-record";

export const notifyInfo: ActionInfo = {
  name: "notify",
  does: "tells people: a Kubernetes Event on the target, and a message to a configured destination",
  targets: ["Pod"],
  inverse: "none: what was told stays told",
  verified: "the Event exists; the destination answered 2xx",
  rbac: [{ apiGroups: [""], resources: ["events"], verbs: ["get", "create"] }],
};

/** `to`: a destination of the configuration, '' for the Event alone. */
export const notifyParameters = z.strictObject({ to: z.string().min(1).max(63).default("") });

/** Tries of one message; a destination that is down holds nothing else up. */
const triesMax = 2;

/**
 * Sends the message, then writes the Event, which also marks the message as sent: a repeated run after a crash sends at most what the
 * crash left unmarked. A destination that fails is named in the history and stops nothing: telling is no reason to leave a pod open.
 */
export async function notify(
  ports: EffectPorts,
  effect: Extract<Effect, { kind: "notify" }>,
  remediation: Remediation,
): Promise<Done> {
  const event = eventFor(remediation, effect.to, ports.now());
  const { namespace } = event;
  const there = await ports.cluster.get(types.event, { namespace, name: event.name });
  if (there.ok) return { ok: true, value: { wrote: false, note: "" } };
  if (there.code !== "NotFound") return there;
  let note = "";
  for (let tries = 0; effect.to !== "" && tries < triesMax; tries++) {
    const sent = await ports.send(effect.to, { notice: "Response", remediations: [remediation] });
    note = sent.ok ? `told ${effect.to}` : `not told: ${sent.message}`;
    if (sent.ok || sent.code === "Invalid") break;
  }
  const made = await ports.cluster.create(types.event, event.manifest);
  if (!made.ok && made.code !== "AlreadyExists") return made;
  return { ok: true, value: { wrote: true, note } };
}

type Event = {
  readonly namespace: string;
  readonly name: string;
  readonly manifest: JsonObject;
};

/** Deterministic, so that it is written once. Of a target without a namespace it lies in `default`, as the API demands. */
function eventFor(remediation: Remediation, to: string, nowMs: number): Event {
  const { target, plan } = remediation;
  const namespace = target.namespace === "" ? "default" : target.namespace;
  const mark = sha256(`${plan?.digest ?? ""} ${to}`).slice(0, 10);
  const name = `${remediation.name.name}.${mark}`;
  const actions = plan?.actions.map((one) => one.action).join(", ") ?? "";
  const at = iso(nowMs).replace(/\.\d+Z$/, "Z");
  const manifest = {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name, namespace },
    involvedObject: { ...target },
    reason: "ParapetResponse",
    message: cut(
      `policy ${remediation.policy} answers "${cut(remediation.cause.rule, 200)}" with ${actions}: ${
        plan === undefined ? 0 : changesOf(plan).length
      } step(s), see Remediation ${keyOf(remediation.name)}`,
      1_024,
    ),
    type: "Warning",
    source: { component: "parapet-responder" },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
  return { namespace, name, manifest };
}
