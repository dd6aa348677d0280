// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, type JsonObject, textAt } from "#policy/json";
import { isolationLabel } from "#responder/actions/isolate";
import { verifyAudit } from "#responder/record/audit";
import { types, uidOf } from "#responder/cluster";
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
import { makeFalcosidekick } from "#test/support/falcosidekick";
import { type Child, eventually } from "#test/support/processes";
import { redisServer } from "#test/support/redis";

const isPossible = kubernetesBinaries() !== undefined && redisServer() !== undefined;

describe.skipIf(!isPossible)("responder on a real API server and a real Redis", () => {
  let scene: ResponderScene;
  let responder: Child;
  const curl = (body: string, ...more: readonly string[]): string =>
    execFileSync(
      "curl",
      ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-A", "falcosecurity/falco", ...more].concat([
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        "@-",
        scene.url(),
      ]),
      { input: body, encoding: "utf8" },
    );
  const authorized = ["-H", `Authorization: Bearer ${intakeToken}`] as const;
  const sidekick = (concurrency = 1) =>
    makeFalcosidekick({
      url: scene.url(),
      customHeaders: { Authorization: `Bearer ${intakeToken}` },
      concurrency,
    });
  const networkPolicies = async (namespace: string): Promise<readonly JsonObject[]> => {
    const listed = await scene.people.list(types.networkPolicy, { namespace });
    if (!listed.ok) throw new Error(listed.message);
    return listed.value.items;
  };
  const usePolicy = async (policy: JsonObject): Promise<void> => {
    const old = await scene.people.list(types.responsePolicy, {});
    for (const one of old.ok ? old.value.items : []) {
      const name = { namespace: "", name: textAt(one, ["metadata", "name"]) };
      await scene.people.remove(types.responsePolicy, name, uidOf(one));
    }
    const made = await scene.people.create(types.responsePolicy, policy);
    if (!made.ok) throw new Error(made.message);
    const name = { namespace: "", name: textAt(policy, ["metadata", "name"]) };
    await eventually("the policy is in use", async () => {
      const live = await scene.people.get(types.responsePolicy, name);
      return live.ok && at(live.value, ["status", "conditions", 0, "status"]) === "True";
    });
  };

  beforeAll(async () => {
    const started = await startResponderScene();
    if (started === undefined) throw new Error("no control plane or Redis");
    scene = started;
    for (const name of ["shop", "shop-burst", "shop-crash", "shop-down", "shop-two"]) {
      await scene.people.create(types.namespace, namespaceObject(name));
    }
    responder = await scene.startResponder();
  });
  afterAll(async () => {
    await scene?.stop();
  });

  it("answers 401 without a hint to everybody it does not know", () => {
    const alert = shellAlert("shop", "web-1", Date.now());
    expect(curl(alert)).toBe("401");
    expect(curl(alert, "-H", "Authorization: Bearer wrong")).toBe("401");
    expect(curl(alert, "-u", "falco:wrong")).toBe("401");
  });

  it("takes an alert from proposal over approval to an isolation that is read back, and undoes it", async () => {
    await usePolicy(shellPolicy("Propose"));
    const uid = await makePod(scene.people, "shop", "web-1");
    expect(curl(shellAlert("shop", "web-1", Date.now()), ...authorized)).toBe("202");
    const proposed = await scene.inState("shop", "Proposed");
    expect(proposed.target).toMatchObject({ kind: "Pod", name: "web-1", uid });
    expect(await networkPolicies("shop")).toEqual([]);
    await scene.decide(proposed, "Approve");
    const applied = await scene.inState("shop", "Applied", "Realised");
    const label = isolationLabel(applied.name.name);
    const [policy] = await networkPolicies("shop");
    expect(at(policy, ["spec"])).toEqual({
      podSelector: { matchLabels: { [label]: uid } },
      policyTypes: ["Ingress", "Egress"],
    });
    const pod = await scene.people.get(types.pod, { namespace: "shop", name: "web-1" });
    expect(pod.ok && at(pod.value, ["metadata", "labels"])).toEqual({ app: "web", [label]: uid });
    const printed = execFileSync(
      scene.plane.kubectl,
      ["--kubeconfig", scene.plane.kubeconfig, "get", "remediations", "-n", "shop"],
      { encoding: "utf8" },
    );
    expect(printed).toContain("Terminal shell in container");
    expect(printed).toContain("jane@example.org");
    await scene.decide(applied, "Deny");
    await scene.inState("shop", "Undone");
    expect(await networkPolicies("shop")).toEqual([]);
    const after = await scene.people.get(types.pod, { namespace: "shop", name: "web-1" });
    expect(after.ok && at(after.value, ["metadata", "labels"])).toEqual({ app: "web" });
  });

  it("isolates each of many pods once and counts every alert once, however they come", async () => {
    await usePolicy(
      shellPolicy("Automatic", { limits: { perNamespace: 1000, perWorkload: 1000 } }),
    );
    const pods = Array.from({ length: 20 }, (_, i) => `pod-${i}`);
    for (const name of pods) await makePod(scene.people, "shop-burst", name);
    const sender = sidekick(10);
    const startMs = Date.now();
    const copies: string[] = [];
    for (let i = 0; i < 200; i++) {
      const alert = shellAlert("shop-burst", pods[i % 20] ?? "", startMs, i);
      sender.accept(alert);
      // Falco posts to both: a second copy of the same alert is no second alert.
      if (i % 10 === 0) copies.push(curl(alert, ...authorized));
    }
    expect(new Set(copies)).toEqual(new Set(["202"]));
    await sender.drained();
    expect(sender.dropped()).toBe(0);
    const all = await eventually("all applied and counted", async () => {
      const found = await scene.remediations("shop-burst");
      const counted = found.reduce((sum, one) => sum + one.status.alerts.count, 0);
      const done = found.filter((one) => ["Applied", "Realised"].includes(one.status.state));
      return done.length === 20 && counted >= 200 ? found : false;
    });
    expect(all).toHaveLength(20);
    expect(all.map((one) => one.status.alerts.count)).toEqual(pods.map(() => 10));
    expect(await networkPolicies("shop-burst")).toHaveLength(20);
  });

  it("brings every accepted alert to its outcome exactly once over kill -9 between accept and act", async () => {
    const pods = Array.from({ length: 30 }, (_, i) => `pod-${i}`);
    for (const name of pods) await makePod(scene.people, "shop-crash", name);
    const sender = sidekick(4);
    const startMs = Date.now();
    for (const [i, name] of pods.entries())
      sender.accept(shellAlert("shop-crash", name, startMs, i));
    await eventually("some are accepted", () => sender.delivered() >= 5, 90_000, 1);
    await responder.stop("SIGKILL");
    await sender.drained();
    const accepted = sender.delivered();
    expect(accepted).toBeGreaterThanOrEqual(5);
    responder = await scene.startResponder();
    const all = await eventually(
      "every accepted alert has its outcome",
      async () => {
        const found = await scene.remediations("shop-crash");
        const done = found.filter((one) => one.status.state === "Realised");
        if (done.length < accepted || done.length < found.length) return false;
        // More than the sender knows of may have been taken before the kill: each of them has its one policy in the end.
        const policies = await networkPolicies("shop-crash");
        return policies.length === found.length ? found : false;
      },
      200_000,
    );
    for (const one of all) {
      expect(one.status.alerts.count).toBe(1);
      const acted = one.status.history.filter((entry) => entry.to === "Applied");
      expect(acted).toHaveLength(1);
    }
  });

  it("accepts while Redis and the API server are down, and acts when they are back", async () => {
    await makePod(scene.people, "shop-down", "web-1");
    await makePod(scene.people, "shop-down", "web-2");
    await scene.redis.kill();
    expect(curl(shellAlert("shop-down", "web-1", Date.now()), ...authorized)).toBe("202");
    await scene.plane.killApiServer();
    expect(curl(shellAlert("shop-down", "web-2", Date.now()), ...authorized)).toBe("202");
    await scene.redis.restart();
    await scene.plane.restartApiServer();
    await eventually(
      "both are isolated",
      async () => {
        const found = await scene.remediations("shop-down");
        return found.filter((one) => one.status.state === "Realised").length === 2;
      },
      200_000,
    );
    expect(await networkPolicies("shop-down")).toHaveLength(2);
  });

  it("acts once for each pod when two replicas take the same alerts", async () => {
    const replica = await scene.startReplica("two");
    const pods = Array.from({ length: 20 }, (_, i) => `pod-${i}`);
    for (const name of pods) await makePod(scene.people, "shop-two", name);
    const senders = [scene.url(), replica.url].map((url) =>
      makeFalcosidekick({
        url,
        customHeaders: { Authorization: `Bearer ${intakeToken}` },
        concurrency: 5,
      }),
    );
    const startMs = Date.now();
    for (let i = 0; i < 60; i++) {
      const alert = shellAlert("shop-two", pods[i % 20] ?? "", startMs, i);
      for (const sender of senders) sender.accept(alert);
    }
    for (const sender of senders) await sender.drained();
    const all = await eventually(
      "all applied and counted",
      async () => {
        const found = await scene.remediations("shop-two");
        const counted = found.reduce((sum, one) => sum + one.status.alerts.count, 0);
        const done = found.filter((one) => one.status.state === "Realised");
        return done.length === 20 && counted === 60 ? found : false;
      },
      200_000,
    );
    expect(all).toHaveLength(20);
    expect(await networkPolicies("shop-two")).toHaveLength(20);
    await replica.child.stop("SIGTERM");
    const acts = ["one", "two"].flatMap((name) =>
      readFileSync(join(scene.directory, `${name}-data/audit.jsonl`), "utf8")
        .split("\n")
        .filter((line) => line.includes('"what":"did"') && line.includes("shop-two/")),
    );
    // A NetworkPolicy and a label for each pod, by whichever of the two.
    expect(acts).toHaveLength(40);
  });

  it("keeps a whole audit log of all this", () => {
    const log = readFileSync(join(scene.directory, "one-data/audit.jsonl"), "utf8");
    const verified = verifyAudit(log);
    expect(verified).toMatchObject({ ok: true });
    expect(verified.ok && verified.lines).toBeGreaterThan(100);
  });
});
