// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { type Api, installCrds } from "#test/cluster/api";
import { type CrossplaneBinaries, crossplaneBinaries } from "#test/cluster/binaries";
import type { ControlPlane } from "#test/cluster/control-plane";
import { type JsonObject, isObject } from "#policy/json";
import { type Child, eventually, freePort, start } from "#test/support/processes";

export type Crossplane = {
  readonly binaries: CrossplaneBinaries;
  /** Folder with tls.crt, tls.key, ca.crt for a function that core calls as `localhost`. */
  readonly functionTls: string;
  /** Tells core that function `name` listens at `localhost:port`, as a healthy package would have. */
  readonly registerFunction: (name: string, port: number) => Promise<void>;
  readonly log: () => string;
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** The identity that core shows to functions, as in an installation by Helm: service account `crossplane` in its namespace. */
export const crossplaneClientName = "crossplane.crossplane-system";

const namespace = "crossplane-system";

/**
 * Runs Crossplane core out of cluster against a control plane, with its CRDs installed; ready in about five seconds.
 * The circuit breaker is opened wide, since a test's quick edits would switch drift repair off for minutes.
 */
export async function startCrossplane(plane: ControlPlane): Promise<Crossplane | undefined> {
  const binaries = crossplaneBinaries();
  if (binaries === undefined) return undefined;
  await installCrds(plane.api, readCrds(binaries.crds));
  await plane.api.create("/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: namespace },
  });
  const clientTls = plane.authority.folder("crossplane-client", [crossplaneClientName]);
  const functionTls = plane.authority.folder("function-server", ["localhost", "IP:127.0.0.1"]);
  const startCore = async () =>
    core(binaries, plane, clientTls, await freePort(), await freePort());
  let child = await startCore();
  await eventually("Crossplane core elects itself and runs", () => {
    if (child.exitCode() !== null) throw new Error(child.log().slice(-2_000));
    return child.log().length > 0;
  });
  return {
    binaries,
    functionTls,
    registerFunction: (name, port) => registerFunction(plane.api, name, port),
    log: () => child.log(),
    restart: async () => {
      await child.stop();
      child = await startCore();
    },
    stop: () => child.stop(),
  };
}

/** Reads a folder of YAML files with CustomResourceDefinitions. */
export function readCrds(folder: string): readonly JsonObject[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".yaml"))
    .sort()
    .flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), "utf8")))
    .map((document): unknown => document.toJS())
    .filter(isObject);
}

function core(
  binaries: CrossplaneBinaries,
  plane: ControlPlane,
  clientTls: string,
  metricsPort: number,
  probePort: number,
): Child {
  const cache = join(plane.directory, "xpkg-cache");
  mkdirSync(cache, { recursive: true });
  const flags = [
    "--debug",
    "--enable-webhooks=false",
    "--package-runtime=External",
    `--namespace=${namespace}`,
    `--xpkg-cache-dir=${cache}`,
    `--metrics-port=${metricsPort}`,
    `--health-probe-port=${probePort}`,
    "--enable-operations",
    "--circuit-breaker-burst=100000",
    "--circuit-breaker-refill-rate=1000",
  ];
  return start("crossplane", binaries.core, ["core", "start", ...flags], {
    logFile: join(plane.directory, "crossplane.log"),
    env: { KUBECONFIG: plane.kubeconfig, TLS_CLIENT_CERTS_DIR: clientTls },
  });
}

/** Both package objects are paused, so that the package manager leaves them alone and pulls no image. */
async function registerFunction(api: Api, name: string, port: number): Promise<void> {
  const paused = { "crossplane.io/paused": "true" };
  const base = "/apis/pkg.crossplane.io/v1";
  const image = `registry.example.org/${name}:v0.0.0`;
  await api.apply(`${base}/functions/${name}`, {
    apiVersion: "pkg.crossplane.io/v1",
    kind: "Function",
    metadata: { name, annotations: paused },
    spec: { package: image },
  });
  const revision = `${base}/functionrevisions/${name}-1`;
  await api.apply(revision, {
    apiVersion: "pkg.crossplane.io/v1",
    kind: "FunctionRevision",
    metadata: {
      name: `${name}-1`,
      annotations: paused,
      labels: { "pkg.crossplane.io/package": name },
    },
    spec: { desiredState: "Active", image, revision: 1 },
  });
  await api.mergePatch(`${revision}/status`, {
    status: { endpoint: `dns:///localhost:${port}`, capabilities: ["composition", "operation"] },
  });
}
