// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import type { Reply, ResourceType } from "#responder/cluster";
import { types } from "#responder/cluster";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";
import { installCrds } from "#test/cluster/api";
import { eventually } from "#test/support/processes";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "./responder-scene.ts";

// A network of its own kinds, as far as the API server goes: definitions that take anything, since who enforces them is not
// there. What matters here is discovery, rights, and admission that refuses.
let scene: ResponderScene;
let log: () => string;

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

const ciliumKinds = policyKinds.filter((one) => one.group === "cilium.io").map(typeOfKind);
const cilium = ciliumKinds.find((one) => one.kind === "CiliumNetworkPolicy");
const clusterwide = ciliumKinds.find((one) => one.kind === "CiliumClusterwideNetworkPolicy");

const definition = ({ kind, resource, namespaced, apiVersion }: ResourceType): JsonObject => {
  const [group = "", version = ""] = apiVersion.split("/");
  const any = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${resource}.${group}` },
    spec: {
      group,
      scope: namespaced ? "Namespaced" : "Cluster",
      names: { kind, plural: resource, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: any } }],
    },
  };
};

/** The rules about Cilium's kinds, taken from the responder's role or put back. */
async function withRules(change: (rules: readonly JsonObject[]) => readonly JsonObject[]) {
  const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", "ClusterRole"));
  const name = { namespace: "", name: "parapet-responder" };
  const live = good(await scene.people.get(type, name));
  const rules = live["rules"];
  const before = (isArray(rules) ? rules : []).filter(isObject);
  good(await scene.people.replace(type, { ...live, rules: change(before) }));
  return before;
}

beforeAll(async () => {
  const started = await startResponderScene();
  if (started === undefined) throw new Error("needs redis-server and a control plane");
  scene = started;
  await installCrds(scene.plane.api, ciliumKinds.map(definition));
  await withRules((rules) => rules.filter((rule) => at(rule, ["apiGroups", 0]) !== "cilium.io"));
  const child = await scene.startResponder();
  log = child.log;
}, 1_800_000);

afterAll(() => scene.stop());

async function usePolicy(name: string): Promise<void> {
  const policy = shellPolicy("Automatic", {
    when: `alert.pod.namespace == '${name}'`,
    do: [{ isolate: {} }],
  });
  good(await scene.people.create(types.namespace, namespaceObject(name)));
  good(await scene.people.create(types.responsePolicy, { ...policy, metadata: { name } }));
  await eventually("the policy is in use", async () => {
    const live = await scene.people.get(types.responsePolicy, { namespace: "", name });
    return live.ok && textAt(live.value, ["status", "conditions", 0, "status"]) === "True";
  });
  await makePod(scene.people, name, "web");
}

async function alert(namespace: string): Promise<void> {
  const response = await fetch(scene.url(), {
    method: "POST",
    headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
    body: shellAlert(namespace, "web", Date.now()),
  });
  expect(response.status).toBe(202);
}

describe("a network with kinds of its own", () => {
  it("is not planned for while its policies may not be read, which is said by name; then with its own kind", async () => {
    if (cilium === undefined || clusterwide === undefined) throw new Error("no kinds");
    good(
      await scene.people.create(clusterwide, {
        apiVersion: clusterwide.apiVersion,
        kind: clusterwide.kind,
        metadata: { name: "open" },
        spec: { endpointSelector: {}, egress: [{ toEntities: ["world"] }] },
      }),
    );
    const namespace = "shop-cilium";
    await usePolicy(namespace);
    await alert(namespace);
    await eventually("it is said", () =>
      log().includes("no right to list it: no isolation is planned"),
    );
    expect(log()).toMatch(/serves cilium\w+policies\.cilium\.io/);
    await eventually("the figure shows it", async () =>
      (await scene.metrics()).includes("parapet_policies_readable 0"),
    );
    expect(await scene.remediations(namespace)).toEqual([]);
    await withRules((rules) => [
      ...rules,
      {
        apiGroups: ["cilium.io"],
        resources: ciliumKinds.map((one) => one.resource),
        verbs: ["get", "list", "watch", "create", "patch", "delete"],
      },
    ]);
    // The alert was kept, and is worked on now.
    const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
    expect(applied.plan?.residualAllows).toEqual([]);
    expect(applied.plan?.notes.join("\n")).toContain("backend Cilium:");
    const own = { namespace, name: `parapet-${applied.name.name}` };
    const live = good(await scene.people.get(cilium, own));
    expect(at(live, ["spec", "egressDeny"])).toEqual([{ toEntities: ["all"] }]);
    await scene.decide(applied, "Deny");
    await scene.inState(namespace, "Undone");
    expect(await scene.people.get(cilium, own)).toMatchObject({ code: "NotFound" });
  });

  it("takes the next kind where admission refuses it, and says what stays open", async () => {
    const admission = "admissionregistration.k8s.io/v1";
    const refuse = "no-cilium-policies";
    const policy = good(await scene.people.typeOf(admission, "ValidatingAdmissionPolicy"));
    const binding = good(await scene.people.typeOf(admission, "ValidatingAdmissionPolicyBinding"));
    const rule = {
      apiGroups: ["cilium.io"],
      apiVersions: ["*"],
      operations: ["CREATE"],
      resources: ["ciliumnetworkpolicies"],
    };
    good(
      await scene.people.create(policy, {
        metadata: { name: refuse },
        spec: {
          failurePolicy: "Fail",
          matchConstraints: { resourceRules: [rule] },
          validations: [{ expression: "false", message: "only the platform team writes these" }],
        },
      }),
    );
    good(
      await scene.people.create(binding, {
        metadata: { name: refuse },
        spec: { policyName: refuse, validationActions: ["Deny"] },
      }),
    );
    if (cilium === undefined) throw new Error("no kind");
    const { apiVersion, kind } = cilium;
    const tried = { apiVersion, kind, metadata: { name: "tried", namespace: "default" }, spec: {} };
    await eventually("it is refused", async () => {
      const reply = await scene.people.create(cilium, tried, { dryRun: true });
      return !reply.ok && reply.message.includes("platform team");
    });
    const namespace = "shop-refused";
    await usePolicy(namespace);
    await alert(namespace);
    const applied = await scene.inState(
      namespace,
      ...(["Applied", "Realised", "Verified", "Unverifiable"] as const),
    );
    const notes = applied.plan?.notes.join("\n") ?? "";
    expect(notes).toContain("backend NetworkPolicy: 1 allow(s) stay open");
    expect(notes).toContain("Cilium not used: the server does not take it:");
    expect(notes).toContain("only the platform team writes these");
    expect(applied.plan?.residualAllows).toMatchObject([
      {
        kind: "CiliumClusterwideNetworkPolicy",
        namespace: "",
        name: "open",
        direction: "Egress",
        detail: "to outside the cluster, all ports",
      },
    ]);
  });
});
