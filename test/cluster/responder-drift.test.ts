// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, type JsonObject, textAt } from "#policy/json";
import { types } from "#responder/cluster";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { type Crossplane, startCrossplane } from "#test/cluster/crossplane";
import { type ResponderScene, startResponderScene } from "#test/cluster/responder-scene";
import { type ComposingFunction, startComposingFunction } from "#test/support/composing-function";
import { eventually } from "#test/support/processes";
import { redisServer } from "#test/support/redis";

const isPossible =
  kubernetesBinaries() !== undefined &&
  crossplaneBinaries() !== undefined &&
  redisServer() !== undefined;

const definition: JsonObject = {
  apiVersion: "apiextensions.crossplane.io/v2",
  kind: "CompositeResourceDefinition",
  metadata: { name: "boxes.test.parapet.dev" },
  spec: {
    scope: "Namespaced",
    group: "test.parapet.dev",
    names: { kind: "Box", plural: "boxes" },
    versions: [
      {
        name: "v1",
        served: true,
        referenceable: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", properties: { text: { type: "string" } } } },
          },
        },
      },
    ],
  },
};
const composition: JsonObject = {
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "Composition",
  metadata: { name: "boxes" },
  spec: {
    compositeTypeRef: { apiVersion: "test.parapet.dev/v1", kind: "Box" },
    mode: "Pipeline",
    pipeline: [{ step: "compose", functionRef: { name: "function-compose" } }],
  },
};
const compose = (composite: JsonObject) => ({
  note: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "note" },
    data: { text: textAt(composite, ["spec", "text"]) },
  },
  app: {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "app" },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: "app" } },
      template: {
        metadata: { labels: { app: "app" } },
        spec: { containers: [{ name: "web", image: "nginx", env: [{ name: "A", value: "1" }] }] },
      },
    },
  },
});
const driftPolicy: JsonObject = {
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "take-back" },
  spec: {
    match: { drift: { kinds: ["ConfigMap", "Deployment"] } },
    when: "drift.namespace == 'default' && !drift.paths.exists(one, one.startsWith('data.loop'))",
    do: [{ rollback: {} }],
    mode: "Propose",
  },
};
const automaticPolicy: JsonObject = {
  ...driftPolicy,
  metadata: { name: "take-back-at-once" },
  spec: {
    match: { drift: { kinds: ["ConfigMap"] } },
    when: "drift.paths == ['data.loop'] && drift.client == 'unknown' && drift.actor == ''",
    do: [{ rollback: {} }],
    mode: "Automatic",
    limits: { perWorkload: 100, perNamespace: 100 },
  },
};
const note = "/api/v1/namespaces/default/configmaps/note";
const app = "/apis/apps/v1/namespaces/default/deployments/app";

describe.skipIf(!isPossible)("drift of what a real Crossplane composed", () => {
  let scene: ResponderScene;
  let crossplane: Crossplane;
  let composer: ComposingFunction;
  beforeAll(async () => {
    const started = await startResponderScene();
    if (started === undefined) throw new Error("no control plane or Redis");
    scene = started;
    const core = await startCrossplane(scene.plane);
    if (core === undefined) throw new Error("no Crossplane");
    crossplane = core;
    composer = await startComposingFunction(compose, crossplane.functionTls);
    await crossplane.registerFunction("function-compose", composer.port);
    const { api } = scene.plane;
    // Core composes Deployments only where its ServiceAccount may; here it is a member of system:masters.
    const base = "/apis/apiextensions.crossplane.io";
    await api.apply(`${base}/v2/compositeresourcedefinitions/boxes.test.parapet.dev`, definition);
    await api.apply(`${base}/v1/compositions/boxes`, composition);
    await eventually("XRs can be created", async () => {
      const box = {
        apiVersion: "test.parapet.dev/v1",
        kind: "Box",
        metadata: { name: "first", namespace: "default" },
        spec: { text: "hello" },
      };
      const reply = await api.send(
        "POST",
        "/apis/test.parapet.dev/v1/namespaces/default/boxes",
        box,
      );
      return reply.status === 201;
    });
    await eventually(
      "both are composed",
      async () => (await api.get(app)) && (await api.get(note)),
    );
    await scene.people.create(types.responsePolicy, driftPolicy);
    await scene.startResponder({
      drift: {
        resources: [
          { apiVersion: "v1", kind: "ConfigMap" },
          { apiVersion: "apps/v1", kind: "Deployment" },
        ],
      },
    });
    await eventually("drift is watched", async () =>
      (await scene.metrics()).includes("parapet_drift_watched 2"),
    );
  });
  afterAll(async () => {
    composer?.stop();
    await crossplane?.stop();
    await scene?.stop();
  });

  it("leaves to Crossplane what Crossplane puts back, and counts it", async () => {
    const { api } = scene.plane;
    await api.mergePatch(note, { data: { text: "changed by hand" } }, "kubectl-edit");
    await eventually("Crossplane put it back", async () => {
      return textAt(await api.get(note), ["data", "text"]) === "hello";
    });
    await eventually("it was seen", async () =>
      /parapet_drift_owner_heals_total\{kind="ConfigMap"\} [1-9]/.test(await scene.metrics()),
    );
    expect(await scene.remediations("default")).toEqual([]);
  });

  it("proposes to remove a field that nobody owns, removes exactly it once approved, and verifies", async () => {
    const { api } = scene.plane;
    await api.mergePatch(note, { data: { evil: "1" } }, "kubectl-edit");
    const proposed = await scene.inState("default", "Proposed");
    expect(proposed.cause).toMatchObject({ source: "Drift", actor: "kubectl-edit" });
    expect(proposed.plan?.actions[0]?.changes[0]).toMatchObject({
      edits: [{ path: ["data", "evil"], from: "1" }],
    });
    expect(at(await api.get(note), ["data"])).toEqual({ text: "hello", evil: "1" });
    await scene.decide(proposed, "Approve");
    const verified = await scene.inState("default", "Verified");
    expect(verified.name).toEqual(proposed.name);
    expect(at(await api.get(note), ["data"])).toEqual({ text: "hello" });
  });

  it("does the same for an environment variable among those that Crossplane composed", async () => {
    const { api } = scene.plane;
    await api.jsonPatch(app, [
      {
        op: "add",
        path: "/spec/template/spec/containers/0/env/0",
        value: { name: "LD_PRELOAD", value: "/tmp/x.so" },
      },
    ]);
    const proposed = await scene.inState("default", "Proposed");
    expect(proposed.cause.message).toContain("env[name=LD_PRELOAD]");
    await scene.decide(proposed, "Approve");
    const settled = await eventually("an end of it", async () => {
      const all = await scene.remediations("default");
      const one = all.find(({ name }) => name.name === proposed.name.name);
      return one !== undefined && ["Verified", "Failed"].includes(one.status.state) ? one : false;
    });
    expect(settled.status.history.at(-1)).toMatchObject({ to: "Verified" });
    const env = at(await api.get(app), ["spec", "template", "spec", "containers", 0, "env"]);
    expect(env).toEqual([{ name: "A", value: "1" }]);
  });

  it("puts it right by itself, until that is a fight: then a person is asked", async () => {
    const { api } = scene.plane;
    await scene.people.create(types.responsePolicy, automaticPolicy);
    await eventually("the policy is in use", async () => {
      const name = { namespace: "", name: "take-back-at-once" };
      const live = await scene.people.get(types.responsePolicy, name);
      return live.ok && textAt(live.value, ["status", "conditions", 0, "status"]) === "True";
    });
    const mine = async () =>
      (await scene.remediations("default")).filter((one) => one.policy === "take-back-at-once");
    for (const times of [1, 2, 3]) {
      await api.mergePatch(note, { data: { loop: "1" } }, "an-operator");
      await eventually(`put right ${times} times`, async () => {
        const states = (await mine()).map((one) => one.status.state);
        return states.length === times && states.every((state) => state === "Verified");
      });
      expect(at(await api.get(note), ["data"])).toEqual({ text: "hello" });
    }
    await api.mergePatch(note, { data: { loop: "1" } }, "an-operator");
    const asked = await eventually("a person is asked", async () =>
      (await mine()).find((one) => one.status.state === "Proposed"),
    );
    expect(asked.plan?.notes.join()).toContain(
      "data.loop was put right 3 times within 15 minutes, and changed again each time",
    );
    await scene.decide(asked, "Approve");
    await eventually("it is put right", async () => {
      const all = await mine();
      return all.length === 4 && all.every((one) => one.status.state === "Verified");
    });
  });

  it("proposes anew when the same drift comes back, and respects an exception", async () => {
    const { api } = scene.plane;
    await api.mergePatch(note, { data: { evil: "1" } }, "kubectl-edit");
    const again = await scene.inState("default", "Proposed");
    await scene.decide(again, "Deny");
    await scene.inState("default", "Denied");
    await scene.people.create(types.driftException, {
      apiVersion: "parapet.dev/v1alpha1",
      kind: "DriftException",
      metadata: { name: "debugging", namespace: "default" },
      spec: {
        target: { apiVersion: "v1", kind: "ConfigMap", name: "note" },
        paths: ["data.debug"],
        owner: "team-a",
        reason: "an incident",
        expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      },
    });
    await eventually("the exception is known", async () =>
      (await scene.metrics()).includes("parapet_drift_exceptions 1"),
    );
    await api.mergePatch(note, { data: { debug: "1" } }, "kubectl-edit");
    await api.mergePatch(note, { data: { worse: "1" } }, "kubectl-edit");
    const proposed = await scene.inState("default", "Proposed");
    expect(proposed.cause.message).toContain("data.worse");
    expect(proposed.cause.message).not.toContain("data.debug");
    expect(proposed.cause.message).not.toContain("data.evil");
  });

  it("records that a credential was changed, and no value of it", async () => {
    const { api } = scene.plane;
    await api.mergePatch(note, { data: { password: "Kn4ryVogel" } }, "kubectl-edit");
    const told = await scene.inState("default", "Observed");
    expect(told.cause.message).toContain("data.password");
    expect(told.cause.message).toContain("kept in no record");
    const records = await scene.people.list(types.remediation, {});
    const audit = readFileSync(join(scene.directory, "one-data/audit.jsonl"), "utf8");
    expect(JSON.stringify(records)).toContain("data.password");
    expect(audit).toContain(told.name.name);
    expect(`${JSON.stringify(records)}${audit}`).not.toContain("Kn4ryVogel");
  });
});
