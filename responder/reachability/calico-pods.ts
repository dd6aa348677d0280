// SPDX-License-Identifier: Apache-2.0
import { type Json, field, textAt } from "#policy/json";
import { parseCalicoSelector } from "#responder/reachability/calico-selector";
import { matchOf } from "#responder/reachability/match";
import { type PodSelector, allPods, unreadable } from "#responder/reachability/pod-selector";
import type { PodView } from "#responder/reachability/traffic";

/** Labels that Calico gives every pod (docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors). */
const accountLabel = "projectcalico.org/serviceaccount";

/** Pods by a selector over their labels; absent or empty: all of them. */
export function selectedPods(selector: Json | undefined): PodSelector {
  return byText(textOf(selector), (pod, key) => {
    if (key === "projectcalico.org/namespace") return pod.namespace;
    if (key === "projectcalico.org/orchestrator") return "k8s";
    if (key === accountLabel) return pod.serviceAccount;
    if (key.startsWith("pcns.")) return textAt(pod.namespaceLabels, [key.slice(5)]) || undefined;
    return stringAt(pod.labels, key);
  });
}

/** Pods by a selector over the labels of their namespaces. */
export const namespacePods = (selector: Json | undefined): PodSelector =>
  renamed(
    "namespaces",
    byText(textOf(selector), (pod, key) => {
      if (key === "projectcalico.org/name") return pod.namespace;
      return stringAt(pod.namespaceLabels, key);
    }),
  );

/** Pods by a selector over the labels of service accounts, which a pod does not show. */
export const accountPods = (selector: Json | undefined): PodSelector => {
  const text = textOf(selector);
  return text === "" || text === "all()" ? allPods : unreadable(`service accounts ${text}`);
};

const renamed = (what: string, pods: PodSelector): PodSelector =>
  pods.everything ? pods : { ...pods, text: `${what} ${pods.text}` };

const textOf = (selector: Json | undefined): string =>
  typeof selector === "string" ? selector.trim() : "";

const stringAt = (labels: Json, key: string): string | undefined => {
  const value = field(labels, key);
  return typeof value === "string" ? value : undefined;
};

/** Labels of service accounts (`pcsa.`) and an unknown account make the whole selector uncertain. */
function byText(
  text: string,
  labelOf: (pod: PodView, key: string) => string | undefined,
): PodSelector {
  const parsed = parseCalicoSelector(text);
  if (!parsed.ok) return unreadable(`a selector that cannot be read: ${parsed.message}`);
  if (parsed.everything) return allPods;
  const asksAccount = text.includes(accountLabel);
  const asksAccountLabels = text.includes("pcsa.");
  return {
    text,
    everything: false,
    exact: !asksAccount && !asksAccountLabels,
    matches: (pod) => {
      if (asksAccountLabels || (asksAccount && pod.serviceAccount === undefined)) return "maybe";
      return matchOf(parsed.matches((key) => labelOf(pod, key)));
    },
  };
}
