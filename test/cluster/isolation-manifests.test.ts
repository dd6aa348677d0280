// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, isObject, textAt } from "#policy/json";
import { chooseBackend } from "#responder/reachability/backend";
import { installCrds } from "#test/cluster/api";
import { kubernetesBinaries, networkPolicyOracle } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";

// What an isolation writes, taken by a real API server under the definitions of network-policy-api itself.
const oracle = networkPolicyOracle();
const crdFile = "crds/policy.networking.k8s.io_clusternetworkpolicies.yaml";

const choice = chooseBackend({
  namespace: "default",
  name: "parapet-r1",
  labels: { "parapet.dev/remediation": "r1" },
  annotations: { "parapet.dev/target": "Pod/a/uid-1" },
  selector: { key: "isolate.parapet.dev/r1", value: "uid-1" },
  allow: [
    { kind: "network", cidr: "203.0.113.5/32" },
    { kind: "pods", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
    {
      kind: "pods",
      namespace: "forensics",
      labels: {},
      direction: "Egress",
      ports: [
        { port: 53, protocol: "UDP" },
        { port: 443, protocol: "TCP" },
      ],
    },
  ],
  pod: {
    namespace: "default",
    namespaceLabels: { "kubernetes.io/metadata.name": "default" },
    labels: {},
    ports: [],
  },
  hostNetwork: false,
  served: [
    { group: "policy.networking.k8s.io", version: "v1alpha2", kind: "ClusterNetworkPolicy" },
  ],
  policies: [
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "open", namespace: "default" },
      spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{}] },
    },
  ],
});

const paths: Readonly<Record<string, string>> = {
  ClusterNetworkPolicy:
    "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies/parapet-r1-default",
  NetworkPolicy: "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/parapet-r1",
};

describe.skipIf(oracle === undefined || kubernetesBinaries() === undefined)(
  "the manifests of an isolation on a real API server",
  () => {
    let plane: ControlPlane;
    beforeAll(async () => {
      const started = await startControlPlane({ controllers: false });
      if (started === undefined) throw new Error("no control plane");
      plane = started;
      const crd: unknown = parse(readFileSync(join(dirname(oracle ?? ""), crdFile), "utf8"));
      if (!isObject(crd)) throw new Error("no definition");
      await installCrds(plane.api, [crd]);
    });
    afterAll(() => plane?.stop());

    it("are taken, and stored as they were written", async () => {
      if (!choice.ok) throw new Error(choice.message);
      expect(choice.backend).toBe("ClusterNetworkPolicy");
      for (const manifest of choice.manifests) {
        const path = paths[textAt(manifest, ["kind"])] ?? "";
        const reply = await plane.api.send(
          "PATCH",
          `${path}?fieldManager=parapet-test&fieldValidation=Strict`,
          manifest,
          "application/apply-patch+yaml",
        );
        expect(reply).toMatchObject({ status: 201 });
        const stored = await plane.api.get(path);
        expect(at(stored, ["spec"])).toEqual(manifest["spec"]);
      }
    });
  },
);
