// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, isObject, type JsonObject, parseJson, textAt } from "#policy/json";
import { captureEvidence, logBytesMax } from "#responder/actions/capture-evidence";
import { makeApiServer } from "#responder/adapters/api-server";
import { makeEvidenceDirectory } from "#responder/adapters/evidence-directory";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { type Cluster, nameOf, types, uidOf } from "#responder/cluster";
import { makeAuthority } from "#test/support/certificates";
import { exampleRemediation } from "#test/support/example-remediation";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";

// Logs as the real API server fetches them: from the node's kubelet, whose part is played by a server that answers as one does
// (k8s.io/kubernetes pkg/kubelet/server: GET /containerLogs/NAMESPACE/POD/CONTAINER).
describe("logs in the evidence, through a real API server", () => {
  let plane: ControlPlane;
  let cluster: Cluster;
  let kubelet: Server;
  let pod: JsonObject;
  const folder = mkdtempSync(join(tmpdir(), "parapet-logs-"));
  const asked: string[] = [];
  let answer: (container: string) => string | undefined;

  beforeAll(async () => {
    const started = await startControlPlane();
    if (started === undefined) throw new Error("needs a control plane");
    plane = started;
    cluster = makeApiServer(await fromKubeconfig(plane.kubeconfig));
    const { certFile, keyFile } = makeAuthority(join(folder, "ca")).issue("kubelet", {
      names: ["IP:127.0.0.1"],
    });
    const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    kubelet = createServer(tls, (request, response) => {
      asked.push(request.url ?? "");
      const [, , , , container = ""] = new URL(
        request.url ?? "/",
        "https://kubelet",
      ).pathname.split("/");
      const text = answer(container);
      if (text === undefined) response.socket?.destroy();
      else response.writeHead(200, { "content-type": "text/plain" }).end(text);
    });
    await new Promise<void>((resolve) => {
      kubelet.listen(0, "127.0.0.1", resolve);
    });
    const address = kubelet.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await made(types.namespace, { metadata: { name: "shop" } });
    const node = await made(types.node, { metadata: { name: "node-1" } });
    const status = {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    };
    await cluster.replaceStatus(types.node, { ...node, status });
    pod = await made(types.pod, {
      metadata: { name: "web", namespace: "shop" },
      spec: {
        nodeName: "node-1",
        containers: [
          { name: "web", image: "nginx" },
          { name: "proxy", image: "envoy" },
        ],
      },
    });
    await cluster.replaceStatus(types.pod, { ...pod, status: { phase: "Running" } });
  }, 1_800_000);
  afterAll(async () => {
    kubelet?.closeAllConnections();
    kubelet?.close();
    cluster?.close();
    await plane?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const made = async (type: (typeof types)[keyof typeof types], object: JsonObject) => {
    const reply = await cluster.create(type, object);
    if (!reply.ok) throw new Error(`${reply.code}: ${reply.message}`);
    return reply.value;
  };
  const capture = async (name: string): Promise<JsonObject> => {
    const directory = join(folder, name);
    const evidence = makeEvidenceDirectory(directory);
    const one = exampleRemediation({ name, state: "Applying" });
    const effect = { kind: "capture", ...nameOf(pod), uid: uidOf(pod), logLines: 50 } as const;
    const done = await captureEvidence({ cluster, evidence, now: Date.now }, effect, one);
    expect(done).toMatchObject({ ok: true, value: { wrote: true } });
    const [file = ""] = readdirSync(directory);
    expect(file).toMatch(new RegExp(`^prod_${name}_.*\\.json$`));
    const bundle = parseJson(readFileSync(join(directory, file), "utf8"));
    const parts = at(bundle, ["parts"]);
    if (!isObject(parts)) throw new Error("no parts");
    return parts;
  };

  it("are the end of each container's, asked for by lines and bytes, with credentials masked", async () => {
    answer = (container) =>
      `2026-11-22T10:00:00Z ${container} started\n2026-11-22T10:00:01Z password=hunter2hunter2\n`;
    const parts = await capture("both");
    expect(textAt(parts, ["log web"])).toContain("web started");
    expect(textAt(parts, ["log proxy"])).toContain("proxy started");
    expect(JSON.stringify(parts)).not.toContain("hunter2");
    expect(asked[0]).toMatch(/^\/containerLogs\/shop\/web\/web\?/);
    expect(asked[0]).toContain("tailLines=50");
    expect(asked[0]).toContain(`limitBytes=${logBytesMax}`);
  });

  it("that one container does not give leave its reason and the others", async () => {
    answer = (container) => (container === "proxy" ? undefined : "web is here\n");
    const parts = await capture("one");
    expect(textAt(parts, ["log web"])).toContain("web is here");
    expect(textAt(parts, ["log proxy", "unavailable"])).not.toBe("");
  });

  it("stay bounded whatever a kubelet sends", async () => {
    answer = () => "x".repeat(8 * 1024 * 1024);
    const parts = await capture("long");
    expect(JSON.stringify(parts["log web"] ?? "").length).toBeLessThan(2 * logBytesMax);
  });
});
