// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { at, isArray, isObject, textAt, type JsonObject } from "#policy/json";
import { apiVersionOf, guessPlural, kindOf } from "#policy/kubernetes/kinds";
import { parseOptions } from "#function/options";
import { installCrds } from "#test/cluster/api";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { startControlPlane, type ControlPlane } from "#test/cluster/control-plane";
import { readCrds } from "#test/cluster/crossplane";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";

// What users apply is taken by the real API server as it stands: no field misspelt, none dropped.

const core = crossplaneBinaries();

const documents = (folder: string): readonly (readonly [string, JsonObject])[] =>
  readdirSync(join(repository, folder))
    .filter((file) => file.endsWith(".yaml"))
    .flatMap((file) => {
      const text = readFileSync(join(repository, folder, file), "utf8");
      const read: unknown[] = loadAll(text, { schema: CORE_SCHEMA });
      return read.filter(isObject).map((object) => [`${folder}/${file}`, object] as const);
    });

const applied = [
  ...documents("package/install/function").filter(([, { kind }]) => kind !== "Kustomization"),
  ...documents("examples/check-existing").filter(([file]) =>
    /(?:watch|cron|role)\.yaml$/.test(file),
  ),
];
const runtime = applied.find(([, { kind }]) => kind === "DeploymentRuntimeConfig")?.[1];
const template = at(runtime, ["spec", "deploymentTemplate", "spec", "template"]);
const podSpec = at(template, ["spec"]);
const containers = at(podSpec, ["containers"]);
const container = isArray(containers) && isObject(containers[0]) ? containers[0] : {};

test("the arguments are the function's own", () => {
  const args = at(container, ["args"]);
  const texts = (isArray(args) ? args : []).map(String);
  expect(texts.length).toBeGreaterThan(0);
  expect(parseOptions(texts, { TLS_SERVER_CERTS_DIR: "/tls/server" }).kind).toBe("run");
});

describe.skipIf(kubernetesBinaries() === undefined || core === undefined)("the server", () => {
  let plane: ControlPlane;
  const strict = "?dryRun=All&fieldValidation=Strict";
  beforeAll(async () => {
    const started = await startControlPlane();
    if (started === undefined || core === undefined) throw new Error("no control plane");
    plane = started;
    const crds = readCrds(core.crds).filter((crd) =>
      /^(?:ops|pkg)\.crossplane\.io$/.test(textAt(crd, ["spec", "group"])),
    );
    await installCrds(plane.api, crds);
    await plane.api.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: "crossplane-system",
        labels: { "pod-security.kubernetes.io/enforce": "restricted" },
      },
    });
  });
  afterAll(() => plane.stop());

  test.each(applied)("takes %s", async (_file, object) => {
    const { group, version, kind } = kindOf(object);
    const namespace = textAt(object, ["metadata", "namespace"]);
    const scope = namespace === "" ? "" : `/namespaces/${namespace}`;
    const path = `/apis/${apiVersionOf({ group, version })}${scope}/${guessPlural(kind)}${strict}`;
    const reply = await plane.api.send("POST", path, object);
    expect([reply.status, textAt(reply.body, ["message"])]).toEqual([201, ""]);
  });

  test("lets the pod into a namespace of restricted pods, and not a laxer one", async () => {
    const pods = `/api/v1/namespaces/crossplane-system/pods${strict}`;
    const send = (change: JsonObject) =>
      plane.api.send("POST", pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "function-parapet" },
        spec: {
          ...(isObject(podSpec) ? podSpec : {}),
          containers: [{ ...container, image: "function-parapet", ...change }],
        },
      });
    await eventually("the default service account", async () => {
      const path = "/api/v1/namespaces/crossplane-system/serviceaccounts/default";
      return (await plane.api.get(path)) !== undefined;
    });
    const good = await send({});
    expect([good.status, textAt(good.body, ["message"])]).toEqual([201, ""]);
    const bad = await send({ securityContext: { privileged: true } });
    expect([bad.status, textAt(bad.body, ["message"]).includes("restricted")]).toEqual([403, true]);
  });
});
