// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isObject, textAt, type JsonObject } from "#policy/json";
import { parseText } from "#policy/yaml";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import {
  conditionOf,
  guardedComposition,
  type GuardScene,
  sceneGroup,
  startGuardScene,
} from "#test/support/guard-scene";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";

// Crossplane with the rights of its Helm chart and no more: what the guard asks it to read needs package/install/function.

/** The chart's ClusterRole (core cluster/charts/crossplane/templates/clusterrole.yaml, v2.4.0) as far as it matters here. */
const chart = [
  rule("", ["events"], ["create", "update", "patch", "delete"]),
  rule("apiextensions.k8s.io", ["customresourcedefinitions", "customresourcedefinitions/status"]),
  rule("", ["secrets", "serviceaccounts", "services", "configmaps"]),
  rule("apiextensions.crossplane.io", ["*"]),
  rule("ops.crossplane.io", ["*"]),
  rule("pkg.crossplane.io", ["*"]),
  rule("protection.crossplane.io", ["*"]),
  rule("coordination.k8s.io", ["leases"]),
];
/** What the RBAC manager adds for composites and providers. */
const managed = [rule(sceneGroup, ["*"])];

function rule(group: string, resources: readonly string[], verbs: readonly string[] = ["*"]) {
  return { apiGroups: [group], resources, verbs };
}

function readsRole(): JsonObject {
  const path = join(repository, "package/install/function/crossplane-reads.yaml");
  const read = parseText(readFileSync(path, "utf8"));
  const [role] = read.ok ? read.documents : [];
  if (!isObject(role)) throw new Error("no role");
  return role;
}

const few: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "few", annotations: { "parapet.dev/on-violation": "RequireApproval" } },
  spec: {
    validationActions: ["Deny"],
    matchConstraints: {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "default" } },
      resourceRules: [
        {
          apiGroups: [sceneGroup],
          apiVersions: ["*"],
          resources: ["things"],
          operations: ["CREATE", "UPDATE"],
        },
      ],
    },
    validations: [
      { expression: "object.spec.?size.orValue(0) <= 10", message: "spec.size is above 10." },
    ],
  },
};

const roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

describe.skipIf(kubernetesBinaries() === undefined || crossplaneBinaries() === undefined)(
  "Crossplane's rights",
  () => {
    let scene: GuardScene;
    beforeAll(async () => {
      scene = await startGuardScene({
        users: ["tenant"],
        policies: [few],
        crossplaneRules: [...chart, ...managed],
      });
    });
    afterAll(() => scene?.stop());

    it("of its chart alone are not enough: nothing is composed, and nobody is told before two minutes", async () => {
      await scene.setBox("tenant", "large", { x: { size: 50 } });
      // Crossplane's cache waits for a list that it may not have, until the reconcile times out.
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      expect(textAt(conditionOf(await scene.box("large"), "Synced"), ["status"])).not.toBe("True");
      expect(await scene.thing("large", "x")).toBe(undefined);
    });

    it("may lack a kind of policies altogether: who owns the composite hears which, and that it is not served", async () => {
      const kinds = [
        { apiVersion: "v1", kind: "ConfigMap" },
        { apiVersion: "policies.kyverno.io/v1", kind: "ValidatingPolicy" },
      ];
      const matchLabels = { "parapet.dev/composition": "enforced" };
      const fromCluster = { matchLabels, kinds, namespaces: ["crossplane-system"] };
      const policies = { fromCluster };
      const compositions = "/apis/apiextensions.crossplane.io/v1/compositions/boxes";
      await scene.plane.api.apply(compositions, guardedComposition("boxes", "Box", { policies }));
      await scene.setBox("tenant", "unserved", { x: { size: 1 } });
      await scene.saying(
        "unserved",
        "PolicyCompliant",
        "CannotLookUp",
        "The API server does not serve that kind",
      );
      await scene.plane.api.apply(compositions, guardedComposition("boxes", "Box"));
    });

    it("are enough with the role that the installation brings", async () => {
      await scene.plane.api.apply(`${roles}/parapet-crossplane-reads`, readsRole());
      await eventually(
        "it waits for approval",
        async () => {
          const told = conditionOf(await scene.box("large"), "ApprovalPending");
          if (textAt(told, ["reason"]) === "WaitingForApproval") return true;
          throw new Error(textAt(conditionOf(await scene.box("large"), "Synced"), ["message"]));
        },
        200_000,
      );
    });
  },
);
