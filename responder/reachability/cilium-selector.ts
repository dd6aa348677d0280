// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, field, isArray, isObject, textAt } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import { matchOf } from "#responder/reachability/match";
import {
  type PodSelector,
  allPods,
  intersection,
  labelSelectorText,
  podsInNamespace,
  unreadable,
} from "#responder/reachability/pod-selector";
import type { PodView } from "#responder/reachability/traffic";

/** Labels that Cilium derives (docs.cilium.io: Label Reference; pkg/k8s/apis/cilium.io/const.go). */
const namespaceKey = "io.kubernetes.pod.namespace";
const namespaceLabelsPrefix = "io.cilium.k8s.namespace.labels.";
const serviceAccountKey = "io.cilium.k8s.policy.serviceaccount";
/** The name of the cluster in a cluster mesh, which no policy tells (docs.cilium.io/en/stable/network/clustermesh/policy). */
const clusterKey = "io.cilium.k8s.policy.cluster";

/**
 * An EndpointSelector as pods. Keys may carry a source: `k8s:` and `any:` (or none) mean a pod's labels and the derived
 * ones; others (`reserved:`, `container:`, `cidr:`) are not known from a pod, and such a selector matches `maybe`.
 * In a namespaced policy a selector that names no namespace means the policy's own
 * (docs.cilium.io/en/stable/network/kubernetes/policy/#namespaces).
 */
export function endpointSelector(selector: Json | undefined, policyNamespace: string): PodSelector {
  const keys = keysOf(selector);
  if (keys.some((key) => sourceOf(key) === undefined)) {
    return unreadable(`endpoints ${labelSelectorText(selector)}`);
  }
  const pods = byLabels(selector);
  return policyNamespace === "" || keys.some(namesNamespace)
    ? pods
    : intersection(podsInNamespace(policyNamespace), pods);
}

/** The subject of a namespaced policy is always in its own namespace. */
export const subjectSelector = (selector: Json | undefined, policyNamespace: string): PodSelector =>
  policyNamespace === ""
    ? endpointSelector(selector, "")
    : intersection(podsInNamespace(policyNamespace), endpointSelector(selector, ""));

function byLabels(selector: Json | undefined): PodSelector {
  const plain = withoutSources(selector);
  const namesCluster = keysOf(plain).includes(clusterKey);
  const parsed = parseLabelSelector(namesCluster ? withoutKey(plain, clusterKey) : plain);
  if (!parsed.ok) return unreadable("endpoints by a selector that cannot be read");
  if (parsed.selector.empty && !namesCluster) return allPods;
  const unknown = [serviceAccountKey, clusterKey];
  return {
    text: `endpoints ${labelSelectorText(plain)}`,
    everything: false,
    exact: !keysOf(plain).some((key) => unknown.includes(key)),
    matches: (pod) => {
      if (namesCluster && parsed.selector.matches(endpointLabels(pod))) return "maybe";
      const known = pod.serviceAccount !== undefined;
      if (!known && keysOf(plain).includes(serviceAccountKey)) return "maybe";
      return matchOf(parsed.selector.matches(endpointLabels(pod)));
    },
  };
}

/** A pod's labels as Cilium sees them. */
export function endpointLabels(pod: PodView): JsonObject {
  const derived: Record<string, Json> = {};
  for (const [key, value] of Object.entries(pod.namespaceLabels)) {
    derived[`${namespaceLabelsPrefix}${key}`] = value;
  }
  const account =
    pod.serviceAccount === undefined ? {} : { [serviceAccountKey]: pod.serviceAccount };
  return { ...pod.labels, ...derived, ...account, [namespaceKey]: pod.namespace };
}

function keysOf(selector: Json | undefined): readonly string[] {
  const labels = field(selector, "matchLabels");
  const expressions = field(selector, "matchExpressions");
  return [
    ...(isObject(labels) ? Object.keys(labels) : []),
    ...(isArray(expressions) ? expressions.map((one) => textAt(one, ["key"])) : []),
  ];
}

/** undefined for sources whose labels are not a pod's. */
function sourceOf(key: string): "any" | undefined {
  const colon = key.indexOf(":");
  if (colon < 0) return "any";
  return ["k8s", "any"].includes(key.slice(0, colon)) ? "any" : undefined;
}

const withoutSource = (key: string): string => key.slice(key.indexOf(":") + 1);

const namesNamespace = (key: string): boolean =>
  withoutSource(key) === namespaceKey || withoutSource(key).startsWith(namespaceLabelsPrefix);

function withoutKey(selector: Json | undefined, key: string): Json {
  const labels = field(selector, "matchLabels");
  const expressions = field(selector, "matchExpressions");
  const kept = isObject(labels) ? Object.entries(labels).filter(([one]) => one !== key) : [];
  return {
    matchLabels: Object.fromEntries(kept),
    matchExpressions: isArray(expressions)
      ? expressions.filter((one) => textAt(one, ["key"]) !== key)
      : [],
  };
}

function withoutSources(selector: Json | undefined): Json | undefined {
  if (!isObject(selector)) return selector;
  const labels = field(selector, "matchLabels");
  const expressions = field(selector, "matchExpressions");
  const renamed = isObject(labels)
    ? Object.entries(labels).map(([key, value]) => [withoutSource(key), value] as const)
    : [];
  return {
    ...(isObject(labels) ? { matchLabels: Object.fromEntries(renamed) } : {}),
    ...(isArray(expressions)
      ? {
          matchExpressions: expressions.map((one) =>
            isObject(one) ? { ...one, key: withoutSource(textAt(one, ["key"])) } : one,
          ),
        }
      : {}),
  };
}
