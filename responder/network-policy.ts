// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, field, isArray, isObject, textAt } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import type { ResidualAllow } from "#responder/plan";

/**
 * What other NetworkPolicies still let through to and from a pod after an isolating policy is added. Policies only add
 * allows: the union of every policy that selects the pod wins, so each allow rule of each of them stays open
 * (kubernetes.io/docs/concepts/services-networking/network-policies). An allow is named whether or not a peer exists now.
 */
export function residualAllows(
  podLabels: JsonObject,
  policies: readonly JsonObject[],
  isOurs: (policy: JsonObject) => boolean,
): readonly ResidualAllow[] {
  return policies
    .filter((policy) => !isOurs(policy))
    .filter((policy) => selects(at(policy, ["spec", "podSelector"]), podLabels))
    .flatMap(allowsOf)
    .sort((a, b) => (allowKey(a) < allowKey(b) ? -1 : 1));
}

const allowKey = (allow: ResidualAllow): string =>
  `${allow.policy} ${allow.direction} ${allow.detail}`;

function allowsOf(policy: JsonObject): readonly ResidualAllow[] {
  const name = textAt(policy, ["metadata", "name"]);
  const spec = field(policy, "spec");
  const directions = policyTypes(spec);
  const allows: ResidualAllow[] = [];
  if (directions.includes("Ingress")) {
    for (const rule of list(field(spec, "ingress"))) {
      allows.push({ policy: name, direction: "Ingress", detail: ruleText(rule, "from") });
    }
  }
  if (directions.includes("Egress")) {
    for (const rule of list(field(spec, "egress"))) {
      allows.push({ policy: name, direction: "Egress", detail: ruleText(rule, "to") });
    }
  }
  return allows;
}

/** The API server defaults policyTypes: Ingress always, Egress when there is an egress section. */
function policyTypes(spec: Json | undefined): readonly string[] {
  const given = list(field(spec, "policyTypes")).filter((t): t is string => typeof t === "string");
  if (given.length > 0) return given;
  return field(spec, "egress") === undefined ? ["Ingress"] : ["Ingress", "Egress"];
}

function ruleText(rule: Json, side: "from" | "to"): string {
  const peers = list(field(rule, side));
  const ports = list(field(rule, "ports"));
  const peersText = peers.length === 0 ? "anywhere" : peers.map(peerText).join(" or ");
  const portsText = ports.length === 0 ? "all ports" : ports.map(portText).join(", ");
  return `${side} ${peersText}, ${portsText}`;
}

function peerText(peer: Json): string {
  const block = field(peer, "ipBlock");
  if (block !== undefined) {
    const except = list(field(block, "except")).filter((e) => typeof e === "string");
    return `${textAt(block, ["cidr"])}${except.length === 0 ? "" : ` except ${except.join(" ")}`}`;
  }
  const namespaces = field(peer, "namespaceSelector");
  const pods = field(peer, "podSelector");
  const parts = [
    namespaces === undefined ? "" : `namespaces ${selectorText(namespaces)}`,
    pods === undefined ? "" : `pods ${selectorText(pods)}`,
  ];
  return parts.filter((part) => part !== "").join(" with ");
}

function selectorText(selector: Json): string {
  const labels = field(selector, "matchLabels");
  const parts = isObject(labels)
    ? Object.entries(labels).map(([key, value]) => `${key}=${scalar(value)}`)
    : [];
  for (const expression of list(field(selector, "matchExpressions"))) {
    const values = list(field(expression, "values")).map(scalar).join("|");
    parts.push(
      `${textAt(expression, ["key"])} ${textAt(expression, ["operator"])} ${values}`.trim(),
    );
  }
  return parts.length === 0 ? "all" : parts.sort().join(",");
}

function portText(port: Json): string {
  const protocol = textAt(port, ["protocol"]) || "TCP";
  const from = field(port, "port");
  const end = field(port, "endPort");
  if (from === undefined) return protocol;
  return `${protocol}/${scalar(from)}${end === undefined ? "" : `-${scalar(end)}`}`;
}

const scalar = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);

/**
 * Whether a label selector selects an object with these labels. One that cannot be read selects, so that an allow is
 * rather named too often than missed.
 */
function selects(selector: Json | undefined, labels: JsonObject): boolean {
  const parsed = parseLabelSelector(selector);
  return !parsed.ok || parsed.selector.matches(labels);
}
