// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, field, textAt } from "#policy/json";
import { calicoRule } from "#responder/reachability/calico-rule";
import { accountPods, namespacePods, selectedPods } from "#responder/reachability/calico-pods";
import type { KubernetesStages } from "#responder/reachability/kubernetes-stages";
import { type Match, every, matchOf } from "#responder/reachability/match";
import { endOf } from "#responder/reachability/network-policies";
import { type Rule, listOf } from "#responder/reachability/rule";
import type { Group, Stage } from "#responder/reachability/stage";
import type { Direction, PodView } from "#responder/reachability/traffic";

const kinds = ["NetworkPolicy", "GlobalNetworkPolicy", "Tier"];

/** Both groups hold the same objects: projectcalico.org is served by Calico's own API server. Staged kinds decide nothing. */
export const isCalicoPolicy = (policy: JsonObject): boolean =>
  /^(crd\.)?projectcalico\.org\//.test(textAt(policy, ["apiVersion"])) &&
  kinds.includes(textAt(policy, ["kind"]));

/** Told apart from Kubernetes' NetworkPolicy by its group. */
export const calicoKind = (policy: JsonObject): string =>
  `${textAt(policy, ["kind"])}.projectcalico.org`;

type Tier = { readonly name: string; readonly order: number; readonly passes: boolean };
type Selecting = {
  readonly policy: JsonObject;
  readonly order: number;
  readonly selected: Match;
  readonly rules: readonly Rule[];
};

/**
 * Tiers that Calico makes itself. Kubernetes' admin and baseline policies live in those beside `default`
 * (docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy); the names changed in v3.32.
 */
const builtIn: { readonly [name: string]: Tier } = {
  adminnetworkpolicy: { name: "adminnetworkpolicy", order: 1_000, passes: true },
  "kube-admin": { name: "kube-admin", order: 1_000, passes: true },
  default: { name: "default", order: 1_000_000, passes: false },
  baselineadminnetworkpolicy: {
    name: "baselineadminnetworkpolicy",
    order: 10_000_000,
    passes: true,
  },
  "kube-baseline": { name: "kube-baseline", order: 10_000_000, passes: true },
};

/** Order of Kubernetes' NetworkPolicies inside the tier `default` (libcalico-go: KubeNetworkPolicyOrder). */
const networkPolicyOrder = 1_000;

/**
 * Calico at one pod: tiers by their order, in a tier policies by order and then name, in a policy rules as written. A
 * tier of which a policy selects the pod drops what its rules leave, unless its default action is Pass; Pass goes to the
 * next tier; after all tiers Kubernetes' pods are open (docs.tigera.io/calico/latest/reference/resources/tier).
 */
export function calicoChain(
  policies: readonly JsonObject[],
  kubernetes: KubernetesStages,
  pod: PodView,
  direction: Direction,
): readonly Stage[] {
  const tiers = policies.filter((policy) => textAt(policy, ["kind"]) === "Tier").map(tierOf);
  const selecting = policies
    .filter((policy) => textAt(policy, ["kind"]) !== "Tier")
    .map((policy) => selectingOf(policy, pod, direction))
    .filter(({ selected }) => selected !== "no");
  const names = new Set([...Object.keys(builtIn), ...tiers.map((tier) => tier.name)]);
  for (const { policy } of selecting) names.add(tierName(policy));
  return [...names]
    .map((name) => tiers.find((tier) => tier.name === name) ?? defaultTier(name))
    .sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1))
    .map((tier) => tierStage(tier, selecting, kubernetes));
}

/** A tier that is named but not at hand is placed last but before what is open, where it can only be over-counted. */
const defaultTier = (name: string): Tier =>
  (Object.hasOwn(builtIn, name) ? builtIn[name] : undefined) ?? {
    name,
    order: Number.POSITIVE_INFINITY,
    passes: false,
  };

function tierOf(document: JsonObject): Tier {
  const name = textAt(document, ["metadata", "name"]);
  return {
    name,
    order: orderOf(document),
    passes: textAt(document, ["spec", "defaultAction"]) === "Pass" || defaultTier(name).passes,
  };
}

/** Before v3.32 the tiers of Kubernetes' policies had other names; their policies are ordered among Kubernetes' ones all the same. */
const renamed: { readonly [name: string]: string } = {
  adminnetworkpolicy: "kube-admin",
  baselineadminnetworkpolicy: "kube-baseline",
};

function tierName(policy: JsonObject): string {
  const name = textAt(policy, ["spec", "tier"]) || "default";
  return (Object.hasOwn(renamed, name) ? renamed[name] : undefined) ?? name;
}

/** A policy or tier without an order comes last. */
function orderOf(document: JsonObject): number {
  const order = at(document, ["spec", "order"]);
  return typeof order === "number" ? order : Number.POSITIVE_INFINITY;
}

function tierStage(
  tier: Tier,
  selecting: readonly Selecting[],
  kubernetes: KubernetesStages,
): Stage {
  const own = selecting.filter(({ policy }) => tierName(policy) === tier.name).sort(byOrder);
  const end = tier.passes ? "next" : endOf(own.map(({ selected }) => selected));
  if (tier.name === "default") return defaultStage(own, end, kubernetes.networkPolicies);
  if (tier.name === "kube-admin") return besides(own, kubernetes.admin);
  if (tier.name === "kube-baseline") return besides(own, kubernetes.baseline);
  return { groups: groupsOf(own), end };
}

/**
 * Of one order the name decides. Among policies of the cluster and of namespaces it is their name in the store, namespace and tier
 * included, whose form changed between releases: then any of them may come first.
 */
function groupsOf(sorted: readonly Selecting[]): readonly Group[] {
  const levels = [...Map.groupBy(sorted, ({ order }) => order).values()];
  return levels.flatMap((level): readonly Group[] => {
    const isMixed = new Set(level.map(({ policy }) => isGlobal(policy))).size > 1;
    return isMixed ? [level.map(({ rules }) => rules)] : level.map(({ rules }) => [rules]);
  });
}

/**
 * Calico's policies in a tier of Kubernetes' ones, whose priority counts as an order among them
 * (docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy). Taken as if any may come first, which misses nothing.
 */
const besides = (own: readonly Selecting[], stage: Stage): Stage =>
  own.length === 0
    ? stage
    : { groups: [[...own.map(({ rules }) => rules), ...stage.groups.flat()]], end: "next" };

function defaultStage(own: readonly Selecting[], end: Stage["end"], standard: Stage): Stage {
  const before = own.filter(({ order }) => order < networkPolicyOrder);
  const level = own.filter(({ order }) => order === networkPolicyOrder);
  const after = own.filter(({ order }) => order > networkPolicyOrder);
  return {
    groups: [
      ...groupsOf(before),
      [...standard.groups.flat(), ...level.map(({ rules }) => rules)],
      ...groupsOf(after),
    ],
    end: standard.end === "next" || end === "deny" ? end : standard.end,
  };
}

function byOrder(a: Selecting, b: Selecting): number {
  if (a.order !== b.order) return a.order - b.order;
  return textAt(a.policy, ["metadata", "name"]) < textAt(b.policy, ["metadata", "name"]) ? -1 : 1;
}

function selectingOf(policy: JsonObject, pod: PodView, direction: Direction): Selecting {
  const spec = field(policy, "spec");
  const selected = selects(policy, spec, pod, direction);
  const namespace = isGlobal(policy) ? "" : textAt(policy, ["metadata", "namespace"]);
  const name = {
    kind: calicoKind(policy),
    namespace,
    name: textAt(policy, ["metadata", "name"]),
  };
  const rules = listOf(field(spec, direction === "Ingress" ? "ingress" : "egress"));
  return {
    policy,
    order: orderOf(policy),
    selected,
    rules: rules.flatMap((rule, index) =>
      calicoRule(rule, { name, index, direction, selected, pod }),
    ),
  };
}

const isGlobal = (policy: JsonObject): boolean =>
  textAt(policy, ["kind"]) === "GlobalNetworkPolicy";

/** preDNAT and doNotTrack policies are about host endpoints. */
function selects(
  policy: JsonObject,
  spec: Json | undefined,
  pod: PodView,
  direction: Direction,
): Match {
  const forHosts = field(spec, "preDNAT") === true || field(spec, "doNotTrack") === true;
  if (forHosts || !typesOf(spec).includes(direction)) return "no";
  const here = isGlobal(policy)
    ? namespacePods(field(spec, "namespaceSelector")).matches(pod)
    : matchOf(textAt(policy, ["metadata", "namespace"]) === pod.namespace);
  const account = accountPods(field(spec, "serviceAccountSelector"));
  const matches = [here, selectedPods(field(spec, "selector")).matches(pod), account.matches(pod)];
  return every(matches, (match) => match);
}

/**
 * Types left out follow the rules: Ingress unless there are egress rules alone, Egress when there are any. An empty list is none
 * (libcalico-go: defaultPolicyTypesField).
 */
function typesOf(spec: Json | undefined): readonly Json[] {
  const given = listOf(field(spec, "types"));
  if (given.length > 0) return given;
  if (listOf(field(spec, "egress")).length === 0) return ["Ingress"];
  return listOf(field(spec, "ingress")).length === 0 ? ["Egress"] : ["Ingress", "Egress"];
}
