// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { clueOf } from "#responder/finding";
import { type Alert, readAlerts, toAlert } from "#responder/intake/alert";
import { findingOf } from "#responder/respond";
import { type Resolved, resolveTarget } from "#responder/target";
import { good } from "#test/support/cluster-contract";
import { shared } from "#test/support/shared";

const uid = "75cf460d-dd27-41e7-9d29-19b517dc730f";
const container = "ee90b4bfa6d7";
const inDocker = `k8s_web_web-1_shop_${uid}_19`;

const pod: JsonObject = {
  metadata: {
    name: "web-1",
    namespace: "shop",
    uid,
    creationTimestamp: "2026-07-04T20:00:00Z",
  },
  spec: { nodeName: "node-1" },
  status: { containerStatuses: [{ containerID: `docker://${container}${"0".repeat(52)}` }] },
};

function alertOf(fields: JsonObject, more: JsonObject = {}): Alert {
  const alert = toAlert({
    rule: "r",
    source: "syscall",
    time: "2026-07-04T21:00:00Z",
    hostname: "node-1",
    ...more,
    output_fields: fields,
  });
  if (typeof alert === "string") throw new Error(alert);
  return alert;
}

const resolve = async (alert: Alert): Promise<Resolved> =>
  good(await resolveTarget(() => Promise.resolve({ ok: true, value: pod }), alert));

describe("an alert without a pod's name", () => {
  const none = { "k8s.ns.name": null, "k8s.pod.name": null };
  it.each([
    {
      reason: "Docker's name of the container has pod, namespace and uid.",
      fields: { "container.name": inDocker, "container.id": container },
      want: "pod",
    },
    {
      reason: "The same name given to another container by hand.",
      fields: { "container.name": inDocker, "container.id": "ffffffffffff" },
      want: "container is none",
    },
    {
      reason: "Of a pod that had the name before.",
      fields: {
        "container.name": inDocker.replace("75cf", "0000"),
        "container.id": container,
      },
      want: "another one",
    },
    {
      reason: "A static pod's uid is none that the API server knows.",
      fields: {
        "container.name": `k8s_web_web-1_shop_${uid.replaceAll("-", "")}_0`,
        "container.id": container,
      },
      want: `only container ${container}`,
    },
    {
      reason: "Somebody's container that is called alike.",
      fields: { "container.name": `k8s_web_${uid}_0`, "container.id": container },
      want: `only container ${container}`,
    },
    {
      reason: "What is called an id and is none is not repeated.",
      fields: { "container.id": "<b>x</b>" },
      want: /^the alert names no pod and namespace$/,
    },
  ])("$reason", async ({ fields, want }) => {
    const found = await resolve(alertOf({ ...none, ...fields }));
    expect(found.kind === "unresolved" ? found.reason : found.kind).toMatch(want);
  });
});

describe("the beginning of a container's id", () => {
  it.each([
    { reason: "Falco's twelve digits.", id: container, want: "pod" },
    { reason: "All of it.", id: `${container}${"0".repeat(52)}`, want: "pod" },
    { reason: "One digit is the beginning of many.", id: "e", want: "unresolved" },
    { reason: "So are eleven.", id: container.slice(0, 11), want: "unresolved" },
  ])("proves a pod: $reason", async ({ id, want }) => {
    const fields = { "k8s.ns.name": "shop", "k8s.pod.name": "web-1", "container.id": id };
    // On another host, so that nothing but the container speaks for it.
    const found = await resolve(alertOf(fields, { hostname: "node-2" }));
    expect(found.kind).toBe(want);
  });
});

describe("alerts of which no target is known", () => {
  const find = async (fields: JsonObject, more: JsonObject): Promise<string> =>
    findingOf("p", "r", await resolve(alertOf(fields, more)));
  const audit = { source: "k8s_audit", hostname: "falco-audit-0" };
  const secrets = (user: string): JsonObject => ({
    "ka.user.name": user,
    "ka.target.resource": "secrets",
  });

  it("are one matter by rule, host, actor and container, and no other", async () => {
    const findings = [
      await find(secrets("system:serviceaccount:a:x"), audit),
      await find(secrets("system:serviceaccount:b:y"), audit),
      await find({ "container.id": container }, {}),
      await find({ "container.id": "ffffffffffff" }, {}),
      await find({ "container.id": "ffffffffffff" }, { hostname: "node-2" }),
      await find({ "container.id": "host" }, {}),
    ];
    expect(new Set(findings).size).toBe(findings.length);
  });

  it("are one matter whatever object the same actor touched: a loop over names must not fill the list", async () => {
    const one = { ...secrets("eve"), "ka.target.name": "a" };
    const other = { ...secrets("eve"), "ka.target.name": "b" };
    expect(await find(one, audit)).toBe(await find(other, audit));
  });
});

const folder = shared("alerts");
const files =
  folder === undefined ? [] : readdirSync(folder).filter((name) => /^\d\d-.*\.json$/.test(name));

/** Looked at one by one: what each of them is about. All others name nothing that anything may be done to. */
const pods: Readonly<Record<string, string>> = {
  "05": "kube-system/storage-provisioner",
  "09": "falco-custom-lab/ubuntu-lab",
  "10": "falco-custom-lab/sneaky",
  "19": "red-ns/wordpress-66cd544579-cv29k",
  "29": "default/web-1",
  "30": "default/web-1",
  "31": "default/alpine",
  "33": "default/alpine",
  "35": "default/kubecon",
  "36": "openfaas-fn/falco-pod-delete-7dc9f5fbb8-gbfk7",
  "37": "fission-function/poolmgr-go-default-516098-5bdbf8c8f5-g8gvc",
  "40": "hello-app/nginx-676b6c5bbc-4xc6t",
  "54": "default/test",
  "55": "default/test",
  "56": "default/static-web",
};

describe.skipIf(folder === undefined)("real alerts", () => {
  it.each(files)("%s", (file) => {
    const want = pods[file.slice(0, 2)];
    const { alerts } = readAlerts(readFileSync(join(folder ?? "", file)));
    for (const { alert } of alerts) {
      const clue = clueOf(alert);
      const found = clue.kind === "pod" ? `${clue.namespace}/${clue.name}` : undefined;
      expect(found).toBe(want);
    }
    expect(alerts.length).toBeGreaterThan(0);
  });
});
