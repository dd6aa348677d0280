// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Api, makeApi } from "#test/cluster/api";
import { type KubernetesBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { type Authority, makeAuthority } from "#test/support/certificates";
import { type Child, eventually, freePort, start } from "#test/support/processes";

export type ControlPlane = {
  readonly url: string;
  readonly kubeconfig: string;
  readonly caFile: string;
  readonly directory: string;
  readonly authority: Authority;
  readonly kubectl: string;
  /** As a member of system:masters. */
  readonly api: Api;
  /** As the user of a token given in `users`. */
  readonly apiAs: (user: string) => Api;
  /** Writes a kubeconfig for the user of a token given in `users`, and returns its path. */
  readonly kubeconfigAs: (user: string) => string;
  /** kill -9 of the API server alone; it comes back on the same port and data with `restartApiServer`. */
  readonly killApiServer: () => Promise<void>;
  readonly restartApiServer: () => Promise<void>;
  /** etcd's client address, plain HTTP: what was ever written can be asked of it, past the API server. */
  readonly etcdUrl: string;
  readonly killEtcd: () => Promise<void>;
  readonly restartEtcd: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export type ControlPlaneOptions = {
  /** Users that may log in by token, with their groups; the name is the token too. RBAC decides what they may do. */
  readonly users?: Readonly<Record<string, readonly string[]>>;
  /** Without the controller-manager nothing collects garbage, makes Pods of Deployments or default ServiceAccounts. */
  readonly controllers?: boolean;
  readonly apiServerFlags?: readonly string[];
};

/** Controllers that a workload's life needs where no kubelet runs. Without `disruption` evictions under a budget stay 429. */
const controllers =
  "garbage-collector,namespace,serviceaccount,serviceaccount-token,root-ca-certificate-publisher,clusterrole-aggregation,deployment,replicaset,statefulset,daemonset,job,disruption,endpointslice,horizontal-pod-autoscaler";

/**
 * A real etcd, kube-apiserver and kube-controller-manager on free loopback ports, ready in about five seconds.
 * undefined where the programs can't be had (see {@link kubernetesBinaries}). Stop it in `afterAll`.
 */
export async function startControlPlane(
  options: ControlPlaneOptions = {},
): Promise<ControlPlane | undefined> {
  const binaries = kubernetesBinaries();
  if (binaries === undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "parapet-cluster-"));
  const authority = makeAuthority(join(directory, "pki"));
  const users = { admin: ["system:masters"], ...options.users };
  writeFileSync(join(directory, "tokens.csv"), tokenFile(users));
  serviceAccountKey(directory);
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const url = `https://127.0.0.1:${port}`;
  const kubeconfigAs = (user: string) => {
    const file = join(directory, `${user.replaceAll(/[^a-z0-9-]/gi, "_")}.kubeconfig`);
    writeFileSync(file, kubeconfig(url, authority.caFile, user));
    return file;
  };
  const ca = readFileSync(authority.caFile);
  const api = makeApi({ url, ca, token: "admin" });
  const startApiServer = () =>
    apiServer(binaries, directory, authority, port, etcdPort, options.apiServerFlags ?? []);

  let etcd = startEtcd(binaries, directory, etcdPort, peerPort);
  let apiserver = startApiServer();
  const ready = () =>
    eventually(
      "kube-apiserver ready",
      async () => {
        if (apiserver.exitCode() !== null) throw new Error(apiserver.log().slice(-2_000));
        return (await api.send("GET", "/readyz")).status === 200;
      },
      60_000,
    );
  await ready();
  const manager =
    options.controllers === false
      ? undefined
      : controllerManager(binaries, directory, authority, kubeconfigAs("admin"));
  if (manager !== undefined) {
    await eventually("default ServiceAccount", () =>
      api.get("/api/v1/namespaces/default/serviceaccounts/default"),
    );
  }
  return {
    url,
    kubeconfig: kubeconfigAs("admin"),
    caFile: authority.caFile,
    directory,
    authority,
    kubectl: binaries.kubectl,
    api,
    apiAs: (user) => makeApi({ url, ca, token: user }),
    kubeconfigAs,
    killApiServer: () => apiserver.stop("SIGKILL"),
    restartApiServer: async () => {
      await apiserver.stop("SIGKILL");
      apiserver = startApiServer();
      await ready();
    },
    etcdUrl: `http://127.0.0.1:${etcdPort}`,
    killEtcd: () => etcd.stop("SIGKILL"),
    restartEtcd: async () => {
      await etcd.stop("SIGKILL");
      etcd = startEtcd(binaries, directory, etcdPort, peerPort);
      await ready();
    },
    stop: async () => {
      // SIGTERM would let the API server wait up to a minute for open watches.
      await Promise.all([manager?.stop(), apiserver.stop(), etcd.stop()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function tokenFile(users: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(users)
    .map(([name, groups]) => `${name},${name},${name},"${groups.join(",")}"\n`)
    .join("");
}

function serviceAccountKey(directory: string): void {
  const key = join(directory, "sa.key");
  execFileSync("openssl", ["genrsa", "-out", key, "2048"], { stdio: "pipe" });
  execFileSync("openssl", ["rsa", "-in", key, "-pubout", "-out", join(directory, "sa.pub")], {
    stdio: "pipe",
  });
}

function kubeconfig(url: string, caFile: string, token: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority": caFile } }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
  });
}

function startEtcd(
  binaries: KubernetesBinaries,
  directory: string,
  port: number,
  peerPort: number,
): Child {
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return start(
    "etcd",
    binaries.etcd,
    [
      ...["--data-dir", join(directory, "etcd"), "--unsafe-no-fsync", "--name=default"],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      ...[
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=default=${peer}`,
      ],
    ],
    { logFile: join(directory, "etcd.log") },
  );
}

function apiServer(
  binaries: KubernetesBinaries,
  directory: string,
  authority: Authority,
  port: number,
  etcdPort: number,
  extra: readonly string[],
): Child {
  const serving = authority.issue("kube-apiserver", {
    names: ["localhost", "IP:127.0.0.1", "kubernetes.default"],
  });
  const flags = [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--secure-port=${port}`,
    "--bind-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--authorization-mode=RBAC",
    "--allow-privileged=true",
    "--profiling=false",
    `--client-ca-file=${authority.caFile}`,
    `--tls-cert-file=${serving.certFile}`,
    `--tls-private-key-file=${serving.keyFile}`,
    `--token-auth-file=${join(directory, "tokens.csv")}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${join(directory, "sa.pub")}`,
    `--service-account-signing-key-file=${join(directory, "sa.key")}`,
    "--enable-admission-plugins=ValidatingAdmissionPolicy,MutatingAdmissionPolicy,ValidatingAdmissionWebhook,MutatingAdmissionWebhook",
  ];
  mkdirSync(directory, { recursive: true });
  return start("kube-apiserver", binaries.apiserver, [...flags, ...extra], {
    logFile: join(directory, "apiserver.log"),
  });
}

function controllerManager(
  binaries: KubernetesBinaries,
  directory: string,
  authority: Authority,
  kubeconfigFile: string,
): Child {
  const names = controllers.split(",").map((name) => `${name}-controller`);
  return start(
    "kube-controller-manager",
    binaries.controllerManager,
    [
      ...[
        `--kubeconfig=${kubeconfigFile}`,
        "--leader-elect=false",
        "--use-service-account-credentials=true",
      ],
      ...["--bind-address=127.0.0.1", "--secure-port=0", `--controllers=${names.join(",")}`],
      ...[
        `--service-account-private-key-file=${join(directory, "sa.key")}`,
        `--root-ca-file=${authority.caFile}`,
      ],
    ],
    { logFile: join(directory, "controller-manager.log") },
  );
}
