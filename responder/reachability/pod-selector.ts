// SPDX-License-Identifier: Apache-2.0
import { type Json, at, field, isArray, isObject, textAt } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import { type Match, both, matchOf } from "#responder/reachability/match";
import type { PodView } from "#responder/reachability/traffic";

/** Selects pods, in whichever language it was written. */
export type PodSelector = {
  /** Two selectors of one text select the same pods. */
  readonly text: string;
  /** Whether it selects every pod of the cluster. */
  readonly everything: boolean;
  /** false when it could not be read: it then matches `maybe`. */
  readonly exact: boolean;
  readonly matches: (pod: PodView) => Match;
};

export const allPods: PodSelector = {
  text: "all pods",
  everything: true,
  exact: true,
  matches: () => "yes",
};

export const unreadable = (text: string): PodSelector => ({
  text,
  everything: false,
  exact: false,
  matches: () => "maybe",
});

/** A `metav1.LabelSelector` over the labels of pods. An absent one selects everything. */
export const podsByLabels = (selector: Json | undefined): PodSelector =>
  byLabels(selector, "pods", (pod) => pod.labels);

/** The same over the labels of the pods' namespaces. */
export const podsByNamespaceLabels = (selector: Json | undefined): PodSelector =>
  byLabels(selector, "namespaces", (pod) => pod.namespaceLabels);

export const podsInNamespace = (namespace: string): PodSelector => ({
  text: `namespace ${namespace}`,
  everything: false,
  exact: true,
  matches: (pod) => matchOf(pod.namespace === namespace),
});

/** Pods that both select. */
export function intersection(a: PodSelector, b: PodSelector): PodSelector {
  if (a.everything) return b;
  if (b.everything) return a;
  return {
    text: `${a.text} with ${b.text}`,
    everything: false,
    exact: a.exact && b.exact,
    matches: (pod) => both(a.matches(pod), b.matches(pod)),
  };
}

function byLabels(
  selector: Json | undefined,
  what: string,
  labelsOf: (pod: PodView) => Json,
): PodSelector {
  const parsed = parseLabelSelector(selector);
  if (!parsed.ok) return unreadable(`${what} by a selector that cannot be read`);
  if (parsed.selector.empty) return allPods;
  return {
    text: `${what} ${labelSelectorText(selector)}`,
    everything: false,
    exact: true,
    matches: (pod) => matchOf(parsed.selector.matches(labelsOf(pod))),
  };
}

const jsonText = (value: Json): string =>
  typeof value === "string" ? value : JSON.stringify(value);

/** A label selector as a person reads it, always in the same order. */
export function labelSelectorText(selector: Json | undefined): string {
  const labels = field(selector, "matchLabels");
  const parts = isObject(labels)
    ? Object.keys(labels).map((key) => `${key}=${textAt(labels, [key])}`)
    : [];
  const expressions = field(selector, "matchExpressions");
  for (const one of isArray(expressions) ? expressions : []) {
    const values = at(one, ["values"]);
    const list = isArray(values) ? values.map(jsonText).sort().join("|") : "";
    parts.push(`${textAt(one, ["key"])} ${textAt(one, ["operator"])} ${list}`.trim());
  }
  return parts.length === 0 ? "all" : parts.sort().join(",");
}
