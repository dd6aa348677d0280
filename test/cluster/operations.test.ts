// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCertificates, rotatingCredentials } from "#function/credentials";
import { makeHandler } from "#function/handler";
import { startServer, type RunningServer } from "#function/server";
import { at, isArray, textAt, type JsonObject } from "#policy/json";
import { installCrds } from "#test/cluster/api";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { startControlPlane, type ControlPlane } from "#test/cluster/control-plane";
import { startCrossplane, type Crossplane } from "#test/cluster/crossplane";
import { eventually } from "#test/support/processes";

// A WatchOperation and a CronOperation on real Crossplane: existing objects are judged as they change and by the clock, and the
// reports follow, in both groups that clusters have them in.

/** PolicyReport's own schema is long; here it matters that server-side apply takes and keeps the object. */
const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
const reportsOf = (group: string, version: string, kind: string): JsonObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${kind.toLowerCase()}s.${group}` },
  spec: {
    group,
    names: { kind, plural: `${kind.toLowerCase()}s` },
    scope: "Namespaced",
    versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: open } }],
  },
});
const reports = [
  reportsOf("wgpolicyk8s.io", "v1alpha2", "PolicyReport"),
  reportsOf("openreports.io", "v1alpha1", "Report"),
];

const policy: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "size" },
  spec: {
    validationActions: ["Deny"],
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"], operations: ["CREATE"] },
      ],
    },
    validations: [{ expression: "object.data.size != 'big'", message: "too big" }],
  },
};
const watch: JsonObject = {
  apiVersion: "ops.crossplane.io/v1alpha1",
  kind: "WatchOperation",
  metadata: { name: "check" },
  spec: {
    watch: {
      apiVersion: "v1",
      kind: "ConfigMap",
      namespace: "default",
      matchLabels: { checked: "yes" },
    },
    operationTemplate: {
      spec: {
        mode: "Pipeline",
        pipeline: [
          {
            step: "check",
            functionRef: { name: "function-parapet" },
            input: {
              apiVersion: "parapet.fn.crossplane.io/v1beta1",
              kind: "Guardrails",
              policies: { inline: [policy] },
            },
          },
        ],
      },
    },
  },
};

/** By the clock, as no change of any object is: policies change too. */
const cron: JsonObject = {
  apiVersion: "ops.crossplane.io/v1alpha1",
  kind: "CronOperation",
  metadata: { name: "sweep" },
  spec: {
    schedule: "* * * * *",
    concurrencyPolicy: "Forbid",
    operationTemplate: {
      spec: {
        mode: "Pipeline",
        pipeline: [
          {
            step: "check",
            functionRef: { name: "function-parapet" },
            input: {
              apiVersion: "parapet.fn.crossplane.io/v1beta1",
              kind: "Guardrails",
              policies: { inline: [policy] },
              check: {
                reports: ["openreports.io"],
                resources: [
                  {
                    apiVersion: "v1",
                    kind: "ConfigMap",
                    namespace: "default",
                    matchLabels: { swept: "yes" },
                  },
                ],
              },
            },
          },
        ],
      },
    },
  },
};

const maps = "/api/v1/namespaces/default/configmaps";
const map = (data: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "m", namespace: "default", labels: { checked: "yes" } },
  data,
});

describe.skipIf(kubernetesBinaries() === undefined || crossplaneBinaries() === undefined)(
  "an Operation",
  () => {
    let plane: ControlPlane;
    let crossplane: Crossplane;
    let guard: RunningServer;
    beforeAll(async () => {
      const started = await startControlPlane();
      if (started === undefined) throw new Error("no control plane");
      plane = started;
      const core = await startCrossplane(plane);
      if (core === undefined) throw new Error("no Crossplane");
      crossplane = core;
      await installCrds(plane.api, reports);
      const read = readCertificates(core.functionTls, new Date());
      if (!read.ok) throw new Error(read.problem);
      const none = () => undefined;
      guard = await startServer("127.0.0.1:0", {
        handler: makeHandler({ now: () => Date.now(), log: none, approvalNamespace: "" }),
        credentials: rotatingCredentials(core.functionTls, read.files, none).credentials,
        receiveBytesMax: 64 * 1024 * 1024,
        clientSans: [],
        log: none,
      });
      await core.registerFunction("function-parapet", guard.port);
      await plane.api.apply("/apis/ops.crossplane.io/v1alpha1/watchoperations/check", watch);
    });
    afterAll(async () => {
      await guard.drain(100);
      await crossplane.stop();
      await plane.stop();
    });

    const all = "/apis/wgpolicyk8s.io/v1alpha2/namespaces/default/policyreports";
    const failing = (fails: number) =>
      eventually(
        `a report of ${fails} fails`,
        async () => {
          const found = await plane.api.list(all);
          const report = found.find((each) => at(each, ["summary", "fail"]) === fails);
          if (report === undefined) throw new Error(JSON.stringify(found).slice(0, 1000));
          return report;
        },
        200_000,
      );
    const operations = async () =>
      (await plane.api.list("/apis/ops.crossplane.io/v1alpha1/operations")).filter((each) => {
        const conditions = at(each, ["status", "conditions"]);
        return JSON.stringify(isArray(conditions) ? conditions : []).includes("PipelineSuccess");
      }).length;

    it("reports, says the same thing once, corrects itself, and goes with the object", async () => {
      await plane.api.create(maps, map({ size: "big" }));
      const first = await failing(1);
      expect(at(first, ["results", 0, "message"])).toBe("too big");
      await eventually("its Operation is done", async () => (await operations()) > 0);
      const before = await operations();
      await plane.api.mergePatch(`${maps}/m`, { data: { note: "x" } });
      await eventually("another Operation is done", async () => (await operations()) > before);
      const same = await failing(1);
      expect(at(same, ["metadata", "resourceVersion"])).toBe(
        at(first, ["metadata", "resourceVersion"]),
      );
      await plane.api.mergePatch(`${maps}/m`, { data: { size: "small" } });
      const mended = await failing(0);
      expect(at(mended, ["summary", "pass"])).toBe(1);
      expect(await plane.api.list(all)).toHaveLength(1);
      await plane.api.remove(`${maps}/m`);
      await eventually(
        "the report has gone",
        async () => (await plane.api.list(all)).length === 0,
        200_000,
      );
    });

    it("sweeps by the clock, and writes reports of the group that is asked for", async () => {
      for (const [name, size] of [
        ["big", "big"],
        ["small", "small"],
      ]) {
        const object = map({ size: size ?? "" });
        const metadata = { name: name ?? "", namespace: "default", labels: { swept: "yes" } };
        await plane.api.create(maps, { ...object, metadata });
      }
      await plane.api.apply("/apis/ops.crossplane.io/v1alpha1/cronoperations/sweep", cron);
      const written = "/apis/openreports.io/v1alpha1/namespaces/default/reports";
      const found = await eventually(
        "two reports",
        async () => {
          const list = await plane.api.list(written);
          if (list.length < 2) throw new Error(JSON.stringify(list).slice(0, 1000));
          return list;
        },
        200_000,
      );
      const summaries = found
        .map((each) => [textAt(each, ["scope", "name"]), at(each, ["summary", "fail"])] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect(summaries).toEqual([
        ["big", 1],
        ["small", 0],
      ]);
      expect(found.every((each) => each["source"] === "parapet")).toBe(true);
    });
  },
);
