// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { failure, fromKey } from "#responder/cluster";
import { daemonSet, detectNetwork, detectRbac } from "#responder/verification/detect-network";
import { networkNotes, networks, unknownNetwork, viewOf } from "#responder/verification/networks";
import { conclude, measured } from "#responder/verification/self-test";

const detections = [
  { reason: "Nothing known runs here.", agents: [], name: "", established: "unknown" },
  {
    reason: "Calico as its operator installs it.",
    agents: ["calico-system/calico-node"],
    name: "calico",
    established: "live on",
  },
  {
    reason: "Canal is Calico's policy on flannel's network: the plain network says nothing.",
    agents: ["kube-system/canal", "kube-flannel/kube-flannel-ds"],
    name: "calico",
    established: "live on",
  },
  {
    reason: "Flannel alone enforces nothing.",
    agents: ["kube-flannel/kube-flannel-ds"],
    name: "flannel",
    established: "unknown",
  },
  {
    reason: "Of two engines either may let an old connection pass.",
    agents: ["kube-system/cilium", "kube-system/kube-router"],
    name: "cilium+kube-router",
    established: "live on",
  },
  {
    reason: "Its enforcer of open connections comes by every 30 s.",
    agents: ["kube-system/kube-network-policies"],
    name: "kube-network-policies",
    established: "end",
    settleMs: 35_000,
  },
];

async function clusterWith(agents: readonly string[]) {
  const cluster = makeMemoryCluster(Date.now, [daemonSet]).client();
  for (const agent of agents) {
    const metadata = { ...fromKey(agent) };
    const made = await cluster.create(daemonSet, { ...daemonSet, metadata });
    expect(made.ok).toBe(true);
  }
  return cluster;
}

describe("the network", () => {
  it.each(detections)("$name: $reason", async ({ agents, name, established, settleMs }) => {
    const { found, unanswered } = await detectNetwork(await clusterWith(agents));
    expect(unanswered).toEqual([]);
    expect(viewOf(found)).toMatchObject({ name, established, settleMs: settleMs ?? 10_000 });
  });

  it("is told by the kinds that are served where its agents may not be read, and says what had no answer", async () => {
    const cluster = await clusterWith([]);
    const cilium = { ...daemonSet, apiVersion: "cilium.io/v2", kind: "CiliumEndpoint" };
    const blind = {
      ...cluster,
      get: () => Promise.resolve(failure("Forbidden", "no")),
      typeOf: (_: string, kind: string) =>
        Promise.resolve(
          kind === "CiliumEndpoint"
            ? { ok: true as const, value: cilium }
            : failure("NotFound", "no"),
        ),
    };
    const { found, unanswered } = await detectNetwork(blind);
    expect(found.map((one) => one.name)).toEqual(["cilium"]);
    expect(unanswered[0]).toBe("DaemonSet kube-system/canal: Forbidden");
  });

  it("is asked for by name alone: no right to list what runs", () => {
    expect(detectRbac.map((rule) => rule.verbs)).toEqual([["get"]]);
  });

  it("has a source for every row", () => {
    for (const one of networks) expect(one.source).toMatch(/^https:\/\//);
  });

  it("is a loud note where it enforces nothing, and a note on open connections", () => {
    const flannel = viewOf(networks.filter((one) => one.name === "flannel"));
    expect(networkNotes(flannel)[0]).toMatch(/^WARNING: this cluster's network does not enforce/);
    expect(networkNotes(unknownNetwork)[0]).toMatch(
      /^connections that are open already may live on/,
    );
    const ovn = viewOf(networks.filter((one) => one.name === "ovn-kubernetes"));
    expect(networkNotes(ovn)).toEqual([
      "connections that are open already end within about 10 s: ovn-kubernetes judges every packet",
    ]);
  });
});

const held = (echoedMs: number, newMs: number) => ({ echoedMs, newMs, forMs: 50_000 });
const tests = [
  {
    reason: "New and open connections end.",
    ingress: held(4_000, 3_800),
    egress: held(33_000, 3_900),
    want: "answered true end 33000",
  },
  {
    reason: "Open ones live on in one direction: an attacker needs no more.",
    ingress: held(4_000, 3_800),
    egress: held(49_900, 3_900),
    want: "answered true live on 49900",
  },
  {
    reason: "Policies are ignored.",
    ingress: held(49_900, 49_900),
    egress: held(49_900, 49_900),
    want: "answered false live on 49900",
  },
  {
    reason: "Policies about egress are ignored: half an isolation is none.",
    ingress: held(4_000, 3_800),
    egress: held(49_900, 49_900),
    want: "answered false live on 49900",
  },
  {
    reason: "What ends before the policy comes proves nothing.",
    ingress: held(400, 400),
    egress: held(4_000, 3_800),
    want: "unknown",
  },
];

describe("the self-test", () => {
  it.each(tests)("$want: $reason", ({ ingress, egress, want }) => {
    const test = conclude([
      { direction: "Ingress", held: ingress },
      { direction: "Egress", held: egress },
    ]);
    const text =
      test.kind === "unknown"
        ? "unknown"
        : `answered ${test.enforces} ${test.established} ${test.settleMs}`;
    expect(text).toBe(want);
    const facts = measured(unknownNetwork, test);
    expect(facts.enforces).toBe(test.kind === "unknown" ? "unknown" : test.enforces ? "yes" : "no");
    if (test.kind === "answered" && test.established === "end") {
      expect(facts.settleMs).toBe(test.settleMs);
    }
  });
});
