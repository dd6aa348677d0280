// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, test } from "vitest";
import { digestOf } from "#function/approvals";
import { readComposite } from "#function/composite";
import { at, type Json, type JsonObject, textAt } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { type Cluster, type ResourceType, types } from "#responder/cluster";
import { remediationJson, statusJson } from "#responder/record/remediation-record";
import type { Remediation, State } from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";
import type { HeldChange } from "../approve/composite.ts";
import type { ApprovePorts, Choice } from "../approve/ports.ts";
import type { Answer } from "../cluster/ask.ts";
import { parseText } from "#policy/yaml";
import { makeFolder, testNowMs } from "../testing.ts";
import { approve, approveCommand } from "./approve.ts";

const choice: Choice = {
  namespace: "prod",
  decision: "Approve",
  reason: "seen",
  as: undefined,
  renewMs: undefined,
  expiresMs: 3_600_000,
  yes: true,
  dryRun: false,
  output: "table",
};

const definitions: ResourceType = {
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "CompositeResourceDefinition",
  resource: "compositeresourcedefinitions",
  namespaced: false,
};
const namespaced = (kind: string, resource: string, group = "example.org"): ResourceType => ({
  apiVersion: `${group}/v1`,
  kind,
  resource,
  namespaced: true,
});
const boxType = namespaced("Box", "boxes");
const thingType = namespaced("Thing", "things");

/** A cluster, and what `approve` says and asks there. */
function makeScene(answer: Answer = "yes", onAsk: () => Promise<void> = () => Promise.resolve()) {
  const memory = makeMemoryCluster(
    () => testNowMs,
    [definitions, boxType, thingType, namespaced("Box", "boxes", "other.org")],
  );
  const cluster = memory.client();
  const said = { out: "", err: "" };
  const pending: Promise<void>[] = [];
  const ports: ApprovePorts = {
    cluster: {
      ...cluster,
      // What happened while the person was thinking is there before the next read.
      get: async (type, name) => {
        await Promise.all(pending);
        return cluster.get(type, name);
      },
    },
    ask: () => {
      pending.push(onAsk());
      return answer;
    },
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    nowMs: () => testNowMs,
    suffix: () => "s1",
  };
  const made = async (): Promise<readonly Json[]> => {
    const list = await cluster.list(types.approval, {});
    return list.ok ? list.value.items : [];
  };
  return { cluster, as: memory.client, ports, said, made };
}

async function put(cluster: Cluster, state: State, change: Partial<Remediation> = {}) {
  const remediation = { ...exampleRemediation({ name: "web-1", state }), ...change };
  const object = remediationJson(remediation, "f".repeat(32));
  const created = await cluster.create(types.remediation, object);
  if (!created.ok) throw new Error(created.message);
  const status = statusJson(remediation.status);
  await cluster.replaceStatus(types.remediation, { ...created.value, status });
  return remediation;
}

describe("approve REMEDIATION", () => {
  test("shows the plan and binds the Approval to its digest", async () => {
    const { cluster, ports, said, made } = makeScene();
    const { plan } = await put(cluster, "Proposed");
    expect(await approve(ports, { choice, on: "web-1" })).toBe(0);
    expect(said.err).toBe("");
    for (const part of [
      `Digest       ${plan?.digest}`,
      "apply NetworkPolicy prod/parapet-isolate-3b1c",
      "podSelector:",
      "Egress by NetworkPolicy prod/allow-dns: to pods k8s-app=kube-dns, UDP/53",
      "2 of 3 replicas stay in service",
      "Approval prod/web-1-s1: Approve, valid until 2026-11-22T11:00:00.000Z",
    ]) {
      expect(said.out).toContain(part);
    }
    expect(await made()).toMatchObject([
      {
        metadata: {
          name: "web-1-s1",
          namespace: "prod",
          labels: { "parapet.dev/digest": plan?.digest.slice(7, 39) },
        },
        spec: {
          for: { remediation: { name: "web-1", planDigest: plan?.digest } },
          decision: "Approve",
          reason: "seen",
          expiresAt: "2026-11-22T11:00:00.000Z",
        },
      },
    ]);
    // The API server knows better who that was.
    expect(at((await made())[0], ["spec", "approvedBy"])).toBe(undefined);
  });

  test("says who approves only where asked to, and a no has no end", async () => {
    const { cluster, ports, made } = makeScene();
    await put(cluster, "Applied");
    const no = { ...choice, decision: "Deny", as: "jane" } as const;
    expect(await approve(ports, { choice: no, on: "web-1" })).toBe(0);
    const [object] = await made();
    expect(at(object, ["spec"])).toMatchObject({ decision: "Deny", approvedBy: "jane" });
    expect(at(object, ["spec", "expiresAt"])).toBe(undefined);
  });

  test("prints the object alone with --dry-run, which kubectl takes", async () => {
    const { cluster, ports, said, made } = makeScene("nobody");
    await put(cluster, "Proposed");
    const dry = { ...choice, yes: false, dryRun: true };
    expect(await approve(ports, { choice: dry, on: "web-1" })).toBe(0);
    const parsed = parseText(said.out);
    expect(parsed.ok && textAt(parsed.documents[0], ["kind"])).toBe("Approval");
    expect(await made()).toEqual([]);
  });

  const observing = { mode: "Observe" } as const;
  test.each([
    { reason: "no such remediation", state: undefined, says: "is not there", code: 1 },
    {
      reason: "nothing to do",
      state: "Observed",
      change: { plan: undefined },
      says: "for review only",
      code: 1,
    },
    {
      reason: "it only observes",
      state: "Observed",
      change: observing,
      says: "its policy never acts",
      code: 1,
    },
    { reason: "it is done", state: "Applied", says: "--deny takes it back", code: 1 },
    { reason: "it was approved", state: "Approved", says: "is Approved already", code: 1 },
    { reason: "it was denied", state: "Denied", says: "which is final", code: 1 },
    { reason: "it lapsed", state: "Expired", deny: true, says: "which is final", code: 1 },
  ] as const)("writes nothing: $reason", async (row) => {
    const { cluster, ports, said, made } = makeScene();
    if (row.state !== undefined) await put(cluster, row.state, "change" in row ? row.change : {});
    const decision = "deny" in row ? "Deny" : "Approve";
    expect(await approve(ports, { choice: { ...choice, decision }, on: "web-1" })).toBe(row.code);
    expect(said.err).toContain(row.says);
    expect(await made()).toEqual([]);
  });

  test("renews what is in force, showing what is known of its effect, and that is no yes to anything else", async () => {
    const { cluster, ports, made, said } = makeScene();
    const { status } = exampleRemediation({ name: "web-1", state: "Verified" });
    const detail = "probe pod -> target 10.0.0.1:8080 TCP timeout";
    const evidence = [{ atMs: testNowMs, check: "Probe", finding: "Holds", detail }] as const;
    await put(cluster, "Verified", { status: { ...status, appliedAtMs: testNowMs, evidence } });
    const more = { ...choice, renewMs: 4 * 3_600_000 };
    expect(await approve(ports, { choice: more, on: "web-1" })).toBe(0);
    const [object] = await made();
    expect(at(object, ["spec"])).toMatchObject({
      decision: "Approve",
      renewUntil: "2026-11-22T14:00:00.000Z",
    });
    expect(said.out).toContain(`Evidence\n  2026-11-22T10:00:00.000Z Probe Holds: ${detail}\n`);
    expect(said.out).toContain("Ends         2026-11-22T10:58:00.000Z");
  });

  test.each([
    { reason: "nothing is in force yet", state: "Proposed", says: "only what is in force" },
    { reason: "it failed", state: "Failed", says: "only what is in force" },
    { reason: "it ended", state: "Undone", says: "which is final" },
    { reason: "it has no end", state: "Verified", forGood: true, says: "needs no renewal" },
    { reason: "nobody may give so much", state: "Verified", days: 31, says: "30 days at a time" },
  ] as const)("renews nothing: $reason", async (row) => {
    const { cluster, ports, said, made } = makeScene();
    const { status } = exampleRemediation({ name: "web-1", state: row.state });
    await put(
      cluster,
      row.state,
      "forGood" in row ? { status: { ...status, expiresAtMs: undefined } } : {},
    );
    const renewMs = ("days" in row ? row.days : 1) * 24 * 3_600_000;
    expect(await approve(ports, { choice: { ...choice, renewMs }, on: "web-1" })).toBe(1);
    expect(said.err).toContain(row.says);
    expect(await made()).toEqual([]);
  });

  test.each([
    { reason: "the person says no", answer: "no", says: "nothing was written", code: 1 },
    { reason: "nobody is there to ask", answer: "nobody", says: "--yes goes on", code: 2 },
  ] as const)("writes nothing: $reason", async ({ answer, says, code }) => {
    const { cluster, ports, said, made } = makeScene(answer);
    await put(cluster, "Proposed");
    expect(await approve(ports, { choice: { ...choice, yes: false }, on: "web-1" })).toBe(code);
    expect(said.err).toContain(says);
    expect(await made()).toEqual([]);
  });

  test("writes nothing when the plan became another one while the person was thinking", async () => {
    const scene = makeScene("yes", async () => {
      const name = { namespace: "prod", name: "web-1" };
      const path = "/spec/plan/digest";
      const value = `sha256:${"b".repeat(64)}`;
      await scene.cluster.patch(types.remediation, name, [{ op: "replace", path, value }]);
    });
    await put(scene.cluster, "Proposed");
    const asked = { ...choice, yes: false };
    expect(await approve(scene.ports, { choice: asked, on: "web-1" })).toBe(1);
    expect(scene.said.err).toContain("has another plan now");
    expect(await scene.made()).toEqual([]);
  });

  test("says what to do where no admission policy fills in who approves", async () => {
    const { cluster, ports, said } = makeScene();
    await put(cluster, "Proposed");
    const message = "spec.approvedBy: Required value";
    const refusing = {
      ...ports,
      cluster: {
        ...ports.cluster,
        create: () => Promise.resolve({ ok: false, code: "Invalid", message } as const),
      },
    };
    expect(await approve(refusing, { choice, on: "web-1" })).toBe(1);
    expect(said.err).toContain("pass --as NAME");
  });

  test("does not let an alert's text steer the terminal", async () => {
    const { cluster, ports, said } = makeScene();
    const cause = exampleRemediation({ name: "web-1", state: "Proposed" }).cause;
    await put(cluster, "Proposed", { cause: { ...cause, rule: "\u001b[2Jx" } });
    await approve(ports, { choice, on: "web-1" });
    expect(said.out).not.toContain("\u001b");
  });
});

const digests = { a: `sha256:${"a".repeat(64)}`, b: `sha256:${"b".repeat(64)}` };
const waits = (...asked: readonly string[]): string =>
  asked.map((one) => `${one} waits for approval`).join("; ");

/** A composite in the words of the guard's conditions. */
const box = (conditions: Readonly<Record<string, string>>, more: JsonObject = {}): JsonObject => ({
  apiVersion: "example.org/v1",
  kind: "Box",
  metadata: { name: "b", namespace: "team", annotations: { "parapet.dev/last-writer": "tenant" } },
  spec: {
    crossplane: {
      resourceRefs: [
        { apiVersion: "example.org/v1", kind: "Gone", name: "b-y" },
        { apiVersion: "example.org/v1", kind: "Thing", name: "b-x" },
      ],
    },
  },
  status: {
    conditions: Object.entries(conditions).map(([type, message]) => ({ type, message })),
    ...more,
  },
});
const definition = (group: string): JsonObject => ({
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "CompositeResourceDefinition",
  metadata: { name: `boxes.${group}` },
  spec: {
    group,
    names: { kind: "Box", plural: "boxes" },
    versions: [
      { name: "v0", served: true },
      { name: "v1", served: true, referenceable: true },
    ],
  },
});
const thing: JsonObject = {
  apiVersion: "example.org/v1",
  kind: "Thing",
  metadata: {
    name: "b-x",
    namespace: "team",
    annotations: {
      "crossplane.io/composition-resource-name": "x",
      "parapet.dev/held": JSON.stringify({ held: [{ path: ["spec", "size"], value: 5 }] }),
    },
  },
  spec: { size: 5, note: "a" },
};
const on: HeldChange = {
  kind: "Box",
  apiVersion: undefined,
  name: "b",
  resource: "x",
  desired: undefined,
};
const inTeam = { ...choice, namespace: "team" };
const held = {
  PolicyCompliant:
    "1 resource held back. x: spec.size is above 10. (ValidatingPolicy/few) - held back: spec.size; y: else (P/q)",
  ApprovalPending: waits(`x: ${digests.a}`, `y: ${digests.b}`),
};

async function makeBoxScene(composite: JsonObject, groups: readonly string[] = ["example.org"]) {
  const scene = makeScene();
  for (const group of groups) await scene.cluster.create(definitions, definition(group));
  await scene.cluster.create(boxType, composite);
  await scene.cluster.replaceStatus(boxType, {
    ...(await live(scene.cluster)),
    status: composite["status"] ?? {},
  });
  // The record on it is believed because Crossplane's own field manager wrote it.
  await scene.as(readComposite(composite).fieldManager).apply(thingType, thing);
  return scene;
}

async function live(cluster: Cluster): Promise<JsonObject> {
  const read = await cluster.get(boxType, { namespace: "team", name: "b" });
  if (!read.ok) throw new Error(read.message);
  return read.value;
}

describe("approve composite", () => {
  test("shows what is held and what is kept, and binds the Approval to the digest that waits", async () => {
    const { ports, said, made } = await makeBoxScene(box(held));
    expect(await approve(ports, { choice: inTeam, on })).toBe(0);
    expect(said.err).toBe("");
    for (const part of [
      "Composite  Box team/b",
      "Asked by   tenant, who cannot approve it",
      "Resource   x, exists",
      `Digest     ${digests.a}, waiting`,
      "Violates   x: spec.size is above 10. (ValidatingPolicy/few)",
      "Held back  spec.size",
      "  spec.size: 5\n",
    ]) {
      expect(said.out).toContain(part);
    }
    expect(said.out).not.toContain("y: else");
    expect(await made()).toMatchObject([
      {
        metadata: {
          name: "b-s1",
          namespace: "team",
          labels: { "parapet.dev/digest": "a".repeat(32) },
        },
        spec: {
          for: {
            composite: {
              apiVersion: "example.org/v1",
              kind: "Box",
              name: "b",
              resource: "x",
              digest: digests.a,
            },
          },
        },
      },
    ]);
  });

  test.each([
    { reason: "nothing waits", composite: box({}), says: "no change of it waits" },
    {
      reason: "another resource waits",
      composite: box({ ApprovalPending: waits(`y: ${digests.a}`) }),
      says: "no change of resource x waits for approval; there are y",
    },
    {
      reason: "a claim, which no approval can name",
      composite: {
        ...box(held),
        spec: { resourceRef: { apiVersion: "example.org/v1", kind: "XBox", name: "b-x" } },
      },
      says: "it is a claim: approve XBox b-x behind it",
    },
    {
      reason: "a resource whose name says that of another",
      composite: box({ ApprovalPending: waits(`x: ${digests.a}`, `x: ${digests.b}`) }),
      says: "x is named with 2 digests",
    },
    {
      reason: "status and condition say different things",
      composite: box(
        { ApprovalPending: waits(`x: ${digests.a}`) },
        { parapet: { approvals: [{ resource: "x", digest: digests.b, state: "waiting" }] } },
      ),
      says: "x is named with 2 digests",
    },
  ])("writes nothing: $reason", async ({ composite, says }) => {
    const { ports, said, made } = await makeBoxScene(composite);
    expect(await approve(ports, { choice: inTeam, on })).toBe(1);
    expect(said.err).toContain(says);
    expect(await made()).toEqual([]);
  });

  test.each([
    {
      reason: "an unknown kind",
      groups: ["example.org"],
      change: { kind: "Crate" },
      says: "defined are Box",
    },
    {
      reason: "a kind of two groups",
      groups: ["example.org", "other.org"],
      change: {},
      says: "boxes.example.org, boxes.other.org",
    },
    {
      reason: "no such composite",
      groups: ["example.org"],
      change: { name: "c" },
      says: "is not there",
    },
  ])("names what is wrong: $reason", async ({ groups, change, says }) => {
    const { ports, said } = await makeBoxScene(box(held), groups);
    expect(await approve(ports, { choice: inTeam, on: { ...on, ...change } })).toBe(1);
    expect(said.err).toContain(says);
  });

  test.each(["box", "boxes", "boxes.example.org", "Box.example.org"])(
    "%s finds it",
    async (kind) => {
      const groups = kind.includes(".") ? ["example.org", "other.org"] : ["example.org"];
      const { ports } = await makeBoxScene(box(held), groups);
      expect(await approve(ports, { choice: inTeam, on: { ...on, kind } })).toBe(0);
    },
  );

  test("reads the digest from the status where the definition keeps it", async () => {
    const parapet = {
      approvals: [{ resource: "x", digest: digests.b, state: "waiting" }],
      held: [{ resource: "x", paths: ["spec.size"] }],
      violations: [{ resource: "x", message: "too large", policy: "P" }],
    };
    const { ports, said } = await makeBoxScene(box({}, { parapet }));
    expect(await approve(ports, { choice: inTeam, on })).toBe(0);
    expect(said.out).toContain(`Digest     ${digests.b}, waiting`);
    expect(said.out).toContain("x: too large (P)");
  });

  test("believes a desired object only with the digest that waits", async () => {
    const { cluster, ports, said, made } = await makeBoxScene(box({}));
    const desired = (size: number): JsonObject => ({
      apiVersion: "example.org/v1",
      kind: "Thing",
      metadata: { name: "b-x", labels: { "crossplane.io/composite": "b" } },
      spec: { size, note: "a" },
    });
    const { labels: _, ...metadata } = { labels: {}, name: "b-x" };
    const digest = digestOf(readComposite(await live(cluster)), "x", { ...desired(50), metadata });
    const status = { conditions: [{ type: "ApprovalPending", message: waits(`x: ${digest}`) }] };
    await cluster.replaceStatus(boxType, { ...(await live(cluster)), status });
    expect(await approve(ports, { choice: inTeam, on: { ...on, desired: desired(500) } })).toBe(1);
    expect(said.err).toContain("the desired object is another change");
    expect(await made()).toEqual([]);
    expect(await approve(ports, { choice: inTeam, on: { ...on, desired: desired(50) } })).toBe(0);
    expect(said.out).toContain("- spec.size: 5\n+ spec.size: 50\n");
    expect(said.out).not.toContain("spec.note");
  });
});

const kubeconfig = {
  "current-context": "x",
  clusters: [{ name: "x", cluster: { server: "http://127.0.0.1:1" } }],
  contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
  users: [{ name: "x", user: {} }],
};
const folder = makeFolder({
  "nobody.kubeconfig": JSON.stringify(kubeconfig),
  "empty.kubeconfig": "",
  "no-server.kubeconfig": JSON.stringify({ ...kubeconfig, clusters: [] }),
  "two.yaml": "a: 1\n---\nb: 2\n",
  "syntax.yaml": "a: b: c\n",
});
afterAll(folder.remove);

describe("approve, bad input", () => {
  const good = ["web-1", "-n", "prod", "--reason", "x"];
  const held_ = ["composite", "Box", "b", "-n", "team", "--reason", "x"];
  test.each([
    { reason: "nothing named", words: ["-n", "prod", "--reason", "x"], says: "name a Remediation" },
    { reason: "no namespace", words: ["web-1", "--reason", "x"], says: "-n NAMESPACE" },
    { reason: "no reason", words: ["web-1", "-n", "prod"], says: "say why" },
    { reason: "a blank reason", words: ["web-1", "-n", "prod", "--reason", " "], says: "say why" },
    {
      reason: "a path for a name",
      words: ["../x", "-n", "prod", "--reason", "x"],
      says: "no name of a Remediation",
    },
    { reason: "two remediations", words: ["web-1", ...good], says: "one Remediation at a time" },
    { reason: "no resource", words: held_, says: "--resource RESOURCE" },
    {
      reason: "no composite",
      words: ["composite", "Box", ...held_.slice(3), "--resource", "x"],
      says: "KIND NAME",
    },
    { reason: "days", words: [...good, "--expires", "1d"], says: "--expires must be a duration" },
    { reason: "for ever", words: [...good, "--expires", "10000h"], says: "at most 720h" },
    { reason: "into the past", words: [...good, "--expires", "-1h"], says: "--expires" },
    {
      reason: "two desired",
      words: [...held_, "--resource", "x", "--desired", "two.yaml"],
      says: "exactly one resource",
    },
    {
      reason: "no YAML",
      words: [...held_, "--resource", "x", "--desired", "syntax.yaml"],
      says: "--desired syntax.yaml",
    },
    {
      reason: "no kubeconfig",
      words: [...good, "--kubeconfig", "nowhere"],
      says: "no such kubeconfig; name one with",
    },
    {
      reason: "an empty kubeconfig",
      words: [...good, "--kubeconfig", "empty.kubeconfig"],
      says: "is no kubeconfig",
    },
    {
      reason: "no server",
      words: [...good, "--kubeconfig", "no-server.kubeconfig"],
      says: "names no cluster with a server",
    },
    {
      reason: "no such context",
      words: [...good, "--kubeconfig", "nobody.kubeconfig", "--context", "y"],
      says: '"y"',
    },
    {
      reason: "no API server",
      words: [...good, "--kubeconfig", "nobody.kubeconfig"],
      says: "does not answer",
    },
  ])("$reason", async ({ words, says }) => {
    // `--expires -1h` is an option without a value for the parser of arguments itself.
    const ran = await folder.run(approveCommand, ...words).catch((error: unknown) => ({
      code: 2,
      out: "",
      err: String(error),
    }));
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain(says);
  });
});
