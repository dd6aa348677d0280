// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import type { Cluster, Failure, ResourceType } from "#responder/cluster";
import { failure, types } from "#responder/cluster";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";

const typeNamed = (group: string, kind: string): ResourceType => {
  const found = policyKinds.find((one) => one.group === group && one.kind === kind);
  if (found === undefined) throw new Error(`${kind} of ${group} is no kind of policy`);
  return typeOfKind(found);
};
const clusterPolicy = typeNamed("policy.networking.k8s.io", "ClusterNetworkPolicy");
const ciliumPolicy = typeNamed("cilium.io", "CiliumNetworkPolicy");
const mesh = typeNamed("security.istio.io", "AuthorizationPolicy");
const calico = typeNamed("projectcalico.org", "GlobalNetworkPolicy");
const calicoStore = typeNamed("crd.projectcalico.org", "GlobalNetworkPolicy");

const named = (name: string, namespace = ""): JsonObject => ({
  metadata: { name, ...(namespace === "" ? {} : { namespace }) },
  spec: {},
});

/** `broken`: what the server answers about a group, to whoever asks what it serves or lists it. */
async function scene(
  served: readonly ResourceType[],
  broken: {
    readonly group?: string;
    readonly typeOf?: Failure;
    readonly list?: Failure;
  } = {},
) {
  const clock = { nowMs: 0 };
  const hidden = new Set<string>();
  const memory = makeMemoryCluster(() => 0, served);
  const cluster = memory.client();
  const asked: string[] = [];
  const isBroken = (apiVersion: string): boolean =>
    broken.group !== undefined && apiVersion.startsWith(`${broken.group}/`);
  const reads: Pick<Cluster, "get" | "list" | "typeOf"> = {
    get: cluster.get,
    list: (type, query) => {
      asked.push(`list ${type.resource} ${query.namespace ?? ""}`);
      return isBroken(type.apiVersion) && broken.list !== undefined
        ? Promise.resolve(broken.list)
        : cluster.list(type, query);
    },
    typeOf: (apiVersion, kind) => {
      asked.push(`typeOf ${kind}`);
      if (hidden.has(kind)) return Promise.resolve(failure("NotFound", "not served"));
      return isBroken(apiVersion) && broken.typeOf !== undefined
        ? Promise.resolve(broken.typeOf)
        : cluster.typeOf(apiVersion, kind);
    },
  };
  const put = (type: ResourceType, object: JsonObject) => cluster.create(type, object);
  await put(types.namespace, { metadata: { name: "shop", labels: { team: "a" } } });
  await put(types.networkPolicy, named("np", "shop"));
  await put(types.networkPolicy, named("elsewhere", "other"));
  const readNetwork = makeReadNetwork(reads, () => clock.nowMs);
  const elsewhere = makeReadNetwork(reads, () => clock.nowMs, { istioRootNamespace: "mesh-root" });
  const read = () => readNetwork("shop");
  return { asked, clock, hidden, put, read, readElsewhere: () => elsewhere("shop") };
}

const down = failure("Unavailable", "no answer");
const forbidden = failure("Forbidden", "no");

describe("what decides about a namespace's traffic", () => {
  it("is read of every kind that is served: of the cluster, the namespace, and the mesh's root", async () => {
    const { put, read, asked } = await scene([clusterPolicy, mesh]);
    await put(clusterPolicy, named("admin"));
    await put(mesh, named("own", "shop"));
    await put(mesh, named("root", "istio-system"));
    await put(mesh, named("foreign", "other"));
    const view = await read();
    if (!view.ok) throw new Error(view.message);
    const names = view.value.policies.map(
      (one) => `${textAt(one, ["kind"])} ${textAt(one, ["metadata", "name"])}`,
    );
    expect(names.sort()).toEqual([
      "AuthorizationPolicy own",
      "AuthorizationPolicy root",
      "ClusterNetworkPolicy admin",
      "NetworkPolicy np",
    ]);
    expect(textAt(view.value.namespace, ["metadata", "labels", "team"])).toBe("a");
    expect(asked.filter((one) => one.startsWith("list cilium"))).toEqual([]);
  });

  it("is read of the root namespace that the mesh was given, and of no other", async () => {
    const { put, readElsewhere } = await scene([mesh]);
    await put(mesh, named("usual", "istio-system"));
    await put(mesh, named("root", "mesh-root"));
    const view = await readElsewhere();
    if (!view.ok) throw new Error(view.message);
    const names = view.value.policies.map((one) => textAt(one, ["metadata", "name"]));
    expect(names.sort()).toEqual(["np", "root"]);
    expect(view.value.istioRootNamespace).toBe("mesh-root");
  });

  it.each([
    {
      reason: "A list that is refused names the right that is missing.",
      served: [ciliumPolicy],
      broken: { group: "cilium.io", list: forbidden },
      says: "serves ciliumnetworkpolicies.cilium.io, and the responder has no right to list it",
    },
    {
      reason: "A list that fails is no empty list.",
      served: [ciliumPolicy],
      broken: { group: "cilium.io", list: down },
      says: "list ciliumnetworkpolicies.cilium.io: no answer",
    },
    {
      reason: "Who cannot say what is served has not said that it is not.",
      served: [],
      broken: { group: "cilium.io", typeOf: down },
      says: "whether the cluster serves ciliumnetworkpolicies.cilium.io is unknown",
    },
    {
      reason: "The same of an API server of Calico's own whose store is not served either.",
      served: [],
      broken: { group: "projectcalico.org", typeOf: down },
      says: "whether the cluster serves networkpolicies.projectcalico.org is unknown",
    },
  ])("$reason", async ({ served, broken, says }) => {
    const { read } = await scene(served, broken);
    const view = await read();
    expect(view.ok ? "" : view.message).toContain(says);
    expect(view.ok ? "" : view.code).toBe((broken.list ?? broken.typeOf)?.code);
  });

  it.each([
    { reason: "when nobody says what it serves", broken: { typeOf: down } },
    { reason: "when it does not answer a list", broken: { list: down } },
  ])("is read from Calico's store $reason", async ({ broken }) => {
    const { put, read } = await scene([calico, calicoStore], {
      ...broken,
      group: "projectcalico.org",
    });
    await put(calicoStore, named("stored"));
    const view = await read();
    const kinds = view.ok ? view.value.policies.map((one) => textAt(one, ["apiVersion"])) : [];
    expect(kinds).toContain("crd.projectcalico.org/v1");
  });

  it("is read once for those who ask within a second, and what is served once a minute", async () => {
    const { asked, clock, hidden, read } = await scene([ciliumPolicy]);
    hidden.add(ciliumPolicy.kind);
    await Promise.all([read(), read(), read()]);
    expect(asked.filter((one) => one === "list networkpolicies shop")).toHaveLength(1);
    expect(asked.filter((one) => one === "typeOf CiliumNetworkPolicy")).toHaveLength(1);
    clock.nowMs = 2_000;
    await read();
    expect(asked.filter((one) => one === "list networkpolicies shop")).toHaveLength(2);
    hidden.clear();
    clock.nowMs = 70_000;
    await read();
    expect(asked).toContain("list ciliumnetworkpolicies shop");
  });
});
