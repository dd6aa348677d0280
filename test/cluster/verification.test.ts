// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import type { JsonObject } from "#policy/json";
import { at, isObject, textAt } from "#policy/json";
import { evictInfo } from "#responder/actions/evict";
import { nameOf, type ResourceType, types } from "#responder/cluster";
import type { Remediation, State } from "#responder/remediation";
import { probeLabel } from "#responder/verification/probe-pod";
import { probeBindings, probeRoles } from "#responder/verification/probe-rbac";
import { installCrds } from "#test/cluster/api";
import { networkPolicyEnforcer, networkPolicyOracle } from "#test/cluster/binaries";
import {
  type Enforcement,
  good,
  type PacketNode,
  probeProgram,
  startPacketNode,
} from "#test/cluster/packet-node";
import { noNetworkNamespaces } from "#test/support/network-namespaces";
import { type Child, eventually } from "#test/support/processes";
import {
  intakeToken,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "./responder-scene.ts";

// The responder as a process, with the rights that `parapet rbac` gives it, on a real API server; its probe pods run in
// network namespaces, and a real policy engine decides about their packets.
const why = noNetworkNamespaces();
if (why !== undefined) console.warn(`SKIPPED: no network namespaces for real packets: ${why}`);

const deployment: ResourceType = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  resource: "deployments",
  namespaced: true,
};
const places = {
  namespace: "probes",
  standInNamespaces: ["shop-each", "shop-quota", "shop-tracked"],
};
const probes = {
  ...places,
  image: "registry.example/parapet-responder:1",
  selfTestHold: "12s",
};

let scene: ResponderScene;
let node: PacketNode | undefined;
let responder: Child | undefined;

async function makeRoles(): Promise<void> {
  const subject = { kind: "User", name: "responder", apiGroup: "rbac.authorization.k8s.io" };
  // To end a pod whose open connections live on.
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "evicts" };
  const metadata = { name: roleRef.name };
  const rules = evictInfo.rbac.map((rule) => ({ ...rule }));
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const evicts: readonly JsonObject[] = [
    { apiVersion, kind: "ClusterRole", metadata, rules },
    { apiVersion, kind: "ClusterRoleBinding", metadata, roleRef, subjects: [subject] },
  ];
  for (const object of [...probeRoles(places), ...probeBindings(subject, places), ...evicts]) {
    const kind = textAt(object, ["kind"]);
    const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", kind));
    good(await scene.people.create(type, object));
  }
}

async function useNamespace(name: string, labels: JsonObject = {}): Promise<void> {
  const object = namespaceObject(name);
  good(await scene.people.create(types.namespace, { ...object, metadata: { name, labels } }));
  await eventually("the default account", async () =>
    scene.plane.api.get(`/api/v1/namespaces/${name}/serviceaccounts/default`),
  );
}

beforeAll(async () => {
  if (why !== undefined) return;
  const engine = networkPolicyEnforcer();
  const started = await startResponderScene();
  if (started === undefined || engine === undefined) throw new Error("needs a control plane");
  scene = started;
  const folder = join(networkPolicyOracle() ?? "", "..", "crds");
  const crds = readdirSync(folder)
    .filter((name) => name.includes("clusternetworkpolicies"))
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), "utf8")))
    .map((document): unknown => document.toJS())
    .filter(isObject);
  await installCrds(scene.plane.api, crds);
  // The server refuses any probe pod that is not within the restricted standard.
  await useNamespace("probes", { "pod-security.kubernetes.io/enforce": "restricted" });
  for (const name of places.standInNamespaces) await useNamespace(name);
  await useNamespace("shop-none");
  await makeRoles();
  const actions = [{ isolate: { ttl: "1h", onOpenConnections: "Propose" } }];
  const policy = shellPolicy("Automatic", { do: actions });
  good(await scene.people.create(types.responsePolicy, policy));
}, 1_800_000);

afterAll(async () => {
  await end();
  await scene.stop();
});

async function end(): Promise<void> {
  await responder?.stop("SIGKILL");
  await node?.stop();
  responder = undefined;
  node = undefined;
}

async function begin(enforcement: Enforcement, verification: JsonObject): Promise<void> {
  await end();
  const engine = networkPolicyEnforcer() ?? "";
  node = await startPacketNode(scene.plane, scene.people, engine, enforcement);
  responder = await restart(enforcement, verification);
}

const restart = (enforcement: Enforcement, verification: JsonObject): Promise<Child> =>
  scene.startResponder({ settle: "2s", verification }, enforcement);

/** Two pods of a Deployment, one of them with a shell in it. */
async function attacked(namespace: string): Promise<string> {
  good(
    await scene.people.create(deployment, {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web", namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: { labels: { app: "web" } },
          spec: {
            containers: [
              {
                name: "web",
                image: "registry.example/web:1",
                command: [...probeProgram],
                args: ["--listen=8080", "--for=600000"],
                ports: [{ containerPort: 8080 }],
              },
            ],
          },
        },
      },
    }),
  );
  const pods = await eventually("two pods run", async () => {
    const listed = good(
      await scene.people.list(types.pod, { namespace, labelSelector: "app=web" }),
    );
    const running = listed.items.filter((pod) => textAt(pod, ["status", "phase"]) === "Running");
    return running.length === 2 ? running : undefined;
  });
  const name = pods.map((pod) => nameOf(pod).name).sort()[0] ?? "";
  const response = await fetch(scene.url(), {
    method: "POST",
    headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
    body: shellAlert(namespace, name, Date.now()),
  });
  expect(response.status).toBe(202);
  return name;
}

const inState = (namespace: string, ...states: readonly State[]): Promise<Remediation> =>
  eventually(
    `a remediation of ${namespace} in ${states.join(" or ")}`,
    async () => {
      const all = await scene.remediations(namespace);
      const last = all.map((one) => `${one.status.state} ${one.status.lastError}`).join();
      const found = all.find((one) => states.includes(one.status.state));
      if (found === undefined) throw new Error(last);
      return found;
    },
    200_000,
    100,
  );

const evidence = (remediation: Remediation): readonly string[] =>
  remediation.status.evidence.map(({ check, finding }) => `${check} ${finding}`);

const probePods = async (): Promise<readonly JsonObject[]> =>
  good(await scene.people.list(types.pod, { labelSelector: probeLabel })).items;

describe.skipIf(why !== undefined)("an isolation is", () => {
  it("Verified by probes both ways with controls, also when the responder dies while they run", async () => {
    const verification = { network: "ovn-kubernetes", probes: { ...probes, selfTest: false } };
    await begin("each", verification);
    const pod = await attacked("shop-each");
    await eventually(
      "a stand-in runs",
      async () => (await probePods()).some((one) => nameOf(one).name.endsWith("-isolated")),
      200_000,
    );
    await responder?.stop("SIGKILL");
    responder = await restart("each", verification);
    const verified = await inState("shop-each", "Verified", "Unverifiable");
    expect(verified.status.history.at(-1)).toMatchObject({ to: "Verified", reason: "Probed" });
    expect(verified.status.history.map((one) => one.to)).toEqual(
      expect.arrayContaining(["Applied", "Realised", "Verified"]),
    );
    const seen = evidence(verified);
    for (const one of ["ReadBack Holds", "SettleTime Holds", "Connections Holds"]) {
      expect(seen).toContain(one);
    }
    // Two families of the target and the stand-in's way in and out; the twin and the other stand-in as controls.
    expect(seen.filter((one) => one === "Probe Holds").length).toBeGreaterThanOrEqual(4);
    expect(seen.filter((one) => one === "Control Holds").length).toBeGreaterThanOrEqual(4);
    expect(seen.filter((one) => one.startsWith("Probe") && one !== "Probe Holds")).toEqual([]);
    expect(verified.target.name).toBe(pod);
    const described = execFileSync(
      scene.plane.kubectl,
      [
        "--kubeconfig",
        scene.plane.kubeconfig,
        "-n",
        "shop-each",
        "describe",
        "remediation",
        verified.name.name,
      ],
      { encoding: "utf8" },
    );
    expect(described).toContain("Evidence:");
    expect(described).toMatch(/unisolated twin 10\.244\.0\.\d+:8080 TCP connected/);
    // Nothing is left, nobody adopted a stand-in, and the workload has what it had.
    await eventually("no probe pod is left", async () => (await probePods()).length === 0);
    const live = good(await scene.people.get(deployment, { namespace: "shop-each", name: "web" }));
    expect(at(live, ["status", "replicas"])).toBe(2);
  });

  it("tried again where the probes' quota is used up, and Verified when it has room", async () => {
    const quotas = good(await scene.people.typeOf("v1", "ResourceQuota"));
    const name = { namespace: "probes", name: "full" };
    const quota = { apiVersion: "v1", kind: "ResourceQuota", metadata: name };
    const hard = { pods: "0" };
    const made = good(await scene.people.create(quotas, { ...quota, spec: { hard } }));
    good(
      await scene.people.replaceStatus(quotas, { ...made, status: { hard, used: { pods: "0" } } }),
    );
    await begin("each", {
      network: "ovn-kubernetes",
      probes: { ...probes, selfTest: false },
      tryAgain: { after: "1s", times: 50 },
    });
    await attacked("shop-quota");
    const found = await inState("shop-quota", "Verified", "Unverifiable");
    const last = found.status.history.at(-1);
    expect(last).toMatchObject({ to: "Unverifiable", reason: "NotProbed" });
    expect(last?.message).toContain("exceeded quota: full");
    const retried = await eventually("two further tries", async () => {
      const one = (await scene.remediations("shop-quota"))[0];
      return (one?.status.retry?.count ?? 0) >= 2 ? one : undefined;
    });
    // Nothing new was found, so nothing new is said.
    expect(retried?.status.history).toEqual(found.status.history);
    good(await scene.people.remove(quotas, name, textAt(made, ["metadata", "uid"])));
    const verified = await inState("shop-quota", "Verified");
    expect(verified.status.history.slice(-2).map(({ to, reason }) => `${to} ${reason}`)).toEqual([
      "Unverifiable NotProbed",
      "Verified Probed",
    ]);
    expect(verified.status.retry).toBeUndefined();
    await eventually("no probe pod is left", async () => (await probePods()).length === 0);
  });

  it("Unverifiable where the network lets open connections live on, which the self-test saw", async () => {
    await begin("tracked", { probes });
    await eventually(
      "the self-test has an answer",
      () => responder?.log().includes("open ones live on"),
      200_000,
      500,
    );
    await attacked("shop-tracked");
    const one = await inState("shop-tracked", "Verified", "Unverifiable");
    const last = one.status.history.at(-1);
    expect(last).toMatchObject({ to: "Unverifiable", reason: "EstablishedConnections" });
    expect(last?.message).toContain("new connections are cut both ways");
    expect(one.plan?.notes.join("\n")).toContain("connections that are open already live on");
    expect(evidence(one)).toContain("Connections Fails");
    // People are asked to end the pod, which ends what is open: approved, it is gone, and its isolation with it.
    expect(last?.message).toMatch(/; Remediation \S+ proposes to end the pod$/);
    const ending = await inState("shop-tracked", "Proposed");
    expect(last?.message).toContain(`Remediation ${ending.name.name} proposes`);
    expect(ending.target.uid).toBe(one.target.uid);
    await scene.decide(ending, "Approve");
    const all = await eventually(
      "both are over",
      async () => {
        const both = await scene.remediations("shop-tracked");
        return both.every(({ status }) => status.state === "TargetGone") ? both : undefined;
      },
      200_000,
    );
    const ended = all.find(({ name }) => name.name === ending.name.name);
    expect(ended?.status.history.map(({ to, reason }) => `${to} ${reason}`)).toContain(
      "Verified Gone",
    );
    const left = good(await scene.people.list(types.networkPolicy, { namespace: "shop-tracked" }));
    expect(left.items).toEqual([]);
    // The rights that the roles give are enough.
    expect(responder?.log()).not.toMatch(/forbidden|could not be asked/i);
    expect(await scene.metrics()).toMatch(/^parapet_network_policies_enforced 1$/m);
  });

  it("Unverifiable, with a warning to the approver, where the network ignores policies", async () => {
    await begin("none", { probes });
    await eventually(
      "the self-test has an answer",
      () => responder?.log().includes("new connections passed all the same"),
      200_000,
      500,
    );
    await attacked("shop-none");
    const one = await inState("shop-none", "Verified", "Unverifiable");
    expect(one.status.history.at(-1)).toMatchObject({
      to: "Unverifiable",
      reason: "PolicyIgnored",
    });
    expect(one.plan?.notes[0]).toMatch(/^WARNING: this cluster's network does not enforce/);
    expect(await scene.metrics()).toMatch(/^parapet_network_policies_enforced 0$/m);
    const policies = good(await scene.people.list(types.networkPolicy, { namespace: "probes" }));
    expect(policies.items).toEqual([]);
  });
});
