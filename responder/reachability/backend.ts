// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { parseCidr } from "#policy/kubernetes/cidr";
import {
  type AllowedPeer,
  type IsolationSpec,
  adminNetworkPolicy,
  calicoPolicy,
  ciliumNetworkPolicy,
  clusterNetworkPolicy,
  networkPolicy,
} from "#responder/reachability/isolation-manifests";
import { servesCilium } from "#responder/reachability/policy-world";
import { type ResidualAllow, residualAllows } from "#responder/reachability/residual";
import type { PodView } from "#responder/reachability/traffic";

/** A kind that the API server serves, from discovery. */
export type ServedKind = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
};

export type Backend =
  | "NetworkPolicy"
  | "ClusterNetworkPolicy"
  | "Calico"
  | "Cilium"
  | "AdminNetworkPolicy";

export type IsolationRequest = IsolationSpec & {
  /** The pod with the labels it has now. */
  readonly pod: PodView;
  readonly hostNetwork: boolean;
  readonly served: readonly ServedKind[];
  /** Every policy of every kind and namespace. */
  readonly policies: readonly JsonObject[];
  /** Undefined: Istio's default. */
  readonly istioRootNamespace?: string | undefined;
  /** Backends whose manifest the server did not take, with its reason. */
  readonly refused?: ReadonlyMap<Backend, string>;
};

/** One backend that was looked at. */
export type Considered = {
  readonly backend: Backend;
  readonly residualAllows: number;
  /** Why it was not even planned; '' when it was. */
  readonly refused: string;
};

export type BackendChoice =
  | {
      readonly ok: true;
      readonly backend: Backend;
      /** In the order of writing. The pod's label comes after them, and is the moment of isolation. */
      readonly manifests: readonly JsonObject[];
      readonly residualAllows: readonly ResidualAllow[];
      readonly considered: readonly Considered[];
      readonly reason: string;
    }
  | { readonly ok: false; readonly reason: string; readonly message: string };

type DenyBackend = {
  readonly backend: Backend;
  readonly kind: ServedKind;
  readonly manifest: (spec: IsolationSpec) => JsonObject;
};

/**
 * Backends that can deny, a network's own kinds before the standard ones: that they are served says who enforces them. Each is
 * used together with a NetworkPolicy, never in its place.
 */
const denyBackends: readonly DenyBackend[] = [
  {
    // Not crd.projectcalico.org: its objects are Calico's own storage, with names of their own form.
    backend: "Calico",
    kind: { group: "projectcalico.org", version: "v3", kind: "GlobalNetworkPolicy" },
    manifest: calicoPolicy,
  },
  {
    backend: "Cilium",
    kind: { group: "cilium.io", version: "v2", kind: "CiliumNetworkPolicy" },
    manifest: ciliumNetworkPolicy,
  },
  {
    backend: "ClusterNetworkPolicy",
    kind: { group: "policy.networking.k8s.io", version: "v1alpha2", kind: "ClusterNetworkPolicy" },
    manifest: clusterNetworkPolicy,
  },
  {
    backend: "AdminNetworkPolicy",
    kind: { group: "policy.networking.k8s.io", version: "v1alpha1", kind: "AdminNetworkPolicy" },
    manifest: adminNetworkPolicy,
  },
];

/** The kinds that isolations are made of. */
export const backendKinds: readonly ServedKind[] = [
  { group: "networking.k8s.io", version: "v1", kind: "NetworkPolicy" },
  ...denyBackends.map((one) => one.kind),
];

/**
 * What to write to isolate one pod: a NetworkPolicy alone where that leaves nothing open, else with it the first served
 * kind that can deny what others allow; where none closes everything, the one that leaves least. Pure: the same request
 * gives the same manifests. That a kind is served does not prove that somebody enforces it: verification does.
 */
export function chooseBackend(request: IsolationRequest): BackendChoice {
  if (request.hostNetwork) {
    return {
      ok: false,
      reason: "HostNetwork",
      message: "the pod uses its node's network, which no network policy covers",
    };
  }
  const wrong = badPeer(request.allow);
  if (wrong !== undefined) return { ok: false, reason: "BadAllowList", message: wrong };
  const plain = plan(request, "NetworkPolicy", [networkPolicy(request)]);
  const plans = [plain];
  const considered = [consideredOf(plain)];
  for (const one of plain.residualAllows.length === 0 ? [] : denyBackends) {
    if (!isServed(request.served, one.kind)) continue;
    const refused = request.refused?.get(one.backend) ?? refusal(one.backend, request);
    if (refused !== "") {
      considered.push({ backend: one.backend, residualAllows: 0, refused });
      continue;
    }
    const made = plan(request, one.backend, [one.manifest(request), networkPolicy(request)]);
    plans.push(made);
    considered.push(consideredOf(made));
    if (made.residualAllows.length === 0) break;
  }
  const best = plans.reduce((a, b) => (b.residualAllows.length < a.residualAllows.length ? b : a));
  return { ok: true, ...best, considered, reason: reasonOf(best, plain) };
}

/** Names become parts of selectors of other languages: nothing but what names and labels may hold gets there. */
const nameText = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const labelKeyText = /^([A-Za-z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

function badPeer(allow: readonly AllowedPeer[]): string | undefined {
  for (const peer of allow) {
    if (peer.kind === "network") {
      if (!parseCidr(peer.cidr).ok) return `${peer.cidr} is no network`;
      continue;
    }
    if (!nameText.test(peer.namespace)) return `${peer.namespace} is no namespace`;
    for (const [key, value] of Object.entries(peer.labels)) {
      const good = labelKeyText.test(key) && (value === "" || nameText.test(value));
      if (!good) return `${key}=${value} is no label`;
    }
  }
  return undefined;
}

type Plan = {
  readonly backend: Backend;
  readonly manifests: readonly JsonObject[];
  readonly residualAllows: readonly ResidualAllow[];
};

function plan(request: IsolationRequest, backend: Backend, manifests: readonly JsonObject[]): Plan {
  const { key, value } = request.selector;
  const pod = { ...request.pod, labels: { ...request.pod.labels, [key]: value } };
  const { istioRootNamespace, served } = request;
  const options = { mayBeCilium: servesCilium(served), istioRootNamespace };
  const open = residualAllows(pod, request.policies, manifests, options);
  return { backend, manifests, residualAllows: open };
}

const consideredOf = (made: Plan): Considered => ({
  backend: made.backend,
  residualAllows: made.residualAllows.length,
  refused: "",
});

const isServed = (served: readonly ServedKind[], kind: ServedKind): boolean =>
  served.some(
    (one) => one.group === kind.group && one.version === kind.version && one.kind === kind.kind,
  );

function refusal(backend: Backend, { allow, served }: IsolationRequest): string {
  if (backend === "Cilium") {
    const beaten = "its denies beat every allow, so that";
    if (allow.some((peer) => peer.kind === "pods")) {
      return `${beaten} pods cannot be on the allow-list`;
    }
    const hasPorts = allow.some((peer) => peer.ports !== undefined && peer.ports.length > 0);
    return hasPorts ? `${beaten} single ports cannot be on the allow-list` : "";
  }
  return backend !== "Calico" && servesCilium(served)
    ? "whether Cilium enforces it cannot be seen in the API"
    : "";
}

function reasonOf(best: Plan, plain: Plan): string {
  if (plain.residualAllows.length === 0) {
    return "a NetworkPolicy closes the pod: no other policy allows anything to it";
  }
  const before = plain.residualAllows.length;
  const after = best.residualAllows.length;
  if (best === plain) return `${before} allow(s) stay open, and no served kind closes more of them`;
  return after === 0
    ? `a NetworkPolicy alone leaves ${before} allow(s) open; ${best.backend} denies them`
    : `a NetworkPolicy alone leaves ${before} allow(s) open; with ${best.backend} ${after} stay`;
}
