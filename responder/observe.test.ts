// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readConfigFiles } from "#responder/adapters/config-files";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { openSpool } from "#responder/adapters/spool";
import { parseConfig } from "#responder/config/config";
import { makeMetrics } from "#responder/metrics";
import { observe } from "#responder/observe";
import { eventually } from "#test/support/processes";

it.each([
  { reason: "No disk has so much.", spoolBytesMax: 2 ** 52, want: ["warn: the spool may need"] },
  { reason: "There is room.", spoolBytesMax: 2 ** 20, want: [] },
])("tells of a disk that is too small for the spool: $reason", async ({ spoolBytesMax, want }) => {
  const directory = mkdtempSync(join(tmpdir(), "parapet-observe-"));
  const tokens = [{ name: "a", value: "0123456789abcdef" }];
  const parsed = parseConfig({ intake: { tokens }, dataDirectory: directory, spoolBytesMax }, {});
  const read = parsed.ok ? await readConfigFiles(parsed.config) : undefined;
  if (!parsed.ok || read?.ok !== true) throw new Error("the configuration is wrong");
  const told: string[] = [];
  const metrics = makeMetrics();
  const spool = await openSpool(join(directory, "spool"), spoolBytesMax);
  const observed = await observe(parsed.config, read.files, {
    cluster: makeMemoryCluster(Date.now).client(),
    queue: makeMemoryQueue(),
    spool,
    metrics,
    log: (level, message) => told.push(`${level}: ${message}`),
    now: Date.now,
  });
  await eventually("looked", () => metrics.text().includes("parapet_data_free_bytes "));
  await observed.stop();
  await spool.close();
  expect(told.map((line) => line.slice(0, 24))).toEqual(want);
  rmSync(directory, { recursive: true, force: true });
});
