// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { parseWorld, chainsAt } from "#responder/reachability/policy-world";
import { openRules } from "#responder/reachability/residual";
import { ruleMatches } from "#responder/reachability/rule";
import { judgePacket } from "#responder/reachability/stage";
import type { Direction, PodView } from "#responder/reachability/traffic";
import { networkPolicyOracle } from "#test/cluster/binaries";
import {
  type Case,
  ask,
  makeGenerator,
  makeRandom,
  nodes,
  packetOf,
} from "#test/cluster/network-policy-worlds";
import { makeClusterPolicies } from "#test/cluster/random-cluster-policies";

// Our reading of the admin and baseline tiers, and what we call a residual allow, against kube-network-policies'
// evaluators. The seed is fixed: a failure repeats. PARAPET_SEED tries others.
const oracle = networkPolicyOracle();
const seed = Number(process.env["PARAPET_SEED"] ?? 20261122);
const worlds = 5_000;
const packetsPerWorld = 6;

const kubernetesPolicies = (policies: readonly JsonObject[]): readonly JsonObject[] =>
  policies.map((policy) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    ...policy,
  }));

/** Half of the worlds have v1alpha2, half v1alpha1: no cluster enforces both. */
function makeWorlds(start: number) {
  const generate = makeGenerator(makeRandom(start));
  const admin = makeClusterPolicies(generate, 10);
  const next = (index: number) => {
    const { pods, policies } = generate.world();
    const kept = generate.chance(0.5) ? policies : policies.slice(0, 1);
    const newer = index % 2 === 0;
    const kinds = {
      policies: kubernetesPolicies(kept),
      clusterPolicies: newer ? admin.clusterPolicies(4) : [],
      adminPolicies: newer ? [] : admin.adminPolicies(3),
      baselineAdminPolicies: newer ? [] : admin.baselineAdminPolicies(),
    };
    return { pods, kinds };
  };
  return { generate, next };
}

const allOf = (one: Omit<Case, "source" | "destination" | "port" | "protocol">) => [
  ...one.policies,
  ...(one.clusterPolicies ?? []),
  ...(one.adminPolicies ?? []),
  ...(one.baselineAdminPolicies ?? []),
];

function ours(one: Case, direction: Direction): boolean | "either" {
  const packet = packetOf(one);
  const { pod } = direction === "Ingress" ? packet.destination : packet.source;
  if (pod === undefined) return true;
  const [stages = []] = chainsAt(parseWorld(allOf(one)), pod, direction);
  const { allow, deny } = judgePacket(stages, packet);
  return allow && deny ? "either" : allow;
}

describe.skipIf(oracle === undefined)(
  "the tiers of network policies, against kube-network-policies' evaluators",
  () => {
    it(`agrees on ${worlds * packetsPerWorld} packets in ${worlds} generated worlds, seed ${seed}`, () => {
      const { generate, next } = makeWorlds(seed + 7);
      const cases: Case[] = [];
      for (let index = 0; index < worlds; index += 1) {
        const { pods, kinds } = next(index);
        for (let count = 0; count < packetsPerWorld; count += 1) {
          cases.push({ ...kinds, nodes, ...generate.packet(pods) });
        }
      }
      const expected = ask(oracle ?? "", cases);
      const differing = cases.filter(
        (one, index) =>
          ours(one, "Egress") !== expected[index]?.egress ||
          ours(one, "Ingress") !== expected[index]?.ingress,
      );
      expect(differing.slice(0, 1)).toEqual([]);
      const denied = (direction: "egress" | "ingress") =>
        expected.filter((one) => !one[direction]).length / expected.length;
      for (const share of [denied("egress"), denied("ingress")]) {
        expect(share).toBeGreaterThan(0.2);
        expect(share).toBeLessThan(0.9);
      }
    });

    it("names the rule by which every packet that still passes an isolated pod does so", () => {
      const { cases, targets } = isolatedWorlds(seed + 8);
      const verdicts = ask(oracle ?? "", cases);
      let open = 0;
      let closed = 0;
      const unnamed = cases.filter((one, index) => {
        const target = targets[index];
        if (target === undefined) throw new Error("no target");
        const { direction, pod, plan } = target;
        const passed = direction === "Ingress" ? verdicts[index]?.ingress : verdicts[index]?.egress;
        const rules = openRules(pod, allOf(one), plan, direction);
        if (rules.length === 0) closed += 1;
        if (passed !== true) return false;
        open += 1;
        return !rules.some(({ rule }) => ruleMatches(rule, packetOf(one)) !== "no");
      });
      expect(unnamed.slice(0, 1)).toEqual([]);
      expect(open).toBeGreaterThan(300);
      expect(closed).toBeGreaterThan(500);
    });

    it("calls an allow sure only where every packet that it matches passes", () => {
      const { cases, targets } = isolatedWorlds(seed + 9);
      const verdicts = ask(oracle ?? "", cases);
      let sure = 0;
      const stopped = cases.filter((one, index) => {
        const target = targets[index];
        if (target === undefined) throw new Error("no target");
        const { direction, pod, plan } = target;
        const passed = direction === "Ingress" ? verdicts[index]?.ingress : verdicts[index]?.egress;
        const claimed = openRules(pod, allOf(one), plan, direction).some(
          (open) => open.sure && ruleMatches(open.rule, packetOf(one)) === "yes",
        );
        if (claimed) sure += 1;
        return claimed && passed !== true;
      });
      expect(stopped.slice(0, 1)).toEqual([]);
      expect(sure).toBeGreaterThan(100);
    });
  },
);

type IsolationCase = {
  readonly direction: Direction;
  readonly pod: PodView;
  readonly plan: readonly JsonObject[];
};

/** A pod of each world, isolated by a NetworkPolicy, in every third world by a ClusterNetworkPolicy's denies as well. */
function isolatedWorlds(start: number) {
  const { generate, next } = makeWorlds(start);
  const cases: Case[] = [];
  const targets: IsolationCase[] = [];
  for (let index = 0; index < worlds; index += 1) {
    const { pods, kinds } = next(index);
    const target = generate.pick(pods);
    const labels = { ...target.labels, isolated: "yes" };
    const pod = { ...target, labels };
    const policy = isolatingPolicy(target.namespace);
    const denies =
      index % 3 === 0 && index % 2 === 0 ? [denyingPolicy(target.namespaceLabels)] : [];
    const direction = index % 4 < 2 ? "Ingress" : "Egress";
    const end = { address: target.address, pod };
    const packet = generate.packet(pods.filter((other) => other !== target));
    cases.push({
      ...kinds,
      policies: [...kinds.policies, policy],
      clusterPolicies: [...kinds.clusterPolicies, ...denies],
      nodes,
      ...packet,
      ...(direction === "Ingress" ? { destination: end } : { source: end }),
    });
    targets.push({ direction, pod, plan: [policy, ...denies] });
  }
  return { cases, targets };
}

const isolatingPolicy = (namespace: string): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "parapet-isolate", namespace },
  spec: {
    podSelector: { matchLabels: { isolated: "yes" } },
    policyTypes: ["Ingress", "Egress"],
  },
});

const denyingPolicy = (namespaceLabels: JsonObject): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  metadata: { name: "parapet-isolate" },
  spec: {
    tier: "Admin",
    priority: 0,
    subject: {
      pods: {
        namespaceSelector: { matchLabels: namespaceLabels },
        podSelector: { matchLabels: { isolated: "yes" } },
      },
    },
    ingress: [{ action: "Deny", from: [{ namespaces: {} }] }],
    egress: [{ action: "Deny", to: [{ networks: ["0.0.0.0/0", "::/0"] }] }],
  },
});
