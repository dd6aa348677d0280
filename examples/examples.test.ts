// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CORE_SCHEMA, dump, loadAll } from "js-yaml";
import { ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeHandler } from "#function/handler";
import { startServer, type RunningServer } from "#function/server";
import { at, isArray, isObject, parseJson, textAt, type Json, type JsonObject } from "#policy/json";
import { crossplaneBinaries } from "#test/cluster/binaries";
import { render } from "#test/cluster/render";
import { startPatchAndTransform, type StandIn } from "#test/support/patch-and-transform";
import { repository } from "#test/support/shared";

// Renders every folder with Crossplane's own reconciler and compares with its expected.yaml. `npx vitest run --project
// cluster examples --update` writes that file anew: its difference says what a change of the function means to users.

const binaries = crossplaneBinaries();
const root = join(repository, "examples");
const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  // Operations have no composite: operations.test.ts runs those.
  .filter(({ name }) => existsSync(join(root, name, "composition.yaml")))
  .map(({ name }) => name)
  .sort();

const documents = (folder: string, file: string): readonly JsonObject[] => {
  const path = join(root, folder, file);
  if (!existsSync(path)) return [];
  const read: unknown[] = loadAll(readFileSync(path, "utf8"), { schema: CORE_SCHEMA });
  return read.filter(isObject);
};

/** Times and generated names differ from run to run. */
const volatile = new Set(["lastTransitionTime", "generation", "observedGeneration"]);
function stable(value: Json): Json {
  if (isArray(value)) return value.map(stable);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([key]) => !volatile.has(key));
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, stable(each)]),
  );
}

const resourceName = (object: JsonObject): string =>
  textAt(object, ["metadata", "annotations", "crossplane.io/composition-resource-name"]);

test("every example is complete", () => {
  expect(folders.length).toBeGreaterThanOrEqual(4);
  for (const folder of folders) {
    for (const file of [
      "README.md",
      "xr.yaml",
      "composition.yaml",
      "functions.yaml",
      "expected.yaml",
    ]) {
      expect(existsSync(join(root, folder, file)), `${folder}/${file}`).toBe(true);
    }
    const targets = documents(folder, "functions.yaml").map((each) =>
      textAt(each, ["metadata", "annotations", "render.crossplane.io/runtime"]),
    );
    expect(targets).toContain("Development");
  }
});

describe.skipIf(binaries === undefined)("render", () => {
  let guard: RunningServer;
  let composer: StandIn;
  beforeAll(async () => {
    composer = await startPatchAndTransform();
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

  test.each(folders)("%s", async (folder) => {
    if (binaries === undefined) return;
    const [composite] = documents(folder, "xr.yaml");
    const [composition] = documents(folder, "composition.yaml");
    if (composite === undefined || composition === undefined) throw new Error("incomplete");
    const [definition] = documents(folder, "definition.yaml");
    const output = await render(binaries, {
      ...(definition === undefined ? {} : { definition }),
      composite,
      composition,
      functions: [
        { name: "function-patch-and-transform", address: `127.0.0.1:${composer.port}` },
        { name: "function-parapet", address: `127.0.0.1:${guard.port}` },
      ],
      observed: documents(folder, "observed.yaml"),
      required: documents(folder, "required.yaml"),
    });
    expect(output.fatal ? output.events : []).toEqual([]);
    const conditions = at(output.composite, ["status", "conditions"]);
    const golden = {
      conditions: conditions ?? [],
      status: at(output.composite, ["status", "parapet"]) ?? {},
      composed: output.composed.toSorted((a, b) => (resourceName(a) < resourceName(b) ? -1 : 1)),
      deleted: output.deleted,
      events: output.events.filter(({ reason }) => reason !== "SelectComposition"),
    };
    const text = dump(stable(parseJson(JSON.stringify(golden))), { lineWidth: -1 });
    await expect(text).toMatchFileSnapshot(join(root, folder, "expected.yaml"));
  });
});
