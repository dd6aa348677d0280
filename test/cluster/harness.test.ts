// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JsonObject, textAt } from "#policy/json";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { type Crossplane, startCrossplane } from "#test/cluster/crossplane";
import { installCrds } from "#test/cluster/api";
import { render } from "#test/cluster/render";
import { type ComposingFunction, startComposingFunction } from "#test/support/composing-function";
import { eventually } from "#test/support/processes";

// What the other cluster tests stand on: were this wrong, all of them would lie.
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
const box: JsonObject = {
  apiVersion: "test.parapet.dev/v1",
  kind: "Box",
  metadata: { name: "first", namespace: "default" },
  spec: { text: "hello" },
};
const compose = (composite: JsonObject) => ({
  note: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "note" },
    data: { text: textAt(composite, ["spec", "text"]) },
  },
});

describe.skipIf(kubernetesBinaries() === undefined || crossplaneBinaries() === undefined)(
  "control plane",
  () => {
    let plane: ControlPlane;
    let crossplane: Crossplane;
    let composer: ComposingFunction;
    beforeAll(async () => {
      const started = await startControlPlane({ users: { tenant: ["tenants"] } });
      if (started === undefined) throw new Error("no control plane");
      plane = started;
      const core = await startCrossplane(plane);
      if (core === undefined) throw new Error("no Crossplane");
      crossplane = core;
      composer = await startComposingFunction(compose, crossplane.functionTls);
      await crossplane.registerFunction("function-compose", composer.port);
    });
    afterAll(async () => {
      composer?.stop();
      await crossplane?.stop();
      await plane?.stop();
    });

    it("enforces RBAC, so that tests of tenants prove something", async () => {
      expect((await plane.apiAs("tenant").send("GET", "/api/v1/secrets")).status).toBe(403);
    });

    it("composes through a function that is called over mutual TLS", async () => {
      const base = "/apis/apiextensions.crossplane.io";
      await plane.api.apply(
        `${base}/v2/compositeresourcedefinitions/boxes.test.parapet.dev`,
        definition,
      );
      await plane.api.apply(`${base}/v1/compositions/boxes`, composition);
      await eventually("XRs can be created", async () => {
        const reply = await plane.api.send(
          "POST",
          "/apis/test.parapet.dev/v1/namespaces/default/boxes",
          box,
        );
        return reply.status === 201;
      });
      const note = await eventually("the composed ConfigMap", () =>
        plane.api.get("/api/v1/namespaces/default/configmaps/note"),
      );
      expect(note["data"]).toEqual({ text: "hello" });
    });

    it("collects garbage, so that undo and deletion can be seen to work", async () => {
      const configMaps = "/api/v1/namespaces/default/configmaps";
      const owner = await plane.api.create(configMaps, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "owner" },
      });
      const uid = textAt(owner, ["metadata", "uid"]);
      await plane.api.create(configMaps, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: {
          name: "owned",
          ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }],
        },
      });
      await plane.api.remove(`${configMaps}/owner`);
      await eventually("the owned ConfigMap is gone", async () => {
        return (await plane.api.get(`${configMaps}/owned`)) === undefined;
      });
    });

    it("loses nothing when the API server is killed", async () => {
      await plane.api.create("/api/v1/namespaces/default/configmaps", {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "kept" },
      });
      await plane.killApiServer();
      await plane.restartApiServer();
      expect(await plane.api.get("/api/v1/namespaces/default/configmaps/kept")).toBeDefined();
    });

    it("installs definitions whose objects can be written at once", async () => {
      const crd: JsonObject = {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: "things.test.parapet.dev" },
        spec: {
          group: "test.parapet.dev",
          names: { kind: "Thing", plural: "things" },
          scope: "Cluster",
          versions: [
            {
              name: "v1",
              served: true,
              storage: true,
              schema: { openAPIV3Schema: { type: "object" } },
            },
          ],
        },
      };
      await installCrds(plane.api, [crd]);
      await plane.api.create("/apis/test.parapet.dev/v1/things", {
        apiVersion: "test.parapet.dev/v1",
        kind: "Thing",
        metadata: { name: "one" },
      });
    });

    it("renders the same composition without a cluster", async () => {
      const insecure = await startComposingFunction(compose);
      const address = `localhost:${insecure.port}`;
      const output = await render(crossplane.binaries, {
        composite: box,
        composition,
        functions: [{ name: "function-compose", address }],
      });
      insecure.stop();
      expect(output.fatal).toBe(false);
      expect(output.composed.map((resource) => textAt(resource, ["data", "text"]))).toEqual([
        "hello",
      ]);
    });
  },
);
