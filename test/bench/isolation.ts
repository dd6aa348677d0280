// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { isolationLabel, planIsolation, withLabels } from "#responder/actions/isolate";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { type Cluster, type Reply, types, uidOf } from "#responder/cluster";
import { makeMetrics } from "#responder/metrics";
import { makeReadNetwork, type NetworkView } from "#responder/isolation/network-view";
import { planDigest } from "#responder/plan";
import { podViewOf } from "#responder/reachability/pod-view";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";
import { residualAllows } from "#responder/reachability/residual";
import { Rechecker } from "#responder/isolation/rechecker";
import type { Remediation } from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";
import { eventually } from "#test/support/processes";

// What it costs to plan one isolation among many policies, and to look after a thousand of them.
const rounds = 30;
const namespaces = 20;
const podsEach = 50;

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};
const clusterPolicy = policyKinds
  .map(typeOfKind)
  .find((one) => one.kind === "ClusterNetworkPolicy");
if (clusterPolicy === undefined) throw new Error("no kind");

const networkPolicy = (namespace: string, index: number, podSelector: JsonObject): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: `np-${index}`, namespace },
  spec: {
    podSelector,
    policyTypes: ["Ingress", "Egress"],
    ingress: [
      { from: [{ podSelector: { matchLabels: { role: "x" } } }], ports: [{ port: 80 }] },
      { from: [{ ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }] },
    ],
    egress: [
      { to: [{ namespaceSelector: { matchLabels: { team: "a" } } }], ports: [{ port: 53 }] },
    ],
  },
});
const adminPolicy = (index: number): JsonObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  metadata: { name: `admin-${index}` },
  spec: {
    tier: index % 2 === 0 ? "Admin" : "Baseline",
    priority: index + 1,
    subject: { namespaces: {} },
    ingress: [
      {
        name: "in",
        action: index % 3 === 0 ? "Deny" : "Accept",
        from: [{ namespaces: { matchLabels: { team: `t${index}` } } }],
      },
    ],
  },
});
const podNamed = (namespace: string, name: string): JsonObject => ({
  metadata: { namespace, name, labels: { app: name.replace(/-.*/, "") } },
  spec: { containers: [{ name: "web", image: "nginx", ports: [{ containerPort: 80 }] }] },
});

function timed(work: () => unknown): string {
  for (let i = 0; i < 5; i += 1) work();
  const ms = Array.from({ length: rounds }, () => {
    const from = performance.now();
    work();
    return performance.now() - from;
  }).sort((a, b) => a - b);
  const at = (part: number): string => (ms[Math.floor(ms.length * part)] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} p95 ${at(0.95)} ms`;
}

/** 500 NetworkPolicies and 50 ClusterNetworkPolicies about one namespace. */
function planning(selecting: number): void {
  const policies = [
    ...Array.from({ length: 500 }, (_, index) =>
      networkPolicy("shop", index, index < selecting ? {} : { matchLabels: { app: `a${index}` } }),
    ),
    ...Array.from({ length: 50 }, (_, index) => adminPolicy(index)),
  ];
  const pod = podNamed("shop", "web-1");
  const namespace = { metadata: { labels: { "kubernetes.io/metadata.name": "shop" } } };
  const network: NetworkView = { served: policyKinds.slice(0, 2), policies, namespace };
  const target = { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web-1", uid: "uid-1" };
  const remediation = "web-0123456789";
  const plan = () =>
    planIsolation({ target, pod, network, remediation, parameters: { allow: [] } });
  const planned = plan();
  if (!planned.ok) throw new Error(planned.message);
  const manifests = planned.action.changes.flatMap((change) =>
    change.kind === "apply" ? [change.manifest] : [],
  );
  const path = ["metadata", "labels", isolationLabel(remediation)];
  const view = podViewOf(withLabels(pod, [{ path, to: "uid-1" }]), namespace);
  const what = `500 NetworkPolicies (${selecting} select the pod) + 50 ClusterNetworkPolicies`;
  console.log(`| plan one isolation, ${what} | ${timed(plan)} |`);
  console.log(`| evaluate it once | ${timed(() => residualAllows(view, policies, manifests))} |`);
}

async function furnish(cluster: Cluster): Promise<readonly Remediation[]> {
  const readNetwork = makeReadNetwork(cluster, Date.now);
  const found: Remediation[] = [];
  for (let index = 0; index < 50; index += 1) {
    if (clusterPolicy !== undefined) good(await cluster.create(clusterPolicy, adminPolicy(index)));
  }
  for (let index = 0; index < namespaces; index += 1) {
    const namespace = `shop-${index}`;
    good(await cluster.create(types.namespace, { metadata: { name: namespace } }));
    for (let policy = 0; policy < 25; policy += 1) {
      const selector = { matchLabels: { app: `a${policy}` } };
      good(await cluster.create(types.networkPolicy, networkPolicy(namespace, policy, selector)));
    }
    const network = good(await readNetwork(namespace));
    for (let number = 0; number < podsEach; number += 1) {
      found.push(await isolate(cluster, network, namespace, `web-${number}`));
    }
  }
  return found;
}

async function isolate(
  cluster: Cluster,
  network: NetworkView,
  namespace: string,
  name: string,
): Promise<Remediation> {
  const pod = good(await cluster.create(types.pod, podNamed(namespace, name)));
  const target = { apiVersion: "v1", kind: "Pod", namespace, name, uid: uidOf(pod) };
  const remediation = `${name}-${namespace}`.padEnd(20, "0");
  const planned = planIsolation({ target, pod, network, remediation, parameters: { allow: [] } });
  if (!planned.ok) throw new Error(planned.message);
  for (const change of planned.action.changes) {
    if (change.kind === "apply") good(await cluster.create(change.type, change.manifest));
  }
  const labels = { app: "web", [isolationLabel(remediation)]: uidOf(pod) };
  good(
    await cluster.patch(types.pod, target, [
      { op: "add", path: "/metadata/labels", value: labels },
    ]),
  );
  const actions = [planned.action];
  const { residualAllows: open, notes } = planned;
  const plan = { digest: planDigest(target, actions), actions, residualAllows: open, notes };
  const example = exampleRemediation({ name: remediation, state: "Verified" });
  return { ...example, name: { namespace, name: remediation }, target, plan };
}

async function lasting(): Promise<void> {
  const cluster = makeMemoryCluster(
    Date.now,
    clusterPolicy === undefined ? [] : [clusterPolicy],
  ).client();
  const remediations = await furnish(cluster);
  const metrics = makeMetrics();
  const rechecker = new Rechecker({
    cluster,
    audit: () => Promise.resolve(),
    now: Date.now,
    stopped: () => true,
    hold: (_, work) => work(),
    wake: () => undefined,
    metrics,
    log: () => undefined,
    settings: { namespace: "parapet-system" },
  });
  const figure = (name: string): number =>
    Number(new RegExp(`^${name} (\\S+)$`, "m").exec(metrics.text())?.[1] ?? 0);
  const looks = async (what: string, change: () => Promise<unknown>): Promise<void> => {
    const before = figure("parapet_recheck_seconds_count");
    const spent = figure("parapet_recheck_seconds_sum");
    await change();
    let last = -1;
    await eventually(
      "all is looked at",
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        const now = figure("parapet_recheck_seconds_count");
        const isDone = now === last;
        last = now;
        return isDone;
      },
      120_000,
    );
    const count = last - before;
    const seconds = figure("parapet_recheck_seconds_sum") - spent;
    const each = count === 0 ? "-" : `${((seconds / count) * 1_000).toFixed(2)} ms each`;
    console.log(`| ${what} | ${count} looks, ${each}, ${seconds.toFixed(2)} s in all |`);
  };
  await looks(`start with ${remediations.length} isolations in ${namespaces} namespaces`, () => {
    for (const one of remediations) rechecker.change(`${one.name.namespace}/${one.name.name}`, one);
    return Promise.resolve();
  });
  await looks("a policy that selects none of the pods", () =>
    cluster.create(
      types.networkPolicy,
      networkPolicy("shop-1", 100, { matchLabels: { app: "db" } }),
    ),
  );
  const own = { matchLabels: { "isolate.parapet.dev/x": "uid-of-another-pod" } };
  for (let index = 0; index < 1_000; index += 1) {
    good(await cluster.create(types.networkPolicy, networkPolicy("shop-1", 1_000 + index, own)));
  }
  await looks("1,000 policies that each select another pod alone", () => Promise.resolve());
  const deny = { podSelector: {}, policyTypes: ["Ingress"] };
  await looks("a policy of one namespace that selects all of its pods", () =>
    cluster.create(types.networkPolicy, {
      ...networkPolicy("shop-1", 101, {}),
      spec: deny,
    }),
  );
  await looks("a policy of the cluster that selects all pods", () =>
    clusterPolicy === undefined
      ? Promise.resolve()
      : cluster.create(clusterPolicy, { ...adminPolicy(0), metadata: { name: "late" } }),
  );
  await rechecker.stop();
}

console.log("| what | figure |\n|---|---|");
planning(5);
planning(500);
await lasting();
