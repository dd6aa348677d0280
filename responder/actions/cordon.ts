// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { at, textAt } from "#policy/json";
import {
  type ActionInfo,
  type ActionInput,
  notPlanned,
  type Planned,
} from "#responder/actions/action";
import { ttl, ttlMsDefault } from "#responder/actions/parameters";
import { editOf } from "#responder/actions/pod-edit";
import { types, uidOf } from "#responder/cluster";

export const cordonInfo: ActionInfo = {
  name: "cordon",
  does: "marks the pod's node unschedulable, so that no new pod comes to it",
  targets: ["Node"],
  inverse:
    "the node becomes schedulable again, unless it was unschedulable before or somebody else made it so meanwhile",
  verified: "read back at once, after the settle time, and as long as it lasts",
  rbac: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] }],
};

export const cordonParameters = z.strictObject({ ttl: ttl.default(ttlMsDefault) });

/** A node is shared by all: its plan needs two approvers, and no policy does it without asking. */
export async function planCordon(input: ActionInput): Promise<Planned> {
  const name = textAt(input.pod, ["spec", "nodeName"]);
  if (name === "") return notPlanned("the pod is on no node yet");
  const node = await input.read(types.node, { namespace: "", name });
  if (!node.ok) return node.code === "NotFound" ? notPlanned(`node ${name} is unknown`) : node;
  // Planned all the same: it is held to that while it lasts, and what else the policy does need not wait for it.
  const already = at(node.value, ["spec", "unschedulable"]) === true;
  const edits = [editOf(node.value, ["spec", "unschedulable"], true)];
  return {
    ok: true,
    action: {
      action: "cordon",
      changes: [
        { kind: "edit", type: types.node, namespace: "", name, uid: uidOf(node.value), edits },
      ],
    },
    notes: [
      already
        ? `node ${name} is unschedulable already, and stays so afterwards unless another response made it so`
        : `node ${name} takes no new pods; those that are on it go on running`,
      "changes a node: needs two approvers",
    ],
  };
}
