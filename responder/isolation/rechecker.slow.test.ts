// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import { actionSchema } from "#responder/action-spec";
import { isolationLabel } from "#responder/actions/isolate";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import type { AuditEntry } from "#responder/record/audit";
import { makeRemediationCache } from "#responder/caches";
import { makeChange } from "#responder/changes";
import type { Cluster, Reply } from "#responder/cluster";
import { types, uidOf } from "#responder/cluster";
import { makeMetrics } from "#responder/metrics";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { holding } from "#responder/perform";
import { changesOf } from "#responder/plan";
import { planResponse } from "#responder/plan-response";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";
import { sweepOrphans } from "#responder/isolation/recheck-orphans";
import { Rechecker } from "#responder/isolation/rechecker";
import type { Remediation } from "#responder/remediation";
import { readRemediation, remediationJson, statusJson } from "#responder/record/remediation-record";
import { makeWatcher } from "#responder/watcher";
import { exampleRemediation } from "#test/support/example-remediation";
import { eventually } from "#test/support/processes";

const ended: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};
const clusterPolicy = policyKinds.flatMap((one) =>
  one.kind === "ClusterNetworkPolicy" ? [typeOfKind(one)] : [],
);
const name = "web-0123456789";
const label = isolationLabel(name);
const webPod = { namespace: "shop", name: "web" };
const policy = { namespace: "shop", name: `parapet-${name}` };

const networkPolicy = (called: string, spec: JsonObject, namespace = "shop"): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: called, namespace },
  spec,
});
const openToAll = { podSelector: {}, policyTypes: ["Egress"], egress: [{}] };

/** An isolation in force, looked after by the real thing on the cluster in memory. */
async function scene(
  options: { readonly open?: JsonObject; readonly history?: Remediation["status"]["history"] } = {},
) {
  const memory = makeMemoryCluster(Date.now, clusterPolicy);
  const cluster = memory.client();
  const people = memory.client("kubectl");
  good(await people.create(types.namespace, { metadata: { name: "shop" } }));
  const metadata = { ...webPod, labels: { app: "web" } };
  const pod = good(await people.create(types.pod, { metadata, spec: { containers: [] } }));
  if (options.open !== undefined) good(await people.create(types.networkPolicy, options.open));
  const target = { apiVersion: "v1", kind: "Pod", ...webPod, uid: uidOf(pod) };
  const planned = await planResponse(
    {
      target,
      pod,
      remediation: name,
      read: cluster.get,
      listIn: () => Promise.resolve({ ok: true, value: [] }),
      network: makeReadNetwork(cluster, Date.now),
    },
    {
      do: [actionSchema.parse({ isolate: {} })],
      limits: { perWorkload: 1, perNamespace: 5, cooldown: 1 },
    },
  );
  const { plan } = good(planned);
  if (plan === undefined) throw new Error("no plan");
  const example = exampleRemediation({ name: "web", state: "Verified" });
  const remediation = { ...example, name: { namespace: "shop", name }, target, plan };
  for (const change of changesOf(plan)) {
    if (change.kind === "apply" || change.kind === "edit")
      good(await makeChange(cluster, change, name, false));
  }
  const created = await cluster.create(types.remediation, remediationJson(remediation, "finding"));
  good(
    await cluster.replaceStatus(types.remediation, {
      ...good(created),
      status: statusJson({
        ...remediation.status,
        state: options.history?.at(-1)?.to ?? "Verified",
        history: options.history ?? remediation.status.history,
      }),
    }),
  );
  return { people, target, ...look(cluster) };
}

function look(cluster: Cluster) {
  const audits: AuditEntry[] = [];
  const woken: string[] = [];
  const metrics = makeMetrics();
  const stop = { on: false };
  const base = { cluster, now: Date.now, busy: new Set<string>() };
  const settings = { namespace: "parapet-system", identity: "one", settleMs: 1 };
  const rechecker = new Rechecker({
    ...base,
    audit: (entry) => {
      audits.push(entry);
      return Promise.resolve();
    },
    stopped: () => stop.on,
    hold: (remediation, work) => holding({ ...base, settings }, remediation, work),
    wake: (key) => woken.push(key),
    metrics,
    log: () => undefined,
    settings,
  });
  const cache = makeRemediationCache(() => undefined);
  const watcher = makeWatcher({
    cluster,
    type: types.remediation,
    onChange: (change) => {
      cache.change(change);
      rechecker.change(change.key, cache.get(change.key));
    },
    onFailure: () => undefined,
  });
  ended.push(async () => {
    await rechecker.stop();
    await watcher.stop();
  });
  const read = async (): Promise<Remediation> => {
    const live = good(await cluster.get(types.remediation, { namespace: "shop", name }));
    const found = readRemediation(live);
    if (typeof found === "string") throw new Error(found);
    return found;
  };
  const lastStep = async (reason: string) =>
    eventually(`a step ${reason}`, async () => {
      const last = (await read()).status.history.at(-1);
      return last?.reason === reason ? last : false;
    });
  /** Until everything that is known by now was looked at. */
  const settled = async (): Promise<void> => {
    await eventually("all is looked at", () =>
      /parapet_recheck_seconds_count/.test(metrics.text()),
    );
    await new Promise((resolve) => setTimeout(resolve, 250));
  };
  return { cluster, audits, woken, metrics, stop, read, lastStep, settled };
}

describe("an isolation that lasts", () => {
  it("is left alone while nothing is about it", async () => {
    const { people, read, settled, metrics } = await scene();
    await settled();
    const counted = /parapet_recheck_seconds_count (\d+)/.exec(metrics.text())?.[1];
    const elsewhere = networkPolicy("other", { podSelector: { matchLabels: { app: "db" } } });
    good(await people.create(types.networkPolicy, elsewhere));
    good(await people.create(types.networkPolicy, networkPolicy("far", openToAll, "far")));
    await settled();
    expect((await read()).status.state).toBe("Verified");
    // Policies that do not select the pod are not even evaluated for it.
    expect(metrics.text()).toContain(`parapet_recheck_seconds_count ${counted ?? ""}\n`);
    expect(metrics.text()).toContain("parapet_isolations 1");
  });

  it("is found re-opened by a new policy, said once, and closed again when that goes", async () => {
    const { people, audits, lastStep, read, settled, metrics } = await scene();
    await settled();
    const made = await people.create(types.networkPolicy, networkPolicy("allow-all", openToAll));
    const step = await lastStep("Reopened");
    expect(step).toMatchObject({ from: "Verified", to: "Unverifiable", by: "parapet" });
    expect(step.message).toContain(
      "let through since: Egress by NetworkPolicy shop/allow-all: to anywhere, all ports",
    );
    await settled();
    const { history } = (await read()).status;
    expect(history.filter(({ reason }) => reason === "Reopened")).toHaveLength(1);
    good(
      await people.remove(
        types.networkPolicy,
        { namespace: "shop", name: "allow-all" },
        uidOf(good(made)),
      ),
    );
    // It settles anew: connections may have been made meanwhile.
    expect(await lastStep("ClosedAgain")).toMatchObject({ from: "Unverifiable", to: "Applied" });
    expect(audits.map(({ what }) => what)).toEqual([
      "Verified -> Unverifiable",
      "Unverifiable -> Applied",
    ]);
    expect(metrics.text()).toContain('parapet_isolations_reopened_total{reason="Reopened"} 1');
  });

  it("does not call new what the plan named", async () => {
    const open = networkPolicy("allow-all", openToAll);
    const { read, settled } = await scene({ open });
    await settled();
    const { plan, status } = await read();
    expect(plan?.residualAllows.map((one) => one.name)).toEqual(["allow-all"]);
    expect(status.state).toBe("Verified");
  });

  it("settles anew when people closed what its plan left open, and is re-opened by the same again", async () => {
    const open = networkPolicy("allow-all", openToAll);
    const found = {
      atMs: 1,
      from: "Applied",
      to: "Unverifiable",
      reason: "ResidualAllows",
    } as const;
    const history = [{ ...found, message: "", by: "parapet" }];
    const { people, read, lastStep, settled } = await scene({ open, history });
    await settled();
    // As long as it is there nothing is said anew.
    expect((await read()).status.history).toHaveLength(1);
    const there = good(
      await people.get(types.networkPolicy, { namespace: "shop", name: "allow-all" }),
    );
    good(
      await people.remove(
        types.networkPolicy,
        { namespace: "shop", name: "allow-all" },
        uidOf(there),
      ),
    );
    expect(await lastStep("NothingLeftOpen")).toMatchObject({
      from: "Unverifiable",
      to: "Applied",
    });
    good(await people.create(types.networkPolicy, open));
    expect((await lastStep("Reopened")).message).toContain("shop/allow-all");
  });

  it("is found re-opened by a policy of the cluster", async () => {
    const { people, lastStep, settled } = await scene();
    await settled();
    const [type] = clusterPolicy;
    if (type === undefined) throw new Error("no type");
    good(
      await people.create(type, {
        metadata: { name: "admin-opens" },
        spec: {
          tier: "Admin",
          priority: 5,
          subject: {
            pods: { namespaceSelector: { matchLabels: { risk: "low" } }, podSelector: {} },
          },
          egress: [{ name: "all", action: "Accept", to: [{ networks: ["10.0.0.0/8"] }] }],
        },
      }),
    );
    await settled();
    // It selects by labels of the namespace: only now it is about the pod.
    good(
      await people.patch(types.namespace, { namespace: "", name: "shop" }, [
        { op: "add", path: "/metadata/labels", value: { risk: "low" } },
      ]),
    );
    expect((await lastStep("Reopened")).message).toContain("ClusterNetworkPolicy admin-opens");
  });

  it.each([
    {
      reason: "its policy was deleted",
      harm: async ({ people }: { readonly people: Cluster }) => {
        const live = good(await people.get(types.networkPolicy, policy));
        good(await people.remove(types.networkPolicy, policy, uidOf(live)));
      },
      says: "not there",
    },
    {
      reason: "its policy was edited",
      harm: async ({ people }: { readonly people: Cluster }) => {
        good(
          await people.patch(types.networkPolicy, policy, [
            { op: "add", path: "/spec/egress", value: [{}] },
          ]),
        );
      },
      says: "its spec is another",
    },
    {
      reason: "its label was taken off the pod",
      harm: async ({ people }: { readonly people: Cluster }) => {
        const path = `/metadata/labels/${label.replace("/", "~1")}`;
        good(await people.patch(types.pod, webPod, [{ op: "remove", path }]));
      },
      says: "not in force",
    },
  ])("is put back when $reason", async ({ harm, says }) => {
    const { people, cluster, lastStep, read, target, settled } = await scene();
    await settled();
    await harm({ people });
    await lastStep("ClosedAgain");
    const { history } = (await read()).status;
    const found = history.find((one) => one.reason === "IsolationChanged");
    expect(found?.message).toContain(says);
    const live = good(await cluster.get(types.networkPolicy, policy));
    expect(at(live, ["spec", "egress"])).toBeUndefined();
    const pod = good(await cluster.get(types.pod, webPod));
    expect(textAt(pod, ["metadata", "labels", label])).toBe(target.uid);
  });

  it("leaves alone what is somebody else's by now, and says so", async () => {
    const { people, cluster, lastStep, settled } = await scene();
    await settled();
    good(
      await people.patch(types.networkPolicy, policy, [
        { op: "replace", path: "/metadata/labels/parapet.dev~1remediation", value: "mine" },
      ]),
    );
    expect((await lastStep("IsolationChanged")).message).toContain("not ours any more");
    const live = good(await cluster.get(types.networkPolicy, policy));
    expect(textAt(live, ["metadata", "labels", "parapet.dev/remediation"])).toBe("mine");
  });

  it("is said to be changed and not put back while the global stop is on", async () => {
    const { people, cluster, lastStep, settled, stop } = await scene();
    await settled();
    stop.on = true;
    const live = good(await people.get(types.networkPolicy, policy));
    good(await people.remove(types.networkPolicy, policy, uidOf(live)));
    expect((await lastStep("IsolationChanged")).message).toContain("the global stop is on");
    expect((await cluster.get(types.networkPolicy, policy)).ok).toBe(false);
  });

  it("does not fight for ever", async () => {
    const { people, cluster, lastStep, settled } = await scene();
    await settled();
    for (let round = 0; round < 6; round += 1) {
      const live = good(await people.get(types.networkPolicy, policy));
      good(await people.remove(types.networkPolicy, policy, uidOf(live)));
      if (round < 5) {
        await eventually(
          "it is put back",
          async () => (await cluster.get(types.networkPolicy, policy)).ok,
        );
      }
    }
    expect((await lastStep("IsolationChanged")).message).toContain("somebody keeps changing it");
  });

  it("that somebody opens and closes all the time stays open, and its history short", async () => {
    const { people, read, settled } = await scene();
    await settled();
    const key = { namespace: "shop", name: "blink" };
    for (let round = 0; round < 14; round += 1) {
      const made = await people.create(types.networkPolicy, networkPolicy("blink", openToAll));
      const isOpen = async () => (await read()).status.state === "Unverifiable";
      await eventually("it is found open", isOpen);
      good(await people.remove(types.networkPolicy, key, uidOf(good(made))));
      if (round < 10) await eventually("it is closed", async () => !(await isOpen()));
    }
    await settled();
    const { status } = await read();
    expect(status.state).toBe("Unverifiable");
    expect(status.history.filter(({ reason }) => reason === "ClosedAgain")).toHaveLength(10);
    expect(status.history.length).toBeLessThan(25);
  });

  it("is not put back once it is being taken back", async () => {
    const { people, cluster, settled, audits } = await scene();
    await settled();
    const key = { namespace: "shop", name };
    const live = good(await cluster.get(types.remediation, key));
    const found = readRemediation(live);
    if (typeof found === "string") throw new Error(found);
    const undo = { atMs: Date.now(), by: "jane", reason: "Denied" };
    const status = statusJson({ ...found.status, undo });
    good(await cluster.replaceStatus(types.remediation, { ...live, status }));
    const own = good(await people.get(types.networkPolicy, policy));
    good(await people.remove(types.networkPolicy, policy, uidOf(own)));
    await settled();
    expect((await cluster.get(types.networkPolicy, policy)).ok).toBe(false);
    expect(audits).toEqual([]);
  });

  it("hands a pod that is gone to the worker", async () => {
    const { people, woken, settled, target } = await scene();
    await settled();
    good(await people.remove(types.pod, webPod, target.uid));
    await eventually("it is woken", () => woken.includes(`shop/${name}`));
  });
});

describe("policies whose record is gone", () => {
  const discover = () =>
    Promise.resolve({
      ok: true,
      value: policyKinds.filter((one) => one.group.endsWith("k8s.io")),
    } as const);
  const removeRecord = async ({ cluster }: { readonly cluster: Cluster }): Promise<void> => {
    const key = { namespace: "shop", name };
    const live = good(await cluster.get(types.remediation, key));
    good(await cluster.remove(types.remediation, key, uidOf(live)));
  };
  const sweep = async (cluster: Cluster) => {
    const audits: string[] = [];
    const swept = await sweepOrphans({
      cluster,
      discover,
      audit: (entry) => {
        audits.push(`${entry.what} ${entry.remediation}`);
        return Promise.resolve();
      },
    });
    return { ...good(swept), audits };
  };

  it("are left as long as it is there", async () => {
    const { cluster, people, target } = await scene();
    good(await people.remove(types.pod, webPod, target.uid));
    expect(await sweep(cluster)).toEqual({ removed: 0, unrecorded: [], audits: [] });
  });

  it("are named while they cut a pod, and deleted when that is gone, but for what is not ours", async () => {
    const { cluster, people, target } = await scene();
    const foreign = networkPolicy("theirs", openToAll);
    const labels = { "parapet.dev/remediation": "mine" };
    good(
      await people.create(types.networkPolicy, {
        ...foreign,
        metadata: { name: "theirs", namespace: "shop", labels },
      }),
    );
    await removeRecord({ cluster });
    const named = [`NetworkPolicy shop/${policy.name}`];
    expect(await sweep(cluster)).toMatchObject({ removed: 0, unrecorded: named });
    good(await people.remove(types.pod, webPod, target.uid));
    const swept = await sweep(cluster);
    expect(swept).toMatchObject({ removed: 1, unrecorded: [] });
    expect(swept.audits).toEqual([`took back shop/${name}`]);
    const left = good(await cluster.list(types.networkPolicy, {})).items;
    expect(left.map((one) => textAt(one, ["metadata", "name"]))).toEqual(["theirs"]);
  });
});
