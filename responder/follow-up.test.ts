// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { at, type JsonObject } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { type Cluster, failure, types, uidOf } from "#responder/cluster";
import { makePlanners } from "#responder/follow-up";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { changesOf, changeText } from "#responder/plan";
import { readRemediation } from "#responder/record/remediation-record";
import type { Remediation } from "#responder/remediation";
import { openConnectionsRule } from "#responder/verification/follow-up-plan";
import { good } from "#test/support/cluster-contract";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = Date.parse("2026-11-22T10:00:00Z");
const podName = { namespace: "prod", name: "web-1" };

const policy = (isolate: JsonObject): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "isolate-shells" },
  spec: {
    match: { falco: { rules: ["Terminal shell in container"] } },
    do: [{ isolate }],
    mode: "Automatic",
  },
});

/** A pod that is isolated, and the policy by which it is. */
async function scene(isolate: JsonObject = { onOpenConnections: "Propose" }) {
  const cluster = makeMemoryCluster(() => nowMs).client("kubectl");
  const pod = good(
    await cluster.create(types.pod, {
      metadata: { ...podName, labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "nginx" }] },
      status: { phase: "Running" },
    }),
  );
  good(await cluster.create(types.responsePolicy, policy(isolate)));
  const isolation: Remediation = {
    ...exampleRemediation({ name: "isolation", state: "Unverifiable" }),
    target: { apiVersion: "v1", kind: "Pod", ...podName, uid: uidOf(pod) },
  };
  return { cluster, isolation };
}

const plannersOf = (cluster: Cluster, known: readonly Remediation[]) =>
  makePlanners({
    cluster,
    getPodNow: () => cluster.get(types.pod, podName),
    remediations: () => known,
    audit: () => Promise.resolve(),
    now: () => nowMs,
    networkNow: makeReadNetwork(cluster, () => nowMs),
    networkNotes: () => [],
    wake: () => undefined,
  });

async function records(cluster: Cluster): Promise<readonly Remediation[]> {
  const listed = good(await cluster.list(types.remediation, {}));
  return listed.items.map(readRemediation).filter((one) => typeof one !== "string");
}

describe("a pod whose open connections outlive its isolation", () => {
  it("is proposed to be ended where its policy says so, once, however often a crash repeats it", async () => {
    const { cluster, isolation } = await scene();
    const { followUp } = plannersOf(cluster, [isolation]);
    const first = good(await followUp(isolation));
    expect(good(await followUp(isolation))).toBe(first);
    const [next, ...others] = await records(cluster);
    expect(others).toEqual([]);
    expect(first).toBe(`; Remediation ${next?.name.name} proposes to end the pod`);
    expect(next).toMatchObject({
      mode: "Propose",
      policy: "isolate-shells",
      target: isolation.target,
      cause: { source: "Falco", rule: openConnectionsRule, priority: "Notice" },
    });
    expect(next?.status.state).toBe("Proposed");
    expect(next?.plan && changesOf(next.plan).map(changeText)).toEqual(["evict Pod prod/web-1"]);
    expect(next?.cause.message).toContain("cut all new connections");
  });

  it.each([
    {
      reason: "The policy only wants it said.",
      isolate: {},
      says: /only the pod's end cuts those .*onOpenConnections/,
    },
    {
      reason: "Said in full.",
      isolate: { onOpenConnections: "Report" },
      says: /only the pod's end cuts those/,
    },
  ])("is named with what can be done: $reason", async ({ isolate, says }) => {
    const { cluster, isolation } = await scene(isolate);
    expect(good(await plannersOf(cluster, [isolation]).followUp(isolation))).toMatch(says);
    expect(await records(cluster)).toEqual([]);
  });

  it.each([
    { reason: "A yes that cannot be acted on is not asked for.", allowed: false, asks: false },
    { reason: "One that can is.", allowed: true, asks: true },
  ])("asks only for what it has the right to: $reason", async ({ allowed, asks }) => {
    const { cluster, isolation } = await scene();
    const type = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      resource: "selfsubjectaccessreviews",
      namespaced: false,
    };
    const asked: JsonObject[] = [];
    const { followUp } = plannersOf(
      {
        ...cluster,
        typeOf: (apiVersion, kind) =>
          kind === type.kind
            ? Promise.resolve({ ok: true, value: type })
            : cluster.typeOf(apiVersion, kind),
        create: (of, object, options) => {
          if (of.kind !== type.kind) return cluster.create(of, object, options);
          asked.push(object);
          return Promise.resolve({ ok: true, value: { ...object, status: { allowed } } });
        },
      },
      [isolation],
    );
    const text = good(await followUp(isolation));
    expect(text).toContain(asks ? "proposes to end the pod" : "has no right to");
    expect((await records(cluster)).length).toBe(asks ? 1 : 0);
    expect(asked.map((one) => at(one, ["spec", "resourceAttributes"]))).toEqual([
      { namespace: "prod", verb: "create", resource: "pods", subresource: "eviction" },
    ]);
  });

  it("is not asked about when it is gone, and asked again when the server is away", async () => {
    const { cluster, isolation } = await scene();
    const away = { ...cluster, list: () => Promise.resolve(failure("Unavailable", "away")) };
    const { followUp } = plannersOf(away, [isolation]);
    expect(await followUp(isolation)).toMatchObject({ ok: false, code: "Unavailable" });
    good(await cluster.remove(types.pod, podName, isolation.target.uid, { graceSeconds: 0 }));
    expect(good(await plannersOf(cluster, []).followUp(isolation))).toBe("");
    expect(await records(cluster)).toEqual([]);
  });

  it("is ended when that is approved while it is isolated, and not when the isolation is over", async () => {
    const { cluster, isolation } = await scene();
    good(await plannersOf(cluster, [isolation]).followUp(isolation));
    const [next] = await records(cluster);
    if (next === undefined) throw new Error("nothing was proposed");
    const during = good(await plannersOf(cluster, [isolation]).replan(next));
    expect(during.event).toMatchObject({ kind: "begun" });
    const undone = { ...isolation, status: { ...isolation.status, state: "Undone" as const } };
    const after = good(await plannersOf(cluster, [undone]).replan(next));
    expect(after.event).toMatchObject({ kind: "denied", reason: "PlanChanged" });
    expect(after.event?.message).toContain("the isolation that it follows is over");
  });
});
