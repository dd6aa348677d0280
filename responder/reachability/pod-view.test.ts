// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type JsonObject, textAt } from "#policy/json";
import { podViewOf } from "#responder/reachability/pod-view";
import {
  policyKinds,
  servedPolicyKinds,
  withKind,
  withoutCopies,
} from "#responder/reachability/policy-kinds";
import { parseWorld } from "#responder/reachability/policy-world";

describe("a live pod as policies see it", () => {
  it("takes named ports from containers and sidecars, not from what has ended", () => {
    const pod = {
      metadata: { namespace: "shop", labels: { app: "cart" } },
      spec: {
        serviceAccountName: "cart",
        containers: [
          {
            ports: [
              { name: "http", containerPort: 8080 },
              { containerPort: 53, protocol: "UDP" },
            ],
          },
        ],
        initContainers: [
          { ports: [{ name: "setup", containerPort: 1 }] },
          {
            restartPolicy: "Always",
            ports: [{ name: "proxy", containerPort: 15001, protocol: "TCP" }],
          },
        ],
      },
    };
    expect(podViewOf(pod, { metadata: { labels: { team: "a" } } })).toEqual({
      namespace: "shop",
      namespaceLabels: { team: "a" },
      labels: { app: "cart" },
      serviceAccount: "cart",
      ports: [
        { name: "http", port: 8080, protocol: "TCP" },
        { name: "", port: 53, protocol: "UDP" },
        { name: "proxy", port: 15001, protocol: "TCP" },
      ],
    });
  });

  it("bears a pod without labels, ports or account", () => {
    const view = podViewOf({ metadata: { namespace: "a" } }, {});
    expect(view).toEqual({ namespace: "a", namespaceLabels: {}, labels: {}, ports: [] });
  });
});

describe("the kinds of policies to read", () => {
  it("are those that are served", () => {
    expect(servedPolicyKinds(policyKinds)).toEqual(policyKinds);
    expect(servedPolicyKinds([])).toEqual([]);
    const served = [{ group: "cilium.io", version: "v2", kind: "CiliumNetworkPolicy" }];
    expect(servedPolicyKinds(served).map((one) => one.resource)).toEqual(["ciliumnetworkpolicies"]);
    const older = [{ group: "cilium.io", version: "v2alpha1", kind: "CiliumNetworkPolicy" }];
    expect(servedPolicyKinds(older)).toEqual([]);
  });

  it("has each of Calico's objects once, and those that only its store shows", () => {
    const of = (apiVersion: string, name: string, tier: string): JsonObject => ({
      apiVersion,
      kind: "GlobalNetworkPolicy",
      metadata: { name },
      spec: { tier },
    });
    const store = "crd.projectcalico.org/v1";
    const api = "projectcalico.org/v3";
    const merged = withoutCopies([
      of(store, "default.open", "default"),
      of(api, "open", "default"),
      of(store, "default.hidden", "default"),
      of(store, "security.cut", "security"),
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "default.x" },
      },
    ]);
    expect(merged.map((one) => [one["apiVersion"], textAt(one, ["metadata", "name"])])).toEqual([
      ["networking.k8s.io/v1", "default.x"],
      [api, "open"],
      [store, "hidden"],
      [store, "security.cut"],
    ]);
  });

  it("finds the place of each kind in a world", () => {
    const documents = policyKinds.flatMap((kind) => withKind(kind, [{ metadata: { name: "a" } }]));
    const world = parseWorld(documents);
    const lists = Object.values(world).filter(Array.isArray);
    expect(lists.map((list) => list.length)).toEqual([1, 3, 2, 6, 1]);
    expect(world.mayBeCilium).toBe(true);
  });
});
