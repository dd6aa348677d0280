// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { controllerOf } from "#responder/guard";
import type { NetworkView } from "#responder/isolation/network-view";
import type { BackendChoice, Considered } from "#responder/reachability/backend";

/** What an approver should know of an isolation beside its manifests. */
export function isolationNotes(
  pod: JsonObject,
  choice: Extract<BackendChoice, { ok: true }>,
  network: NetworkView,
): readonly string[] {
  const owner = controllerOf(pod);
  const ownerText =
    owner === undefined
      ? ", which has no owner"
      : ` of ${textAt(owner, ["kind"])} ${textAt(owner, ["name"])}`;
  const open = choice.residualAllows.length;
  return [
    `changes one pod${ownerText}; its other replicas are not touched`,
    `backend ${choice.backend}: ${choice.reason}`,
    ...(choice.considered.length < 2
      ? []
      : [`considered: ${choice.considered.map(consideredText).join("; ")}`]),
    `looked at ${network.policies.length} policies of ${kindsText(network)}`,
    "traffic between the pod and its own node stays possible; established connections end as the cluster's network implementation decides",
    ...(open === 0 ? [] : [`${open} allow rule(s) of other policies stay open after this`]),
  ];
}

const consideredText = ({ backend, residualAllows, refused }: Considered): string =>
  refused === "" ? `${backend} leaves ${residualAllows} open` : `${backend} not used: ${refused}`;

function kindsText({ served }: NetworkView): string {
  const kinds = new Set(
    served
      .filter((one) => one.kind !== "Tier")
      .map((one) => (one.group.endsWith("projectcalico.org") ? `Calico ${one.kind}` : one.kind)),
  );
  return [...kinds].join(", ");
}
