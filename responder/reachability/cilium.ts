// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, field, isObject, textAt } from "#policy/json";
import { ciliumPeers } from "#responder/reachability/cilium-peers";
import { ciliumPorts } from "#responder/reachability/cilium-ports";
import { subjectSelector } from "#responder/reachability/cilium-selector";
import type { KubernetesStages } from "#responder/reachability/kubernetes-stages";
import type { Match } from "#responder/reachability/match";
import { endOf, unreadableSubject } from "#responder/reachability/network-policies";
import { type Rule, listOf } from "#responder/reachability/rule";
import type { Stage } from "#responder/reachability/stage";
import type { Direction, PodView } from "#responder/reachability/traffic";

export const isCiliumPolicy = (policy: JsonObject): boolean =>
  textAt(policy, ["apiVersion"]).startsWith("cilium.io/") &&
  ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"].includes(textAt(policy, ["kind"]));

type Spec = { readonly policy: JsonObject; readonly spec: Json; readonly selected: Match };

/**
 * Cilium at one pod: denies of its policies beat every allow, Kubernetes' NetworkPolicies included; allows of all kinds
 * add up; the rest is denied as soon as one policy of any kind asks for it
 * (docs.cilium.io/en/stable/security/policy/deny/ and .../policy/intro/).
 */
export function ciliumChain(
  policies: readonly JsonObject[],
  kubernetes: KubernetesStages,
  pod: PodView,
  direction: Direction,
): readonly Stage[] {
  const specs = policies.flatMap((policy) => specsFor(policy, pod));
  const denies = specs.map((spec) => rulesOf(spec, direction, "Deny"));
  const allows = specs.map((spec) => rulesOf(spec, direction, "Allow"));
  const asking = specs
    .filter(({ spec }) => deniesByDefault(spec, direction))
    .map(({ selected }) => selected);
  const { networkPolicies } = kubernetes;
  const own = endOf(asking);
  const end =
    own === "deny" || networkPolicies.end === "deny" ? "deny" : weaker(own, networkPolicies.end);
  const [standard = []] = networkPolicies.groups;
  const main: Stage = { groups: [denies, [...allows, ...standard]], end };
  return [kubernetes.admin, main, kubernetes.baseline];
}

const weaker = (a: Stage["end"], b: Stage["end"]): Stage["end"] =>
  a === "next" && b === "next" ? "next" : "denyOrNext";

/** The specs of a policy that select the pod: `spec`, and each of `specs`. Those with a nodeSelector are about hosts. */
function specsFor(policy: JsonObject, pod: PodView): readonly Spec[] {
  const namespace = namespaceOf(policy);
  const given = [field(policy, "spec"), ...listOf(field(policy, "specs"))];
  return given.flatMap((spec): readonly Spec[] => {
    if (!isObject(spec) || (field(spec, "nodeSelector") ?? undefined) !== undefined) return [];
    const selected = subjectSelector(field(spec, "endpointSelector"), namespace).matches(pod);
    return selected === "no" ? [] : [{ policy, spec, selected }];
  });
}

const namespaceOf = (policy: JsonObject): string =>
  textAt(policy, ["kind"]) === "CiliumClusterwideNetworkPolicy"
    ? ""
    : textAt(policy, ["metadata", "namespace"]) || "default";

const sections = { Ingress: "ingress", Egress: "egress" } as const;

/**
 * Default deny is on for each direction that has rules, allowing or denying, unless `enableDefaultDeny` says otherwise;
 * an absent or empty section says nothing (api/v4: Rule.EnableDefaultDeny, "If omitted or empty, this rule does not
 * apply").
 */
function deniesByDefault(spec: Json, direction: Direction): boolean {
  const section = sections[direction];
  const stated = field(field(spec, "enableDefaultDeny"), section);
  if (typeof stated === "boolean") return stated;
  return (
    listOf(field(spec, section)).length > 0 || listOf(field(spec, `${section}Deny`)).length > 0
  );
}

function rulesOf(one: Spec, direction: Direction, action: "Allow" | "Deny"): readonly Rule[] {
  const { policy, spec, selected } = one;
  const section = action === "Deny" ? `${sections[direction]}Deny` : sections[direction];
  const namespace = namespaceOf(policy);
  const name = {
    kind: textAt(policy, ["kind"]),
    namespace: textAt(policy, ["metadata", "namespace"]),
    name: textAt(policy, ["metadata", "name"]),
  };
  return listOf(field(spec, section)).map((rule, index): Rule => {
    const { peers, unsure } = ciliumPeers(rule, direction, namespace);
    const ports = ciliumPorts(rule);
    const reason = unsure ?? ports.unsure ?? furtherConditions(rule);
    return {
      policy: name,
      index,
      direction,
      action,
      peers,
      ports: ports.ports,
      ...(reason === undefined ? {} : { narrowed: (): Match => "maybe", unsure: reason }),
      ...(selected === "maybe" ? unreadableSubject : {}),
    };
  });
}

/** Mutual authentication, and the requirements of old policies, narrow a rule by what no packet shows. */
function furtherConditions(rule: Json): string | undefined {
  const mode = textAt(rule, ["authentication", "mode"]);
  if (mode !== "" && mode !== "disabled") return `only peers that pass ${mode} authentication`;
  const required = ["fromRequires", "toRequires"].find(
    (key) => listOf(field(rule, key)).length > 0,
  );
  return required === undefined ? undefined : `${required} narrows it`;
}
