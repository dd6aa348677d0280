// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, isObject, type Json, type JsonObject, parseJson, textAt } from "#policy/json";
import { explainCommand } from "#cli/commands/explain";
import { importCommand } from "#cli/commands/import";
import { makeFolder } from "#cli/testing";
import { nameOf, type Reply, type ResourceType, types, uidOf } from "#responder/cluster";
import { keptOf } from "#responder/evidence";
import { rolesFor } from "#responder/rbac";
import { parseResponsePolicy } from "#responder/response-policy";
import {
  intakeToken,
  type ResponderScene,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { objectStore } from "#test/cluster/binaries";
import { accessKey, startObjectStore, type TestObjectStore } from "#test/support/object-store";
import { eventually, freePort } from "#test/support/processes";
import { repository } from "#test/support/shared";

// Each example as a reader would run it. `npx vitest run --project cluster examples/responses --update` writes what comes out anew.

const root = join(repository, "examples");
const read = (folder: string, file: string): string =>
  readFileSync(join(root, folder, file), "utf8");
const documents = (text: string): readonly JsonObject[] => {
  const all: unknown[] = loadAll(text, { schema: CORE_SCHEMA });
  return all.filter(isObject);
};
const objects = (folder: string, file: string): readonly JsonObject[] =>
  documents(read(folder, file));
const golden = (folder: string, file: string): string => join(root, folder, file);
const withAlert = readdirSync(root).filter(
  (name) => name.startsWith("response-") && readdirSync(join(root, name)).includes("alert.json"),
);

describe("a response, explained from files", () => {
  it.each(withAlert)("%s", async (name) => {
    const folder = makeFolder({
      "alert.json": read(name, "alert.json"),
      "policy.yaml": read(name, "policy.yaml"),
      "cluster.yaml": read(name, "cluster.yaml"),
    });
    const words = ["alert.json", "-p", "policy.yaml", "--pod", "cluster.yaml", "--fresh"];
    const ran = await folder.run(explainCommand, ...words);
    folder.remove();
    expect(ran).toMatchObject({ code: 0, err: "" });
    await expect(ran.out).toMatchFileSnapshot(golden(name, "explained.txt"));
  });
});

describe("rules of Falco Talon", () => {
  it("become policies that are valid, with every loss named", async () => {
    const name = "response-from-talon";
    const folder = makeFolder({ "rules.yaml": read(name, "rules.yaml") });
    const ran = await folder.run(importCommand, "talon", "rules.yaml");
    folder.remove();
    await expect(ran.out).toMatchFileSnapshot(golden(name, "expected.yaml"));
    await expect(ran.err).toMatchFileSnapshot(golden(name, "remarks.txt"));
    const policies = documents(ran.out);
    expect(policies).toHaveLength(2);
    for (const one of policies) expect(parseResponsePolicy(one)).toMatchObject({ ok: true });
  });
});

const apps = (kind: string, resource: string): ResourceType => ({
  apiVersion: "apps/v1",
  kind,
  resource,
  namespaced: true,
});
const known: readonly ResourceType[] = [
  types.namespace,
  types.pod,
  types.networkPolicy,
  apps("Deployment", "deployments"),
  apps("ReplicaSet", "replicasets"),
];

describe("on a real API server, with a real object store for evidence", () => {
  let scene: ResponderScene;
  let store: TestObjectStore;
  let reviewPort = 0;
  const received: Json[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      received.push(parseJson(body));
      response.writeHead(204).end();
    });
  });

  beforeAll(async () => {
    const started = await startResponderScene();
    if (started === undefined) throw new Error("needs redis-server and a control plane");
    scene = started;
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    store = await startObjectStore(objectStore() ?? "");
    await makeBucket(store, "security-evidence");
    reviewPort = await freePort();
    await scene.startResponder({
      notify: {
        destinations: [{ name: "ops", url: `http://127.0.0.1:${port}/` }],
        consoleUrl: "https://parapet.example.org/console",
      },
      review: {
        listen: `127.0.0.1:${reviewPort}`,
        reviewers: [{ name: "jane", value: "correct-horse-battery" }],
      },
      evidenceS3: {
        bucket: "security-evidence",
        prefix: "parapet",
        endpoint: store.endpoint,
        pathStyle: true,
        caFile: store.authority.caFile,
        credentials: {
          accessKeyIdFile: store.accessKeyIdFile,
          secretAccessKeyFile: store.secretAccessKeyFile,
        },
        retention: { mode: "COMPLIANCE", days: 1 },
      },
    });
    // The least rights for what the examples do.
    const config = { namespace: "parapet-system", review: { reviewers: [{}] } };
    const [role] = rolesFor(
      config,
      [],
      ["capture-evidence", "isolate", "quarantine-label", "annotate", "notify"],
    );
    const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", "ClusterRole"));
    const live = good(await scene.people.get(type, { namespace: "", name: "parapet-responder" }));
    good(await scene.people.replace(type, { ...live, rules: role?.["rules"] ?? [] }));
  }, 1_800_000);
  afterAll(async () => {
    server.close();
    await scene?.stop();
    await store?.stop();
  });

  it("a shell is proposed as it was explained, told, shown, approved on the command line, and listed by kubectl", async () => {
    const name = "response-shell";
    await layOut(scene, name);
    const fresh = alertNow(name);
    const folder = makeFolder({ "alert.json": fresh });
    const online = ["--kubeconfig", scene.plane.kubeconfig];
    const explained = parapet("explain", join(folder.path, "alert.json"), ...online, "-o", "json");
    const foreseen = at(parseJson(explained), [0, "policies", 0]);
    expect(await scene.remediations("shop")).toEqual([]);

    const response = await fetch(scene.url(), {
      method: "POST",
      headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
      body: fresh,
    });
    expect(response.status).toBe(202);
    const proposed = await scene.inState("shop", "Proposed");
    expect(textAt(foreseen, ["plan", "digest"])).toBe(proposed.plan?.digest);
    expect(textAt(foreseen, ["remediation"])).toBe(`shop/${proposed.name.name}`);

    const [message] = await eventually("a message", () => received.length > 0 && received);
    await expect(`${JSON.stringify(steady(message ?? null), null, 2)}\n`).toMatchFileSnapshot(
      golden(name, "message.json"),
    );
    const shown = await consolePage(reviewPort, textAt(message, ["console"]));
    expect(shown).toContain("Waits for your decision");
    expect(shown).toContain("+ kind: NetworkPolicy");
    expect(shown).toContain("NetworkPolicy shop/metrics");
    // What stands around the new label is the live pod's own.
    expect(shown).toMatch(/class="same">\s+app: web/);
    const command = textAt(message, ["commands", 0]);
    const words = command.replace('"..."', "seen-with-the-team").split(" ").slice(2);
    parapet("approve", ...words, "--yes", "--as", "jane", ...online);
    folder.remove();
    await scene.inState("shop", "Realised", "Verified", "Unverifiable");
    const { kubectl, kubeconfig } = scene.plane;
    const listed = execFileSync(
      kubectl,
      ["--kubeconfig", kubeconfig, "get", "remediations", "-A"],
      {
        encoding: "utf8",
      },
    );
    await expect(steadyText(listed)).toMatchFileSnapshot(golden(name, "remediation.txt"));
  });

  it("a miner is cut off at once, its evidence locked in the store, and the audit log vouches for it", async () => {
    const name = "response-miner";
    await layOut(scene, name);
    received.splice(0);
    const response = await fetch(scene.url(), {
      method: "POST",
      headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
      body: alertNow(name),
    });
    expect(response.status).toBe(202);
    const done = await scene.inState("batch", "Realised", "Verified", "Unverifiable");
    const [kept] = keptOf(done.status.history);
    if (kept === undefined) throw new Error(JSON.stringify(done.status.history));
    const file = store.fileOf(kept.location);
    expect(createHash("sha256").update(readFileSync(file)).digest("hex")).toBe(kept.sha256);
    const [message] = await eventually("a message", () => received.length > 0 && received);
    expect(message).toMatchObject({ notice: "Response", cause: { priority: "Critical" } });
    const log = join(scene.directory, "one-data/audit.jsonl");
    expect(parapet("audit", "verify", log, "--evidence", file)).toMatch(/whole[^]*as it was kept/);
    writeFileSync(file, `${readFileSync(file, "utf8")} `);
    expect(() => parapet("audit", "verify", log, "--evidence", file)).toThrow("Command failed");
  });
});

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

async function makeBucket(store: TestObjectStore, bucket: string): Promise<void> {
  const client = new S3Client({
    endpoint: store.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey.id, secretAccessKey: accessKey.secret },
    requestHandler: { httpsAgent: { rejectUnauthorized: false } },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
  client.destroy();
}

/** The page that a message links to, as whoever follows the link gets it after a login. */
async function consolePage(port: number, link: string): Promise<string> {
  const base = `http://127.0.0.1:${port}`;
  const to = new URL(link).pathname;
  const login = await fetch(`${base}/console/login`, {
    method: "POST",
    body: new URLSearchParams({ name: "jane", token: "correct-horse-battery", to }),
    redirect: "manual",
  });
  expect(login.headers.get("location")).toBe(to);
  const cookie = login.headers.get("set-cookie")?.split(";")[0] ?? "";
  return (await fetch(`${base}${to}`, { headers: { cookie } })).text();
}

/** The command line as a process of its own, by the real clock; throws unless it succeeds. */
const parapet = (...words: readonly string[]): string =>
  execFileSync(process.execPath, [join(repository, "cli/main.ts"), ...words], { encoding: "utf8" });

/** The objects of cluster.yaml, with the uids that this server gives them, and the policy. */
async function layOut({ people }: ResponderScene, folder: string): Promise<void> {
  const uids = new Map<string, string>();
  for (const object of objects(folder, "cluster.yaml")) {
    const type = known.find(({ kind }) => kind === object["kind"]);
    if (type === undefined) throw new Error(`no type for ${JSON.stringify(object["kind"])}`);
    const text = [...uids].reduce(
      (all, [from, to]) => all.replaceAll(from, to),
      JSON.stringify(object),
    );
    const placed = parseJson(text);
    if (!isObject(placed)) throw new Error("no object");
    // Only a template: no controller is to make pods of its own here.
    const made = await people.create(type, placed);
    if (!made.ok) throw new Error(`${made.code}: ${made.message}`);
    const uid = textAt(object, ["metadata", "uid"]);
    if (uid !== "") uids.set(uid, uidOf(made.value));
    const status = object["status"];
    if (status !== undefined) {
      const written = await people.replaceStatus(type, { ...made.value, status });
      if (!written.ok) throw new Error(written.message);
    }
  }
  for (const policy of objects(folder, "policy.yaml")) {
    const made = await people.create(types.responsePolicy, policy);
    if (!made.ok) throw new Error(made.message);
    await eventually("the policy is in use", async () => {
      const live = await people.get(types.responsePolicy, nameOf(made.value));
      return live.ok && textAt(live.value, ["status", "conditions", 0, "status"]) === "True";
    });
  }
}

/** The example's alert as Falco would send it now. */
function alertNow(folder: string): string {
  const time = new Date().toISOString().replace("Z", "000001Z");
  return read(folder, "alert.json").replace(/"time":"[^"]+"/, `"time":"${time}"`);
}

/** Without what differs from run to run. */
function steady(value: Json): Json {
  const text = steadyText(JSON.stringify(value));
  return parseJson(text) ?? null;
}

const steadyText = (text: string): string =>
  text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "UID")
    .replaceAll(/sha256:[0-9a-f]{64}/g, "sha256:DIGEST")
    .replaceAll(/"fingerprint":"[0-9a-f]{64}"/g, '"fingerprint":"FINGERPRINT"')
    .replaceAll(/(web-7d4b9c-x2x9q)-[0-9a-f]{10}/g, "$1-NAME")
    .replaceAll(/(isolate\.parapet\.dev\/)[0-9a-f]{10}/g, "$1NAME")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "TIME")
    .replaceAll(/ {2,}/g, "  ")
    .replaceAll(/\b\d+s\b/g, "AGE");
