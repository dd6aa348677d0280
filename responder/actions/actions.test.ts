// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, parseJson, textAt } from "#policy/json";
import { bundleMax } from "#responder/actions/capture-evidence";
import { originalLabelsAnnotation } from "#responder/actions/detach";
import { actionTable } from "#responder/actions/table";
import { actionNames, actionSchema, type ActionSpec } from "#responder/action-spec";
import { makeEvidenceDirectory } from "#responder/adapters/evidence-directory";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { exactChange, reasonsOf } from "#responder/record/audit";
import type { Cluster, Reply, ResourceType } from "#responder/cluster";
import { failure, fromKey, types, uidOf } from "#responder/cluster";
import type { EffectPorts } from "#responder/effects";
import { keptIn } from "#responder/evidence";
import { sha256 } from "#responder/finding";
import { act, undo } from "#responder/perform";
import { check } from "#responder/verification/check";
import { makeReadNetwork } from "#responder/isolation/network-view";
import { approversOf, changesOf, changeText, type Plan } from "#responder/plan";
import { planResponse } from "#responder/plan-response";
import { planJson, planSchema, toPlan } from "#responder/record/plan-record";
import type { Remediation } from "#responder/remediation";
import { merged, rolesFor } from "#responder/rbac";
import { exampleRemediation } from "#test/support/example-remediation";

const ended: (() => void)[] = [];
afterEach(() => {
  for (const end of ended.splice(0)) end();
});

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

const deployment: ResourceType = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  resource: "deployments",
  namespaced: true,
};
const replicaSet = { ...deployment, kind: "ReplicaSet", resource: "replicasets" };

const named = (name: string, more: JsonObject = {}): JsonObject => ({
  name,
  namespace: "shop",
  ...more,
});

const owner = (apiVersion: string, kind: string, object: JsonObject): JsonObject => ({
  ownerReferences: [
    {
      apiVersion,
      kind,
      name: textAt(object, ["metadata", "name"]),
      uid: uidOf(object),
      controller: true,
    },
  ],
});

const ready = { conditions: [{ type: "Ready", status: "True" }] };

/** Deployment web with two ready pods, a Service, a default-deny policy and a node. */
async function startScene() {
  const memory = makeMemoryCluster(() => Date.UTC(2026, 10, 22));
  const cluster = memory.client();
  const people = memory.client("kubectl");
  const make = async (type: ResourceType, object: JsonObject): Promise<JsonObject> =>
    good(await people.create(type, object));
  const labels = { app: "web", "pod-template-hash": "abc", team: "shop" };
  await make(types.namespace, { metadata: { name: "shop" } });
  await make(types.node, { metadata: { name: "node-1" }, spec: {} });
  const web = await make(deployment, { metadata: named("web"), spec: { replicas: 2 } });
  const set = await make(replicaSet, {
    metadata: named("web-abc", owner("apps/v1", "Deployment", web)),
    spec: { selector: { matchLabels: { app: "web", "pod-template-hash": "abc" } } },
  });
  await make(types.service, { metadata: named("web"), spec: { selector: { app: "web" } } });
  const makePod = (name: string): Promise<JsonObject> =>
    make(types.pod, {
      metadata: named(name, { labels, ...owner("apps/v1", "ReplicaSet", set) }),
      spec: {
        nodeName: "node-1",
        containers: [
          { name: "web", image: "nginx", env: [{ name: "DB_PASSWORD", value: "hunter2hunter2" }] },
        ],
      },
      status: { phase: "Running", ...ready },
    });
  const pod = await makePod("web-1");
  const twin = await makePod("web-2");
  const directory = mkdtempSync(join(tmpdir(), "parapet-actions-"));
  ended.push(() => rmSync(directory, { recursive: true, force: true }));
  const sent: string[] = [];
  const effects: EffectPorts = {
    cluster,
    now: () => Date.UTC(2026, 10, 22),
    evidence: makeEvidenceDirectory(join(directory, "evidence")),
    send: (to) => {
      sent.push(to);
      return Promise.resolve(
        to === "down" ? failure("Unavailable", "down") : { ok: true, value: undefined },
      );
    },
  };
  return { memory, cluster, people, pod, twin, directory, effects, sent, busy: new Set<string>() };
}

type Scene = Awaited<ReturnType<typeof startScene>>;

/** As the responder names them: the pod's name and ten hexadecimal digits. */
const remediationName = ({ pod }: Pick<Scene, "pod">): string => {
  const name = textAt(pod, ["metadata", "name"]);
  return `${name}-${name === "web-1" ? "0123456789" : sha256(name).slice(0, 10)}`;
};

async function plan(
  scene: Scene,
  actions: readonly Json[],
  limits: JsonObject = {},
  others: readonly Remediation[] = [],
) {
  const specs: readonly ActionSpec[] = actions.map((one) => actionSchema.parse(one));
  const { minReady } = limits;
  return good(
    await planResponse(
      {
        target: {
          apiVersion: "v1",
          kind: "Pod",
          namespace: "shop",
          name: textAt(scene.pod, ["metadata", "name"]),
          uid: uidOf(scene.pod),
        },
        pod: scene.pod,
        remediation: remediationName(scene),
        others,
        read: scene.cluster.get,
        listIn: async (type, namespace) => {
          const listed = await scene.cluster.list(type, { namespace });
          return listed.ok ? { ok: true, value: listed.value.items } : listed;
        },
        network: makeReadNetwork(scene.cluster, () => 0),
      },
      {
        do: [...specs],
        limits: {
          perWorkload: 1,
          perNamespace: 5,
          cooldown: 1,
          ...(typeof minReady === "number" ? { minReady } : {}),
        },
      },
    ),
  );
}

/** Plans, stores and reads the plan back as the custom resource holds it, so that all below runs on what was stored. */
async function remediate(
  scene: Scene,
  actions: readonly Json[],
  limits: JsonObject = {},
  others: readonly Remediation[] = [],
) {
  const planned = await plan(scene, actions, limits, others);
  if (planned.plan === undefined) throw new Error(planned.reason);
  const stored = toPlan(planSchema.parse(JSON.parse(JSON.stringify(planJson(planned.plan)))));
  if (typeof stored === "string") throw new Error(stored);
  expect(stored).toEqual(JSON.parse(JSON.stringify(planned.plan)));
  const remediation: Remediation = {
    ...exampleRemediation({ name: remediationName(scene), state: "Applying" }),
    name: { namespace: "shop", name: remediationName(scene) },
    target: {
      apiVersion: "v1",
      kind: "Pod",
      namespace: "shop",
      name: textAt(scene.pod, ["metadata", "name"]),
      uid: uidOf(scene.pod),
    },
    plan: stored,
    ttlMs: planned.ttlMs,
  };
  const records: string[] = [];
  const ports = {
    cluster: scene.cluster,
    effects: scene.effects,
    now: () => Date.UTC(2026, 10, 22),
    busy: scene.busy,
    getPod: (key: string) => scene.cluster.get(types.pod, fromKey(key)),
    settings: { namespace: "shop", identity: "one", settleMs: 0 },
    audit: (entry: { readonly what: string; readonly detail: JsonObject }) => {
      const note = textAt(entry.detail, ["note"]);
      const change = textAt(entry.detail, ["change"]);
      records.push(`${entry.what} ${change}${note === "" ? "" : `: ${note}`}`);
      return Promise.resolve();
    },
  };
  return {
    remediation,
    records,
    act: () => act(ports, remediation),
    check: () => check(ports, remediation),
    undo: (beside: readonly Remediation[] = []) =>
      undo({ ...ports, remediations: () => [remediation, ...beside] }, remediation),
  };
}

const webPod = { namespace: "shop", name: "web-1" };
const live = async (cluster: Cluster): Promise<JsonObject> =>
  good(await cluster.get(types.pod, webPod));

describe("parameters", () => {
  it.each([
    { reason: "Unknown parameters are refused.", action: { evict: { force: true } } },
    { reason: "Unknown actions are refused.", action: { exec: { command: "sh" } } },
    { reason: "One action in one entry.", action: { evict: {}, delete: {} } },
    { reason: "None is none.", action: {} },
    {
      reason: "An annotation's key is a qualified name.",
      action: { annotate: { annotations: { "a b": "c" } } },
    },
    { reason: "Nothing to write.", action: { annotate: { annotations: {} } } },
    {
      reason: "A label's value has limits.",
      action: { "quarantine-label": { label: { key: "a", value: "x y" } } },
    },
    {
      reason: "A destination is a name, never an address.",
      action: { notify: { url: "https://evil.example" } },
    },
    { reason: "Nothing lasts for ever.", action: { cordon: { ttl: "9000h" } } },
    { reason: "A grace period is bounded.", action: { delete: { gracePeriod: "48h" } } },
    { reason: "Logs are bounded.", action: { "capture-evidence": { logLines: 1_000_000 } } },
  ])("$reason", ({ action }) => {
    expect(actionSchema.safeParse(action).success).toBe(false);
  });

  it("have defaults for every action that can do without", () => {
    for (const name of actionNames.filter((one) => one !== "annotate")) {
      expect(actionSchema.safeParse({ [name]: {} }).success).toBe(true);
    }
  });
});

describe("quarantine-label", () => {
  it("labels, and takes the label away again", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ "quarantine-label": {} }]);
    good(await run.act());
    expect(
      textAt(await live(scene.cluster), ["metadata", "labels", "parapet.dev/quarantine"]),
    ).toBe("true");
    good(await run.undo());
    expect((await live(scene.cluster))["metadata"]).toMatchObject({
      labels: { app: "web", team: "shop" },
    });
    expect(
      textAt(await live(scene.cluster), ["metadata", "labels", "parapet.dev/quarantine"]),
    ).toBe("");
  });

  it("detaches from Services and controller, keeps the labels, and ends by deleting the pod", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ "quarantine-label": { detach: true } }]);
    good(await run.act());
    const pod = await live(scene.cluster);
    expect(at(pod, ["metadata", "labels"])).toEqual({
      team: "shop",
      "parapet.dev/quarantine": "true",
    });
    const kept = textAt(pod, ["metadata", "annotations", originalLabelsAnnotation]);
    expect(parseJson(kept)).toEqual({ app: "web", "pod-template-hash": "abc", team: "shop" });
    good(await run.act());
    good(await run.undo());
    expect(await scene.cluster.get(types.pod, webPod)).toMatchObject({
      ok: false,
      code: "NotFound",
    });
    expect((await scene.cluster.get(types.pod, { ...webPod, name: "web-2" })).ok).toBe(true);
  });

  it("does not delete a pod that somebody took back", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ "quarantine-label": { detach: true } }]);
    good(await run.act());
    good(
      await scene.people.patch(types.pod, webPod, [
        { op: "add", path: "/metadata/labels/app", value: "web" },
      ]),
    );
    expect(good(await run.undo()).event?.message).toContain("somebody changed it since");
    expect((await scene.cluster.get(types.pod, webPod)).ok).toBe(true);
  });

  it("refuses to open a pod by taking it out of the policies that close it, unless it is isolated too", async () => {
    const scene = await startScene();
    good(
      await scene.people.create(types.networkPolicy, {
        metadata: named("deny-egress"),
        spec: { podSelector: { matchLabels: { app: "web" } }, policyTypes: ["Egress"] },
      }),
    );
    const alone = await plan(scene, [{ "quarantine-label": { detach: true } }]);
    expect(alone.plan).toBeUndefined();
    expect(alone.reason).toContain("NetworkPolicy deny-egress would no longer cover the pod");
    const isolated = await plan(scene, [{ isolate: {} }, { "quarantine-label": { detach: true } }]);
    expect(isolated.plan?.actions.map((one) => one.action)).toEqual([
      "isolate",
      "quarantine-label",
    ]);
  });
});

describe("annotate", () => {
  it("restores the value that was there, unless somebody changed it", async () => {
    const scene = await startScene();
    const key = "example.org/state";
    const path = ["metadata", "annotations", key];
    good(
      await scene.people.patch(types.pod, webPod, [
        { op: "add", path: "/metadata/annotations", value: { [key]: "fine" } },
      ]),
    );
    const now = { ...scene, pod: await live(scene.cluster) };
    const run = await remediate(now, [{ annotate: { annotations: { [key]: "suspect" } } }]);
    good(await run.act());
    expect(textAt(await live(scene.cluster), path)).toBe("suspect");
    good(await run.undo());
    expect(textAt(await live(scene.cluster), path)).toBe("fine");
    good(await run.act());
    good(
      await scene.people.patch(types.pod, webPod, [
        { op: "replace", path: "/metadata/annotations/example.org~1state", value: "mine" },
      ]),
    );
    expect(good(await run.undo()).event?.message).toContain("left as it is");
    expect(textAt(await live(scene.cluster), path)).toBe("mine");
  });
});

describe("evict and delete", () => {
  const budget = (allowed: number): JsonObject => ({
    metadata: named("web"),
    spec: { selector: { matchLabels: { app: "web" } }, minAvailable: 2 },
    status: { disruptionsAllowed: allowed },
  });

  it("evicts the pod of that uid, finds it gone, and says so", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ evict: {} }]);
    good(await run.act());
    expect(await scene.cluster.get(types.pod, webPod)).toMatchObject({ code: "NotFound" });
    // As after a crash between the act and its record.
    good(await run.act());
    expect(run.records).toEqual(["did evict Pod shop/web-1", "found done evict Pod shop/web-1"]);
    expect(good(await run.check()).event).toMatchObject({ kind: "verified", reason: "Gone" });
  });

  it.each([
    { reason: "Eviction is left to the API's answer.", action: { evict: {} } },
    { reason: "Deletion goes past budgets, so they are read.", action: { delete: {} } },
  ])("waits for a disruption budget: $reason", async ({ action }) => {
    const scene = await startScene();
    good(await scene.people.create(types.disruptionBudget, budget(0)));
    const run = await remediate(scene, [{ annotate: { annotations: { a: "b" } } }, action]);
    expect(await run.act()).toMatchObject({ ok: false, code: "Unavailable" });
    expect((await scene.cluster.get(types.pod, webPod)).ok).toBe(true);
    const there = good(
      await scene.cluster.get(types.disruptionBudget, { namespace: "shop", name: "web" }),
    );
    good(
      await scene.people.replace(types.disruptionBudget, {
        ...there,
        ...budget(1),
        metadata: there["metadata"] ?? {},
      }),
    );
    good(await run.act());
    expect(await scene.cluster.get(types.pod, webPod)).toMatchObject({ code: "NotFound" });
  });

  it("leaves the next pod of that name alone", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ delete: {} }]);
    good(await scene.people.remove(types.pod, webPod, uidOf(scene.pod)));
    const next = good(await scene.people.create(types.pod, { metadata: named("web-1"), spec: {} }));
    good(await run.act());
    expect(uidOf(await live(scene.cluster))).toBe(uidOf(next));
  });
});

describe("cordon and scale-to-zero", () => {
  it("cordons the pod's node, which two people must approve, and takes it back", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ cordon: {} }]);
    expect(approversOf(run.remediation.plan)).toBe(2);
    const node = { namespace: "", name: "node-1" };
    good(await run.act());
    expect(at(good(await scene.cluster.get(types.node, node)), ["spec"])).toEqual({
      unschedulable: true,
    });
    expect(good(await run.check()).event?.kind).toBe("verified");
    good(await run.undo());
    expect(at(good(await scene.cluster.get(types.node, node)), ["spec"])).toEqual({});
  });

  it("is held to a node that is cordoned already, and leaves it so: the undo would free what we did not close", async () => {
    const scene = await startScene();
    await cordonBy(scene.people);
    const run = await remediate(scene, [
      { annotate: { annotations: { seen: "1" } } },
      { cordon: {} },
    ]);
    expect(run.remediation.plan?.notes.join()).toContain("unschedulable already");
    good(await run.act());
    expect(at(await live(scene.cluster), ["metadata", "annotations", "seen"])).toBe("1");
    expect(good(await run.undo()).event?.message).toBe("all taken back");
    expect(await isCordoned(scene)).toBe(true);
  });

  it("scales the Deployment behind the ReplicaSet to 0 and back, also when the pod has gone meanwhile", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ "quarantine-label": {} }, { "scale-to-zero": {} }]);
    const web = { namespace: "shop", name: "web" };
    const replicas = async (): Promise<Json | undefined> =>
      at(good(await scene.cluster.get(deployment, web)), ["spec", "replicas"]);
    good(await run.act());
    expect(await replicas()).toBe(0);
    good(await scene.people.remove(types.pod, webPod, uidOf(scene.pod)));
    good(await run.act());
    expect(good(await run.check()).event?.kind).toBe("verified");
    good(await run.undo());
    expect(await replicas()).toBe(2);
  });

  it("leaves a number that somebody set since", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ "scale-to-zero": {} }]);
    good(await run.act());
    good(
      await scene.people.patch(deployment, { namespace: "shop", name: "web" }, [
        { op: "replace", path: "/spec/replicas", value: 7 },
      ]),
    );
    expect(good(await run.undo()).event?.message).toContain("left as it is");
  });
});

const node = { namespace: "", name: "node-1" };
const cordonBy = async (who: Cluster): Promise<JsonObject> =>
  good(
    await who.patch(types.node, node, [{ op: "add", path: "/spec/unschedulable", value: true }]),
  );
const isCordoned = async ({ cluster }: Scene): Promise<boolean> =>
  at(good(await cluster.get(types.node, node)), ["spec", "unschedulable"]) === true;

describe("taking back, when somebody had a hand in it meanwhile", () => {
  it.each([
    {
      reason: "A person cordoned the node between the plan and the act.",
      early: async ({ people }: Scene) => cordonBy(people),
      late: () => Promise.resolve(),
    },
    {
      reason: "A person made it schedulable, looked, and cordoned it again.",
      early: () => Promise.resolve(),
      late: async ({ people }: Scene) => {
        const steps = [{ op: "remove", path: "/spec/unschedulable" }] as const;
        good(await people.patch(types.node, node, steps));
        await cordonBy(people);
      },
    },
  ])("leaves a node cordoned that a person cordoned. $reason", async ({ early, late }) => {
    const scene = await startScene();
    const run = await remediate(scene, [{ cordon: {} }]);
    await early(scene);
    good(await run.act());
    await late(scene);
    expect(good(await run.undo()).event?.message).toBe(
      "left as it is: spec.unschedulable was set by field manager kubectl as well",
    );
    expect(await isCordoned(scene)).toBe(true);
  });

  it("puts back each value that is still ours, and names those that are not", async () => {
    const scene = await startScene();
    const annotations = { "a.example/one": "1", "a.example/two": "2", "a.example/three": "3" };
    const run = await remediate(scene, [{ annotate: { annotations, ttl: "1h" } }]);
    good(await run.act());
    // One is changed by a person, one is from now on in Git too, with the same value.
    good(
      await scene.people.patch(types.pod, webPod, [
        { op: "replace", path: "/metadata/annotations/a.example~1one", value: "mine" },
      ]),
    );
    const metadata = { ...webPod, annotations: { "a.example/two": "2" } };
    good(await scene.memory.client("argocd-controller").apply(types.pod, { metadata }));
    const { event } = good(await run.undo());
    expect(event?.message).toContain('["a.example/one"] is neither the old nor the new value');
    expect(event?.message).toContain(
      '["a.example/two"] was set by field manager argocd-controller',
    );
    expect(at(await live(scene.cluster), ["metadata", "annotations"])).toEqual({
      "a.example/one": "mine",
      "a.example/two": "2",
    });
  });

  const isLabelled = async ({ cluster }: Scene): Promise<boolean> =>
    textAt(await live(cluster), ["metadata", "labels", "parapet.dev/quarantine"]) === "true";
  const standing = (one: Remediation, name: string): Remediation => ({
    ...one,
    uid: `uid-${name}`,
    name: { ...one.name, name },
    status: { ...one.status, state: "Verified" },
  });

  it.each([
    { reason: "The one that came first ends first.", order: ["first", "second"] },
    { reason: "The one that came last ends first.", order: ["second", "first"] },
  ] as const)("leaves a label to the last of those who want it. $reason", async ({ order }) => {
    const scene = await startScene();
    const first = await remediate(scene, [{ "quarantine-label": {} }]);
    good(await first.act());
    const began = standing(first.remediation, "first");
    scene.pod = await live(scene.cluster);
    const second = await remediate(scene, [{ "quarantine-label": {} }], {}, [began]);
    good(await second.act());
    const runs = { first, second };
    const beside = { first: standing(second.remediation, "second"), second: began };
    const early = good(await runs[order[0]].undo([beside[order[0]]]));
    expect(early.event?.message).toContain("wants it as well");
    expect(await isLabelled(scene)).toBe(true);
    expect(good(await runs[order[1]].undo()).event?.message).toBe("all taken back");
    expect(await isLabelled(scene)).toBe(false);
  });
});

describe("the least number of ready pods", () => {
  it("is counted without the target, and waits while too few are ready", async () => {
    const scene = await startScene();
    const two = await remediate(scene, [{ isolate: {} }], { minReady: 2 });
    expect(changesOf(planOf(two.remediation)).map(changeText)[0]).toContain(
      "2 other pod(s) of ReplicaSet/web-abc are ready",
    );
    expect(await two.act()).toMatchObject({
      ok: false,
      code: "Unavailable",
      message: "1 other pod(s) of ReplicaSet/web-abc are ready, 2 must be",
    });
    expect(
      textAt(await live(scene.cluster), ["metadata", "labels", "isolate.parapet.dev/0123456789"]),
    ).toBe("");
    const one = await remediate(scene, [{ isolate: {} }], { minReady: 1 });
    good(await one.act());
  });

  it("is not gone below by two of a workload's pods at the same moment", async () => {
    const scene = await startScene();
    const first = await remediate(scene, [{ isolate: {} }], { minReady: 1 });
    const other = { ...scene, pod: scene.twin };
    const second = await remediate(other, [{ isolate: {} }], { minReady: 1 });
    const both = await Promise.all([first.act(), second.act()]);
    expect(both.filter((one) => one.ok)).toHaveLength(1);
    const again = await Promise.all([first.act(), second.act()]);
    expect(again.filter((one) => one.ok).length).toBeLessThan(2);
    const pods = good(await scene.cluster.list(types.pod, { namespace: "shop" })).items;
    const isolated = pods.filter((one) =>
      JSON.stringify(at(one, ["metadata", "labels"])).includes("isolate.parapet.dev/"),
    );
    expect(isolated).toHaveLength(1);
  });

  it("does not stop what leaves the pod in service", async () => {
    const scene = await startScene();
    const kinds = (
      await plan(scene, [{ annotate: { annotations: { a: "b" } } }, { "quarantine-label": {} }], {
        minReady: 5,
      })
    ).plan;
    expect(changesOf(kinds ?? planOf(undefined)).map((one) => one.kind)).toEqual(["edit", "edit"]);
  });
});

const planOf = (remediation: Remediation | undefined): Plan => {
  if (remediation?.plan === undefined) throw new Error("no plan");
  return remediation.plan;
};

describe("capture-evidence", () => {
  it("comes first, is masked, hashed, kept once, and says what could not be had", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ delete: {} }, { "capture-evidence": {} }]);
    expect(run.remediation.plan?.actions.map((one) => one.action)).toEqual([
      "capture-evidence",
      "delete",
    ]);
    const note = good(await run.act()).event?.message ?? "";
    const folder = join(scene.directory, "evidence");
    expect(readdirSync(folder)).toEqual(["shop_web-1-0123456789_uid-web-.json"]);
    const file = join(folder, "shop_web-1-0123456789_uid-web-.json");
    const text = readFileSync(file, "utf8");
    expect(note).toContain(`sha256:${sha256(text)}`);
    expect(statSync(file).mode & 0o777).toBe(0o400);
    expect(text).not.toContain("hunter2");
    const bundle = parseJson(text);
    expect(at(bundle, ["parts", "pod", "metadata", "uid"])).toBe(uidOf(scene.pod));
    expect(at(bundle, ["parts", "pod", "spec", "containers", 0, "env", 0])).toEqual({
      name: "DB_PASSWORD",
      value: "[masked]",
    });
    expect(at(bundle, ["parts", "owners", 1, "kind"])).toBe("Deployment");
    expect(textAt(bundle, ["parts", "log web", "unavailable"])).toContain("no kubelet");
    // Again, after the pod is gone: what was kept first stays.
    good(await run.act());
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  it("masks and bounds logs, and leaves out what does not fit", async () => {
    const scene = await startScene();
    const cluster: Cluster = {
      ...scene.cluster,
      podLog: () =>
        Promise.resolve({
          ok: true,
          value: `Authorization: Bearer abcdefghijkl\n${"x".repeat(10 * bundleMax)}`,
        }),
    };
    const first = { ...scene, cluster, effects: { ...scene.effects, cluster } };
    const run = await remediate(first, [{ "capture-evidence": {} }]);
    good(await run.act());
    const file = join(scene.directory, "evidence", "shop_web-1-0123456789_uid-web-.json");
    expect(statSync(file).size).toBeLessThan(bundleMax);
    expect(readFileSync(file, "utf8")).not.toContain("abcdefghijkl");
  });

  it("that cannot be kept stops what would destroy it", async () => {
    const scene = await startScene();
    const lost = failure("Unavailable", "disk full");
    const effects = {
      ...scene.effects,
      evidence: { ...scene.effects.evidence, keep: () => Promise.resolve(lost) },
    };
    const run = await remediate({ ...scene, effects }, [
      { "capture-evidence": {} },
      { delete: {} },
    ]);
    expect(await run.act()).toMatchObject({
      ok: false,
      message: "capture-evidence: disk full; not done: delete",
    });
    expect((await scene.cluster.get(types.pod, webPod)).ok).toBe(true);
  });
});

describe("capture-evidence that cannot be kept, with onFailure: Continue", () => {
  it("is told in the history and in the audit log, and what follows is done", async () => {
    const scene = await startScene();
    const lost = failure("Unavailable", "evidence: no answer in time");
    const effects = {
      ...scene.effects,
      evidence: { ...scene.effects.evidence, keep: () => Promise.resolve(lost) },
    };
    const run = await remediate({ ...scene, effects }, [
      { "capture-evidence": { onFailure: "Continue" } },
      { delete: {} },
    ]);
    const told = "no evidence was kept: Unavailable: evidence: no answer in time";
    expect(good(await run.act()).event?.message).toContain(told);
    expect(run.records[0]).toBe(`found done keep evidence of Pod shop/web-1: ${told}`);
    expect(await scene.cluster.get(types.pod, webPod)).toMatchObject({ code: "NotFound" });
  });

  it("that was kept is in the audit log with its hash", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ "capture-evidence": {} }]);
    const { event } = good(await run.act());
    const [kept] = keptIn(event?.message ?? "");
    expect(kept?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(keptIn(run.records[0] ?? "")).toEqual([kept]);
  });
});

describe("notify", () => {
  it("writes an Event on the target and sends once, however often it is run", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ notify: { to: "ops" } }]);
    good(await run.act());
    good(await run.act());
    expect(scene.sent).toEqual(["ops"]);
    const events = good(await scene.cluster.list(types.event, { namespace: "shop" })).items;
    expect(events.map((one) => textAt(one, ["involvedObject", "uid"]))).toEqual([uidOf(scene.pod)]);
  });

  it("that reaches nobody is told in the history and stops nothing", async () => {
    const scene = await startScene();
    const run = await remediate(scene, [{ notify: { to: "down" } }, { "quarantine-label": {} }]);
    expect(good(await run.act()).event?.message).toContain("not told: down");
    expect(
      textAt(await live(scene.cluster), ["metadata", "labels", "parapet.dev/quarantine"]),
    ).toBe("true");
  });
});

describe("the audit log of an act", () => {
  it("says why, from which alert, and exactly what, without a secret", () => {
    const example = exampleRemediation({ name: "web-1", state: "Applying" });
    const [change] = example.plan === undefined ? [] : changesOf(example.plan);
    if (change === undefined) throw new Error("no change");
    expect(reasonsOf(example)).toEqual({
      policy: "isolate-shells",
      alert: "f".repeat(64),
      digest: `sha256:${"a".repeat(64)}`,
    });
    expect(at(exactChange(change), ["apply", "metadata", "name"])).toBe("parapet-isolate-3b1c");
    const secret = {
      kind: "edit",
      type: { apiVersion: "v1", kind: "Secret", resource: "secrets", namespaced: true },
      namespace: "shop",
      name: "db",
      uid: "u",
      edits: [{ path: ["data", "key"], from: "b2xk", to: "bmV3" }],
    } as const;
    expect(JSON.stringify(exactChange(secret))).not.toMatch(/b2xk|bmV3/);
    const long = { ...secret, type: types.pod, edits: [{ path: ["a"], to: "x".repeat(50_000) }] };
    expect(JSON.stringify(exactChange(long)).length).toBeLessThan(200);
  });
});

describe("the rights of actions", () => {
  it("are stated for every action but rollback and reconcile, whose are those of the watched kinds", () => {
    for (const name of actionNames) {
      expect(actionTable[name].name).toBe(name);
      expect(actionTable[name].rbac.length > 0).toBe(!["rollback", "reconcile"].includes(name));
    }
  });

  it("are in the role when the action is enabled, and not when it is not", () => {
    const config = { namespace: "parapet-system", review: { reviewers: [] } };
    const verbs = (actions: Parameters<typeof rolesFor>[2], resource: string): Json => {
      const rules = at(rolesFor(config, [], actions)[0], ["rules"]);
      const found = (isArray(rules) ? rules : []).find(
        (one) => at(one, ["resources", 0]) === resource,
      );
      return isObject(found) ? (found["verbs"] ?? []) : [];
    };
    expect(verbs(["isolate"], "pods")).toEqual(["get", "list", "watch", "patch"]);
    expect(verbs(["notify"], "pods")).toEqual(["get"]);
    expect(verbs(["delete"], "pods")).toEqual(["get", "list", "delete"]);
    expect(verbs(["isolate"], "nodes")).toEqual([]);
    expect(verbs(["cordon"], "nodes")).toEqual(["get", "patch"]);
    expect(verbs(actionNames, "secrets")).toEqual([]);
    expect(verbs(actionNames, "approvals")).not.toContain("create");
  });

  it("are merged to one sorted rule for each resource", () => {
    const rule = (verb: string) => ({
      apiGroups: [""],
      resources: ["pods", "nodes"],
      verbs: [verb],
    });
    expect(merged([rule("patch"), rule("get"), rule("patch")])).toEqual([
      { apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] },
      { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
    ]);
  });
});
