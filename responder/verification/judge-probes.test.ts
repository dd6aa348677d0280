// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { judgeProbes } from "#responder/verification/judge-probes";
import {
  type NetworkFacts,
  networks,
  unknownNetwork,
  viewOf,
} from "#responder/verification/networks";
import type { Attempt, Outcome, Prober, ProbeTarget } from "#responder/verification/probe";

const named = (name: string): NetworkFacts => viewOf(networks.filter((one) => one.name === name));

const attempt = (from: Prober, to: ProbeTarget, outcome: Outcome): Attempt => ({
  from,
  to,
  address: "10.0.0.9",
  port: 8080,
  outcome,
});

/** All that a full experiment tries, as a network that enforces the isolation answers. */
const isolated: readonly Attempt[] = [
  attempt("client", "target", "timeout"),
  attempt("client", "twin", "connected"),
  attempt("client", "isolated", "timeout"),
  attempt("client", "control", "connected"),
  attempt("isolated", "listener", "timeout"),
  attempt("control", "listener", "connected"),
];

const but = (from: Prober, to: ProbeTarget, outcome: Outcome | undefined): readonly Attempt[] =>
  isolated.flatMap((one) => {
    if (one.from !== from || one.to !== to) return [one];
    return outcome === undefined ? [] : [{ ...one, outcome }];
  });

const rows = [
  {
    reason: "Closed both ways, open for the controls, on a network that ends open connections.",
    attempts: isolated,
    network: "ovn-kubernetes",
    want: "verified Probed",
  },
  {
    reason:
      "The reverse shell that raised the alert is an open connection: the claim would be a lie.",
    attempts: isolated,
    network: "calico",
    want: "unverifiable EstablishedConnections",
  },
  {
    reason: "What an unknown network does with open connections is unknown.",
    attempts: isolated,
    network: "",
    want: "unverifiable EstablishedConnections",
  },
  {
    reason: "A connection to the target is a hole, whatever the controls say.",
    attempts: but("client", "target", "connected"),
    network: "ovn-kubernetes",
    want: "unverifiable StillReachable",
  },
  {
    reason: "So is one from the stand-in that is isolated as the target is.",
    attempts: but("isolated", "listener", "connected"),
    network: "ovn-kubernetes",
    want: "unverifiable StillReachable",
  },
  {
    reason: "A refusal comes from the target itself where the network drops: packets get there.",
    attempts: but("client", "target", "refused"),
    network: "ovn-kubernetes",
    want: "unverifiable StillReachable",
  },
  {
    reason: "Who refused cannot be told on an unknown network, so it counts as reached.",
    attempts: but("client", "target", "refused"),
    network: "",
    want: "unverifiable StillReachable",
  },
  {
    reason: "A network that denies by refusing is known to.",
    attempts: but("client", "target", "refused"),
    network: "kube-router",
    want: "unverifiable EstablishedConnections",
  },
  {
    reason:
      "Where nothing gets through at all, nothing is proven: the probe's own network may be broken.",
    attempts: isolated.map((one) => ({ ...one, outcome: "timeout" as const })),
    network: "ovn-kubernetes",
    want: "unverifiable ControlFailed",
  },
  {
    reason: "Outwards too.",
    attempts: but("control", "listener", "timeout"),
    network: "ovn-kubernetes",
    want: "unverifiable ControlFailed",
  },
  {
    reason: "A control that is refused by a network that refuses proves no way.",
    attempts: but("client", "twin", "refused").map((one) =>
      one.to === "control" ? { ...one, outcome: "refused" as const } : one,
    ),
    network: "kube-router",
    want: "unverifiable ControlFailed",
  },
  {
    reason: "One way inwards is enough as a control: the twin may have no listener.",
    attempts: but("client", "twin", "timeout"),
    network: "ovn-kubernetes",
    want: "verified Probed",
  },
  {
    reason: "Without stand-ins nobody tried to get out.",
    attempts: isolated.filter((one) => one.to === "target" || one.to === "twin"),
    network: "ovn-kubernetes",
    want: "unverifiable OneDirectionOnly",
  },
  {
    reason: "Nor is there a control where the workload has no other pod.",
    attempts: isolated.filter((one) => one.to === "target"),
    network: "ovn-kubernetes",
    want: "unverifiable OneDirectionOnly",
  },
  {
    reason: "A try that was not possible is no proof of silence.",
    attempts: but("isolated", "listener", "failed"),
    network: "ovn-kubernetes",
    want: "unverifiable NotProbed",
  },
  {
    reason: "No try at all is none either.",
    attempts: [],
    network: "ovn-kubernetes",
    want: "unverifiable OneDirectionOnly",
  },
  {
    reason:
      "A network that ignores policies cuts nothing, even if something else does at the moment.",
    attempts: isolated,
    network: "flannel",
    want: "unverifiable PolicyIgnored",
  },
  {
    reason: "A probe on the allow-list gets through by design.",
    attempts: but("client", "target", "connected"),
    network: "ovn-kubernetes",
    isAllowListed: true,
    want: "unverifiable ProbeOnAllowList",
  },
  {
    reason: "A hole beside the allow-list is a hole.",
    attempts: but("client", "target", "connected").map((one) =>
      one.from === "isolated" ? { ...one, outcome: "connected" as const } : one,
    ),
    network: "ovn-kubernetes",
    isAllowListed: true,
    want: "unverifiable StillReachable",
  },
] as const;

describe("an experiment", () => {
  it.each(rows)("$want: $reason", (row) => {
    const network = row.network === "" ? unknownNetwork : named(row.network);
    const isAllowListed = (one: Attempt): boolean => "isAllowListed" in row && one.to === "target";
    const verdict = judgeProbes({ attempts: row.attempts, network, isAllowListed, nowMs: 7 });
    expect(`${verdict.kind} ${verdict.reason}`).toBe(row.want);
    expect(verdict.evidence).toHaveLength(row.attempts.length);
  });

  it("is worth another try where what stands in its way may pass", () => {
    const passing = new Map(
      rows.map((row) => {
        const network = row.network === "" ? unknownNetwork : named(row.network);
        const isAllowListed = (one: Attempt): boolean =>
          "isAllowListed" in row && one.to === "target";
        const verdict = judgeProbes({ attempts: row.attempts, network, isAllowListed, nowMs: 7 });
        return [row.reason, verdict.passing] as const;
      }),
    );
    const lasting = [...passing].filter(([, isPassing]) => !isPassing).map(([reason]) => reason);
    expect(lasting).toEqual([
      "Closed both ways, open for the controls, on a network that ends open connections.",
      "The reverse shell that raised the alert is an open connection: the claim would be a lie.",
      "What an unknown network does with open connections is unknown.",
      "A network that denies by refusing is known to.",
      "One way inwards is enough as a control: the twin may have no listener.",
      "Without stand-ins nobody tried to get out.",
      "Nor is there a control where the workload has no other pod.",
      "No try at all is none either.",
      "A network that ignores policies cuts nothing, even if something else does at the moment.",
      "A probe on the allow-list gets through by design.",
    ]);
  });

  it("is kept as evidence, control and probe apart", () => {
    const network = named("ovn-kubernetes");
    const attempts = but("client", "target", "connected");
    const { evidence, message } = judgeProbes({
      attempts,
      network,
      isAllowListed: () => false,
      nowMs: 7,
    });
    expect(message).toBe("not cut: probe pod -> target 10.0.0.9:8080 TCP connected");
    expect(evidence.map(({ check, finding }) => `${check} ${finding}`)).toEqual([
      "Probe Fails",
      "Control Holds",
      "Probe Holds",
      "Control Holds",
      "Probe Holds",
      "Control Holds",
    ]);
    expect(evidence[5]).toEqual({
      atMs: 7,
      check: "Control",
      finding: "Holds",
      detail: "stand-in without isolation -> probe pod 10.0.0.9:8080 TCP connected",
    });
  });
});
