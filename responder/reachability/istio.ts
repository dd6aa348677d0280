// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, field, isObject, textAt } from "#policy/json";
import { podsByLabels } from "#responder/reachability/pod-selector";
import { type Match, matchOf } from "#responder/reachability/match";
import {
  type Peer,
  type Port,
  type Rule,
  allPortsOf,
  jsonText,
  listOf,
  networkPeer,
} from "#responder/reachability/rule";
import type { Stage } from "#responder/reachability/stage";
import type { PodView } from "#responder/reachability/traffic";

/**
 * Policies in the mesh's root namespace are about every workload of it (istio.io/latest/docs/concepts/security/#policy-target). This is
 * `meshConfig.rootNamespace` unless somebody says otherwise (istio.io/latest/docs/reference/config/istio.mesh.v1alpha1).
 */
export const rootNamespaceDefault = "istio-system";

/**
 * AuthorizationPolicies at a destination: CUSTOM, then DENY, then ALLOW; with an ALLOW policy what none allows is denied
 * (istio.io/latest/docs/reference/config/security/authorization-policy). Only for TCP, only traffic that the proxy sees,
 * and only the destination's side. Identities (principals, namespaces) need mutual TLS and what requests say (paths, headers, tokens)
 * no packet shows: such conditions may hold.
 */
export function meshStages(
  policies: readonly JsonObject[],
  pod: PodView,
  rootNamespace = rootNamespaceDefault,
): readonly Stage[] {
  const selecting = policies.filter(isEnforced).flatMap((policy) => {
    const selected = selects(policy, pod, rootNamespace);
    return selected === "no" ? [] : [{ policy, selected }];
  });
  const rulesFor = (action: string) =>
    selecting
      .filter(({ policy }) => actionOf(policy) === action)
      .map(({ policy, selected }) => rulesOf(policy, action, selected));
  const allows = selecting.filter(({ policy }) => actionOf(policy) === "ALLOW");
  const sure = allows.some(({ selected }) => selected === "yes");
  const uncertainEnd = allows.length > 0 ? "denyOrNext" : "next";
  return [
    {
      groups: [[[pastTheProxy]], rulesFor("CUSTOM"), rulesFor("DENY"), rulesFor("ALLOW")],
      end: sure ? "deny" : uncertainEnd,
    },
  ];
}

/** What is not TCP does not go through the proxy. */
const pastTheProxy: Rule = {
  policy: { kind: "", namespace: "", name: "" },
  index: 0,
  direction: "Ingress",
  action: "Pass",
  peers: [{ kind: "any" }],
  ports: [allPortsOf("UDP"), allPortsOf("SCTP"), { kind: "other", text: "other protocols" }],
};

export type MeshAllow = { readonly rule: Rule; readonly reason: string; readonly sure: false };

/** The allows of a mesh for a pod, which count only for what the network lets through. */
export function meshAllows(
  documents: readonly JsonObject[],
  pod: PodView,
  rootNamespace?: string,
): readonly MeshAllow[] {
  const policies = documents.filter(
    (document) =>
      textAt(document, ["apiVersion"]).startsWith("security.istio.io/") &&
      textAt(document, ["kind"]) === "AuthorizationPolicy",
  );
  return meshStages(policies, pod, rootNamespace)
    .flatMap((stage) => stage.groups.flat(2))
    .filter((rule) => rule.action === "Allow")
    .map((rule) => ({
      rule,
      reason: "allows in the mesh what the network lets through",
      sure: false,
    }));
}

/** One that is only tried decides nothing (istio.io/latest/docs/tasks/security/authorization/authz-dry-run). */
const isEnforced = (policy: JsonObject): boolean =>
  textAt(policy, ["metadata", "annotations", "istio.io/dry-run"]) !== "true";

const actionOf = (policy: JsonObject): string => textAt(policy, ["spec", "action"]) || "ALLOW";

/** `targetRefs` attach a policy to a gateway, waypoint or Service in front of the workload. */
function selects(policy: JsonObject, pod: PodView, rootNamespace: string): Match {
  const namespace = textAt(policy, ["metadata", "namespace"]);
  if (namespace !== pod.namespace && namespace !== rootNamespace) return "no";
  const attached = ["targetRef", "targetRefs"].some(
    (key) => (at(policy, ["spec", key]) ?? undefined) !== undefined,
  );
  return attached ? "maybe" : podsByLabels(at(policy, ["spec", "selector"])).matches(pod);
}

function rulesOf(policy: JsonObject, action: string, selected: Match): readonly Rule[] {
  const name = {
    kind: "AuthorizationPolicy",
    namespace: textAt(policy, ["metadata", "namespace"]),
    name: textAt(policy, ["metadata", "name"]),
  };
  return listOf(at(policy, ["spec", "rules"])).map((rule, index): Rule => {
    const { peers, unsure } = sourcesOf(listOf(field(rule, "from")));
    const ports = operationsOf(listOf(field(rule, "to")));
    const conditions = listOf(field(rule, "when")).length > 0 ? "when" : undefined;
    const custom = action === "CUSTOM" ? "an external authorizer" : undefined;
    const subject = selected === "maybe" ? "whether it is in front of the pod" : undefined;
    const reason = subject ?? custom ?? unsure ?? ports.unsure ?? conditions;
    return {
      policy: name,
      index,
      direction: "Ingress",
      action: action === "ALLOW" ? "Allow" : "Deny",
      peers,
      ports: ports.ports,
      ...(reason === undefined
        ? {}
        : { narrowed: (): Match => "maybe", unsure: `${reason}: cannot be told from here` }),
    };
  });
}

/** Sources: any of them, all fields of one together. Only addresses are seen in packets. */
function sourcesOf(from: readonly Json[]): {
  readonly peers: readonly Peer[];
  readonly unsure?: string | undefined;
} {
  if (from.length === 0) return { peers: [{ kind: "any" }] };
  const sources = from.map((one) => field(one, "source"));
  const peers = sources.flatMap((source): readonly Peer[] => {
    const blocks = listOf(field(source, "ipBlocks"));
    if (blocks.length > 0) return blocks.map((block) => networkPeer(jsonText(block), [], "all"));
    const namespaces = listOf(field(source, "namespaces")).map(jsonText);
    return namespaces.length > 0 ? namespaces.map(namespacePeer) : [{ kind: "any" }];
  });
  const other = sources.flatMap((source) => (isObject(source) ? Object.keys(source) : []));
  return { peers, unsure: other.find((key) => key !== "ipBlocks") };
}

/** `*` at either end stands for anything (the reference's string matching). */
function namespacePeer(pattern: string): Peer {
  const matches = (pod: PodView): Match => matchOf(wildcardMatches(pattern, pod.namespace));
  return {
    kind: "pods",
    pods: { text: `namespace ${pattern}`, everything: false, exact: true, matches },
  };
}

function wildcardMatches(pattern: string, text: string): boolean {
  if (pattern === "*") return true;
  if (pattern.startsWith("*")) return text.endsWith(pattern.slice(1));
  if (pattern.endsWith("*")) return text.startsWith(pattern.slice(0, -1));
  return pattern === text;
}

function operationsOf(to: readonly Json[]): {
  readonly ports: readonly Port[];
  readonly unsure?: string | undefined;
} {
  if (to.length === 0) return { ports: [allPortsOf("TCP")] };
  const operations = to.map((one) => field(one, "operation"));
  const ports = operations.flatMap((operation): readonly Port[] => {
    const given = listOf(field(operation, "ports"));
    if (given.length === 0) return [allPortsOf("TCP")];
    return given.map((port): Port => {
      const number = Number(port);
      return { kind: "range", protocol: "TCP", first: number, last: number };
    });
  });
  const other = operations.flatMap((operation) =>
    isObject(operation) ? Object.keys(operation) : [],
  );
  return { ports, unsure: other.find((key) => key !== "ports") };
}
