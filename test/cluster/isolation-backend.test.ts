// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { type BackendChoice, chooseBackend } from "#responder/reachability/backend";
import { networkPolicyOracle } from "#test/cluster/binaries";
import {
  type Case,
  type Pod,
  ask,
  makeGenerator,
  makeRandom,
  nodes,
} from "#test/cluster/network-policy-worlds";
import { makeClusterPolicies } from "#test/cluster/random-cluster-policies";

// The very manifests that an isolation would write, judged by kube-network-policies' evaluators: a pod that is said to be
// closed is closed for every packet, and its allow-list is open.
const oracle = networkPolicyOracle();
const seed = Number(process.env["PARAPET_SEED"] ?? 20261122);
const worlds = 2_000;
const packetsPerWorld = 4;

const collector = "203.0.113.5";
const selector = { key: "isolate.parapet.dev/r1", value: "uid-1" };
const served = [
  { group: "policy.networking.k8s.io", version: "v1alpha2", kind: "ClusterNetworkPolicy" },
];

type Choice = Extract<BackendChoice, { ok: true }>;

function isolated(policies: readonly JsonObject[], pod: Pod): Choice {
  const choice = chooseBackend({
    namespace: pod.namespace,
    name: "parapet-r1",
    labels: {},
    annotations: {},
    selector,
    allow: [
      {
        kind: "network",
        cidr: `${collector}/32`,
        direction: "Egress",
        ports: [{ port: 443, protocol: "TCP" }],
      },
    ],
    pod,
    hostNetwork: false,
    served,
    policies,
  });
  if (!choice.ok) throw new Error(choice.message);
  return choice;
}

/** As every namespace is labelled by the API server. */
const named = (pod: Pod): Pod => ({
  ...pod,
  namespaceLabels: { ...pod.namespaceLabels, "kubernetes.io/metadata.name": pod.namespace },
});

const ofKind = (manifests: readonly JsonObject[], kind: string) =>
  manifests.filter((manifest) => manifest["kind"] === kind);

type Judged = { readonly one: Case; readonly out: boolean; readonly choice: Choice };

function makeCases(): {
  readonly toOthers: readonly Judged[];
  readonly toCollector: readonly Judged[];
  /** To the collector on another port or protocol, and from it. */
  readonly beside: readonly Judged[];
} {
  const generate = makeGenerator(makeRandom(seed + 11));
  const { clusterPolicies } = makeClusterPolicies(generate, 10);
  const toOthers: Judged[] = [];
  const toCollector: Judged[] = [];
  const beside: Judged[] = [];
  for (let index = 0; index < worlds; index += 1) {
    const world = generate.world();
    const pods = world.pods.map(named);
    const policies = world.policies.map((policy) => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      ...policy,
    }));
    const admin = generate.chance(0.5) ? clusterPolicies(2) : [];
    const target = generate.pick(pods);
    const choice = isolated([...policies, ...admin], target);
    const pod = { ...target, labels: { ...target.labels, [selector.key]: selector.value } };
    const end = { address: pod.address, pod };
    const base = {
      policies: [...policies, ...ofKind(choice.manifests, "NetworkPolicy")],
      clusterPolicies: [...admin, ...ofKind(choice.manifests, "ClusterNetworkPolicy")],
      nodes,
    };
    const others = pods.filter((one) => one !== target);
    for (let count = 0; count < packetsPerWorld; count += 1) {
      const out = count % 2 === 0;
      const packet = generate.packet(others);
      const ends = out ? { source: end } : { destination: end };
      toOthers.push({ one: { ...base, ...packet, ...ends }, out, choice });
    }
    const destination = { address: collector, pod: null };
    const packet = { source: end, destination, port: 443, protocol: "TCP" } as const;
    toCollector.push({ one: { ...base, ...packet }, out: true, choice });
    beside.push(
      { one: { ...base, ...packet, port: 444 }, out: true, choice },
      { one: { ...base, ...packet, protocol: "UDP" }, out: true, choice },
      { one: { ...base, ...packet, source: destination, destination: end }, out: false, choice },
    );
  }
  return { toOthers, toCollector, beside };
}

function passing(judged: readonly Judged[]): readonly boolean[] {
  const verdicts = ask(
    oracle ?? "",
    judged.map(({ one }) => one),
  );
  return judged.map(({ out }, index) => {
    const verdict = verdicts[index];
    return (out ? verdict?.egress : verdict?.ingress) === true;
  });
}

describe.skipIf(oracle === undefined)("the manifests of an isolation, judged by another", () => {
  const { toOthers, toCollector, beside } = makeCases();

  it("opens to the collector no other port or protocol, and not the other way", () => {
    const open = passing(beside);
    const wrong = beside.filter(
      ({ choice, out }, index) =>
        open[index] === true &&
        !choice.residualAllows.some((allow) => allow.direction === (out ? "Egress" : "Ingress")),
    );
    expect(wrong.slice(0, 1)).toEqual([]);
    expect(open.filter((one) => !one).length).toBeGreaterThan(3_000);
  });

  it(`lets no packet to or from a pod that is said to be closed, in ${worlds} worlds, seed ${seed}`, () => {
    const open = passing(toOthers);
    const closed = toOthers.filter(({ choice }) => choice.residualAllows.length === 0);
    const wrong = toOthers.filter(
      ({ choice, out }, index) =>
        open[index] === true &&
        !choice.residualAllows.some((allow) => allow.direction === (out ? "Egress" : "Ingress")),
    );
    expect(wrong.slice(0, 1)).toEqual([]);
    expect(closed.length).toBeGreaterThan(1_000);
    const backends = new Set(closed.map(({ choice }) => choice.backend));
    expect([...backends].sort()).toEqual(["ClusterNetworkPolicy", "NetworkPolicy"]);
  });

  it("keeps the collector reachable but where somebody's Admin policy denies it, which a NetworkPolicy cannot override", () => {
    const open = passing(toCollector);
    const ours = toCollector.map(
      ({ one, choice }) =>
        choice.backend === "ClusterNetworkPolicy" || (one.clusterPolicies ?? []).length === 0,
    );
    const cut = toCollector.filter((_, index) => ours[index] === true && open[index] !== true);
    expect(cut.slice(0, 1)).toEqual([]);
    expect(ours.filter((one) => one).length).toBeGreaterThan(1_000);
  });
});
