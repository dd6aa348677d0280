// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import type { ActionInput, NotPlanned } from "#responder/actions/action";
import { planDetachment } from "#responder/actions/detach";
import {
  type IsolateParameters,
  type IsolationInput,
  isolationLabel,
  planIsolation,
  type PlannedIsolation,
} from "#responder/actions/isolate";
import type { Failure, Reply, ResourceType } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import type { ReadNetwork } from "#responder/isolation/network-view";
import type { Backend } from "#responder/reachability/backend";
import { cut } from "#responder/record/remediation-record";

export type IsolatePorts = ActionInput & {
  readonly network: ReadNetwork;
  /** Asks the server whether it would take an object, without writing it; undefined: nobody may ask. */
  readonly dryRun?:
    | ((type: ResourceType, manifest: JsonObject) => Promise<Reply<JsonObject>>)
    | undefined;
};

/**
 * Plans an isolation on what the cluster serves and holds now. A kind that can deny is tried on the server first (dry run):
 * one that it refuses, or would store otherwise than written, is left out with its reason, and the next one is taken.
 * A NetworkPolicy is not tried: there is nothing to fall back to, and acting begins with a dry run of everything.
 */
export async function planIsolate(
  ports: IsolatePorts,
  parameters: IsolateParameters,
  otherEdits: readonly Edit[],
): Promise<PlannedIsolation | NotPlanned | Failure> {
  const { target, pod, remediation } = ports;
  const network = await ports.network(target.namespace);
  if (!network.ok) return network;
  const label = { key: isolationLabel(remediation), value: target.uid };
  const detachment = parameters.detach ? await planDetachment(ports, label) : undefined;
  if (detachment?.ok === false) return detachment;
  const refused = new Map<Backend, string>();
  const input: IsolationInput = {
    target,
    pod,
    remediation,
    parameters,
    network: network.value,
    otherEdits,
    refused,
    ...(detachment === undefined ? {} : { detachment }),
  };
  for (;;) {
    const planned = planIsolation(input);
    // Ends: each round that goes on leaves one more of the few backends out.
    if (!planned.ok || planned.backend === "NetworkPolicy") return planned;
    const reason = await refusalOf(ports, planned);
    if (reason === "" || refused.has(planned.backend)) return planned;
    refused.set(planned.backend, reason);
  }
}

async function refusalOf(
  { dryRun }: IsolatePorts,
  planned: Extract<PlannedIsolation, { ok: true }>,
): Promise<string> {
  if (dryRun === undefined) return "";
  for (const change of planned.action.changes) {
    if (change.kind !== "apply") continue;
    const tried = await dryRun(change.type, change.manifest);
    // Written already, by this plan before a crash: then it was taken.
    if (!tried.ok && tried.code === "AlreadyExists") continue;
    if (!tried.ok) return `the server does not take it: ${cut(tried.message, 300)}`;
    if (!sameJson(tried.value["spec"], change.manifest["spec"])) {
      return `the server would store another ${change.type.kind} than was written`;
    }
  }
  return "";
}
