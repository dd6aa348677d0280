// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, at, isArray, isObject, textAt } from "#policy/json";
import { type Address, parseIp } from "#policy/kubernetes/ip";
import { uidOf } from "#responder/cluster";
import { controllerOf } from "#responder/guard";
import { changesOf, isolationPrefix, type Plan } from "#responder/plan";
import type { Remediation, Status } from "#responder/remediation";
import { judge } from "#responder/reachability/network-policies";
import type { PodView } from "#responder/reachability/traffic";
import {
  type Attempt,
  type Destination,
  destinationsMax,
  probePort,
  type ProbeRequest,
} from "#responder/verification/probe";
import { addressesOf, standInLabels } from "#responder/verification/probe-pod";

/** Ports tried on one address: those that the pod declares, else one that nothing need listen on. */
const portsMax = 3;

export type ProbePlan =
  | { readonly ok: true; readonly request: ProbeRequest }
  /** `passing`: it may be possible later. */
  | { readonly ok: false; readonly reason: string; readonly passing: boolean };

/** What to try for one isolated pod, from the live pods of its namespace. The first ready twin by name is the control. */
export function planProbes(
  remediation: Remediation,
  pod: JsonObject,
  others: readonly JsonObject[],
  mayStandIn: boolean,
): ProbePlan {
  if (at(pod, ["spec", "hostNetwork"]) === true) {
    const reason = "the pod uses its node's network, which no policy covers";
    return { ok: false, reason, passing: false };
  }
  const addresses = addressesOf(pod).filter(isAddress);
  if (addresses.length === 0) {
    return { ok: false, reason: "the pod has no address", passing: true };
  }
  const ports = portsOf(pod);
  const twin = twinOf(pod, others);
  const twins = twin === undefined ? [] : addressesOf(twin).filter(isAddress);
  const to = (role: "target" | "twin", all: readonly string[]): readonly Destination[] =>
    all.slice(0, 2).flatMap((address) => ports.map((port) => ({ to: role, address, port })));
  const { labels, isolation } = standInLabels(pod);
  return {
    ok: true,
    request: {
      id: `${remediation.uid} ${realisedMs(remediation)}${tryText(remediation.status)}`,
      remediation: { ...remediation.name, uid: remediation.uid },
      destinations: [...to("target", addresses), ...to("twin", twins)].slice(0, destinationsMax),
      standIns: mayStandIn
        ? {
            namespace: remediation.target.namespace,
            node: textAt(pod, ["spec", "nodeName"]),
            labels,
            isolation,
          }
        : undefined,
    },
  };
}

/** Each try has pods of its own: what an earlier one left behind is no answer. */
const tryText = ({ state, retry }: Status): string =>
  state === "Unverifiable" ? ` again ${retry?.count ?? ""}` : "";

/** When it was last found in force: what was tried before that was another isolation. */
const realisedMs = ({ status }: Remediation): number =>
  status.history.findLast((entry) => entry.to === "Realised" && entry.from !== "Realised")?.atMs ??
  0;

/** Another ready pod of the same controller that is not isolated. */
function twinOf(pod: JsonObject, others: readonly JsonObject[]): JsonObject | undefined {
  const owner = textAt(controllerOf(pod), ["uid"]);
  if (owner === "") return undefined;
  return others
    .filter(
      (one) =>
        uidOf(one) !== uidOf(pod) &&
        textAt(controllerOf(one), ["uid"]) === owner &&
        at(one, ["spec", "hostNetwork"]) !== true &&
        textAt(one, ["metadata", "deletionTimestamp"]) === "" &&
        isReady(one) &&
        !isIsolated(one) &&
        addressesOf(one).some(isAddress),
    )
    .sort((a, b) => (nameText(a) < nameText(b) ? -1 : 1))[0];
}

const nameText = (object: JsonObject): string => textAt(object, ["metadata", "name"]);

const isAddress = (text: string): boolean => parseIp(text).ok;

function isReady(pod: JsonObject): boolean {
  const conditions = at(pod, ["status", "conditions"]);
  return (
    isArray(conditions) &&
    conditions.some(
      (one) => textAt(one, ["type"]) === "Ready" && textAt(one, ["status"]) === "True",
    )
  );
}

function isIsolated(pod: JsonObject): boolean {
  const labels = at(pod, ["metadata", "labels"]);
  return isObject(labels) && Object.keys(labels).some((key) => key.startsWith(isolationPrefix));
}

function portsOf(pod: JsonObject): readonly number[] {
  const containers = at(pod, ["spec", "containers"]);
  const declared = (isArray(containers) ? containers : []).flatMap((container) => {
    const ports = at(container, ["ports"]);
    return (isArray(ports) ? ports : []).flatMap((port) => {
      const number = at(port, ["containerPort"]);
      const isTcp = (textAt(port, ["protocol"]) || "TCP") === "TCP";
      return isTcp && typeof number === "number" && Number.isInteger(number) ? [number] : [];
    });
  });
  const sorted = [...new Set(declared)].sort((a, b) => a - b).slice(0, portsMax);
  return sorted.length === 0 ? [probePort] : sorted;
}

/**
 * Whether something got through by the isolation's own allow-list, which proves nothing: the NetworkPolicies of the plan
 * are asked, ports and direction included. `sources` are the addresses of the probe namespace's pods.
 */
export function isAllowListed(
  plan: Plan,
  probes: { readonly namespace: string; readonly sources: readonly string[] },
  attempt: Attempt,
): boolean {
  const policies = changesOf(plan).flatMap((change) =>
    change.kind === "apply" && change.manifest["kind"] === "NetworkPolicy" ? [change.manifest] : [],
  );
  return (
    attempt.outcome === "connected" && policies.some((policy) => allows(policy, probes, attempt))
  );
}

function allows(
  policy: JsonObject,
  probes: { readonly namespace: string; readonly sources: readonly string[] },
  attempt: Attempt,
): boolean {
  const isOutward = attempt.from === "isolated";
  const isInward = attempt.to === "target" || attempt.to === "isolated";
  if (!isOutward && !isInward) return false;
  const isolated = { pod: podOf(policy), ...addressOf(isOutward ? "" : attempt.address) };
  const name = "kubernetes.io/metadata.name";
  const pod = {
    namespace: probes.namespace,
    namespaceLabels: { [name]: probes.namespace },
    labels: {},
    ports: [],
  };
  return (isOutward ? [attempt.address] : probes.sources).some((address) => {
    const probe = { pod, ...addressOf(address) };
    const ends = isOutward
      ? { source: isolated, destination: probe }
      : { source: probe, destination: isolated };
    const packet = { ...ends, port: attempt.port, protocol: "TCP" } as const;
    return judge([policy], isOutward ? "Egress" : "Ingress", packet).kind === "allowed";
  });
}

/** The pod that a policy of ours selects, by the label that it alone bears. */
function podOf(policy: JsonObject): PodView {
  const labels = at(policy, ["spec", "podSelector", "matchLabels"]);
  const namespace = textAt(policy, ["metadata", "namespace"]);
  return { namespace, namespaceLabels: {}, labels: isObject(labels) ? labels : {}, ports: [] };
}

const addressOf = (text: string): { readonly address: Address } => {
  const parsed = parseIp(text);
  return { address: parsed.ok ? parsed.value : { family: 4, bits: 0n } };
};
