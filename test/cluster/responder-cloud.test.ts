// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, isObject, type JsonObject, textAt } from "#policy/json";
import { reconcileAnnotation } from "#responder/actions/reconcile";
import { actionNames } from "#responder/action-spec";
import type { Reply } from "#responder/cluster";
import { nameOf, types } from "#responder/cluster";
import { protectedLabelKey } from "#responder/protection";
import { rolesFor } from "#responder/rbac";
import { installCrds } from "#test/cluster/api";
import { kubernetesBinaries } from "#test/cluster/binaries";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { makeAuthority } from "#test/support/certificates";
import { eventually, freePort } from "#test/support/processes";
import { redisServer } from "#test/support/redis";
import { shared } from "#test/support/shared";

const crds = shared("corpora/provider-crds");
const isPossible =
  kubernetesBinaries() !== undefined && redisServer() !== undefined && crds !== undefined;
const auditToken = "an-audit-token-for-tests";
const group = "s3.aws.upbound.io";
const buckets = `/apis/${group}/v1beta2/buckets`;
const configMaps = "/api/v1/namespaces/default/configmaps";
const composed = "apiextensions.crossplane.io/composed/0123456789abcdef";

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

describe.skipIf(!isPossible)("changes that others make, in the cloud and in the cluster", () => {
  let scene: ResponderScene;
  let folder: string;
  let ca: Buffer;
  let port: number;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "parapet-cloud-"));
    port = await freePort();
    // client-go sends a token over TLS alone.
    const authority = makeAuthority(join(folder, "pki"));
    const serving = authority.issue("intake", { names: ["IP:127.0.0.1"] });
    ca = readFileSync(authority.caFile);
    const file = (name: string, content: object): string => {
      writeFileSync(join(folder, name), JSON.stringify(content));
      return join(folder, name);
    };
    // As an administrator would write them: an audit policy for what is watched, and a kubeconfig that leads to the responder.
    const policy = file("policy.json", {
      apiVersion: "audit.k8s.io/v1",
      kind: "Policy",
      omitStages: ["RequestReceived"],
      rules: [
        { level: "None", verbs: ["get", "list", "watch"] },
        { level: "RequestResponse", resources: [{ group: "", resources: ["configmaps"] }] },
        { level: "None" },
      ],
    });
    const webhook = file("webhook.json", {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "x",
      clusters: [
        {
          name: "x",
          cluster: {
            server: `https://127.0.0.1:${port}/audit`,
            "certificate-authority": authority.caFile,
          },
        },
      ],
      users: [{ name: "x", user: { token: auditToken } }],
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    });
    const started = await startResponderScene(
      [
        `--audit-policy-file=${policy}`,
        `--audit-webhook-config-file=${webhook}`,
        "--audit-webhook-batch-max-wait=500ms",
        "--audit-webhook-initial-backoff=1s",
      ],
      port,
    );
    if (started === undefined) throw new Error("no control plane or Redis");
    scene = started;
    const { api } = scene.plane;
    const kinds = ["buckets", "bucketpublicaccessblocks"];
    const definitions = kinds.map((plural): unknown =>
      JSON.parse(readFileSync(join(crds ?? "", `${group}_${plural}.json`), "utf8")),
    );
    await installCrds(api, definitions.filter(isObject));
    const config = { namespace: "parapet-system", review: { reviewers: [] } };
    const watched = [
      { apiVersion: "v1", resource: "configmaps" },
      { apiVersion: `${group}/v1beta2`, resource: "buckets" },
      { apiVersion: `${group}/v1beta1`, resource: "bucketpublicaccessblocks" },
    ];
    const [wanted] = rolesFor(config, watched, actionNames);
    const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", "ClusterRole"));
    if (wanted === undefined) throw new Error("no role");
    const live = good(await scene.people.get(type, nameOf(wanted)));
    good(await scene.people.replace(type, { ...live, rules: wanted["rules"] ?? [] }));
    await scene.startResponder({
      intake: { tls: { certFile: serving.certFile, keyFile: serving.keyFile } },
      drift: {
        resources: [{ apiVersion: "v1", kind: "ConfigMap" }],
        managed: { discover: true, compare: { after: "1s" } },
        audit: {
          tokens: [{ name: "api-server", value: auditToken }],
          wait: "10s",
          trustedUsers: ["system:serviceaccount:crossplane-system:*"],
          clients: [{ name: "person", users: ["adm*"] }],
        },
      },
    });
  });
  afterAll(async () => {
    await scene?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** The status of one post to the intake. */
  const post = (path: string, token: string, body: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const options = { method: "POST", ca, headers };
      const outgoing = request(`https://127.0.0.1:${port}${path}`, options, (reply) => {
        reply.resume();
        resolve(reply.statusCode ?? 0);
      });
      outgoing.once("error", reject);
      outgoing.end(body);
    });
  const usePolicy = async (name: string, spec: JsonObject): Promise<void> => {
    good(
      await scene.people.create(types.responsePolicy, {
        apiVersion: "parapet.dev/v1alpha1",
        kind: "ResponsePolicy",
        metadata: { name },
        spec,
      }),
    );
    await eventually("the policy is in use", async () => {
      const live = await scene.people.get(types.responsePolicy, { namespace: "", name });
      return live.ok && textAt(live.value, ["status", "conditions", 0, "status"]) === "True";
    });
  };
  const bucket = async (name: string, external: string): Promise<void> => {
    await scene.plane.api.create(buckets, {
      apiVersion: `${group}/v1beta2`,
      kind: "Bucket",
      metadata: { name, annotations: { "crossplane.io/external-name": external } },
      spec: { forProvider: { region: "eu-west-1" } },
    });
  };
  const cloudTrail = async (bucketName: string): Promise<void> => {
    const status = await post(
      "/falco",
      intakeToken,
      JSON.stringify({
        hostname: "falco-cloudtrail-0",
        output: "bucket opened",
        output_fields: {
          "ct.name": "PutBucketAcl",
          "ct.region": "eu-west-1",
          "ct.request": JSON.stringify({ bucketName, AccessControlPolicy: {} }),
          "ct.user.arn": "arn:aws:sts::111122223333:assumed-role/admin/jane",
        },
        priority: "Warning",
        rule: "Bucket opened",
        source: "aws_cloudtrail",
        tags: [],
        time: new Date().toISOString(),
      }),
    );
    expect(status).toBe(202);
  };

  it("asks the provider to look at the managed resource that a CloudTrail alert is about", async () => {
    await usePolicy("cloud", {
      match: { falco: { sources: ["aws_cloudtrail"] } },
      do: [{ reconcile: {} }],
      mode: "Automatic",
    });
    await bucket("data", "acme-data");
    await bucket("other", "acme-other");
    await eventually("the names are known", async () =>
      /^parapet_external_names [2-9]/m.test(await scene.metrics()),
    );
    const before = await scene.plane.api.get(`${buckets}/other`);
    await cloudTrail("acme-data");
    const done = await scene.inState("parapet-system", "Verified");
    expect(done.target).toMatchObject({ kind: "Bucket", name: "data" });
    expect(done.cause).toMatchObject({
      actor: "arn:aws:sts::111122223333:assumed-role/admin/jane",
      rule: "Bucket opened",
    });
    const live = await scene.plane.api.get(`${buckets}/data`);
    expect(textAt(live, ["metadata", "annotations", reconcileAnnotation])).toBe(done.name.name);
    expect(await scene.plane.api.get(`${buckets}/other`)).toEqual(before);
  });

  it("keeps for review what it cannot find, or finds twice", async () => {
    await cloudTrail("someone-elses");
    await bucket("twin-a", "acme-twin");
    await bucket("twin-b", "acme-twin");
    await eventually("the names are known", async () =>
      /^parapet_external_names [4-9]/m.test(await scene.metrics()),
    );
    await cloudTrail("acme-twin");
    const messages = await eventually("both are recorded", async () => {
      const all = await scene.remediations("parapet-system");
      const open = all.filter((one) => one.status.state === "Observed");
      return open.length === 2 && open.map((one) => one.cause.message).sort();
    });
    expect(messages[0]).toContain("no managed resource has the external name someone-elses");
    expect(messages[1]).toContain("Bucket twin-a, Bucket twin-b: which one is not clear");
  });

  it("says for review that a provider reports another value than the spec, once it has lasted, and nothing of what never agreed", async () => {
    const kind = "BucketPublicAccessBlock";
    await usePolicy("cloud-differs", {
      match: { drift: { kinds: [kind] } },
      when: "drift.client == 'cloud'",
      do: [{ rollback: {} }],
      mode: "Automatic",
    });
    const { api } = scene.plane;
    const blocks = `/apis/${group}/v1beta1/bucketpublicaccessblocks`;
    const block = await api.create(blocks, {
      apiVersion: `${group}/v1beta1`,
      kind,
      metadata: { name: "data", annotations: { "crossplane.io/external-name": "acme-block" } },
      spec: {
        forProvider: { region: "eu-west-1", bucket: "data", blockPublicAcls: true },
        managementPolicies: ["Observe", "Create", "Delete"],
      },
    });
    const generation = at(block, ["metadata", "generation"]) ?? 1;
    // As the provider writes what it saw; it knows the bucket by its ARN.
    const provider = async (blockPublicAcls: boolean): Promise<void> => {
      const condition = {
        ...{ type: "Synced", status: "True", reason: "ReconcileSuccess" },
        lastTransitionTime: "2026-11-22T12:00:00Z",
        observedGeneration: generation,
      };
      const atProvider = { region: "eu-west-1", bucket: "arn:aws:s3:::data", blockPublicAcls };
      await api.mergePatch(`${blocks}/data/status`, {
        status: { conditions: [condition], atProvider },
      });
    };
    const told = async () =>
      (await scene.remediations("parapet-system")).filter((one) => one.target.kind === kind);
    await eventually("it is watched", async () =>
      /^parapet_external_names [5-9]/m.test(await scene.metrics()),
    );
    await provider(true);
    await provider(false);
    const [one, ...others] = await eventually("it is told", async () => {
      const all = await told();
      return all.length > 0 && all;
    });
    expect(others).toEqual([]);
    expect(one).toMatchObject({
      mode: "Observe",
      plan: undefined,
      target: { kind, name: "data", uid: textAt(block, ["metadata", "uid"]) },
      cause: { source: "Drift", rule: "Cloud differs from the spec", actor: "" },
    });
    expect(one?.cause.message).toMatch(
      /^with Synced=True the provider reports blockPublicAcls as false where the spec has true, since \S+Z; its managementPolicies hold no Update, so that nobody puts it back/,
    );
  });

  it("names the authenticated user behind an out-of-band change, whatever field manager that user gave", async () => {
    await usePolicy("drift", {
      match: { drift: { kinds: ["ConfigMap"] } },
      when: "drift.namespace == 'default' && drift.client == 'person' && drift.actor == 'admin'",
      do: [{ rollback: {} }],
    });
    const { api } = scene.plane;
    await api.apply(
      `${configMaps}/note`,
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "note", labels: { "crossplane.io/composite": "box" } },
        data: { text: "composed" },
      },
      composed,
    );
    await eventually("it is watched", async () =>
      /^parapet_drift_watched 1/m.test(await scene.metrics()),
    );
    await api.mergePatch(`${configMaps}/note`, { data: { extra: "1" } }, "innocent-controller");
    const proposed = await scene.inState("default", "Proposed");
    expect(proposed.cause.actor).toBe("admin");
    expect(proposed.cause.message).toContain(
      "changed by admin (by the API server's audit log), client person;",
    );
    expect(proposed.cause.message).toContain("field manager innocent-controller (a hint)");
  });

  it("says who wrote under Crossplane's name without being Crossplane", async () => {
    const { api } = scene.plane;
    await api.mergePatch(`${configMaps}/note`, { data: { text: "forged" } }, composed);
    const told = await scene.inState("default", "Observed");
    expect(told.cause).toMatchObject({
      rule: "Trusted field manager used by another",
      actor: "admin",
    });
    expect(told.plan).toBeUndefined();
    expect(told.cause.message).toContain(`admin wrote as field manager ${composed}`);
  });

  it("takes no audit events from those who may send alerts, and none that are not for it", async () => {
    expect(await post("/audit", intakeToken, "{}")).toBe(401);
    expect(await post("/audit", "nobody", "{}")).toBe(401);
    expect(await post("/audit", auditToken, "{}")).toBe(400);
    const large = "x".repeat(13_000_000);
    expect(await post("/audit", auditToken, large).catch(() => 413)).toBe(413);
    // Nor alerts from the API server's credential.
    expect(await post("/falco", auditToken, shellAlert("default", "web", Date.now()))).toBe(401);
  });

  it("leaves alone what was protected between the plan and its approval", async () => {
    const name = "shop-protected";
    good(await scene.people.create(types.namespace, namespaceObject(name)));
    const policy = shellPolicy("Propose");
    await usePolicy("isolate-later", isObject(policy["spec"]) ? policy["spec"] : {});
    await makePod(scene.people, name, "web");
    expect(await post("/falco", intakeToken, shellAlert(name, "web", Date.now()))).toBe(202);
    const proposed = await scene.inState(name, "Proposed");
    const labelled = { metadata: { labels: { [protectedLabelKey]: "true" } } };
    await scene.plane.api.mergePatch(`/api/v1/namespaces/${name}`, labelled);
    await scene.decide(proposed, "Approve");
    const refused = await scene.inState(name, "Denied");
    expect(refused.status.history.at(-1)).toMatchObject({
      reason: "Protected",
      message: `protected since it was planned: namespace ${name} is labelled ${protectedLabelKey}`,
    });
    const policies = good(await scene.people.list(types.networkPolicy, { namespace: name }));
    expect(policies.items).toEqual([]);
  });
});
