// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { podViewOf } from "#responder/reachability/pod-view";
import { policyKinds, servedPolicyKinds, withKind } from "#responder/reachability/policy-kinds";
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
  it("reads Calico's own store only where its API server is not there", () => {
    const groups = (served: typeof policyKinds) =>
      servedPolicyKinds(served).map((one) => one.group);
    const store = policyKinds.filter((one) => one.group === "crd.projectcalico.org");
    expect(groups(store)).toHaveLength(3);
    expect(new Set(groups(policyKinds)).has("crd.projectcalico.org")).toBe(false);
    expect(groups([])).toEqual([]);
  });

  it("finds the place of each kind in a world", () => {
    const documents = policyKinds.flatMap((kind) => withKind(kind, [{ metadata: { name: "a" } }]));
    const world = parseWorld(documents);
    expect(Object.values(world).map((list) => list.length)).toEqual([1, 3, 2, 6, 1]);
  });
});
