// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import { dump } from "js-yaml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeHandler } from "#function/handler";
import { sameJson } from "#function/json-edit";
import { startServer, type RunningServer } from "#function/server";
import { at, isArray, isObject, parseJson, textAt, type Json, type JsonObject } from "#policy/json";
import { crossplaneBinaries } from "#test/cluster/binaries";
import { render } from "#test/cluster/render";
import { startComposingFunction, type ComposingFunction } from "#test/support/composing-function";
import {
  readScene,
  resourceName,
  sceneNames,
  scenesFolder,
  type Scene,
} from "#test/support/scenes";

// Policies and compositions as other people write them, through Crossplane's own reconciler: each folder of `others` has
// policies.yaml, xr.yaml, composed.yaml (what the step before gives), perhaps observed.yaml and required.yaml, and
// expected.yaml, which `--update` writes anew.

const binaries = crossplaneBinaries();

const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

const composition = (composite: JsonObject, policies: readonly JsonObject[]): JsonObject => ({
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "Composition",
  metadata: { name: "others" },
  spec: {
    compositeTypeRef: { apiVersion: composite["apiVersion"] ?? "", kind: composite["kind"] ?? "" },
    mode: "Pipeline",
    pipeline: [
      { step: "compose", functionRef: { name: "function-compose" } },
      {
        step: "guardrails",
        functionRef: { name: "function-parapet" },
        input: {
          apiVersion: "parapet.fn.crossplane.io/v1beta1",
          kind: "Guardrails",
          policies: { inline: policies },
        },
      },
    ],
  },
});

describe.skipIf(binaries === undefined)("policies of others", () => {
  let guard: RunningServer;
  let composer: ComposingFunction;
  let composed: Readonly<Record<string, JsonObject>> = {};
  beforeAll(async () => {
    composer = await startComposingFunction(() => composed);
    guard = await startServer("127.0.0.1:0", {
      handler: makeHandler({ now: () => Date.now(), log: () => undefined, approvalNamespace: "" }),
      credentials: ServerCredentials.createInsecure(),
      receiveBytesMax: 64 * 1024 * 1024,
      clientSans: [],
      log: () => undefined,
    });
  });
  afterAll(async () => {
    composer.stop();
    await guard.drain(100);
  });

  const run = ({ composite, policies, observed, required, ...scene }: Scene) => {
    if (binaries === undefined) throw new Error("no Crossplane");
    composed = scene.composed;
    return render(binaries, {
      composite,
      composition: composition(composite, policies),
      functions: [
        { name: "function-compose", address: `127.0.0.1:${composer.port}` },
        { name: "function-parapet", address: `127.0.0.1:${guard.port}` },
      ],
      observed,
      required,
    });
  };

  test.each(sceneNames)("%s", async (scene) => {
    const output = await run(readScene(scene));
    const found = at(output.composite, ["status", "conditions"]);
    const conditions = (isArray(found) ? found : []).filter((each) =>
      ["PolicyCompliant", "ApprovalPending", "Synced"].includes(textAt(each, ["type"])),
    );
    const summary = {
      fatal: output.fatal ? output.events : [],
      told: conditions.map((each) => ({
        [`${textAt(each, ["type"])} ${textAt(each, ["status"])} ${textAt(each, ["reason"])}`]:
          textAt(each, ["message"]).split(/; (?=[^ ]+: )/),
      })),
      deleted: output.deleted.map(resourceName),
      composed: Object.fromEntries(
        output.composed
          .toSorted((a, b) => (resourceName(a) < resourceName(b) ? -1 : 1))
          .map((object) => [resourceName(object), differenceOf(object)]),
      ),
    };
    const text = dump(parseJson(JSON.stringify(summary)), {
      lineWidth: -1,
      noRefs: true,
      sortKeys: true,
    });
    await expect(text).toMatchFileSnapshot(join(scenesFolder, scene, "expected.yaml"));
  });

  /** What the guard and Crossplane made of a resource: labels, annotations, name and spec where they are not as composed. */
  function differenceOf(object: JsonObject): JsonObject {
    const before = composed[resourceName(object)];
    const rest = Object.entries(object).filter(
      ([key, value]) => key !== "metadata" && !sameJson(before?.[key], value),
    );
    const { name, namespace, labels, annotations } = objectOf(object["metadata"]);
    const metadata = { name, namespace, labels, annotations };
    return objectOf(parseJson(JSON.stringify({ metadata, ...Object.fromEntries(rest) })));
  }
});
