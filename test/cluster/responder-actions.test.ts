// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import type { JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { originalLabelsAnnotation } from "#responder/actions/detach";
import { actionNames } from "#responder/action-spec";
import type { Reply } from "#responder/cluster";
import { nameOf, types, uidOf } from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { rolesFor } from "#responder/rbac";
import type { Remediation } from "#responder/remediation";
import type { Child } from "#test/support/processes";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "./responder-scene.ts";

let scene: ResponderScene;
let responder: Child;
const received: { readonly headers: NodeJS.Dict<string | string[]>; readonly body: string }[] = [];
const secret = "a-signing-secret-for-tests";
const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => {
    body += chunk;
  });
  request.on("end", () => {
    received.push({ headers: request.headers, body });
    response.writeHead(204).end();
  });
});

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

beforeAll(async () => {
  const started = await startResponderScene();
  if (started === undefined) throw new Error("needs redis-server and a control plane");
  scene = started;
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  responder = await scene.startResponder({
    notify: {
      destinations: [
        { name: "ops", url: `http://127.0.0.1:${port}/hook`, secret: { value: secret } },
      ],
    },
  });
  // The least rights for all actions, as `parapet rbac` prints them.
  await replaceRole(actionNames);
}, 1_800_000);

afterAll(async () => {
  server.close();
  await scene.stop();
});

async function replaceRole(actions: Parameters<typeof rolesFor>[2]): Promise<void> {
  const config = { namespace: "parapet-system", review: { reviewers: [] } };
  const [wanted] = rolesFor(config, [], actions);
  const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", "ClusterRole"));
  if (wanted === undefined) throw new Error("no role");
  const live = good(await scene.people.get(type, nameOf(wanted)));
  good(await scene.people.replace(type, { ...live, rules: wanted["rules"] ?? [] }));
}

async function usePolicy(name: string, actions: readonly JsonObject[], more: JsonObject = {}) {
  const policy = shellPolicy("Automatic", {
    when: `alert.pod.namespace == '${name}'`,
    do: actions,
    limits: { perWorkload: 100, perNamespace: 100 },
    ...more,
  });
  good(await scene.people.create(types.namespace, namespaceObject(name)));
  good(await scene.people.create(types.responsePolicy, { ...policy, metadata: { name } }));
  await eventually("the policy is in use", async () => {
    const live = await scene.people.get(types.responsePolicy, { namespace: "", name });
    return live.ok && textAt(live.value, ["status", "conditions", 0, "status"]) === "True";
  });
}

async function alert(
  namespace: string,
  pod: string,
  number = 0,
  hostname = "node-1",
): Promise<void> {
  const response = await fetch(scene.url(), {
    method: "POST",
    headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
    body: shellAlert(namespace, pod, Date.now(), number, hostname),
  });
  expect(response.status).toBe(202);
}

function kubectl(...words: readonly string[]): void {
  execFileSync(scene.plane.kubectl, ["--kubeconfig", scene.plane.kubeconfig, ...words]);
}

async function approveAsSecond(proposed: Remediation): Promise<void> {
  good(
    await scene.people.create(types.approval, {
      apiVersion: "parapet.dev/v1alpha1",
      kind: "Approval",
      metadata: { name: "second", namespace: proposed.name.namespace },
      spec: {
        for: {
          remediation: { name: proposed.name.name, planDigest: proposed.plan?.digest ?? "" },
        },
        decision: "Approve",
        approvedBy: "joe@example.org",
        reason: "four eyes",
      },
    }),
  );
}

const webDeployment = (namespace: string): JsonObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "nginx" }] },
    },
  },
});

/** A Deployment of three pods that an alert about one of them stopped. */
async function scaledToZero(name: string) {
  await usePolicy(name, [{ "scale-to-zero": {} }]);
  const deployment = good(await scene.people.typeOf("apps/v1", "Deployment"));
  good(await scene.people.create(deployment, webDeployment(name)));
  const replicas = async () =>
    at(good(await scene.people.get(deployment, { namespace: name, name: "web" })), [
      "spec",
      "replicas",
    ]);
  const pods = await eventually("three pods", async () => {
    const all = good(await scene.people.list(types.pod, { namespace: name })).items;
    return all.length === 3 ? all : false;
  });
  await alert(name, textAt(pods[0], ["metadata", "name"]));
  const applied = await scene.inState(name, "Verified");
  expect(await replicas()).toBe(0);
  return { replicas, applied };
}

/** Where a missing right shows: in the records, in what evidence could not be had, and in the log. */
async function refusals(): Promise<number> {
  const folder = join(scene.directory, "one-data/evidence");
  const texts = [
    JSON.stringify(good(await scene.people.list(types.remediation, {})).items),
    ...readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8")),
    responder.log(),
  ];
  return texts.filter((text) => /forbidden/i.test(text)).length;
}

const getPod = (namespace: string, name: string) =>
  scene.people.get(types.pod, { namespace, name });

describe("the responder's actions on a real API server", () => {
  it("keeps evidence, tells people with a signature, isolates and ends the pod, in this order", async () => {
    const name = "shop-chain";
    await usePolicy(name, [
      { notify: { to: "ops" } },
      { isolate: { ttl: "1h" } },
      { delete: { gracePeriod: "0s" } },
      { "capture-evidence": {} },
    ]);
    const uid = await makePod(scene.people, name, "web");
    await alert(name, "web");
    const done = await scene.inState(name, "TargetGone");
    expect(done.status.history.map((one) => one.to)).toEqual([
      "Approved",
      "Applying",
      "Applied",
      "Verified",
      "TargetGone",
    ]);
    expect(await getPod(name, "web")).toMatchObject({ ok: false, code: "NotFound" });
    const policies = good(await scene.people.list(types.networkPolicy, { namespace: name }));
    expect(policies.items).toEqual([]);
    const folder = join(scene.directory, "one-data/evidence");
    const [file = ""] = readdirSync(folder).filter((one) => one.startsWith(name));
    const bundle: unknown = JSON.parse(readFileSync(join(folder, file), "utf8"));
    expect(isObject(bundle) && textAt(bundle, ["parts", "pod", "metadata", "uid"])).toBe(uid);
    // No kubelet answers here, and the bundle says so instead of failing.
    expect(isObject(bundle) && textAt(bundle, ["parts", "log web", "unavailable"])).not.toBe("");
    // Messages and Events go out beside the acting, and may be behind it.
    await eventually("the message", () => received.length > 0);
    const [message] = received;
    const timestamp = String(message?.headers["parapet-timestamp"]);
    // As a receiver checks it, who knows the documentation and not our code.
    const signed = createHmac("sha256", secret).update(`${timestamp}.${message?.body ?? ""}`);
    expect(message?.headers["parapet-signature"]).toBe(`v1=${signed.digest("hex")}`);
    expect(Math.abs(Date.now() / 1_000 - Number(timestamp))).toBeLessThan(300);
    expect(received).toHaveLength(1);
    await eventually("an Event about the pod", async () => {
      const events = good(await scene.people.list(types.event, { namespace: name }));
      return events.items.some((one) => textAt(one, ["involvedObject", "uid"]) === uid);
    });
  });

  it("tells no secret in anything that it writes, wherever one was planted", async () => {
    const name = "shop-canaries";
    const canary = "Kn4ryVogel";
    const planted = [
      `password=${canary}1`,
      `curl -u admin:${canary}2 https://user:${canary}3@db.example`,
      `--token ${canary}4`,
      `Authorization: Bearer ${canary}5abcdefgh`,
      `{"api_key": "${canary}6"}`,
      `AWS_SECRET_ACCESS_KEY=${canary}7`,
      `mysql -p${canary}8`,
    ].join(" ; ");
    await usePolicy(
      name,
      [
        { "capture-evidence": {} },
        { notify: { to: "ops" } },
        { isolate: { ttl: "1h" } },
        { annotate: { annotations: { "example.org/seen": "yes" } } },
      ],
      { match: { falco: { priority: ">=Notice" } } },
    );
    const created = await scene.people.create(types.pod, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "web",
        namespace: name,
        annotations: {
          "kubectl.kubernetes.io/last-applied-configuration": planted,
          "example.org/note": planted,
        },
      },
      spec: {
        nodeName: "node-1",
        containers: [
          {
            name: "web",
            image: "nginx",
            args: [planted],
            env: [
              { name: "DB_PASSWORD", value: `${canary}9` },
              { name: "OPTIONS", value: planted },
            ],
          },
        ],
      },
    });
    good(created);
    const sent: unknown = JSON.parse(shellAlert(name, "web", Date.now(), 7));
    if (!isObject(sent) || !isObject(sent["output_fields"])) throw new Error("no alert");
    const response = await fetch(scene.url(), {
      method: "POST",
      headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
      body: JSON.stringify({
        ...sent,
        rule: `Shell with ${planted}`,
        output: planted,
        tags: [planted],
        custom: planted,
        output_fields: {
          ...sent["output_fields"],
          "proc.cmdline": planted,
          "proc.env": planted,
          "user.name": planted,
          [planted]: planted,
        },
      }),
    });
    expect(response.status).toBe(202);
    const applied = await eventually("it is in force", async () => {
      const all = await scene.remediations(name);
      return all.find((one) => one.status.appliedAtMs !== undefined);
    });
    await scene.decide(applied, "Deny");
    await scene.inState(name, "Undone");
    await eventually("the message", () => received.some(({ body }) => body.includes(name)));
    const folder = join(scene.directory, "one-data");
    const files = [
      ...readdirSync(join(folder, "evidence")).map((file) => join(folder, "evidence", file)),
      ...readdirSync(folder)
        .filter((file) => file.startsWith("audit"))
        .map((file) => join(folder, file)),
    ];
    const written = {
      records: JSON.stringify(good(await scene.people.list(types.remediation, {})).items),
      events: JSON.stringify(good(await scene.people.list(types.event, {})).items),
      policies: JSON.stringify(good(await scene.people.list(types.networkPolicy, {})).items),
      messages: received.map(({ body }) => body).join(),
      metrics: await scene.metrics(),
      log: responder.log(),
      ...Object.fromEntries(files.map((file) => [file, readFileSync(file, "utf8")])),
    };
    const own = [intakeToken, secret, scene.redis.url.match(/:([^:@/]+)@/)?.[1] ?? secret];
    const leaks = Object.entries(written).flatMap(([where, text]) =>
      [canary, ...own].filter((one) => text.includes(one)).map((one) => `${where}: ${one}`),
    );
    expect(leaks).toEqual([]);
    expect(
      Object.values(written).filter((text) => text.includes("[masked]")).length,
    ).toBeGreaterThan(2);
    // Each place was looked at, and had something to say of this very alert.
    const about = [written.records, written.events, written.messages, ...Object.values(written)];
    expect(about.filter((text) => text.includes(name)).length).toBeGreaterThanOrEqual(5);
  });

  it("evicts only when the disruption budget allows it, and never forces", async () => {
    const name = "shop-evict";
    await usePolicy(name, [{ "quarantine-label": {} }, { evict: { gracePeriod: "0s" } }]);
    await makePod(scene.people, name, "web");
    const budget = {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name: "web", namespace: name },
      spec: { minAvailable: 1, selector: { matchLabels: { app: "web" } } },
    };
    const live = good(await getPod(name, "web"));
    good(
      await scene.people.replaceStatus(types.pod, {
        ...live,
        status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
      }),
    );
    const made = good(await scene.people.create(types.disruptionBudget, budget));
    await alert(name, "web");
    const waiting = await eventually("the eviction was refused", async () => {
      const [one] = await scene.remediations(name);
      return one !== undefined && one.status.attempts > 0 ? one : false;
    });
    expect(waiting.status.state).toBe("Applying");
    expect(waiting.status.lastError).toContain("evict");
    const labelled = good(await getPod(name, "web"));
    expect(textAt(labelled, ["metadata", "labels", "parapet.dev/quarantine"])).toBe("true");
    good(await scene.people.remove(types.disruptionBudget, nameOf(made), uidOf(made)));
    await scene.inState(name, "TargetGone");
    expect(await getPod(name, "web")).toMatchObject({ code: "NotFound" });
  });

  it("detaches a pod so that its ReplicaSet lets it go and makes another, and ends it by deletion", async () => {
    const name = "shop-detach";
    await usePolicy(name, [{ "quarantine-label": { detach: true } }]);
    const replicaSet = good(await scene.people.typeOf("apps/v1", "ReplicaSet"));
    const selector = { app: "web" };
    good(
      await scene.people.create(replicaSet, {
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        metadata: { name: "web", namespace: name },
        spec: {
          replicas: 1,
          selector: { matchLabels: selector },
          template: {
            metadata: { labels: { ...selector, team: "shop" } },
            spec: { containers: [{ name: "web", image: "nginx" }] },
          },
        },
      }),
    );
    const pods = async (): Promise<readonly JsonObject[]> =>
      good(await scene.people.list(types.pod, { namespace: name })).items;
    const [pod] = await eventually("a pod", async () => {
      const all = await pods();
      return all.length === 1 ? all : false;
    });
    const podName = textAt(pod, ["metadata", "name"]);
    await alert(name, podName);
    const applied = await scene.inState(name, "Verified");
    const replaced = await eventually("another pod", async () => {
      const all = await pods();
      return all.length === 2 ? all : false;
    });
    const detached = replaced.find((one) => textAt(one, ["metadata", "name"]) === podName);
    await eventually("its owner lets it go", async () => {
      const live = await getPod(name, podName);
      return live.ok && at(live.value, ["metadata", "ownerReferences"]) === undefined;
    });
    expect(at(detached, ["metadata", "labels"])).toEqual({
      team: "shop",
      "parapet.dev/quarantine": "true",
    });
    expect(textAt(detached, ["metadata", "annotations", originalLabelsAnnotation])).toBe(
      '{"app":"web","team":"shop"}',
    );
    await scene.decide(applied, "Deny");
    await scene.inState(name, "Undone");
    const left = await eventually("the detached pod is gone", async () => {
      const all = await pods();
      return all.every((one) => textAt(one, ["metadata", "name"]) !== podName) ? all : false;
    });
    expect(left).toHaveLength(1);
  });

  it("asks two people before it cordons, and takes it back", async () => {
    const name = "shop-cordon";
    const node = { namespace: "", name: "node-1" };
    const made = { apiVersion: "v1", kind: "Node", metadata: { name: "node-1" } };
    good(await scene.people.create(types.node, made));
    await usePolicy(name, [{ cordon: {} }]);
    await makePod(scene.people, name, "web");
    await alert(name, "web");
    const proposed = await scene.inState(name, "Proposed");
    const unschedulable = async () =>
      at(good(await scene.people.get(types.node, node)), ["spec", "unschedulable"]);
    await scene.decide(proposed, "Approve");
    // The same person again is still one person.
    await scene.decide(proposed, "Approve");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect((await scene.remediations(name)).map((one) => one.status.state)).toEqual(["Proposed"]);
    await approveAsSecond(proposed);
    const applied = await scene.inState(name, "Verified");
    expect(applied.status.approval?.by).toBe("jane@example.org,joe@example.org");
    expect(await unschedulable()).toBe(true);
    await scene.decide(applied, "Deny");
    await scene.inState(name, "Undone");
    expect(await unschedulable()).toBeUndefined();
  });

  it("leaves a node cordoned that a person cordoned meanwhile", async () => {
    const name = "shop-cordon-twice";
    const node = { namespace: "", name: "node-2" };
    // As every kubelet's, with labels: of an object that was made without any field the API server never tracks who sets one.
    const labels = { "kubernetes.io/os": "linux" };
    const made = { apiVersion: "v1", kind: "Node", metadata: { name: "node-2", labels } };
    good(await scene.people.create(types.node, made));
    await usePolicy(name, [{ cordon: {} }]);
    await makePod(scene.people, name, "web", "node-2");
    await alert(name, "web", 0, "node-2");
    const proposed = await scene.inState(name, "Proposed");
    await scene.decide(proposed, "Approve");
    await approveAsSecond(proposed);
    const applied = await scene.inState(name, "Verified");
    kubectl("uncordon", "node-2");
    kubectl("cordon", "node-2");
    await scene.decide(applied, "Deny");
    const { status } = await scene.inState(name, "Undone");
    expect(status.history.at(-1)?.message).toMatch(
      /^left as it is: spec.unschedulable was set by field manager kubectl\S* as well$/,
    );
    expect(at(good(await scene.people.get(types.node, node)), ["spec", "unschedulable"])).toBe(
      true,
    );
  });

  it("scales the workload to 0 and back to what it was, and its autoscaler leaves it there", async () => {
    const name = "shop-scale";
    const { replicas, applied } = await scaledToZero(name);
    const autoscaler = good(await scene.people.typeOf("autoscaling/v2", "HorizontalPodAutoscaler"));
    good(
      await scene.people.create(autoscaler, {
        apiVersion: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        metadata: { name: "web", namespace: name },
        spec: {
          scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
          minReplicas: 2,
          maxReplicas: 5,
        },
      }),
    );
    await eventually("the autoscaler has looked at it", async () => {
      const live = await scene.people.get(autoscaler, { namespace: name, name: "web" });
      return live.ok && JSON.stringify(live.value).includes("ScalingDisabled");
    });
    expect(await replicas()).toBe(0);
    await scene.decide(applied, "Deny");
    await scene.inState(name, "Undone");
    expect(await replicas()).toBe(3);
  });

  it("says so when the workload's owner in Git starts it again, and leaves that to people", async () => {
    const name = "shop-scale-git";
    const { replicas, applied } = await scaledToZero(name);
    // As Argo CD syncs with server-side apply: what Git states is theirs again.
    const path = `/apis/apps/v1/namespaces/${name}/deployments/web`;
    await scene.plane.api.apply(path, webDeployment(name), "argocd-controller");
    const { status } = await scene.inState(name, "Unverifiable");
    expect(status.history.at(-1)).toMatchObject({
      reason: "ChangedMeanwhile",
      message: `spec.replicas of Deployment ${name}/web is 3, by field manager argocd-controller`,
    });
    await scene.decide(applied, "Deny");
    await scene.inState(name, "Undone");
    expect(await replicas()).toBe(3);
  });

  it("leaves what is labelled as protected alone, and says that an unknown parameter keeps a policy out of use", async () => {
    const name = "shop-protected";
    await usePolicy(name, [{ delete: {} }]);
    await makePod(scene.people, name, "web");
    const pod = { namespace: name, name: "web" };
    good(
      await scene.people.patch(types.pod, pod, [
        { op: "add", path: "/metadata/labels/parapet.dev~1protected", value: "true" },
      ]),
    );
    await alert(name, "web");
    await scene.inState(name, "Observed");
    expect((await getPod(name, "web")).ok).toBe(true);
    const wrong = shellPolicy("Automatic", { do: [{ evict: { force: true } }] });
    // As a client without field validation writes it.
    execFileSync(
      scene.plane.kubectl,
      ["--kubeconfig", scene.plane.kubeconfig, "create", "--validate=false", "-f", "-"],
      { input: JSON.stringify({ ...wrong, metadata: { name: "wrong" } }) },
    );
    const message = await eventually("the policy's problem is told", async () => {
      const live = await scene.people.get(types.responsePolicy, { namespace: "", name: "wrong" });
      const said = live.ok ? textAt(live.value, ["status", "conditions", 0, "message"]) : "";
      return said === "" ? false : said;
    });
    expect(message).toContain("spec.do.0.evict");
  });

  it("never asked for what it has no right to", async () => {
    expect(await refusals()).toBe(0);
  });
});

describe("the least role for isolation and rollback", () => {
  it("is enough: isolated, undone, and nothing is Forbidden", async () => {
    await replaceRole(["isolate", "rollback"]);
    const name = "shop-least";
    await usePolicy(name, [{ isolate: { ttl: "1h" } }], {
      limits: { perWorkload: 1, perNamespace: 5, minReady: 0 },
    });
    await makePod(scene.people, name, "web");
    await alert(name, "web");
    const realised = await scene.inState(name, "Realised");
    expect(realised.status.lastError).toBe("");
    await scene.decide(realised, "Deny");
    await scene.inState(name, "Undone");
    expect(await refusals()).toBe(0);
  });

  it("is not enough for more: a deletion is Forbidden, said so, and nothing is deleted", async () => {
    const name = "shop-more";
    await usePolicy(name, [{ delete: {} }]);
    await makePod(scene.people, name, "web");
    await alert(name, "web");
    await eventually("it says so", async () => {
      const [one] = await scene.remediations(name);
      return one?.status.lastError.includes("Forbidden") === true;
    });
    expect((await getPod(name, "web")).ok).toBe(true);
    expect(await refusals()).toBeGreaterThan(0);
  });
});

describe("package/install", () => {
  const objects = (): readonly JsonObject[] =>
    parseAllDocuments(build())
      .map((document) => {
        const value: unknown = document.toJS();
        return value;
      })
      .filter(isObject);
  const build = (): string =>
    execFileSync(scene.plane.kubectl, ["kustomize", join(repository, "package/install")], {
      encoding: "utf8",
    });
  const ofKind = (kind: string): JsonObject => {
    const found = objects().find((one) => one["kind"] === kind);
    if (found === undefined) throw new Error(`no ${kind}`);
    return found;
  };

  it("is taken by the API server as it is, without a warning", () => {
    const how = ["apply", "--server-side", "--force-conflicts", "--dry-run=server"];
    const flags = ["--kubeconfig", scene.plane.kubeconfig, ...how, "--validate=strict", "-f", "-"];
    const done = spawnSync(scene.plane.kubectl, flags, { input: build(), encoding: "utf8" });
    expect(done.stderr).toBe("");
    expect(done.stdout.match(/serverside-applied/g)).toHaveLength(objects().length);
  });

  it("makes pods that the restricted Pod Security Standard lets in, and would not with one field less", async () => {
    const name = "restricted";
    const label = { "pod-security.kubernetes.io/enforce": "restricted" };
    const space = { ...namespaceObject(name), metadata: { name, labels: label } };
    good(await scene.people.create(types.namespace, space));
    const account = good(await scene.people.typeOf("v1", "ServiceAccount"));
    const metadata = { name: "parapet-responder", namespace: name };
    good(
      await scene.people.create(account, { apiVersion: "v1", kind: "ServiceAccount", metadata }),
    );
    const spec = at(ofKind("StatefulSet"), ["spec", "template", "spec"]);
    const volumes = at(spec, ["volumes"]);
    if (!isObject(spec) || !isArray(volumes)) throw new Error("no pod template");
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "responder", namespace: name },
      // The claim is made by the StatefulSet.
      spec: { ...spec, volumes: [...volumes, { name: "data", emptyDir: {} }] },
    };
    good(await scene.people.create(types.pod, pod, { dryRun: true }));
    const loose = { ...pod, spec: { ...pod.spec, securityContext: {} } };
    expect(await scene.people.create(types.pod, loose, { dryRun: true })).toMatchObject({
      ok: false,
      code: "Forbidden",
    });
  });

  it("has the role that is generated, and a configuration that the responder takes", () => {
    const config = { namespace: "parapet-system", review: { reviewers: [{}] } };
    const [clusterRole, role] = rolesFor(config, []);
    expect(ofKind("ClusterRole")).toEqual(clusterRole);
    expect(ofKind("Role")).toEqual(role);
    const text = textAt(ofKind("ConfigMap"), ["data", "config.yaml"]);
    expect(parseConfig(parse(text), {})).toMatchObject({ ok: true });
  });
});
