// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { types } from "#responder/cluster";
import { kubernetesBinaries, objectStore } from "#test/cluster/binaries";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { accessKey, startObjectStore, type TestObjectStore } from "#test/support/object-store";
import { eventually, freePort } from "#test/support/processes";
import { redisServer } from "#test/support/redis";
import { buildResponderBundle } from "#test/support/responder-bundle";
import { repository } from "#test/support/shared";

const program = objectStore();
const hasAll = kubernetesBinaries() !== undefined && redisServer() !== undefined;

describe.skipIf(!hasAll || program === undefined)("the bundle of the image", () => {
  let scene: ResponderScene;
  let store: TestObjectStore;
  let app: string;
  const traces: string[] = [];
  const collector = createServer((request, response) => {
    traces.push(request.url ?? "");
    request.resume().on("end", () => response.end("{}"));
  });
  beforeAll(async () => {
    app = buildResponderBundle();
    const started = await startResponderScene();
    if (started === undefined) throw new Error("no control plane or no Redis");
    scene = started;
    store = await startObjectStore(program ?? "");
    await new Promise<void>((done) => collector.listen(0, "127.0.0.1", done));
  });
  afterAll(async () => {
    collector.close();
    await scene?.stop();
    await store?.stop();
    rmSync(join(app, ".."), { recursive: true, force: true });
  });

  it("acts on an alert with a real Redis, API server and object store, shows its console, and ends cleanly", async () => {
    const admin = new S3Client({
      ...{ endpoint: store.endpoint, region: "us-east-1", forcePathStyle: true },
      credentials: { accessKeyId: accessKey.id, secretAccessKey: accessKey.secret },
      requestHandler: { httpsAgent: { rejectUnauthorized: false } },
    });
    await admin.send(new CreateBucketCommand({ Bucket: "evidence" }));
    admin.destroy();
    await scene.people.create(types.namespace, namespaceObject("shop"));
    await makePod(scene.people, "shop", "web");
    const actions = { do: [{ "capture-evidence": {} }, { isolate: { ttl: "1h" } }] };
    await scene.people.create(types.responsePolicy, shellPolicy("Automatic", actions));
    const address = collector.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const review = await freePort();
    const child = await scene.startResponder(
      {
        tracing: { endpoint: `http://127.0.0.1:${port}/v1/traces` },
        review: {
          listen: `127.0.0.1:${review}`,
          reviewers: [{ name: "sre", value: "a-token-of-the-reviewer" }],
        },
        evidenceS3: {
          ...{ bucket: "evidence", endpoint: store.endpoint, pathStyle: true },
          caFile: store.authority.caFile,
          credentials: {
            accessKeyIdFile: store.accessKeyIdFile,
            secretAccessKeyFile: store.secretAccessKeyFile,
          },
        },
      },
      "bundled",
      {},
      join(app, "responder/main.js"),
    );
    const reply = await fetch(scene.url(), {
      method: "POST",
      headers: { authorization: `Bearer ${intakeToken}` },
      body: shellAlert("shop", "web", Date.now()),
    });
    expect(reply.status).toBe(202);
    const done = await scene.inState("shop", "Realised", "Verified", "Unverifiable");
    expect(JSON.stringify(done.status.history)).toContain("s3://evidence/");
    const assets = readdirSync(join(repository, "responder/console/assets"));
    const at = (path: string) => fetch(`http://127.0.0.1:${review}/console${path}`);
    expect(await (await at("")).text()).toContain("<form");
    const answers = await Promise.all(
      assets.map(async (name) => {
        const answer = await at(`/${name}`);
        return [name, answer.status, await answer.text()];
      }),
    );
    expect(answers).toEqual(
      assets.map((name) => [
        name,
        200,
        readFileSync(join(repository, "responder/console/assets", name), "utf8"),
      ]),
    );
    await eventually("traces came", () => traces.includes("/v1/traces"));
    await child.stop("SIGTERM");
    expect(child.exitCode()).toBe(0);
    expect(child.log()).not.toContain('"level":"error"');
  });

  it.each([
    {
      reason: "A wrong setting.",
      args: ["--check"],
      env: { PARAPET_REVIEW_LISTEN: "x" },
      code: 2,
      says: /review\.listen: must be host:port/,
    },
    { reason: "No Redis.", args: [], env: {}, code: 1, says: /^no Redis: set queue\.redisUrl/m },
    { reason: "Help.", args: ["--help"], env: {}, code: 0, says: /queue\.redisUrl/ },
  ])("says what is wrong as the sources do: $reason", ({ args, env, code, says }) => {
    const ended = spawnSync("node", [join(app, "responder/main.js"), ...args], {
      encoding: "utf8",
      cwd: app,
      env: {
        PATH: process.env["PATH"],
        PARAPET_EMBEDDED_QUEUE: "pglite",
        PARAPET_INTAKE_TOKEN: intakeToken,
        PARAPET_KUBECONFIG: scene.plane.kubeconfig,
        PARAPET_DATA: join(app, `data-${code}`),
        ...env,
      },
    });
    expect([ended.status, ended.stdout + ended.stderr]).toEqual([
      code,
      expect.stringMatching(says),
    ]);
  });
});
