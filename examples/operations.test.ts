// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CORE_SCHEMA, dump, loadAll } from "js-yaml";
import { ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeHandler } from "#function/handler";
import { startServer, type RunningServer } from "#function/server";
import { at, isObject, textAt, type JsonObject } from "#policy/json";
import { crossplaneBinaries } from "#test/cluster/binaries";
import { renderOperation } from "#test/cluster/render";
import { repository } from "#test/support/shared";

// Runs the Operations of examples/check-existing by Crossplane's own reconciler. `--update` writes expected.yaml anew.

const binaries = crossplaneBinaries();
const folder = join(repository, "examples", "check-existing");

const documents = (file: string): readonly JsonObject[] => {
  const read: unknown[] = loadAll(readFileSync(join(folder, file), "utf8"), {
    schema: CORE_SCHEMA,
  });
  return read.filter(isObject);
};

describe.skipIf(binaries === undefined)("operations", () => {
  let guard: RunningServer;
  beforeAll(async () => {
    const now = () => Date.parse("2026-06-01T00:00:00Z");
    guard = await startServer("127.0.0.1:0", {
      handler: makeHandler({ now, log: () => undefined, approvalNamespace: "" }),
      credentials: ServerCredentials.createInsecure(),
      receiveBytesMax: 64 * 1024 * 1024,
      clientSans: [],
      log: () => undefined,
    });
  });
  afterAll(() => guard.drain(100));

  test("check-existing", async () => {
    if (binaries === undefined) return;
    const required = documents("required.yaml");
    const watched = required.find((each) => textAt(each, ["metadata", "name"]) === "pictures");
    if (watched === undefined) throw new Error("incomplete");
    const golden: JsonObject[] = [];
    for (const file of ["watch.yaml", "cron.yaml"]) {
      const [operation] = documents(file);
      if (operation === undefined) throw new Error("incomplete");
      const output = await renderOperation(binaries, {
        operation,
        watched,
        functions: [{ name: "function-parapet", address: `127.0.0.1:${guard.port}` }],
        required,
      });
      expect(output.fatal ? output.events : []).toEqual([]);
      golden.push({
        from: file,
        applied: output.applied,
        output: at(output.operation, ["status", "pipeline", 0, "output"]) ?? {},
      });
    }
    const text = golden.map((each) => dump(each, { lineWidth: -1, sortKeys: true })).join("---\n");
    await expect(text).toMatchFileSnapshot(join(folder, "expected.yaml"));
  });
});
