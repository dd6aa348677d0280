// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, isObject, type Json, type JsonObject, parseJson, textAt } from "#policy/json";
import { explainCommand } from "#cli/commands/explain";
import { importCommand } from "#cli/commands/import";
import { makeFolder } from "#cli/testing";
import { nameOf, type ResourceType, types, uidOf } from "#responder/cluster";
import { parseResponsePolicy } from "#responder/response-policy";
import {
  intakeToken,
  type ResponderScene,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { eventually } from "#test/support/processes";
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

describe("a shell in a pod, on a real API server", () => {
  const name = "response-shell";
  let scene: ResponderScene;
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
    await scene.startResponder({
      notify: {
        destinations: [{ name: "ops", url: `http://127.0.0.1:${port}/` }],
        consoleUrl: "https://parapet.example.org/console",
      },
    });
    await layOut(scene, name);
  }, 1_800_000);
  afterAll(async () => {
    server.close();
    await scene?.stop();
  });

  it("is proposed as it was explained, told, approved on the command line, and listed by kubectl", async () => {
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
});

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
