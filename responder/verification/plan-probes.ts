// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, at, isArray, isObject, textAt } from "#policy/json";
import { cidrContainsIp, parseCidr } from "#policy/kubernetes/cidr";
import { parseIp } from "#policy/kubernetes/ip";
import { uidOf } from "#responder/cluster";
import { controllerOf } from "#responder/guard";
import { changesOf, isolationPrefix, type Plan } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { type Destination, destinationsMax, probePort } from "#responder/verification/probe";
import type { ProbeRequest } from "#responder/verification/probe";
import { addressesOf, standInLabels } from "#responder/verification/probe-pod";

/** Ports tried on one address: those that the pod declares, else one that nothing need listen on. */
const portsMax = 3;

export type ProbePlan =
  | { readonly ok: true; readonly request: ProbeRequest }
  | { readonly ok: false; readonly reason: string };

/** What to try for one isolated pod, from the live pods of its namespace. The first ready twin by name is the control. */
export function planProbes(
  remediation: Remediation,
  pod: JsonObject,
  others: readonly JsonObject[],
  mayStandIn: boolean,
): ProbePlan {
  if (at(pod, ["spec", "hostNetwork"]) === true) {
    return { ok: false, reason: "the pod uses its node's network, which no policy covers" };
  }
  const addresses = addressesOf(pod).filter(isAddress);
  if (addresses.length === 0) return { ok: false, reason: "the pod has no address" };
  const ports = portsOf(pod);
  const twin = twinOf(pod, others);
  const twins = twin === undefined ? [] : addressesOf(twin).filter(isAddress);
  const to = (role: "target" | "twin", all: readonly string[]): readonly Destination[] =>
    all.slice(0, 2).flatMap((address) => ports.map((port) => ({ to: role, address, port })));
  const { labels, isolation } = standInLabels(pod);
  return {
    ok: true,
    request: {
      id: `${remediation.uid} ${realisedMs(remediation)}`,
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

/** Whether the isolation's own allow-list covers any of the probe pods, which then prove nothing. */
export function isAllowListed(
  plan: Plan,
  probeNamespace: string,
  sources: readonly string[],
): boolean {
  const peers = changesOf(plan).flatMap((change) => {
    if (change.kind !== "apply" || change.manifest["kind"] !== "NetworkPolicy") return [];
    return ["ingress", "egress"].flatMap((side) => {
      const rules = at(change.manifest, ["spec", side]);
      return (isArray(rules) ? rules : []).flatMap((rule) => {
        const list = at(rule, [side === "ingress" ? "from" : "to"]);
        return isArray(list) ? list : [];
      });
    });
  });
  const addresses = sources.map(parseIp).flatMap((one) => (one.ok ? [one.value] : []));
  const named = ["namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"];
  return peers.some((peer) => {
    if (textAt(peer, named) === probeNamespace) return true;
    const cidr = parseCidr(textAt(peer, ["ipBlock", "cidr"]));
    return cidr.ok && addresses.some((address) => cidrContainsIp(cidr.value, address));
  });
}
