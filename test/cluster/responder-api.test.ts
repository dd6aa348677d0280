// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig, type Connection } from "#responder/adapters/kubeconfig";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { takeLease } from "#responder/lease";
import { types } from "#responder/cluster";
import { installCrds } from "#test/cluster/api";
import { kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { namespaceObject, readCrds } from "#test/cluster/responder-scene";
import { clusterContract, good } from "#test/support/cluster-contract";

describe("the cluster in memory", () => {
  const memory = makeMemoryCluster(Date.now);
  clusterContract((manager) => memory.client(manager));
});

describe.skipIf(kubernetesBinaries() === undefined)("the cluster behind a real API server", () => {
  let plane: ControlPlane;
  let connection: Connection;
  beforeAll(async () => {
    const started = await startControlPlane({ controllers: false, users: { tenant: ["tenants"] } });
    if (started === undefined) throw new Error("no control plane");
    plane = started;
    await installCrds(plane.api, readCrds());
    connection = await fromKubeconfig(plane.kubeconfig);
    good(await makeApiServer(connection).create(types.namespace, namespaceObject("contract")));
  });
  afterAll(() => plane?.stop());
  clusterContract((manager) => makeApiServer(connection, manager));

  it("tells a stranger from somebody who may not", async () => {
    const tenant = makeApiServer(await fromKubeconfig(plane.kubeconfigAs("tenant")));
    expect(await tenant.list(types.pod, {})).toMatchObject({ ok: false, code: "Forbidden" });
    const nobody = makeApiServer({ ...connection, token: () => Promise.resolve("wrong") });
    expect(await nobody.list(types.pod, {})).toMatchObject({ ok: false, code: "Unauthorized" });
    const nowhere = makeApiServer({ ...connection, server: "https://127.0.0.1:1" });
    expect(await nowhere.ping()).toMatchObject({ ok: false, code: "Unavailable" });
  });

  it("gives a target to one holder at a time, until the lease runs out", async () => {
    const cluster = makeApiServer(connection);
    const take = (holder: string, nowMs: number) =>
      takeLease(cluster, { namespace: "contract", target: "uid-1", holder, now: () => nowMs });
    const nowMs = Date.now();
    const first = good(await take("one", nowMs));
    expect(await take("two", nowMs)).toMatchObject({ ok: false, code: "Busy" });
    good(await take("one", nowMs));
    const second = good(await take("two", nowMs + 16_000));
    // Whoever held it before does not take it from who holds it now.
    await first.release();
    expect(await take("one", nowMs + 16_000)).toMatchObject({ ok: false, code: "Busy" });
    await second.release();
    good(await take("one", nowMs + 16_000));
  });
});
