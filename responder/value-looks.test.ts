// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { textAt } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import type { Cluster, ResourceType } from "#responder/cluster";
import { types, uidOf } from "#responder/cluster";
import type { Plan } from "#responder/plan";
import { readRecord } from "#responder/record/move-remediation";
import { remediationJson, statusJson } from "#responder/record/remediation-record";
import type { Remediation, Status } from "#responder/remediation";
import { lasts, lookAtValues } from "#responder/value-looks";
import { good } from "#test/support/cluster-contract";
import { exampleRemediation } from "#test/support/example-remediation";

const deployment: ResourceType = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  resource: "deployments",
  namespaced: true,
};
const scale = { ...deployment, resource: "deployments/scale" };
const web = { namespace: "shop", name: "web" };
const nowMs = Date.UTC(2026, 10, 22, 12, 0, 0);

/** A workload that the responder set to 0 replicas, and the record of it. */
async function scene(status: Partial<Status> = {}) {
  const memory = makeMemoryCluster(() => nowMs);
  const cluster = memory.client();
  const made = good(
    await memory
      .client("kubectl")
      .create(deployment, { metadata: web, spec: { replicas: 3, paused: false } }),
  );
  await setReplicas(cluster, 0);
  const edit = { path: ["spec", "replicas"], from: 3, to: 0 };
  const plan: Plan = {
    digest: `sha256:${"a".repeat(64)}`,
    actions: [
      {
        action: "scale-to-zero",
        changes: [{ kind: "edit", type: scale, ...web, uid: uidOf(made), edits: [edit] }],
      },
    ],
    residualAllows: [],
    notes: [],
  };
  const example = exampleRemediation({ name: "web-1", state: "Verified" });
  const remediation: Remediation = {
    ...example,
    name: { namespace: "shop", name: "web-1" },
    plan,
    status: {
      ...example.status,
      state: "Verified",
      undo: undefined,
      expiresAtMs: nowMs + 3_600_000,
      ...status,
    },
  };
  const object = good(await cluster.create(types.remediation, remediationJson(remediation, "f")));
  good(
    await cluster.replaceStatus(types.remediation, {
      ...object,
      status: statusJson(remediation.status),
    }),
  );
  let mayClose = true;
  const told: string[] = [];
  const look = async (): Promise<Remediation> => {
    const live = await record(cluster);
    good(
      await lookAtValues(
        {
          cluster,
          remediations: () => [live],
          audit: ({ what }) => Promise.resolve(void told.push(what)),
          now: () => nowMs,
          hold: (_, work) => work(),
          mayClose: () => mayClose,
        },
        live,
      ),
    );
    return record(cluster);
  };
  const forbidClosing = (): void => {
    mayClose = false;
  };
  return { memory, cluster, remediation, look, told, forbidClosing };
}

async function record(cluster: Cluster): Promise<Remediation> {
  const read = good(await readRecord(cluster, { namespace: "shop", name: "web-1" }));
  if (typeof read === "string") throw new Error(read);
  return read.remediation;
}

const setReplicas = async (who: Cluster, value: number): Promise<void> => {
  good(await who.patch(deployment, web, [{ op: "replace", path: "/spec/replicas", value }]));
};

describe("values that are to last", () => {
  it("are not written about while they are as planned", async () => {
    const { cluster, look, told } = await scene();
    const before = good(await cluster.get(types.remediation, { namespace: "shop", name: "web-1" }));
    await look();
    const after = good(await cluster.get(types.remediation, { namespace: "shop", name: "web-1" }));
    expect(textAt(after, ["metadata", "resourceVersion"])).toBe(
      textAt(before, ["metadata", "resourceVersion"]),
    );
    expect(told).toEqual([]);
  });

  it("are said to be changed, once, by whom, and as planned again when they are", async () => {
    const { memory, cluster, look, told } = await scene();
    const autoscaler = memory.client("kube-controller-manager");
    await setReplicas(autoscaler, 2);
    const { status } = await look();
    expect(status.history.at(-1)).toMatchObject({
      from: "Verified",
      to: "Unverifiable",
      reason: "ChangedMeanwhile",
      message:
        "spec.replicas of Deployment shop/web is 2, by field manager kube-controller-manager",
    });
    await look();
    expect(told).toEqual(["Verified -> Unverifiable"]);
    // Nobody is fought: it stays as the other set it.
    expect(good(await cluster.get(deployment, web))["spec"]).toMatchObject({ replicas: 2 });
    await setReplicas(autoscaler, 0);
    const again = await look();
    expect(again.status.history.at(-1)).toMatchObject({ to: "Applied", reason: "ClosedAgain" });
  });

  it("that change all the time stay Unverifiable", async () => {
    const { memory, look, forbidClosing } = await scene();
    const other = memory.client("keda-operator");
    await setReplicas(other, 2);
    await look();
    forbidClosing();
    await setReplicas(other, 0);
    expect((await look()).status.state).toBe("Unverifiable");
  });

  it("are left to the target's own end when their object is gone", async () => {
    const { cluster, look, told } = await scene();
    const live = good(await cluster.get(deployment, web));
    good(await cluster.remove(deployment, web, uidOf(live)));
    expect((await look()).status.state).toBe("Verified");
    expect(told).toEqual([]);
  });

  it.each([
    { reason: "It is being taken back.", status: { undo: { atMs: 1, by: "j", reason: "Denied" } } },
    { reason: "It is for good: drift is watched by itself.", status: { expiresAtMs: undefined } },
    { reason: "It settles yet.", status: { state: "Applied" as const } },
    { reason: "It failed.", status: { state: "Failed" as const } },
  ])("are not looked at otherwise. $reason", async ({ status }) => {
    const { remediation } = await scene(status);
    expect(lasts(remediation)).toBe(false);
  });

  it("of an isolation have looks of their own", async () => {
    const { remediation } = await scene();
    expect(lasts(remediation)).toBe(true);
    const isolation = exampleRemediation({ name: "x", state: "Verified" });
    expect(lasts({ ...remediation, plan: isolation.plan })).toBe(false);
  });
});
