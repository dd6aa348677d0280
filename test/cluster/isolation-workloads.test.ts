// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { JsonObject } from "#policy/json";
import { at, isArray, isObject, parseJson, textAt } from "#policy/json";
import { originalLabelsAnnotation } from "#responder/actions/detach";
import { isolationLabel } from "#responder/actions/isolate";
import type { Reply } from "#responder/cluster";
import { nameOf, types, uidOf } from "#responder/cluster";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";
import { rolesFor } from "#responder/rbac";
import { installCrds } from "#test/cluster/api";
import { networkPolicyOracle } from "#test/cluster/binaries";
import { eventually } from "#test/support/processes";
import {
  intakeToken,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "./responder-scene.ts";

// Isolation of one pod of every kind of workload, with the real controllers, from an alert to the end; and what happens while
// it lasts. The responder has the rights that `parapet rbac` prints, and no others.
const oracle = networkPolicyOracle();
const crdFile = "crds/policy.networking.k8s.io_clusternetworkpolicies.yaml";
const clusterPolicy = policyKinds
  .map(typeOfKind)
  .find((one) => one.kind === "ClusterNetworkPolicy");

let scene: ResponderScene;
let log: () => string;

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

beforeAll(async () => {
  const started = await startResponderScene();
  if (started === undefined) throw new Error("needs redis-server and a control plane");
  scene = started;
  if (oracle !== undefined) {
    const crd: unknown = parse(readFileSync(join(dirname(oracle), crdFile), "utf8"));
    if (!isObject(crd)) throw new Error("no definition");
    await installCrds(scene.plane.api, [crd]);
  }
  const config = { namespace: "parapet-system", review: { reviewers: [] } };
  const [wanted] = rolesFor(config, [], ["isolate", "quarantine-label"]);
  if (wanted === undefined) throw new Error("no role");
  const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", "ClusterRole"));
  const live = good(await scene.people.get(type, nameOf(wanted)));
  good(await scene.people.replace(type, { ...live, rules: wanted["rules"] ?? [] }));
  await makeNode("node-1");
  const child = await scene.startResponder();
  log = child.log;
}, 1_800_000);

afterAll(() => scene.stop());

/** A node that takes pods: nobody reports it ready here, which the API server writes on it as a taint. */
async function makeNode(name: string): Promise<void> {
  good(await scene.people.create(types.node, { metadata: { name } }));
  const untaint = [{ op: "remove", path: "/spec/taints" }] as const;
  good(await scene.people.patch(types.node, { namespace: "", name }, untaint));
}

const template = (labels: JsonObject): JsonObject => ({
  metadata: { labels },
  spec: { containers: [{ name: "web", image: "nginx" }] },
});
const app: JsonObject = { app: "web" };

type Workload = {
  readonly kind: string;
  readonly apiVersion: string;
  readonly spec: JsonObject;
  /** Pods of the workload after one of them was detached, beside that one. */
  readonly others: number;
  readonly reason: string;
};

const workloads: readonly Workload[] = [
  {
    kind: "Pod",
    apiVersion: "v1",
    spec: { containers: [{ name: "web", image: "nginx" }] },
    others: 0,
    reason: "Nobody replaces a bare pod.",
  },
  {
    kind: "Deployment",
    apiVersion: "apps/v1",
    spec: { replicas: 2, selector: { matchLabels: app }, template: template(app) },
    others: 2,
    reason: "Its ReplicaSet lets the pod go and makes another.",
  },
  {
    kind: "StatefulSet",
    apiVersion: "apps/v1",
    spec: {
      replicas: 1,
      serviceName: "web",
      selector: { matchLabels: app },
      template: template(app),
    },
    others: 0,
    reason: "The name is taken until the pod ends.",
  },
  {
    kind: "DaemonSet",
    apiVersion: "apps/v1",
    spec: { selector: { matchLabels: app }, template: template(app) },
    others: 1,
    reason: "Another one comes to the same node.",
  },
  {
    kind: "Job",
    apiVersion: "batch/v1",
    spec: {
      template: {
        metadata: { labels: app },
        spec: { restartPolicy: "Never", containers: [{ name: "web", image: "nginx" }] },
      },
    },
    others: 1,
    reason: "The Job counts it as lost and makes another.",
  },
];

async function usePolicy(name: string, action: JsonObject): Promise<void> {
  const policy = shellPolicy("Automatic", {
    when: `alert.pod.namespace == '${name}'`,
    do: [action],
    limits: { perWorkload: 100, perNamespace: 100 },
  });
  good(await scene.people.create(types.namespace, namespaceObject(name)));
  good(await scene.people.create(types.responsePolicy, { ...policy, metadata: { name } }));
  await eventually("the policy is in use", async () => {
    const live = await scene.people.get(types.responsePolicy, { namespace: "", name });
    return live.ok && textAt(live.value, ["status", "conditions", 0, "status"]) === "True";
  });
}

async function alert(namespace: string, pod: string): Promise<void> {
  const response = await fetch(scene.url(), {
    method: "POST",
    headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
    body: shellAlert(namespace, pod, Date.now()),
  });
  expect(response.status).toBe(202);
}

const podsIn = async (namespace: string): Promise<readonly JsonObject[]> =>
  good(await scene.people.list(types.pod, { namespace })).items;
const policiesIn = async (namespace: string): Promise<readonly JsonObject[]> =>
  good(await scene.people.list(types.networkPolicy, { namespace })).items;

/** On a node and ready with an address, as scheduler and kubelet have it, so that Services count it. */
async function makeReady(pod: JsonObject, address: string): Promise<void> {
  const { namespace, name } = nameOf(pod);
  if (textAt(pod, ["spec", "nodeName"]) === "") {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/binding`;
    const target = { apiVersion: "v1", kind: "Node", name: "node-1" };
    const bound = { apiVersion: "v1", kind: "Binding", metadata: { name }, target };
    expect((await scene.plane.api.send("POST", path, bound)).status).toBe(201);
  }
  const live = good(await scene.people.get(types.pod, { namespace, name }));
  const status = {
    phase: "Running",
    podIP: address,
    podIPs: [{ ip: address }],
    conditions: [{ type: "Ready", status: "True" }],
  };
  good(await scene.people.replaceStatus(types.pod, { ...live, status }));
}

/** The workload with its pods ready, behind a Service. */
async function startWorkload(
  namespace: string,
  workload: Workload,
): Promise<readonly JsonObject[]> {
  const { kind, apiVersion, spec } = workload;
  good(
    await scene.people.create(types.service, {
      metadata: { name: "web", namespace },
      spec: { selector: app, ports: [{ port: 80 }] },
    }),
  );
  const type = good(await scene.people.typeOf(apiVersion, kind));
  const metadata = { name: "web", namespace, ...(kind === "Pod" ? { labels: app } : {}) };
  good(await scene.people.create(type, { apiVersion, kind, metadata, spec }));
  const wanted = spec["replicas"] ?? 1;
  const pods = await eventually(`pods of a ${kind}`, async () => {
    const all = await podsIn(namespace);
    return all.length === wanted ? all : false;
  });
  for (const [index, pod] of pods.entries()) await makeReady(pod, `10.9.0.${index + 1}`);
  return pods;
}

async function addressesBehind(namespace: string): Promise<readonly string[]> {
  const type = good(await scene.people.typeOf("discovery.k8s.io/v1", "EndpointSlice"));
  const slices = good(await scene.people.list(type, { namespace })).items;
  return slices.flatMap((slice) => {
    const endpoints = at(slice, ["endpoints"]);
    return (isArray(endpoints) ? endpoints : []).map((one) => textAt(one, ["addresses", 0]));
  });
}

const labelsOf = (pod: JsonObject): JsonObject => {
  const labels = at(pod, ["metadata", "labels"]);
  return isObject(labels) ? labels : {};
};

/** No kubelet ends pods that are on a node: what one would do. */
async function endPod(namespace: string, name: string): Promise<void> {
  const live = await scene.people.get(types.pod, { namespace, name });
  if (!live.ok) return;
  await scene.people.remove(types.pod, { namespace, name }, uidOf(live.value), { graceSeconds: 0 });
}

describe.each(workloads)("a pod of a $kind", (workload) => {
  it("is isolated in place, its labels and its owner kept, and let go again", async () => {
    const namespace = `shop-${workload.kind.toLowerCase()}`;
    await usePolicy(namespace, { isolate: {} });
    const [pod, ...others] = await startWorkload(namespace, workload);
    if (pod === undefined) throw new Error("no pod");
    const name = textAt(pod, ["metadata", "name"]);
    await alert(namespace, name);
    const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
    const label = isolationLabel(applied.name.name);
    const isolated = good(await scene.people.get(types.pod, { namespace, name }));
    expect(labelsOf(isolated)).toEqual({ ...labelsOf(pod), [label]: uidOf(pod) });
    expect(at(isolated, ["metadata", "ownerReferences"])).toEqual(
      at(pod, ["metadata", "ownerReferences"]),
    );
    const [policy, ...more] = await policiesIn(namespace);
    expect(more).toEqual([]);
    expect(policy?.["spec"]).toEqual({
      podSelector: { matchLabels: { [label]: uidOf(pod) } },
      policyTypes: ["Ingress", "Egress"],
    });
    const now = await podsIn(namespace);
    expect(now).toHaveLength(1 + others.length);
    expect(now.filter((one) => Object.hasOwn(labelsOf(one), label))).toHaveLength(1);
    await scene.decide(applied, "Deny");
    await scene.inState(namespace, "Undone");
    const after = good(await scene.people.get(types.pod, { namespace, name }));
    expect(labelsOf(after)).toEqual(labelsOf(pod));
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it(`is detached as well, and ended before its network opens: ${workload.reason}`, async () => {
    const namespace = `shop-detach-${workload.kind.toLowerCase()}`;
    await usePolicy(namespace, { isolate: { detach: true } });
    const [pod] = await startWorkload(namespace, workload);
    if (pod === undefined) throw new Error("no pod");
    const name = textAt(pod, ["metadata", "name"]);
    const address = "10.9.0.1";
    await eventually("it is behind the Service", async () =>
      (await addressesBehind(namespace)).includes(address),
    );
    await alert(namespace, name);
    const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
    const label = isolationLabel(applied.name.name);
    const detached = await eventually("its owner lets it go", async () => {
      const live = good(await scene.people.get(types.pod, { namespace, name }));
      return at(live, ["metadata", "ownerReferences"]) === undefined ? live : false;
    });
    expect(labelsOf(detached)).toMatchObject({ [label]: uidOf(pod) });
    expect(Object.hasOwn(labelsOf(detached), "app")).toBe(false);
    const kept = textAt(detached, ["metadata", "annotations", originalLabelsAnnotation]);
    expect(parseJson(kept)).toEqual(labelsOf(pod));
    await eventually("it is behind the Service no more", async () => {
      return !(await addressesBehind(namespace)).includes(address);
    });
    const others = await eventually("what its owner makes of it", async () => {
      const rest = (await podsIn(namespace)).filter((one) => uidOf(one) !== uidOf(pod));
      return rest.length === workload.others ? rest : false;
    });
    expect(others.filter((one) => Object.hasOwn(labelsOf(one), label))).toEqual([]);
    await scene.decide(applied, "Deny");
    await eventually("it is ended", async () => {
      await endPod(namespace, name);
      const all = await podsIn(namespace);
      return all.every((one) => uidOf(one) !== uidOf(pod));
    });
    await scene.inState(namespace, "Undone", "TargetGone");
    expect(await policiesIn(namespace)).toEqual([]);
  });
});

const onNode = (namespace: string, name: string, more: JsonObject = {}): JsonObject => ({
  metadata: { name, namespace, labels: app },
  spec: { nodeName: "node-1", containers: [{ name: "web", image: "nginx" }], ...more },
});

describe("an isolation", () => {
  it("stays closed while a detached pod is on its way out", async () => {
    const namespace = "shop-ending";
    await usePolicy(namespace, { isolate: { detach: true } });
    const pod = good(await scene.people.create(types.pod, onNode(namespace, "web")));
    await makeReady(pod, "10.9.1.1");
    await alert(namespace, "web");
    const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
    await scene.decide(applied, "Deny");
    // The node gives it its grace period; no kubelet ends it here.
    const ending = await eventually("it is on its way out", async () => {
      const live = good(await scene.people.get(types.pod, { namespace, name: "web" }));
      return textAt(live, ["metadata", "deletionTimestamp"]) !== "" ? live : false;
    });
    expect(labelsOf(ending)[isolationLabel(applied.name.name)]).toBe(uidOf(pod));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await policiesIn(namespace)).toHaveLength(1);
    await endPod(namespace, "web");
    await scene.inState(namespace, "Undone", "TargetGone");
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("is refused by name for a pod on its node's network", async () => {
    const namespace = "shop-host";
    await usePolicy(namespace, { isolate: {} });
    const pod = onNode(namespace, "web", { hostNetwork: true });
    await makeReady(good(await scene.people.create(types.pod, pod)), "10.9.1.2");
    await alert(namespace, "web");
    const { cause, plan } = await scene.inState(namespace, "Observed");
    expect(plan).toBeUndefined();
    expect(cause.message).toContain("Pod shop-host/web uses its node's network (hostNetwork)");
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it.skipIf(oracle === undefined)(
    "denies by a ClusterNetworkPolicy what a NetworkPolicy leaves open, and takes both back",
    async () => {
      const namespace = "shop-open";
      await usePolicy(namespace, {
        isolate: {
          allow: [
            { cidr: "203.0.113.5/32" },
            { namespace: "forensics" },
            {
              namespace: "kube-system",
              pods: { "k8s-app": "kube-dns" },
              direction: "Egress",
              ports: [{ port: 53, protocol: "UDP" }, { port: 53 }],
            },
          ],
        },
      });
      const spec = { podSelector: {}, policyTypes: ["Egress"], egress: [{}] };
      const metadata = { name: "open", namespace };
      good(await scene.people.create(types.networkPolicy, { metadata, spec }));
      const pod = good(await scene.people.create(types.pod, onNode(namespace, "web")));
      await makeReady(pod, "10.9.1.3");
      await alert(namespace, "web");
      const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
      expect(applied.plan?.residualAllows).toEqual([]);
      expect(applied.plan?.notes.join("\n")).toContain(
        "backend ClusterNetworkPolicy: a NetworkPolicy alone leaves 1 allow(s) open",
      );
      if (clusterPolicy === undefined) throw new Error("no kind");
      const own = { namespace: "", name: `parapet-${applied.name.name}-${namespace}` };
      const live = good(await scene.people.get(clusterPolicy, own));
      expect(textAt(live, ["metadata", "labels", "parapet.dev/remediation"])).toBe(
        applied.name.name,
      );
      await scene.decide(applied, "Deny");
      await scene.inState(namespace, "Undone");
      expect(await scene.people.get(clusterPolicy, own)).toMatchObject({ code: "NotFound" });
      expect((await policiesIn(namespace)).map((one) => nameOf(one).name)).toEqual(["open"]);
    },
  );

  it("is found re-opened while it lasts, put back where it is our own, and closed again", async () => {
    const namespace = "shop-lasting";
    await usePolicy(namespace, { isolate: {} });
    const pod = good(await scene.people.create(types.pod, onNode(namespace, "web")));
    await makeReady(pod, "10.9.1.4");
    await alert(namespace, "web");
    const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
    const [own] = await policiesIn(namespace);
    if (own === undefined) throw new Error("no policy");
    good(await scene.people.remove(types.networkPolicy, nameOf(own), uidOf(own)));
    const back = await eventually("it is put back", async () => {
      const [found] = await policiesIn(namespace);
      return found ?? false;
    });
    expect(back["spec"]).toEqual(own["spec"]);
    const reasons = async (): Promise<readonly string[]> => {
      const [one] = await scene.remediations(namespace);
      return one?.status.history.map(({ reason }) => reason) ?? [];
    };
    await eventually("it says so", async () => (await reasons()).includes("ClosedAgain"));
    expect(await reasons()).toContain("IsolationChanged");
    const metadata = { name: "late", namespace };
    const spec = { podSelector: { matchLabels: app }, ingress: [{}] };
    const late = good(await scene.people.create(types.networkPolicy, { metadata, spec }));
    const reopened = await scene.inState(namespace, "Unverifiable");
    expect(reopened.status.history.at(-1)?.message).toContain(
      "Ingress by NetworkPolicy shop-lasting/late: from anywhere, all ports",
    );
    const event = await eventually("an Event on the pod", async () => {
      const events = good(await scene.people.list(types.event, { namespace })).items;
      return events.find((one) => textAt(one, ["message"]).includes("let through since")) ?? false;
    });
    expect(textAt(event, ["involvedObject", "uid"])).toBe(uidOf(pod));
    expect(await scene.metrics()).toContain(
      'parapet_isolations_reopened_total{reason="Reopened"} 1',
    );
    good(await scene.people.remove(types.networkPolicy, nameOf(late), uidOf(late)));
    await eventually("it is closed again", async () => (await reasons()).at(-1) !== "Reopened");
    await scene.decide(applied, "Deny");
    await scene.inState(namespace, "Undone");
  });

  it("needed no right that the responder did not ask for", () => {
    expect(log()).not.toMatch(/forbidden/i);
  });

  it.skipIf(oracle === undefined)(
    "goes with its namespace: no policy of the cluster is left behind",
    async () => {
      const namespace = "shop-deleted";
      await usePolicy(namespace, { isolate: {} });
      const spec = { podSelector: {}, policyTypes: ["Egress"], egress: [{}] };
      const metadata = { name: "open", namespace };
      good(await scene.people.create(types.networkPolicy, { metadata, spec }));
      const pod = {
        metadata: { name: "web", namespace, labels: app },
        spec: template(app)["spec"],
      };
      good(await scene.people.create(types.pod, { ...pod, spec: pod.spec ?? {} }));
      await alert(namespace, "web");
      const applied = await scene.inState(namespace, "Applied", "Realised", "Verified");
      if (clusterPolicy === undefined) throw new Error("no kind");
      const own = { namespace: "", name: `parapet-${applied.name.name}-${namespace}` };
      good(await scene.people.get(clusterPolicy, own));
      const live = good(
        await scene.people.get(types.namespace, { namespace: "", name: namespace }),
      );
      good(await scene.people.remove(types.namespace, nameOf(live), uidOf(live)));
      await eventually(
        "the policy of the cluster is gone",
        async () => !(await scene.people.get(clusterPolicy, own)).ok,
        200_000,
      );
    },
  );
});
