// SPDX-License-Identifier: Apache-2.0

/** What becomes of a connection that was open before a policy that denies it. */
export type Established = "end" | "live on" | "unknown";
/** What a denied TCP connection meets: silence, or an answer that says no. */
export type Denial = "drop" | "reject" | "unknown";

/** A network implementation, as far as verification must know it. */
export type Network = {
  readonly name: string;
  /** DaemonSets by which it is known, as namespace/name. */
  readonly agents: readonly string[];
  /** A kind that nobody else serves. */
  readonly serves?: { readonly apiVersion: string; readonly kind: string };
  /** How long after a change a policy counts as realised where nothing says so, open connections included. */
  readonly settleMs: number;
  readonly established: Established;
  readonly denies: Denial;
  /** False: by its own documentation it enforces no NetworkPolicy. */
  readonly enforces: boolean;
  /** What a reviewer must know of its open connections, and where that is said. */
  readonly note: string;
  readonly source: string;
};

/**
 * No implementation promises a time within which a policy holds; new connections are usually judged by it within a
 * second. Ten leave room for a loaded agent, and where a start-up self-test measured the cluster, that is what counts.
 */
const settleMsDefault = 10_000;

const tracked = "accepts packets of tracked connections before it looks at policies";

/** Policy engines first: one of them beside a plain network is what decides. */
export const networks: readonly Network[] = [
  {
    name: "calico",
    agents: ["calico-system/calico-node", "kube-system/calico-node", "kube-system/canal"],
    serves: { apiVersion: "crd.projectcalico.org/v1", kind: "FelixConfiguration" },
    settleMs: settleMsDefault,
    established: "live on",
    denies: "drop",
    enforces: true,
    note: tracked,
    source: "https://github.com/projectcalico/calico/issues/6399",
  },
  {
    name: "cilium",
    agents: ["kube-system/cilium", "cilium/cilium"],
    serves: { apiVersion: "cilium.io/v2", kind: "CiliumEndpoint" },
    settleMs: settleMsDefault,
    established: "end",
    denies: "drop",
    enforces: true,
    note: "judges every packet in a connection's opening direction, so that none goes on; single answers to a tracked one may still pass",
    source:
      "https://github.com/cilium/cilium/pull/2840, https://github.com/cilium/cilium/pull/9187",
  },
  {
    name: "antrea",
    agents: ["kube-system/antrea-agent"],
    serves: { apiVersion: "crd.antrea.io/v1beta1", kind: "AntreaAgentInfo" },
    settleMs: settleMsDefault,
    established: "live on",
    denies: "drop",
    enforces: true,
    note: tracked,
    source: "https://github.com/antrea-io/antrea/pull/5381",
  },
  {
    name: "ovn-kubernetes",
    agents: ["openshift-ovn-kubernetes/ovnkube-node", "ovn-kubernetes/ovnkube-node"],
    settleMs: settleMsDefault,
    established: "end",
    denies: "drop",
    enforces: true,
    note: "judges every packet",
    source: "https://github.com/kubernetes-sigs/network-policy-api/issues/305",
  },
  {
    name: "kube-router",
    agents: ["kube-system/kube-router"],
    settleMs: settleMsDefault,
    established: "live on",
    denies: "reject",
    enforces: true,
    note: tracked,
    source:
      "https://github.com/cloudnativelabs/kube-router/blob/master/pkg/controllers/netpol/pod.go",
  },
  {
    name: "kube-network-policies",
    agents: ["kube-system/kube-network-policies"],
    // Its firewall enforcer looks at tracked connections at most every 30 s (pkg/dataplane/controller.go).
    settleMs: 35_000,
    established: "end",
    denies: "drop",
    enforces: true,
    note: "judges open connections anew within 30 s, unless it runs with --strict-mode=false",
    source: "https://github.com/kubernetes-sigs/kube-network-policies/pull/268",
  },
  ...["kube-system/aws-node", "kube-system/azure-npm", "kube-system/kindnet"].map(
    (agent): Network => ({
      name: agent.replace("kube-system/", ""),
      agents: [agent],
      settleMs: settleMsDefault,
      established: "unknown",
      denies: "unknown",
      enforces: true,
      note: "what it does with open connections is not documented",
      source:
        "https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-s-impact-on-existing-connections",
    }),
  ),
  {
    name: "flannel",
    agents: ["kube-flannel/kube-flannel-ds", "kube-system/kube-flannel-ds"],
    settleMs: settleMsDefault,
    established: "unknown",
    denies: "unknown",
    enforces: false,
    note: "enforces no NetworkPolicy by itself",
    source: "https://github.com/flannel-io/flannel#networking-details",
  },
];

/** What is known of the cluster's network. A self-test's answers come before the table's. */
export type NetworkFacts = {
  /** '' when nothing known was found. */
  readonly name: string;
  readonly settleMs: number;
  readonly established: Established;
  readonly denies: Denial;
  /** Whether NetworkPolicies have an effect at all. */
  readonly enforces: "yes" | "no" | "unknown";
  readonly note: string;
  readonly source: string;
};

export const unknownNetwork: NetworkFacts = {
  name: "",
  settleMs: settleMsDefault,
  established: "unknown",
  denies: "unknown",
  enforces: "unknown",
  note: "the network implementation is not known: what it does with open connections is its own choice",
  source:
    "https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-s-impact-on-existing-connections",
};

/**
 * One view of all implementations that were found: of several, any may decide about a packet, so the slowest time and the
 * worst answer count. A plain network beside a policy engine says nothing.
 */
export function viewOf(found: readonly Network[]): NetworkFacts {
  const engines = found.filter((one) => one.enforces);
  const counted = engines.length === 0 ? found : engines;
  const [first] = counted;
  if (first === undefined) return unknownNetwork;
  const established = counted.map((one) => one.established);
  const isOneDenial = counted.every((one) => one.denies === first.denies);
  return {
    name: counted.map((one) => one.name).join("+"),
    settleMs: Math.max(...counted.map((one) => one.settleMs)),
    established: established.includes("live on")
      ? "live on"
      : established.includes("unknown")
        ? "unknown"
        : "end",
    denies: isOneDenial ? first.denies : "unknown",
    enforces: first.enforces ? "unknown" : "no",
    note: counted.map((one) => `${one.name} ${one.note}`).join("; "),
    source: counted.map((one) => one.source).join(", "),
  };
}

/** What an approver of an isolation must know of the network, loud where it makes the isolation void. */
export function networkNotes(view: NetworkFacts): readonly string[] {
  const notes: string[] = [];
  if (view.enforces === "no") {
    notes.push(
      `WARNING: this cluster's network does not enforce NetworkPolicies (${view.note}): an isolation changes nothing here`,
    );
  }
  if (view.established === "end" && view.name !== "") {
    const within = Math.ceil(view.settleMs / 1_000);
    notes.push(`connections that are open already end within about ${within} s: ${view.note}`);
  }
  if (view.established !== "end") {
    const what = view.established === "live on" ? "live on" : "may live on";
    notes.push(
      `connections that are open already ${what} after the isolation (${view.note}; ${view.source}); only the pod's end cuts them for certain`,
    );
  }
  return notes;
}
