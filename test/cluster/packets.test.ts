// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { isObject, textAt } from "#policy/json";
import { actionSchema } from "#responder/action-spec";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { makeChange } from "#responder/changes";
import { takeBack } from "#responder/take-back";
import { type Cluster, failure, nameOf, type ResourceType, types, uidOf } from "#responder/cluster";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { changesOf, type Plan, type WriteChange } from "#responder/plan";
import { planResponse } from "#responder/plan-response";
import { addressesOf } from "#responder/verification/probe-pod";
import { installCrds } from "#test/cluster/api";
import { networkPolicyEnforcer, networkPolicyOracle } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { good, type PacketNode, startPacketNode } from "#test/cluster/packet-node";
import { namespaceObject } from "#test/cluster/responder-scene";
import { noNetworkNamespaces } from "#test/support/network-namespaces";
import { eventually } from "#test/support/processes";

// The manifests that an isolation writes, before a real policy engine that judges real packets: what is said to be closed
// is closed, what is said to stay open is open, and what is taken back is as it was.
const why = noNetworkNamespaces();
if (why !== undefined) console.warn(`SKIPPED: no network namespaces for real packets: ${why}`);

let plane: ControlPlane;
/** As people write, and as the responder does: what another field manager set is not the responder's to take back. */
let cluster: Cluster;
let responder: Cluster;
let node: PacketNode;
let spaces = 0;

async function startPlane(): Promise<void> {
  const started = await startControlPlane();
  if (started === undefined) throw new Error("needs a control plane");
  plane = started;
  const folder = join(networkPolicyOracle() ?? "", "..", "crds");
  // The engine watches the kind, so its definition is always there.
  const crds = readdirSync(folder)
    .filter((name) => name.includes("clusternetworkpolicies"))
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), "utf8")))
    .map((document): unknown => document.toJS())
    .filter(isObject);
  await installCrds(plane.api, crds);
  expect(crds).toHaveLength(1);
  cluster = makeApiServer(await fromKubeconfig(plane.kubeconfig), "kubectl-edit");
  responder = makeApiServer(await fromKubeconfig(plane.kubeconfig));
}

const engine = (): string => networkPolicyEnforcer() ?? "";

async function useNamespace(): Promise<string> {
  spaces += 1;
  const name = `shop-${spaces}`;
  good(await cluster.create(types.namespace, namespaceObject(name)));
  await eventually("the default account", async () => {
    const type: ResourceType = {
      apiVersion: "v1",
      kind: "ServiceAccount",
      resource: "serviceaccounts",
      namespaced: true,
    };
    return (await cluster.get(type, { namespace: name, name: "default" })).ok;
  });
  return name;
}

type Way = { readonly from: JsonObject; readonly to: JsonObject; readonly port?: number };

/** IPv4 and IPv6, each tried once. */
const triesOf = ({ from, to, port = 8080 }: Way): readonly string[] =>
  addressesOf(to).map((address) => node.tries(from, address, port));

const open = ["connected", "connected"];
const cut = ["timeout", "timeout"];

/** A policy is in force a moment after its write: asked again until it is, or the answer stays another. */
const settles = async (way: Way, want: readonly string[]): Promise<void> => {
  let last: readonly string[] = [];
  await eventually(
    `${textAt(way.from, ["metadata", "name"])} -> ${textAt(way.to, ["metadata", "name"])}: ${want.join()}, last ${last.join()}`,
    () => {
      last = triesOf(way);
      return last.join() === want.join();
    },
    20_000,
  );
};

async function isolate(
  pod: JsonObject,
  parameters: JsonObject = {},
  reads: Cluster = cluster,
): Promise<{ readonly plan: Plan; readonly undo: () => Promise<void> }> {
  const live = good(await cluster.get(types.pod, nameOf(pod)));
  const remediation = `shell-${uidOf(pod).slice(0, 10)}`;
  const planned = await planResponse(
    {
      target: { apiVersion: "v1", kind: "Pod", ...nameOf(live), uid: uidOf(live) },
      pod: live,
      remediation,
      read: cluster.get,
      listIn: async (type, namespace) => {
        const listed = await cluster.list(type, { namespace });
        return listed.ok ? { ok: true, value: listed.value.items } : listed;
      },
      network: makeReadNetwork(reads, Date.now),
      dryRun: (type, manifest) => cluster.create(type, manifest, { dryRun: true }),
    },
    {
      do: [actionSchema.parse({ isolate: parameters })],
      limits: { perWorkload: 1, perNamespace: 1, cooldown: 0 },
    },
  );
  const { plan, reason } = good(planned);
  if (plan === undefined) throw new Error(reason);
  const writes = changesOf(plan).filter(
    (change): change is WriteChange => change.kind === "apply" || change.kind === "edit",
  );
  for (const change of writes) good(await makeChange(responder, change, remediation, false));
  return {
    plan,
    undo: async () => {
      for (const change of writes.toReversed()) {
        expect(good(await takeBack(responder, change, remediation)).left).toBeUndefined();
      }
    },
  };
}

/** As where nobody serves a kind that can deny. */
const plainCluster = (): Cluster => ({
  ...cluster,
  typeOf: (apiVersion, kind) =>
    kind === "ClusterNetworkPolicy"
      ? Promise.resolve(failure("NotFound", "not served"))
      : cluster.typeOf(apiVersion, kind),
});

const allowFrom = (namespace: string, spec: JsonObject): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "theirs", namespace },
  spec,
});

describe.skipIf(why !== undefined)("an isolation, before real packets", () => {
  beforeAll(async () => {
    // The first start builds the engine, which takes minutes from cold.
    if (networkPolicyEnforcer() === undefined) throw new Error("needs a policy engine");
    await startPlane();
  }, 1_800_000);
  afterAll(async () => {
    cluster.close();
    responder.close();
    await plane.stop();
  });

  describe("where open connections are let pass, as Calico, kube-router and Antrea do", () => {
    beforeAll(async () => {
      node = await startPacketNode(plane, cluster, engine(), "tracked");
    });
    afterAll(() => node.stop());

    it("cuts one pod both ways, by IPv4 and IPv6, and no other; and opens it again when it is taken back", async () => {
      const namespace = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const twin = await node.addPod(namespace, "twin", { app: "web" });
      const client = await node.addPod(namespace, "client", { app: "client" });
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        expect(triesOf({ from, to })).toEqual(open);
      }
      const { plan, undo } = await isolate(target);
      expect(plan.residualAllows).toEqual([]);
      await settles({ from: client, to: target }, cut);
      await settles({ from: target, to: client }, cut);
      expect(triesOf({ from: target, to: twin })).toEqual(cut);
      expect(triesOf({ from: client, to: twin })).toEqual(open);
      expect(triesOf({ from: twin, to: client })).toEqual(open);
      await undo();
      await settles({ from: client, to: target }, open);
      await settles({ from: target, to: client }, open);
    });

    it("lets the connections that were open live on, as the table of networks says", async () => {
      const namespace = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const client = await node.addPod(namespace, "client", { app: "client" });
      const [address = ""] = addressesOf(target);
      const [back = ""] = addressesOf(client);
      const inward = await node.hold(client, address, 8080);
      const outward = await node.hold(target, back, 8080);
      await isolate(target);
      await settles({ from: client, to: target }, cut);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      // What was cut with the rest was last heard of two seconds ago, and never again.
      await eventually(
        "both are heard of",
        () => inward.aliveWithin(1_000) && outward.aliveWithin(1_000),
      );
      await inward.end();
      await outward.end();
    });

    it("keeps the allow-list reachable both ways, and nothing else", async () => {
      const namespace = await useNamespace();
      const forensics = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const collector = await node.addPod(forensics, "collector", { app: "collector" });
      const beside = await node.addPod(forensics, "beside", { app: "other" });
      const [address = ""] = addressesOf(collector);
      await isolate(target, {
        allow: [{ namespace: forensics, pods: { app: "collector" } }, { cidr: `${address}/32` }],
      });
      await settles({ from: beside, to: target }, cut);
      await settles({ from: target, to: beside }, cut);
      expect(triesOf({ from: target, to: collector })).toEqual(open);
      expect(triesOf({ from: collector, to: target })).toEqual(open);
    });

    it("lets through one port in one direction where the allow-list says so, past another's allows", async () => {
      const namespace = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const collector = await node.addPod(namespace, "collector", { app: "collector" });
      const from = [{ podSelector: {} }];
      good(
        await cluster.create(
          types.networkPolicy,
          allowFrom(namespace, { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from }] }),
        ),
      );
      // Nothing listens there: a refusal shows that the way is open.
      const closedPort = { from: target, to: collector, port: 9_090 };
      expect(triesOf(closedPort)).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
      const ports = [{ port: 8_080 }];
      const { plan } = await isolate(target, {
        allow: [{ namespace, pods: { app: "collector" }, ports, direction: "Egress" }],
      });
      expect(plan.notes.join("\n")).toContain("backend ClusterNetworkPolicy");
      await settles(closedPort, cut);
      await settles({ from: collector, to: target }, cut);
      expect(triesOf({ from: target, to: collector })).toEqual(open);
    });

    it("denies by a ClusterNetworkPolicy what another's NetworkPolicy allows", async () => {
      const namespace = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const client = await node.addPod(namespace, "client", { app: "client" });
      good(
        await cluster.create(
          types.networkPolicy,
          allowFrom(namespace, {
            podSelector: {},
            ingress: [{}],
            egress: [{}],
            policyTypes: ["Ingress", "Egress"],
          }),
        ),
      );
      const { plan, undo } = await isolate(target);
      expect(plan.notes.join("\n")).toContain("backend ClusterNetworkPolicy");
      await settles({ from: client, to: target }, cut);
      await settles({ from: target, to: client }, cut);
      await undo();
      await settles({ from: client, to: target }, open);
    });

    it("leaves open exactly the residual allow that the plan names, where nothing can deny it", async () => {
      const namespace = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const friend = await node.addPod(namespace, "friend", { app: "friend" });
      const stranger = await node.addPod(namespace, "stranger", { app: "stranger" });
      const from = [{ podSelector: { matchLabels: { app: "friend" } } }];
      const ports = [{ protocol: "TCP", port: "app" }];
      good(
        await cluster.create(
          types.networkPolicy,
          allowFrom(namespace, {
            podSelector: {},
            policyTypes: ["Ingress"],
            ingress: [{ from, ports }],
          }),
        ),
      );
      const { plan } = await isolate(target, {}, plainCluster());
      expect(plan.residualAllows.map(({ name, direction }) => `${direction} ${name}`)).toEqual([
        "Ingress theirs",
      ]);
      await settles({ from: stranger, to: target }, cut);
      await settles({ from: target, to: friend }, cut);
      expect(triesOf({ from: friend, to: target })).toEqual(open);
    });
  });

  describe("where every packet in the opening direction is judged, as Cilium and OVN-Kubernetes do", () => {
    beforeAll(async () => {
      node = await startPacketNode(plane, cluster, engine(), "each");
    });
    afterAll(() => node.stop());

    it("ends connections that were open before, both ways, but not those of the allow-list", async () => {
      const namespace = await useNamespace();
      const target = await node.addPod(namespace, "target", { app: "web" });
      const client = await node.addPod(namespace, "client", { app: "client" });
      const collector = await node.addPod(namespace, "collector", { app: "collector" });
      const [address = ""] = addressesOf(target);
      const [back = ""] = addressesOf(client);
      const inward = await node.hold(client, address, 8080);
      const outward = await node.hold(target, back, 8080);
      const allowed = await node.hold(collector, address, 8080);
      await isolate(target, { allow: [{ namespace, pods: { app: "collector" } }] });
      await eventually(
        "both have ended",
        () => !inward.aliveWithin(2_000) && !outward.aliveWithin(2_000),
        20_000,
      );
      expect(allowed.aliveWithin(1_000)).toBe(true);
      for (const one of [inward, outward, allowed]) await one.end();
    });
  });
});
