// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, type JsonObject, textAt } from "#policy/json";
import { readApproval } from "#responder/record/approval-record";
import { remediationJson, statusJson } from "#responder/record/remediation-record";
import type { Reply } from "#test/cluster/api";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { exampleRemediation } from "#test/support/example-remediation";
import {
  conditionOf,
  type GuardScene,
  sceneGroup,
  startGuardScene,
} from "#test/support/guard-scene";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";

// Who may let what through: approvals on real Crossplane and a real API server, with the admission policies in force, so
// that everybody is who they say they are.

const limit = (name: string, field: string, needed: string): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: {
    name,
    annotations: { "parapet.dev/on-violation": "RequireApproval", "parapet.dev/approvals": needed },
  },
  spec: {
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: [sceneGroup],
          apiVersions: ["*"],
          resources: ["things"],
          operations: ["CREATE", "UPDATE"],
        },
      ],
    },
    validationActions: ["Deny"],
    validations: [
      {
        expression: `object.spec.?${field}.orValue(0) <= 10`,
        message: `spec.${field} is above 10.`,
      },
    ],
  },
});

const approvals = (namespace: string): string =>
  `/apis/parapet.dev/v1alpha1/namespaces/${namespace}/approvals`;

/** Longest that an approval may take to have its effect: Crossplane v2.4 watches required resources, its poll is a minute. */
const wakeMsMax = 10_000;
/** What does not happen within this time after an approval that must not count is taken not to happen. */
const quietMs = 2_500;
const quiet = () => new Promise((resolve) => setTimeout(resolve, quietMs));

describe.skipIf(kubernetesBinaries() === undefined || crossplaneBinaries() === undefined)(
  "approvals on real Crossplane",
  () => {
    let scene: GuardScene;
    beforeAll(async () => {
      scene = await startGuardScene({
        users: ["tenant", "jane", "joe"],
        policies: [limit("few", "size", "1"), limit("cheap", "cost", "2")],
      });
    });
    afterAll(() => scene?.stop());

    /** The digest that waits, once the composite says so. */
    const waiting = async (box: string, part = "sha256:"): Promise<string> => {
      const message = await scene.saying(box, "ApprovalPending", "WaitingForApproval", part);
      return /sha256:[0-9a-f]{64}/.exec(message)?.[0] ?? "";
    };
    const approval = (box: string, digest: string, more: JsonObject = {}): JsonObject => ({
      apiVersion: "parapet.dev/v1alpha1",
      kind: "Approval",
      metadata: { generateName: `${box}-`, labels: { "parapet.dev/digest": digest.slice(7, 39) } },
      spec: {
        for: {
          composite: {
            apiVersion: `${sceneGroup}/v1`,
            kind: "Box",
            name: box,
            resource: "x",
            digest,
          },
        },
        decision: "Approve",
        reason: "seen",
        ...more,
      },
    });
    const send = (as: string, object: JsonObject, namespace = "default"): Promise<Reply> =>
      scene.plane.apiAs(as).send("POST", approvals(namespace), object);
    const create = async (as: string, object: JsonObject, namespace = "default") => {
      const reply = await send(as, object, namespace);
      expect(textAt(reply.body, ["message"])).toBe("");
      return reply.body;
    };
    const specIs = (box: string, want: JsonObject) =>
      eventually(`${box} has ${JSON.stringify(want)}`, async () => {
        expect((await scene.thing(box, "x"))?.["spec"]).toEqual(want);
        return true;
      });
    const isHeld = async (box: string): Promise<boolean> =>
      textAt(conditionOf(await scene.box(box), "PolicyCompliant"), ["reason"]) === "Held";

    /** What that takes on this machine. */
    let wokenMs = 0;
    it("wakes the composite within seconds", async () => {
      await scene.setBox("tenant", "wake", { x: { size: 50 } });
      const digest = await waiting("wake");
      expect(await scene.thing("wake", "x")).toBe(undefined);
      const start = Date.now();
      const made = await create("jane", approval("wake", digest));
      expect(textAt(made, ["spec", "approvedBy"])).toBe("jane");
      await specIs("wake", { size: 50 });
      await scene.saying("wake", "ApprovalPending", "Approved", "approved by jane");
      wokenMs = Date.now() - start;
      expect(wokenMs).toBeLessThan(wakeMsMax);
    });

    it("holds what was swapped in after the approver had looked", async () => {
      await scene.setBox("tenant", "early", { x: { size: 50 } });
      const seen = await waiting("early");
      await scene.setBox("tenant", "early", { x: { size: 500 } });
      await eventually("the digest is another", async () => (await waiting("early")) !== seen);
      await create("jane", approval("early", seen));
      await quiet();
      expect(await scene.thing("early", "x")).toBe(undefined);
      await scene.setBox("tenant", "early", { x: { size: 50 } });
      await specIs("early", { size: 50 });
    });

    it("holds what is swapped in after an approved change was made, and keeps what was approved", async () => {
      await scene.setBox("tenant", "late", { x: { size: 50, note: "a" } });
      await create("jane", approval("late", await waiting("late")));
      await specIs("late", { size: 50, note: "a" });
      await scene.setBox("tenant", "late", { x: { size: 500, note: "a" } });
      await scene.saying("late", "PolicyCompliant", "Held", "held back: spec.size");
      await scene.plane.api.mergePatch(`/apis/${sceneGroup}/v1/namespaces/default/things/late-x`, {
        spec: { note: "edited" },
      });
      await specIs("late", { size: 50, note: "a" });
      expect(await isHeld("late")).toBe(true);
    });

    it("takes an approval for nothing but its own composite, resource, namespace and object", async () => {
      await scene.setBox("tenant", "mine", { x: { size: 50 } });
      await scene.setBox("tenant", "other", { x: { size: 50 }, y: { size: 50 } });
      const mine = await waiting("mine");
      const other = await waiting("other");
      expect(other).not.toBe(mine);
      // The same content, approved for somebody else's composite, under every mixture of names.
      await create("jane", approval("other", mine));
      await create("jane", approval("mine", other));
      await scene.plane.api.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: "elsewhere" },
      });
      await create("jane", approval("mine", mine), "elsewhere");
      await quiet();
      expect(await scene.thing("mine", "x")).toBe(undefined);
      expect(await scene.thing("other", "x")).toBe(undefined);
      expect(await scene.thing("other", "y")).toBe(undefined);
      await create("jane", approval("mine", mine));
      await specIs("mine", { size: 50 });
      // A composite made anew under the same name is another one: its uid is part of the digest.
      const path = `/apis/${sceneGroup}/v1/namespaces/default/boxes/mine`;
      await scene.plane.apiAs("tenant").remove(path);
      await eventually("it is gone", async () => (await scene.box("mine")) === undefined);
      await eventually(
        "with its resource",
        async () => (await scene.thing("mine", "x")) === undefined,
      );
      await scene.setBox("tenant", "mine", { x: { size: 50 } });
      expect(await waiting("mine")).not.toBe(mine);
      await quiet();
      expect(await scene.thing("mine", "x")).toBe(undefined);
    });

    it("does not count an expired approval, and tells when one ends", async () => {
      await scene.setBox("tenant", "expired", { x: { size: 50 } });
      const digest = await waiting("expired");
      await create("jane", approval("expired", digest, { expiresAt: "2020-01-01T00:00:00Z" }));
      await quiet();
      expect(await scene.thing("expired", "x")).toBe(undefined);
      // Not over before it has its effect, on a machine however slow.
      const soon = new Date(Date.now() + Math.max(5_000, 10 * wokenMs)).toISOString();
      await create("jane", approval("expired", digest, { expiresAt: soon }));
      await specIs("expired", { size: 50 });
      // What exists stays; that nobody vouches for it any more is told without anything else happening.
      await scene.saying("expired", "PolicyCompliant", "Violated", "exists already");
      await specIs("expired", { size: 50 });
      await scene.setBox("tenant", "expired", { x: { size: 60 } });
      await scene.saying("expired", "PolicyCompliant", "Held", "held back: spec.size");
    });

    it("takes a deleted approval for revoked", async () => {
      await scene.setBox("tenant", "revoked", { x: { size: 50 } });
      const made = await create("jane", approval("revoked", await waiting("revoked")));
      await specIs("revoked", { size: 50 });
      const name = textAt(made, ["metadata", "name"]);
      await scene.plane.apiAs("jane").remove(`${approvals("default")}/${name}`);
      await scene.saying("revoked", "PolicyCompliant", "Violated", "exists already");
      // Another value and back to the one whose approval was revoked: it needs a new one.
      await scene.setBox("tenant", "revoked", { x: { size: 5 } });
      await specIs("revoked", { size: 5 });
      await scene.setBox("tenant", "revoked", { x: { size: 50 } });
      await scene.saying("revoked", "PolicyCompliant", "Held", "held back: spec.size");
      await specIs("revoked", { size: 5 });
    });

    it("refuses an approval that could never be found", async () => {
      const digest = `sha256:${"c".repeat(64)}`;
      const unlabelled = { ...approval("none", digest), metadata: { generateName: "none-" } };
      const told = textAt((await send("jane", unlabelled)).body, ["message"]);
      expect(told).toContain(`the label parapet.dev/digest must be ${"c".repeat(32)}`);
    });

    it("lets one no outweigh every yes", async () => {
      await scene.setBox("tenant", "denied", { x: { size: 50 } });
      const digest = await waiting("denied");
      const no = await create("joe", approval("denied", digest, { decision: "Deny" }));
      await scene.saying("denied", "ApprovalPending", "Denied", "denied by joe");
      await create("jane", approval("denied", digest));
      await quiet();
      expect(await scene.thing("denied", "x")).toBe(undefined);
      await scene.plane
        .apiAs("joe")
        .remove(`${approvals("default")}/${textAt(no, ["metadata", "name"])}`);
      await specIs("denied", { size: 50 });
    });

    it("waits for two people where a policy wants two", async () => {
      await scene.setBox("tenant", "two", { x: { cost: 50 } });
      const digest = await waiting("two");
      await create("jane", approval("two", digest));
      await waiting("two", "(1 so far)");
      await create("jane", approval("two", digest));
      await quiet();
      expect(await scene.thing("two", "x")).toBe(undefined);
      await create("joe", approval("two", digest));
      await specIs("two", { cost: 50 });
      await scene.saying("two", "ApprovalPending", "Approved", "approved by jane and joe");
    });

    it("wants the larger number where two policies ask for approval", async () => {
      await scene.setBox("tenant", "both", { x: { size: 50, cost: 50 } });
      const digest = await waiting("both");
      await create("jane", approval("both", digest));
      await waiting("both", "(1 so far)");
      expect(await scene.thing("both", "x")).toBe(undefined);
      await create("joe", approval("both", digest));
      await specIs("both", { size: 50, cost: 50 });
    });

    it("lets nobody approve what they asked for, nor in another's name", async () => {
      await scene.setBox("tenant", "own", { x: { size: 50 } });
      const digest = await waiting("own");
      const forged = await send("tenant", approval("own", digest, { approvedBy: "jane" }));
      expect(textAt(forged.body, ["message"])).toContain("spec.approvedBy must be tenant");
      await create("tenant", approval("own", digest));
      await waiting("own", "whoever asked for a change cannot approve it");
      await quiet();
      expect(await scene.thing("own", "x")).toBe(undefined);
      // Nor by saying that somebody else asked for it.
      const path = `/apis/${sceneGroup}/v1/namespaces/default/boxes/own`;
      const posing = await scene.plane
        .apiAs("tenant")
        .send(
          "PATCH",
          path,
          { metadata: { annotations: { "parapet.dev/last-writer": "joe" } } },
          "application/merge-patch+json",
        );
      expect(textAt(posing.body, ["message"])).toContain("is set by the API server");
      await create("jane", approval("own", digest));
      await specIs("own", { size: 50 });
    });

    it("keeps the one who asked among the writers while others edit the composite", async () => {
      await scene.setBox("tenant", "laundered", { x: { size: 50 } });
      await waiting("laundered");
      await scene.setBox("jane", "laundered", { x: { size: 50 }, y: { size: 1 } });
      await eventually("y is made", () => scene.thing("laundered", "y"));
      const digest = await waiting("laundered");
      await create("tenant", approval("laundered", digest));
      await create("jane", approval("laundered", digest));
      await quiet();
      expect(await scene.thing("laundered", "x")).toBe(undefined);
      const path = `/apis/${sceneGroup}/v1/namespaces/default/boxes/laundered`;
      const claimed = await scene.plane
        .apiAs("jane")
        .send(
          "PATCH",
          path,
          { metadata: { annotations: { "parapet.dev/last-writer": "jane" } } },
          "application/merge-patch+json",
        );
      expect(textAt(claimed.body, ["message"])).toContain("is set by the API server");
      await create("joe", approval("laundered", digest));
      await specIs("laundered", { size: 50 });
      // Once nothing waits, whoever writes next is the only one who asked.
      await scene.saying("laundered", "ApprovalPending", "Approved");
      await eventually("the guard has seen all of it", async () => {
        await scene.setBox("joe", "laundered", { x: { size: 60 }, y: { size: 1 } });
        return (await lastWriter("laundered")) === "joe";
      });
    });

    it("counts whoever wrote before the guard had looked", async () => {
      await scene.setBox("tenant", "fast", { x: { size: 50 } });
      await scene.setBox("jane", "fast", { x: { size: 50 }, y: { size: 1 } });
      expect(await lastWriter("fast")).toBe("tenant\njane");
    });

    const lastWriter = async (box: string): Promise<string> =>
      textAt(await scene.box(box), ["metadata", "annotations", "parapet.dev/last-writer"]);

    const parapet = (as: string, ...words: readonly string[]) =>
      new Promise<{ readonly code: number; readonly out: string; readonly err: string }>(
        (resolve) => {
          const main = join(repository, "cli/main.ts");
          const all = [main, ...words, "--kubeconfig", scene.plane.kubeconfigAs(as)];
          execFile(process.execPath, all, (error, out, err) => {
            resolve({ code: error === null ? 0 : Number(error.code), out, err });
          });
        },
      );
    const onCli = ["-n", "default", "--resource", "x", "--reason", "seen", "--yes"];

    it("is given by the command line, with the change as a diff whose digest is checked", async () => {
      await scene.setBox("tenant", "cli", { x: { size: 5, note: "a" } });
      await specIs("cli", { size: 5, note: "a" });
      await scene.setBox("tenant", "cli", { x: { size: 50, note: "a" } });
      const digest = await waiting("cli");
      const desired = join(scene.plane.directory, "desired.json");
      const write = (size: number) =>
        writeFileSync(
          desired,
          JSON.stringify({
            apiVersion: `${sceneGroup}/v1`,
            kind: "Thing",
            metadata: {
              name: "cli-x",
              labels: { "crossplane.io/composite": "cli" },
              annotations: { "crossplane.io/composition-resource-name": "x" },
            },
            spec: { size, note: "a" },
          }),
        );
      write(500);
      const words = ["approve", "composite", "Box", "cli", ...onCli];
      const swapped = await parapet("jane", ...words, "--desired", desired);
      expect(swapped).toMatchObject({ code: 1, out: "" });
      expect(swapped.err).toContain("the desired object is another change");
      write(50);
      const dry = await parapet("jane", ...words, "--dry-run");
      expect(dry.out).toContain(`digest: ${digest}`);
      expect(await isHeld("cli")).toBe(true);
      const given = await parapet("jane", ...words, "--desired", desired, "--expires", "1h");
      expect(given.err).toBe("");
      expect(given.out).toContain("Asked by   tenant, who cannot approve it");
      expect(given.out).toContain("- spec.size: 5\n+ spec.size: 50\n");
      expect(given.out).toContain("Approve by jane, valid until ");
      await specIs("cli", { size: 50, note: "a" });
      const again = await parapet("jane", "approve", "composite", "boxes", "nothing", ...onCli);
      expect(again).toMatchObject({ code: 1, out: "" });
    });

    it("tells on the command line what is kept while a change is held, and takes a no", async () => {
      await scene.setBox("tenant", "kept", { x: { size: 5 } });
      await specIs("kept", { size: 5 });
      await scene.setBox("tenant", "kept", { x: { size: 50 } });
      await waiting("kept");
      const denied = await parapet(
        "joe",
        "approve",
        "composite",
        `box.${sceneGroup}`,
        "kept",
        ...onCli,
        "--deny",
      );
      expect(denied.err).toBe("");
      expect(denied.out).toContain("Held back  spec.size");
      expect(denied.out).toContain("  spec.size: 5\n");
      await scene.saying("kept", "ApprovalPending", "Denied", "denied by joe");
      expect(await isHeld("kept")).toBe(true);
    });

    it("is given for a remediation's plan by the command line, and taken for that plan alone", async () => {
      const remediation = exampleRemediation({ name: "web-1", state: "Proposed" });
      const name = { namespace: "default", name: "web-1" };
      const object = remediationJson({ ...remediation, name }, "f".repeat(32));
      const path = "/apis/parapet.dev/v1alpha1/namespaces/default/remediations";
      await scene.plane.api.create(path, object);
      const status = statusJson(remediation.status);
      await scene.plane.api.mergePatch(`${path}/web-1/status`, { status });
      const words = ["approve", "web-1", "-n", "default", "--reason", "seen"];
      const unasked = await parapet("jane", ...words);
      expect(unasked).toMatchObject({ code: 2 });
      expect(unasked.err).toContain("no terminal to ask at");
      const given = await parapet("jane", ...words, "--yes", "--expires", "30m");
      expect(given.err).toBe("");
      expect(given.out).toContain(`Digest       ${remediation.plan?.digest}`);
      expect(given.out).toContain("Approve by jane, valid until ");
      const all = await scene.plane.api.list(approvals("default"));
      const made = all.find((one) => at(one, ["spec", "for", "remediation", "name"]) === "web-1");
      expect(readApproval(made ?? {})).toMatchObject({
        planDigest: remediation.plan?.digest,
        decision: "Approve",
        approvedBy: "jane",
      });
      const posing = await parapet("jane", ...words, "--yes", "--as", "joe");
      expect(posing).toMatchObject({ code: 1 });
      expect(posing.err).toContain("spec.approvedBy must be jane");
      const nobody = await parapet("jane", "approve", "web-2", ...words.slice(2), "--yes");
      expect(nobody).toMatchObject({ code: 1, out: "" });
      expect(nobody.err).toContain("is not there");
    });

    it("an alert is explained from what is in the cluster, and nothing is written", async () => {
      await scene.plane.api.create("/api/v1/namespaces/default/pods", {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "web", labels: { app: "web" } },
        spec: { containers: [{ name: "c", image: "registry.example.org/web" }] },
      });
      await scene.plane.api.create("/apis/parapet.dev/v1alpha1/responsepolicies", {
        apiVersion: "parapet.dev/v1alpha1",
        kind: "ResponsePolicy",
        metadata: { name: "shells" },
        spec: {
          match: { falco: { rules: ["Shell"] } },
          when: 'pod.metadata.labels.app == "web"',
          do: [{ isolate: { ttl: "30m" } }],
        },
      });
      const alert = join(scene.plane.directory, "alert.json");
      const fields = { "k8s.ns.name": "default", "k8s.pod.name": "web" };
      const time = new Date().toISOString();
      const text = { rule: "Shell", priority: "Notice", time, output: "x", output_fields: fields };
      writeFileSync(alert, JSON.stringify(text));
      const said = await parapet("joe", "explain", alert);
      expect(said.err).toBe("");
      expect(said.out).toContain("Policy shells: policy mode Propose; would be proposed");
      expect(said.out).toContain("kind: NetworkPolicy");
      expect(said.out).toContain("Global stop  off");
      const networking = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
      expect(await scene.plane.api.list(networking)).toEqual([]);
      const remediations = "/apis/parapet.dev/v1alpha1/namespaces/default/remediations";
      expect(await scene.plane.api.list(remediations)).toHaveLength(1);
    });
  },
);
