// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository } from "#test/support/shared";

export type KubernetesBinaries = {
  readonly etcd: string;
  readonly apiserver: string;
  readonly controllerManager: string;
  readonly kubectl: string;
};
/** `crds` are the definitions that core itself needs, `proto` its wire formats; both come with its module. */
export type CrossplaneBinaries = {
  readonly core: string;
  readonly crds: string;
  readonly proto: string;
};

/**
 * The control plane's programs: from `KUBEBUILDER_ASSETS`, else from the cache that `test/cluster/build/build.sh` fills.
 * undefined where neither they nor Go are at hand, said in one loud line; with CI=true that throws.
 */
export function kubernetesBinaries(): KubernetesBinaries | undefined {
  const folder = process.env["KUBEBUILDER_ASSETS"] ?? built("kubernetes");
  if (folder === undefined) return undefined;
  const binaries = {
    etcd: join(folder, "etcd"),
    apiserver: join(folder, "kube-apiserver"),
    controllerManager: join(folder, "kube-controller-manager"),
    kubectl: join(folder, "kubectl"),
  };
  const missing = Object.values(binaries).filter((file) => !existsSync(file));
  if (missing.length > 0) throw new Error(`KUBEBUILDER_ASSETS lacks ${missing.join(", ")}`);
  return binaries;
}

/** Crossplane core: `PARAPET_CROSSPLANE_CORE` names the program (CRDs still come from the module), else built. */
export function crossplaneBinaries(): CrossplaneBinaries | undefined {
  const folder = built("crossplane");
  if (folder === undefined) return undefined;
  return {
    core: process.env["PARAPET_CROSSPLANE_CORE"] ?? join(folder, "crossplane"),
    crds: join(folder, "crds"),
    proto: join(folder, "proto"),
  };
}

export type FunctionPeers = {
  readonly celFilter: string;
  readonly autoReady: string;
  readonly patchAndTransform: string;
};

/** Composition functions in Go that benchmarks compare ours with. */
export function functionPeers(): FunctionPeers | undefined {
  const folder = built("function-peers");
  if (folder === undefined) return undefined;
  return {
    celFilter: join(folder, "cel-filter"),
    autoReady: join(folder, "auto-ready"),
    patchAndTransform: join(folder, "patch-and-transform"),
  };
}

/** The program of test/cluster/build/network-policy-oracle. */
export function networkPolicyOracle(): string | undefined {
  const folder = built("network-policy-oracle");
  return folder === undefined ? undefined : join(folder, "network-policy-oracle");
}

/** versitygw: an S3-compatible store over a folder, which checks signatures, conditions and object locks. */
export function objectStore(): string | undefined {
  const folder = built("object-store");
  return folder === undefined ? undefined : join(folder, "versitygw");
}

/** The folder with the definitions of policies.kyverno.io, as Kyverno's own module has them. */
export function kyvernoCrds(): string | undefined {
  return built("kyverno-crds");
}

/** kube-network-policies with ClusterNetworkPolicies: judges the packets of an NFQUEUE. */
export function networkPolicyEnforcer(): string | undefined {
  const folder = built("network-policy-enforcer");
  return folder === undefined ? undefined : join(folder, "kube-network-policies");
}

/** The program of test/cluster/build/package-reader. */
export function packageReader(): string | undefined {
  const folder = built("package-reader");
  return folder === undefined ? undefined : join(folder, "package-reader");
}

type Module =
  | "kubernetes"
  | "function-peers"
  | "crossplane"
  | "object-store"
  | "kyverno-crds"
  | "package-reader"
  | "network-policy-oracle"
  | "network-policy-enforcer";

function built(what: Module): string | undefined {
  if (spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) {
    const message = `SKIPPED: no Go to build ${what} with, and KUBEBUILDER_ASSETS is not set: no cluster tests`;
    if (process.env["CI"] === "true") throw new Error(message);
    console.warn(message);
    return undefined;
  }
  const script = join(repository, "test/cluster/build/build.sh");
  return execFileSync(script, [what], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
}
