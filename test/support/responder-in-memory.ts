// SPDX-License-Identifier: Apache-2.0
// The responder as a process of its own, on a cluster in memory: for tests that attack it and measure it from outside.
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { types } from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { makeLog } from "#responder/log";
import { runResponder } from "#responder/run";

const parsed = parseConfig(JSON.parse(process.argv[2] ?? "{}"), process.env);
if (!parsed.ok) throw new Error(parsed.problems.join("; "));
const memory = makeMemoryCluster(Date.now);
await memory.client("kubectl").create(types.responsePolicy, {
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "observe" },
  spec: { match: { falco: { priority: ">=Debug" } }, do: [{ isolate: {} }], mode: "Observe" },
});
const log = makeLog((line) => process.stderr.write(line), Date.now);
const running = await runResponder({ ...parsed.config, identity: "one" }, log, memory.client());
await running.responder.acting;
process.stdout.write(
  `${JSON.stringify({
    intake: running.intakePort,
    operations: running.operationsPort,
    review: running.reviewPort ?? 0,
  })}\n`,
);
process.once("SIGTERM", () => void running.stop().then(() => process.exit(0)));
