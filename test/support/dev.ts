// SPDX-License-Identifier: Apache-2.0
// `npm run dev`: both running parts on this machine, without certificates, cluster or Redis, for whoever changes them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import { makeHandler } from "#function/handler";
import { startServer } from "#function/server";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { types } from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { makeLog } from "#responder/log";
import { runResponder } from "#responder/run";

/** Where `crossplane composition render` looks for a function whose runtime is Development. */
const functionAddress = "127.0.0.1:9443";
const intakeToken = "dev-intake-token";
const reviewToken = "dev-review-token";
const drainMsMax = 5_000;

const directory = mkdtempSync(join(tmpdir(), "parapet-dev-"));
const log = makeLog((line) => process.stderr.write(line), Date.now);
const guard = await startServer(functionAddress, {
  handler: makeHandler({ now: () => Date.now(), log, approvalNamespace: "" }),
  credentials: ServerCredentials.createInsecure(),
  receiveBytesMax: 4 * 1024 * 1024,
  clientSans: [],
  log,
});
const memory = makeMemoryCluster(() => Date.now());
await memory.client("dev", true).create(types.pod, {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "dev", labels: { app: "web" } },
  spec: { containers: [{ name: "web", image: "registry.example.org/web:1" }] },
});
await memory.client("dev", true).create(types.responsePolicy, {
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "isolate" },
  spec: {
    match: { falco: { priority: ">=Notice" } },
    do: [{ isolate: { ttl: "1h" } }],
    mode: "Propose",
  },
});
const parsed = parseConfig(
  {
    intake: { tokens: [{ name: "dev", value: intakeToken }] },
    review: { reviewers: [{ name: "dev", value: reviewToken }] },
    dataDirectory: join(directory, "data"),
    identity: "dev",
    settle: "1s",
    drift: { resources: [{ apiVersion: "v1", kind: "ConfigMap" }] },
  },
  {},
);
if (!parsed.ok) throw new Error(parsed.problems.join("; "));
const running = await runResponder({ ...parsed.config, identity: "dev" }, log, memory.client());

process.stdout.write(`
function   ${functionAddress}, without TLS: examples/*/README.md say how to render with it
intake     http://127.0.0.1:${running.intakePort}/falco
review     http://127.0.0.1:${running.reviewPort ?? 0}/console   name dev, token ${reviewToken}
cluster    in memory, with Pod dev/web and the ResponsePolicy isolate (Propose)

curl -H 'Authorization: Bearer ${intakeToken}' http://127.0.0.1:${running.intakePort}/falco -d '{"rule":"Shell","priority":"Notice",
  "time":"'$(date -u +%FT%T.%NZ)'","output":"a shell","output_fields":{"k8s.ns.name":"dev","k8s.pod.name":"web"}}'

Ctrl-C ends it.
`);

let stopping = false;
// npm passes on the Ctrl-C that this process has had already: the second one must not cut the first one short.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    void stop().then(() => process.exit(0));
  });
}

async function stop(): Promise<void> {
  await Promise.allSettled([running.stop(), guard.drain(drainMsMax)]);
  rmSync(directory, { recursive: true, force: true });
}
