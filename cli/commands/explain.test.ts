// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, describe, expect, test } from "vitest";
import { at, isObject, type JsonObject, parseJson, textAt } from "#policy/json";
import { readAlerts } from "#responder/intake/alert";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { types } from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { parseResponsePolicy, type ResponsePolicy } from "#responder/response-policy";
import { explainAlert } from "../explain/explain.ts";
import { fromCluster } from "../explain/surroundings.ts";
import { makeFolder, testNowMs } from "../testing.ts";
import { explainCommand } from "./explain.ts";

const alert = (change: JsonObject = {}, fields: JsonObject = {}): string =>
  JSON.stringify({
    rule: "Terminal shell in container",
    priority: "Notice",
    source: "syscall",
    time: "2026-11-22T09:59:59.123456789Z",
    hostname: "node-1",
    output: "A shell was spawned",
    tags: ["container", "shell"],
    output_fields: { "k8s.ns.name": "prod", "k8s.pod.name": "web", ...fields },
    ...change,
  });
const policy = (name: string, spec: string): string =>
  `apiVersion: parapet.dev/v1alpha1\nkind: ResponsePolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
const does = "do: [{isolate: {}}]";
const pod = (namespace: string, change = ""): string => `
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: ${namespace}
  uid: u-1
  creationTimestamp: "2026-11-01T00:00:00Z"
  labels: {app: web}
spec: {${change}}
`;

const folder = makeFolder({
  "alert.json": alert(),
  "old.json": alert({ time: "2026-11-01T00:00:00Z" }),
  "system.json": alert({}, { "k8s.ns.name": "kube-system" }),
  "other-uid.json": alert({}, { "k8s.pod.uid": "u-2" }),
  "host.json": alert({}, { "container.id": "host" }),
  "two.ndjson": `${alert()}\n${alert({ rule: "Other" })}\n`,
  "no-alert.json": '{"priority": "Notice"}',
  "syntax.json": '{"rule": ',
  "list.json": "[1]",
  "hostile.json": alert({ output: "\u001b[31mred" }),
  "policies/auto.yaml": policy("auto", `{match: {falco: {}}, mode: Automatic, ${does}}`),
  "parts.yaml": policy(
    "parts",
    `{match: {falco: {rules: [Other], priority: ">=Critical", sources: [syscall], tags: [shell]}}, when: "1 / 0 == 1", ${does}}`,
  ),
  "when.yaml": policy(
    "when",
    `{match: {falco: {}}, when: 'pod.metadata.labels.app == "db"', ${does}}`,
  ),
  "web.yaml": policy(
    "web",
    `{match: {falco: {}}, when: 'pod.metadata.labels.app == "web"', ${does}}`,
  ),
  "drift.yaml": policy("drift", "{match: {drift: {}}, do: [{rollback: {}}]}"),
  "broken.yaml": policy("broken", `{match: {falco: {}}, when: "alert.", ${does}}`),
  "cordon.yaml": policy("cordon", "{match: {falco: {}}, do: [{cordon: {}}]}"),
  "node.yaml": "{apiVersion: v1, kind: Node, metadata: {name: node-1, uid: n-1}, spec: {}}",
  "on-node.yaml": pod("prod", "nodeName: node-1"),
  "unknown.yaml": policy("unknown", "{match: {falco: {}}, do: [{reboot: {}}]}"),
  "pod.yaml": pod("prod"),
  "host-network.yaml": pod("prod", "hostNetwork: true"),
  "system-pod.yaml": pod("kube-system"),
  "around.yaml": `
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: prod, labels: {tier: gold}}}
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: dns, namespace: prod}
    spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 53}]}]}
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: foreign, namespace: other}
    spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
`,
  "config.yaml": "protectedNamespaces: [prod]\n",
  "labelled.yaml":
    '{apiVersion: v1, kind: Namespace, metadata: {name: prod, labels: {parapet.dev/protected: "true"}}}',
  "by-rule.yaml": policy(
    "by-rule",
    `{match: {falco: {}}, modes: [{namespaces: [prod], rules: [Terminal shell in container], mode: Observe}], ${does}}`,
  ),
  "by-owner.yaml": policy(
    "by-owner",
    `{match: {falco: {}}, when: 'owner.metadata.labels.tier == "gold"', ${does}}`,
  ),
  "owned.yaml": `
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    metadata:
      name: web
      namespace: prod
      uid: u-1
      labels: {app: web}
      ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: s-1, controller: true}]
    spec: {containers: [{name: web, image: nginx}]}
    status: {phase: Running}
  - {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: web, namespace: prod, uid: s-1, labels: {tier: gold}}}
`,
  "bad-config.yaml": "protectedNamespaces: 1\n",
  "nobody.kubeconfig": JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "x",
    clusters: [{ name: "x", cluster: { server: "http://127.0.0.1:1" } }],
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    users: [{ name: "x", user: {} }],
  }),
});
afterAll(folder.remove);

const explain = (...words: readonly string[]) => folder.run(explainCommand, ...words);
const json = async (...words: readonly string[]) => {
  const ran = await explain(...words, "-o", "json");
  expect(ran.err).toBe("");
  return parseJson(ran.out);
};

describe("explain", () => {
  test.each([
    {
      reason: "a namespace's label protects",
      words: ["-p", "policies", "--pod", "pod.yaml", "labelled.yaml"],
      says: "Protected    yes: namespace prod is labelled parapet.dev/protected",
    },
    {
      reason: "the mode is that of the rule and namespace",
      words: ["-p", "by-rule.yaml", "--pod", "pod.yaml"],
      says: "policy mode Observe for this rule in prod; would only be recorded",
    },
    {
      reason: "a condition looks at the workload",
      words: ["-p", "by-owner.yaml", "--pod", "owned.yaml"],
      says: "when is true",
    },
    {
      reason: "a workload that is not there is no match",
      words: ["-p", "by-owner.yaml", "--pod", "pod.yaml"],
      says: "Policy by-owner: does not respond",
    },
  ])("says what holds: $reason", async ({ words, says }) => {
    const ran = await explain("alert.json", ...words);
    expect(ran.err).toBe("");
    expect(ran.out).toContain(says);
  });

  const auto = ["-p", "policies", "--pod"];
  test.each([
    {
      reason: "within all limits",
      words: ["alert.json", ...auto, "pod.yaml"],
      mode: "Automatic",
      message: "",
    },
    {
      reason: "an old alert is asked about",
      words: ["old.json", ...auto, "pod.yaml"],
      mode: "Propose",
      message: "",
    },
    {
      reason: "unless it is taken for new",
      words: ["old.json", ...auto, "pod.yaml", "--fresh"],
      mode: "Automatic",
      message: "",
    },
    {
      reason: "a protected namespace",
      words: ["system.json", ...auto, "system-pod.yaml"],
      mode: "Observe",
      message: "",
    },
    {
      reason: "protected by configuration",
      words: ["alert.json", ...auto, "pod.yaml", "--config", "config.yaml"],
      mode: "Observe",
      message: "",
    },
    {
      reason: "a pod that is another one",
      words: ["other-uid.json", ...auto, "pod.yaml"],
      mode: "Observe",
      message: "another one now",
    },
    {
      reason: "a pod that is nowhere",
      words: ["alert.json", "-p", "policies"],
      mode: "Observe",
      message: "no longer exists",
    },
    {
      reason: "the host itself",
      words: ["host.json", ...auto, "pod.yaml"],
      mode: "Observe",
      message: "about the host itself",
    },
    {
      reason: "a pod on its node's network",
      words: ["alert.json", ...auto, "host-network.yaml"],
      mode: "Observe",
      message: "which no network policy covers: evict, delete",
    },
  ])("the mode and its reason: $reason", async ({ words, mode, message }) => {
    const [, ...rest] = words;
    const said = await json(words[0] ?? "", ...rest);
    const one = at(said, [0, "policies", 0]);
    expect(textAt(one, ["outcome"])).toBe("opened");
    expect(textAt(one, ["effectiveMode"])).toBe(mode);
    expect(textAt(one, ["message"])).toContain(message);
  });

  test("each part of a match answers for itself", async () => {
    const failed: unknown = expect.stringContaining("when failed: ");
    const said = await json("alert.json", "-p", "parts.yaml", "--pod", "pod.yaml");
    expect(at(said, [0, "policies", 0, "outcome"])).toBe("notMatched");
    expect(at(said, [0, "policies", 0, "parts"])).toEqual([
      {
        part: "rules",
        matches: false,
        wanted: "Other",
        why: 'rule is "Terminal shell in container"',
      },
      { part: "priority", matches: false, wanted: ">=Critical", why: "priority is Notice" },
      { part: "sources", matches: true, wanted: "syscall", why: "matches" },
      { part: "tags", matches: true, wanted: "shell", why: "matches" },
      {
        part: "when",
        matches: false,
        wanted: "1 / 0 == 1",
        why: failed,
      },
    ]);
  });

  test.each([
    {
      reason: "a condition on the pod",
      file: "when.yaml",
      why: "when is false",
      outcome: "notMatched",
    },
    {
      reason: "one that holds",
      file: "web.yaml",
      why: "when is true",
      outcome: "opened",
    },
  ])("$reason", async ({ file, why, outcome }) => {
    const said = await json("alert.json", "-p", file, "--pod", "pod.yaml", "around.yaml");
    expect(at(said, [0, "policies", 0, "outcome"])).toBe(outcome);
    expect(at(said, [0, "policies", 0, "parts", 4, "why"])).toBe(why);
  });

  test("shows the exact manifests and what stays open, without steering a terminal", async () => {
    const ran = await explain("hostile.json", "-p", "policies", "--pod", "pod.yaml", "around.yaml");
    expect(ran.code).toBe(0);
    expect(ran.out).toContain("would be done at once as Remediation prod/web-");
    expect(ran.out).toContain("kind: NetworkPolicy");
    expect(ran.out).toContain("Egress by NetworkPolicy prod/dns: to anywhere, UDP/53");
    expect(ran.out).not.toContain("foreign");
    expect(ran.out).not.toContain("\u001b");
  });

  test.each([
    { reason: "a node that is there", around: ["node.yaml"], says: "set spec.unschedulable" },
    { reason: "a node that is not", around: [], says: "node node-1 is unknown" },
  ])("plans with what the files hold: $reason", async ({ around, says }) => {
    const words = ["-p", "cordon.yaml", "--pod", "on-node.yaml", ...around];
    const said = JSON.stringify(await json("alert.json", ...words));
    expect(said.replace("add spec", "set spec")).toContain(says);
  });

  test("explains each alert of a file, and policies about drift", async () => {
    const said = await json("two.ndjson", "-p", "drift.yaml", "--pod", "pod.yaml");
    expect(at(said, [1, "alert", "rule"])).toBe("Other");
    expect(at(said, [1, "policies", 0, "parts", 0, "why"])).toBe("it is about drift");
  });

  test.each([
    { reason: "no alert", words: ["-p", "policies"], says: "name the alert" },
    { reason: "no policy", words: ["alert.json"], says: "name the ResponsePolicies" },
    {
      reason: "an alert without a rule",
      words: ["no-alert.json", "-p", "policies"],
      says: "no Falco alert: rule",
    },
    {
      reason: "half an alert",
      words: ["syntax.json", "-p", "policies"],
      says: "syntax.json: is no Falco alert",
    },
    {
      reason: "what is no object",
      words: ["list.json", "-p", "policies"],
      says: "must be an object",
    },
    { reason: "no such alert", words: ["nowhere.json", "-p", "policies"], says: "no such file" },
    { reason: "no such policy", words: ["alert.json", "-p", "nowhere"], says: "no such file" },
    {
      reason: "a pod for a policy",
      words: ["alert.json", "-p", "pod.yaml"],
      says: "Pod is no ResponsePolicy",
    },
    {
      reason: "a condition that is no CEL",
      words: ["alert.json", "-p", "broken.yaml"],
      says: "spec.when: line 1",
    },
    {
      reason: "an action that is not there",
      words: ["alert.json", "-p", "unknown.yaml"],
      says: "ResponsePolicy/unknown",
    },
    {
      reason: "a wrong configuration",
      words: ["alert.json", "-p", "policies", "--config", "bad-config.yaml"],
      says: "protectedNamespaces",
    },
    {
      reason: "no kubeconfig",
      words: ["alert.json", "--kubeconfig", "nowhere.kubeconfig"],
      says: "no such kubeconfig",
    },
    {
      reason: "no API server",
      words: ["alert.json", "--kubeconfig", "nobody.kubeconfig"],
      says: "the API server does not answer",
    },
    {
      reason: "no such context",
      words: ["alert.json", "--kubeconfig", "nobody.kubeconfig", "--context", "y"],
      says: "--context NAME",
    },
    {
      reason: "two files",
      words: ["alert.json", "old.json", "-p", "policies"],
      says: "one file with alerts",
    },
  ])("bad input: $reason", async ({ words, says }) => {
    const ran = await explain(...words);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain(says);
  });
});

describe("explain on a cluster", () => {
  const parse = (text: string): ResponsePolicy => {
    const value: unknown = parseJson(text);
    const parsed = parseResponsePolicy(isObject(value) ? value : {});
    if (!parsed.ok) throw new Error("no policy");
    return parsed.policy;
  };
  const automatic = parse(
    JSON.stringify({
      metadata: { name: "auto" },
      spec: { match: { falco: {} }, mode: "Automatic", do: [{ isolate: {} }] },
    }),
  );
  const config = parseConfig({}, { PARAPET_INTAKE_TOKEN: "x".repeat(16) });
  if (!config.ok) throw new Error("no configuration");

  test("counts on what is open already, and writes nothing", async () => {
    const cluster = makeMemoryCluster(() => testNowMs).client();
    await cluster.create(types.pod, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web", namespace: "prod" },
      spec: {},
    });
    const [read] = readAlerts(Buffer.from(alert({ time: "2026-11-22T10:00:01Z" }))).alerts;
    if (read === undefined) throw new Error("no alert");
    const question = {
      read,
      policies: [automatic],
      surroundings: fromCluster(cluster),
      settings: config.config,
      nowMs: testNowMs,
    };
    const first = await explainAlert(question);
    if ("ok" in first) throw new Error(first.message);
    expect(first.stopped).toBe(false);
    const [made] = first.policies;
    expect(made?.remediation?.mode).toBe("Automatic");
    expect(await cluster.list(types.remediation, {})).toMatchObject({
      ok: true,
      value: { items: [] },
    });
    expect(await cluster.list(types.networkPolicy, {})).toMatchObject({
      ok: true,
      value: { items: [] },
    });

    // The responder writes it: the same name and digest, so the next alert of this cause is counted on it.
    const again = await explainAlert(question);
    if ("ok" in again) throw new Error(again.message);
    expect(again.policies[0]?.remediation?.plan?.digest).toBe(made?.remediation?.plan?.digest);
    await cluster.create(
      { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true },
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "parapet-stop", namespace: "parapet-system" },
      },
    );
    const stopped = await explainAlert(question);
    if ("ok" in stopped) throw new Error(stopped.message);
    expect(stopped.stopped).toBe(true);
    expect(stopped.policies[0]?.remediation?.mode).toBe("Propose");
  });

  test("an API server that refuses is named", async () => {
    const server = createServer((_, reply) => {
      reply.writeHead(403, { "content-type": "application/json" });
      reply.end('{"kind": "Status", "message": "pods is forbidden: User nobody"}');
    });
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address: string | AddressInfo | null = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    const kubeconfig = {
      "current-context": "x",
      clusters: [{ name: "x", cluster: { server: `http://127.0.0.1:${port}` } }],
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      users: [{ name: "x", user: { token: "t" } }],
    };
    const here = makeFolder({ "alert.json": alert(), config: JSON.stringify(kubeconfig) });
    const ran = await here.run(explainCommand, "alert.json", "--kubeconfig", "config");
    expect(ran.code).toBe(2);
    expect(ran.err).toContain("forbidden: User nobody; ask for that permission");
    here.remove();
    await new Promise((resolve) => server.close(resolve));
  });
});
