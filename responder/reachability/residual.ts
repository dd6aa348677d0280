// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject, textAt } from "#policy/json";
import { canonical } from "#responder/exact-json";
import { ownershipLabel } from "#responder/plan";
import { calicoKind, isCalicoPolicy } from "#responder/reachability/calico";
import { isCovered, mayOverlap } from "#responder/reachability/cover";
import { ruleText } from "#responder/reachability/describe";
import { meshAllows } from "#responder/reachability/istio";
import { chainsAt, parseWorld } from "#responder/reachability/policy-world";
import type { Peer, PolicyName, Rule } from "#responder/reachability/rule";
import type { Group, Stage } from "#responder/reachability/stage";
import type { Direction, PodView } from "#responder/reachability/traffic";

/** A rule that still lets traffic through, whether or not a peer for it exists now. */
export type ResidualAllow = {
  readonly policy: PolicyName;
  readonly direction: Direction;
  readonly detail: string;
  readonly certainty: "allows" | "mayAllow";
  /** Why it is open, or why it cannot be told; '' for a plain allow. */
  readonly reason: string;
};

export type ResidualOptions = {
  /** Whether Cilium may be the network, even without a policy of its own. */
  readonly mayBeCilium?: boolean;
  /** Undefined: Istio's own default. */
  readonly istioRootNamespace?: string | undefined;
};

export type OpenRule = { readonly rule: Rule; readonly reason: string; readonly sure: boolean };

/**
 * Every rule by which traffic from or to a pod passes once `plan` is added to the cluster's `policies`: allows of
 * other policies that no earlier deny stops whole, and "no policy decides" where nothing does. The plan's own allows are
 * intended and left out. `target` bears the labels it will have; `policies` are all kinds, of all namespaces. Complete,
 * not minimal: what cannot be evaluated exactly is listed as `mayAllow`, never dropped, and only the target's end is
 * looked at. Not in it: traffic of the pod with itself and with its own node, which no policy cuts, and connections
 * that exist already.
 */
export function residualAllows(
  target: PodView,
  policies: readonly JsonObject[],
  plan: readonly JsonObject[],
  options: ResidualOptions = {},
): readonly ResidualAllow[] {
  const network = (["Ingress", "Egress"] as const).flatMap((direction) =>
    openRules(target, policies, plan, direction, options),
  );
  const open = network.some(({ rule }) => rule.direction === "Ingress")
    ? [...network, ...meshAllows(policies, target, options.istioRootNamespace)]
    : network;
  const found = new Map(open.map((one) => [keyOf(one.rule), toResidual(one)]));
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, residual]) => residual);
}

/** The same as rules, in one direction, without those of Istio. */
export function openRules(
  target: PodView,
  policies: readonly JsonObject[],
  plan: readonly JsonObject[],
  direction: Direction,
  options: ResidualOptions = {},
): readonly OpenRule[] {
  const planned = new Set(plan.map(identityOf));
  const contents = new Set(plan.map(contentOf));
  const isTwin = (policy: JsonObject): boolean =>
    textAt(policy, ["metadata", "labels", ownershipLabel]) !== "" &&
    contents.has(contentOf(policy));
  const others = policies.filter((policy) => !planned.has(identityOf(policy)) && !isTwin(policy));
  const world = parseWorld([...others, ...plan], options);
  return chainsAt(world, target, direction)
    .flatMap((stages) => openInChain(withoutExceptions(stages, planned), direction))
    .filter(({ rule }) => !planned.has(nameKey(rule.policy)));
}

/**
 * What a policy says, without whom it is about. One that says the same as the plan, as of another isolation of the pod with the
 * same allow-list, lets nothing through that is not intended.
 */
function contentOf(policy: JsonObject): string {
  const spec = policy["spec"];
  const said = Object.entries(isObject(spec) ? spec : {}).filter(([key]) => !subjectKeys.has(key));
  return canonical([
    textAt(policy, ["apiVersion"]),
    textAt(policy, ["kind"]),
    Object.fromEntries(said),
  ]);
}

/** Of NetworkPolicy, ClusterNetworkPolicy and the kinds before it, Cilium, Calico. */
const subjectKeys: ReadonlySet<string> = new Set([
  "podSelector",
  "subject",
  "endpointSelector",
  "selector",
  "namespaceSelector",
]);

/** What the plan's own denies except is its allow-list: intended, like its allows. */
function withoutExceptions(
  stages: readonly Stage[],
  planned: ReadonlySet<string>,
): readonly Stage[] {
  const whole = (rule: Rule): Rule =>
    rule.action === "Deny" && planned.has(nameKey(rule.policy))
      ? { ...rule, peers: rule.peers.map(wholeNetwork) }
      : rule;
  return stages.map((stage) => ({
    ...stage,
    groups: stage.groups.map((group) => group.map((rules) => rules.map(whole))),
  }));
}

const wholeNetwork = (peer: Peer): Peer =>
  peer.kind === "network" ? { ...peer, except: [] } : peer;

const keyOf = (rule: Rule): string =>
  `${nameKey(rule.policy)} ${rule.direction} ${String(rule.index).padStart(6, "0")} ${ruleText(rule)}`;

const nameKey = (name: PolicyName): string => `${name.kind}/${name.namespace}/${name.name}`;

/** For people. */
const nameText = ({ kind, namespace, name }: PolicyName): string =>
  `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;

const identityOf = (policy: JsonObject): string =>
  nameKey({
    kind: isCalicoPolicy(policy) ? calicoKind(policy) : textAt(policy, ["kind"]),
    namespace: textAt(policy, ["metadata", "namespace"]),
    name: textAt(policy, ["metadata", "name"]),
  });

const toResidual = ({ rule, reason, sure }: OpenRule): ResidualAllow => ({
  policy: rule.policy,
  direction: rule.direction,
  detail: ruleText(rule),
  certainty: sure ? "allows" : "mayAllow",
  reason,
});

/** What no policy decides passes. */
const undecided = (direction: Direction): Rule => ({
  policy: { kind: "", namespace: "", name: "" },
  index: 0,
  direction,
  action: "Allow",
  peers: [{ kind: "any" }],
  ports: "all",
});

/** What came before a rule: denies that surely count, and whatever else may have decided first. */
type Before = { readonly denies: readonly Rule[]; readonly doubts: readonly Rule[] };

/**
 * Follows the stages with the denies that count so far. A deny counts for later stages only while nothing could have
 * passed it by: a Pass before it, or one that ties with it, sends traffic on to the next stage.
 */
function openInChain(stages: readonly Stage[], direction: Direction): readonly OpenRule[] {
  const open: OpenRule[] = [];
  let carried: Before = { denies: [], doubts: [] };
  for (const stage of stages) {
    let before = carried;
    let passed = false;
    for (const group of stage.groups) {
      open.push(...openInGroup(group, before));
      const rules = group.flat().filter((rule) => rule.action !== "Allow");
      const denies = rules.filter((rule) => rule.action === "Deny");
      const passes = group.some((one) => passIndex(one, before.denies) >= 0);
      carried = {
        denies: passed
          ? carried.denies
          : [...carried.denies, ...deniesBeforePass(group, before.denies, passes)],
        doubts: [...carried.doubts, ...denies],
      };
      passed ||= passes;
      before = { denies: [...before.denies, ...denies], doubts: [...before.doubts, ...rules] };
    }
    if (stage.end === "deny" && !passed) return open;
  }
  const rest = openUnless(undecided(direction), carried, "no policy decides: it passes");
  return rest === undefined ? open : [...open, rest];
}

function openInGroup(group: Group, before: Before): readonly OpenRule[] {
  const others = group.flatMap((of) =>
    of.flatMap((one) => (one.action === "Allow" ? [] : [{ of, one }])),
  );
  return group.flatMap((rules) => {
    return rules.flatMap((rule, index): readonly OpenRule[] => {
      if (rule.action !== "Allow" || rule.peers.length === 0) return [];
      const own = rules.slice(0, index).filter((one) => one.action !== "Allow");
      const found = openUnless(
        rule,
        { denies: [...before.denies, ...own.filter(isDeny)], doubts: [...before.doubts, ...own] },
        "",
      );
      if (found === undefined) return [];
      const rival = others.find(({ of, one }) => of !== rules && mayOverlap(rule, one));
      return [rival === undefined ? found : tie(found, rival.one)];
    });
  });
}

const isDeny = (rule: Rule): boolean => rule.action === "Deny";

const tie = (open: OpenRule, rival: Rule): OpenRule => ({
  ...open,
  sure: false,
  reason: `${nameText(rival.policy)} has the same priority and says otherwise: which of them counts is undefined`,
});

/** undefined when the denies stop all of it. */
function openUnless(rule: Rule, before: Before, why: string): OpenRule | undefined {
  if (isCovered(rule, before.denies)) return undefined;
  if (rule.unsure !== undefined) return { rule, sure: false, reason: rule.unsure };
  const partly = before.doubts.find((doubt) => mayOverlap(rule, doubt));
  if (partly !== undefined) {
    const reason = `${nameText(partly.policy)} comes first and may take a part of it`;
    return { rule, sure: false, reason: why === "" ? reason : `${why}; ${reason}` };
  }
  const narrowed = rule.narrowed !== undefined && why === "";
  return { rule, sure: true, reason: narrowed ? "only where its further conditions hold" : why };
}

/** The first Pass that the denies before it leave open; -1 when there is none. */
function passIndex(rules: readonly Rule[], denies: readonly Rule[]): number {
  return rules.findIndex(
    (rule, index) =>
      rule.action === "Pass" &&
      !isCovered(rule, [
        ...denies,
        ...rules.slice(0, index).filter((one) => one.action === "Deny"),
      ]),
  );
}

function deniesBeforePass(group: Group, denies: readonly Rule[], passes: boolean): readonly Rule[] {
  if (!passes) return group.flat().filter(isDeny);
  const [only] = group;
  if (group.length !== 1 || only === undefined) return [];
  return only.slice(0, passIndex(only, denies)).filter(isDeny);
}
