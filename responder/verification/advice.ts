// SPDX-License-Identifier: Apache-2.0
import { isIsolation } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { unverifiableFor } from "#responder/verification/try-again";

/** What a person can do about an isolation that cannot be shown to hold, by the reason in its history (package/install/verification.md). */
export const adviceByReason: Readonly<Record<string, string>> = {
  ChangedMeanwhile: "Somebody changed what was applied: see who, and undo this or isolate anew.",
  Reopened: "Something let traffic through again: change what the history names, or end the pod.",
  IsolationChanged: "Our own policy or label was changed: find out who does that.",
  ResidualAllows: "Change the policies that the plan names, or end the pod.",
  PolicyIgnored:
    "This network enforces no such policies: end the pod, or cut it off outside the cluster.",
  NotRealised: "The network's agents have not taken the policy: look at the one on the pod's node.",
  StillReachable:
    "A try got through: look at the network's agent on the pod's node, or end the pod.",
  ControlFailed:
    "Pods that are not isolated could not be reached either: look at the network, or allow stand-ins (verification.probes.standInNamespaces).",
  OneDirectionOnly:
    "Allow stand-ins in the pod's namespace (verification.probes.standInNamespaces) to have both directions tried.",
  EstablishedConnections:
    "New connections are cut. Those that were open before end with the pod: evict or delete it when its evidence is kept.",
  ProbeOnAllowList: "The probes are on the allow-list of the isolation: they prove nothing here.",
  NotProbed: "The probe pods could not run: see the reason.",
};

const probesAreOff =
  "No traffic was tried, since no probes are configured: with verification.probes, the responder tries by pods of its own whether this holds (package/install/verification.md).";

/** One sentence for whoever looks at it; '' where there is nothing to do. */
export function adviceFor({ status, plan }: Remediation): string {
  if (!isIsolation(plan)) return "";
  if (status.state === "Realised") {
    const last = status.evidence.findLast(({ check }) => check === "Probe");
    return last?.finding === "Unknown" ? probesAreOff : "";
  }
  const reason = unverifiableFor(status);
  return Object.hasOwn(adviceByReason, reason) ? (adviceByReason[reason] ?? "") : "";
}
