// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, parseJson, textAt } from "#policy/json";
import { openAuditFile } from "#responder/adapters/audit-file";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { openSpool } from "#responder/adapters/spool";
import { verifyAudit } from "#responder/record/audit";
import { failure, types, uidOf } from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { writeApproval } from "#responder/console-ports";
import { isolationLabel } from "#responder/actions/isolate";
import { makeLog } from "#responder/log";
import { makeMetrics } from "#responder/metrics";
import { readRemediation } from "#responder/record/remediation-record";
import type { Remediation, State } from "#responder/remediation";
import { startResponder } from "#responder/responder";
import { eventually } from "#test/support/processes";

const ended: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

async function startScene(settings: JsonObject = {}) {
  const directory = mkdtempSync(join(tmpdir(), "parapet-responder-"));
  const clock = { offsetMs: 0 };
  const now = (): number => Date.now() + clock.offsetMs;
  const memory = makeMemoryCluster(now);
  const cluster = memory.client();
  const others = memory.client("kubectl");
  const queue = makeMemoryQueue();
  const parsed = parseConfig(
    { settle: "50ms", ...settings },
    { PARAPET_INTAKE_TOKEN: "0123456789abcdef", PARAPET_IDENTITY: "one" },
  );
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  const metrics = makeMetrics();
  const told: string[] = [];
  const noPlace = failure("Invalid", "no place for evidence is configured");
  const auditFile = join(directory, "audit.jsonl");
  const responder = startResponder(parsed.config, {
    cluster,
    queue,
    spool: await openSpool(join(directory, "spool"), 1 << 20),
    audit: await openAuditFile(auditFile, now),
    metrics,
    effects: {
      evidence: { find: () => Promise.resolve(noPlace), keep: () => Promise.resolve(noPlace) },
      send: (to, telling) => {
        told.push(`${to} ${telling.notice} ${telling.remediations.length}`);
        return Promise.resolve({ ok: true, value: undefined });
      },
    },
    log: makeLog(() => undefined, now),
    now,
  });
  ended.push(async () => {
    await responder.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const remediations = async (): Promise<readonly Remediation[]> => {
    const listed = await others.list(types.remediation, {});
    if (!listed.ok) throw new Error(listed.message);
    return listed.value.items.map((object) => {
      const read = readRemediation(object);
      if (typeof read === "string") throw new Error(read);
      return read;
    });
  };
  const inState = (...states: readonly State[]): Promise<Remediation> =>
    eventually(`a remediation in ${states.join(" or ")}`, async () => {
      const found = (await remediations()).find((one) => states.includes(one.status.state));
      return found ?? false;
    });
  return {
    memory,
    cluster,
    others,
    responder,
    queue,
    clock,
    now,
    remediations,
    inState,
    auditFile,
    metrics,
    told,
  };
}

const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };

const pod = (name: string, more: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", labels: { app: "web" } },
  spec: { containers: [{ name: "web", image: "nginx" }], ...more },
  status: { phase: "Running" },
});

const policy = (mode: string, more: JsonObject = {}): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "isolate-shells" },
  spec: {
    match: { falco: { rules: ["Terminal shell in container"], priority: ">=Notice" } },
    when: "alert.pod.namespace != '' && alert.pod.namespace != 'kube-system'",
    do: [{ isolate: { ttl: "1h" } }],
    mode,
    ...more,
  },
});

function alertBody(name: string, atMs: number, more: JsonObject = {}): Buffer {
  const time = new Date(atMs).toISOString().replace("Z", "000001Z");
  const body = {
    hostname: "node-1",
    rule: "Terminal shell in container",
    priority: "Notice",
    source: "syscall",
    output: "A shell was spawned",
    tags: ["shell"],
    time,
    output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": name, "proc.name": "sh" },
    ...more,
  };
  return Buffer.from(JSON.stringify(body));
}

describe("a proposal", () => {
  const destinations = [{ name: "ops", url: "https://ops.example" }];

  it("is told to those whom the configuration names, once, and stands on the pod as an Event", async () => {
    const scene = await startScene({ notify: { destinations, to: ["ops"] } });
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Propose"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    await eventually("the mark", async () =>
      (await scene.remediations()).some(({ status }) => status.told.includes("Proposed")),
    );
    await approve(scene, await scene.inState("Proposed"), "Deny");
    await scene.inState("Denied");
    expect(scene.told).toEqual(["ops Proposed 1"]);
    const reasons = await eventually("two Events", async () => {
      const listed = await scene.others.list(types.event, { namespace: "shop" });
      const all = listed.ok ? listed.value.items.map((one) => textAt(one, ["reason"])) : [];
      return all.length === 2 && all;
    });
    expect(reasons.toSorted()).toEqual(["ParapetDenied", "ParapetProposed"]);
  });

  it("of a policy that names a destination nobody configured is made all the same, and its status says so", async () => {
    const scene = await startScene({ notify: { destinations, to: [] } });
    const actions = [{ isolate: {} }, { notify: { to: "pager" } }];
    await scene.others.create(
      types.responsePolicy,
      policy("Propose", { do: actions, notify: { to: ["ops", "desk"] } }),
    );
    const message = await eventually("a status", async () => {
      const name = { namespace: "", name: "isolate-shells" };
      const live = await scene.others.get(types.responsePolicy, name);
      return live.ok && textAt(live.value, ["status", "conditions", 0, "message"]);
    });
    expect(message).toBe(
      "in use; no destination is called desk: nobody is told there; no destination is called pager: nobody is told there",
    );
  });

  it("is told to those whom its policy names instead, and only of what it names", async () => {
    const scene = await startScene({ notify: { destinations, to: [] } });
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(
      types.responsePolicy,
      policy("Propose", { notify: { to: ["ops"], about: ["ExpiresSoon"] } }),
    );
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    await scene.inState("Proposed");
    scene.clock.offsetMs = 24 * 3_600_000 - 300_000;
    // A change of the record is looked at by the clock of then.
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    await eventually("told", () => scene.told.length > 0);
    expect(scene.told).toEqual(["ops ExpiresSoon 1"]);
  });
});

describe("a Falco alert", () => {
  it("is proposed, approved, isolated, read back and undone by a Deny", async () => {
    const scene = await startScene();
    const made = await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Propose"));
    await scene.responder.acting;
    const answer = await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    expect(answer).toMatchObject({ status: 202, accepted: 1 });

    const proposed = await scene.inState("Proposed");
    const untouched = await scene.others.list(types.networkPolicy, { namespace: "shop" });
    expect(untouched.ok && untouched.value.items).toEqual([]);
    await approve(scene, proposed, "Approve");

    const applied = await scene.inState("Applied", "Realised");
    expect(applied.status.approval?.by).toBe("jane");
    const live = await scene.others.get(types.pod, { namespace: "shop", name: "web-1" });
    const uid = made.ok ? uidOf(made.value) : "";
    const label = isolationLabel(applied.name.name);
    expect(live.ok && textAt(live.value, ["metadata", "labels", label])).toBe(uid);
    expect(live.ok && textAt(live.value, ["metadata", "labels", "app"])).toBe("web");
    const [np] = await networkPolicies(scene);
    expect(at(np, ["spec"])).toEqual({
      podSelector: { matchLabels: { [label]: uid } },
      policyTypes: ["Ingress", "Egress"],
    });
    expect((await scene.inState("Realised")).status.history.map((one) => one.to)).toEqual([
      "Proposed",
      "Approved",
      "Applying",
      "Applied",
      "Realised",
    ]);

    await approve(scene, applied, "Deny");
    const undone = await scene.inState("Undone");
    expect(undone.status.history.at(-1)).toMatchObject({ reason: "Denied", by: "jane" });
    expect(await networkPolicies(scene)).toEqual([]);
    const after = await scene.others.get(types.pod, { namespace: "shop", name: "web-1" });
    expect(after.ok && at(after.value, ["metadata", "labels"])).toEqual({ app: "web" });
    expect(verifyAudit(readFileSync(scene.auditFile, "utf8"))).toMatchObject({ ok: true });
  });

  it("is counted, not repeated, and the isolation ends by itself", async () => {
    const scene = await startScene();
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    for (let i = 0; i < 20; i++) {
      // Two copies of each: Falco's own and falcosidekick's.
      const body = alertBody("web-1", scene.now() + i);
      await scene.responder.intake.accept(body, "falco");
      await scene.responder.intake.accept(body, "falcosidekick");
    }
    await scene.inState("Realised");
    const counted = await eventually("20 alerts counted", async () => {
      const [one] = await scene.remediations();
      return one !== undefined && one.status.alerts.count >= 20 ? one : false;
    });
    expect(counted.status.alerts.count).toBe(20);
    expect(await scene.remediations()).toHaveLength(1);
    expect(await networkPolicies(scene)).toHaveLength(1);

    scene.clock.offsetMs = 3_600_001;
    // A change that somebody makes wakes the worker, as its timer would after a real hour.
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "falco");
    const undone = await scene.inState("Undone");
    expect(undone.status.history.at(-1)).toMatchObject({ reason: "Expired" });
    expect(await networkPolicies(scene)).toEqual([]);
  });

  it("survives a clock that is set back and forward: counted, in force, and ended once", async () => {
    // The clock of the responder; the nodes that date alerts and pods keep their own.
    const scene = await startScene();
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("web-1", Date.now()), "falco");
    await scene.inState("Realised");
    const countedTo = (count: number) =>
      eventually(`${count} alerts`, async () => {
        const [one] = await scene.remediations();
        return one?.status.alerts.count === count ? one : false;
      });

    scene.clock.offsetMs = -7_200_000;
    await scene.responder.intake.accept(alertBody("web-1", Date.now()), "falco");
    expect((await countedTo(2)).status.state).toBe("Realised");
    scene.clock.offsetMs = 600_000;
    await scene.responder.intake.accept(alertBody("web-1", Date.now()), "falco");
    expect((await countedTo(3)).status.state).toBe("Realised");
    expect(await networkPolicies(scene)).toHaveLength(1);

    scene.clock.offsetMs = 3_600_001;
    await scene.responder.intake.accept(alertBody("web-1", Date.now()), "falco");
    expect((await scene.inState("Undone")).status.history.at(-1)?.reason).toBe("Expired");
    expect(await networkPolicies(scene)).toEqual([]);
  });

  it("leads to nothing once the pod is another one", async () => {
    const scene = await startScene();
    const made = await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Propose"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    const proposed = await scene.inState("Proposed");
    await scene.others.remove(
      types.pod,
      { namespace: "shop", name: "web-1" },
      made.ok ? uidOf(made.value) : "",
    );
    await scene.others.create(types.pod, pod("web-1"));
    await approve(scene, proposed, "Approve");
    await scene.inState("TargetGone");
    expect(await networkPolicies(scene)).toEqual([]);
    const live = await scene.others.get(types.pod, { namespace: "shop", name: "web-1" });
    expect(live.ok && at(live.value, ["metadata", "labels"])).toEqual({ app: "web" });
  });

  it("finds the successor of a pod that was read a moment before, by what proves it", async () => {
    const scene = await startScene();
    const first = await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Propose"));
    await scene.responder.acting;
    const uids: string[] = [];
    const uid = first.ok ? uidOf(first.value) : "";
    const alertOf = (of: string): JsonObject => ({
      output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": "web-1", "k8s.pod.uid": of },
    });
    await scene.responder.intake.accept(alertBody("web-1", scene.now(), alertOf(uid)), "test");
    uids.push((await scene.inState("Proposed")).target.uid);
    const name = { namespace: "shop", name: "web-1" };
    await scene.others.remove(types.pod, name, uid);
    const next = await scene.others.create(types.pod, pod("web-1"));
    const nextUid = next.ok ? uidOf(next.value) : "";
    await scene.responder.intake.accept(alertBody("web-1", scene.now(), alertOf(nextUid)), "test");
    const found = await eventually("one of the successor", async () =>
      (await scene.remediations()).find((one) => one.target.uid === nextUid),
    );
    expect([...uids, found.target.uid]).toEqual([uid, nextUid]);
  });

  it("is kept for review where no NetworkPolicy would help, and where there is no pod", async () => {
    const scene = await startScene();
    await scene.others.create(types.pod, pod("on-host", { hostNetwork: true }));
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("on-host", scene.now()), "test");
    await scene.responder.intake.accept(alertBody("no-such-pod", scene.now()), "test");
    const both = await eventually("two records", async () => {
      const all = await scene.remediations();
      return all.length === 2 ? all : false;
    });
    expect(both.map((one) => one.status.state)).toEqual(["Observed", "Observed"]);
    expect(both.map((one) => one.plan)).toEqual([undefined, undefined]);
    expect(both.map((one) => one.cause.message).join()).toContain("node's network");
    expect(both.map((one) => one.cause.message).join()).toContain("no longer exists");
    expect(both.map((one) => one.cause.message).join()).not.toContain("is protected");
    // As kubectl shows it: a state that is only assumed would be an empty column.
    await eventually("their states are written", async () => {
      const listed = await scene.others.list(types.remediation, {});
      const states = listed.ok
        ? listed.value.items.map((one) => textAt(one, ["status", "state"]))
        : [];
      return states.length === 2 && states.every((state) => state === "Observed");
    });
  });

  it("waits in the spool while the queue is away, and while the API server is down", async () => {
    const scene = await startScene();
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    scene.queue.setUp(false);
    scene.memory.setUp(false);
    const answer = await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    expect(answer).toMatchObject({ status: 202 });
    scene.queue.setUp(true);
    scene.memory.setUp(true);
    await scene.inState("Realised");
    expect(await networkPolicies(scene)).toHaveLength(1);
  });

  it("never takes over a NetworkPolicy of somebody else", async () => {
    const scene = await startScene();
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Propose"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    const proposed = await scene.inState("Proposed");
    const theirs = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: `parapet-${proposed.name.name}`, namespace: "shop" },
      spec: { podSelector: {}, ingress: [{}] },
    };
    await scene.others.create(types.networkPolicy, theirs);
    await approve(scene, proposed, "Approve");
    const failed = await scene.inState("Failed");
    expect(failed.status.history.at(-1)?.message).toContain("somebody else");
    const [kept] = await networkPolicies(scene);
    expect(at(kept, ["spec"])).toEqual(theirs.spec);
  });

  it("keeps to the limits when alerts of many pods come at once", async () => {
    const scene = await startScene();
    const names = Array.from({ length: 30 }, (_, i) => `web-${i}`);
    for (const name of names) await scene.others.create(types.pod, pod(name));
    const limits = { perNamespace: 5, perWorkload: 100 };
    await scene.others.create(types.responsePolicy, policy("Automatic", { limits }));
    await scene.responder.acting;
    const startMs = scene.now();
    await Promise.all(
      names.map((name, i) => scene.responder.intake.accept(alertBody(name, startMs + i), "test")),
    );
    const all = await eventually("all recorded", async () => {
      const found = await scene.remediations();
      return found.length === names.length && found;
    });
    expect(all.filter((one) => one.mode === "Automatic")).toHaveLength(5);
  });

  it("is only proposed where a limit is reached", async () => {
    const scene = await startScene();
    for (const name of ["a", "b", "c"]) await scene.others.create(types.pod, pod(name));
    const limits = { perNamespace: 1, cooldown: "1m" };
    await scene.others.create(types.responsePolicy, policy("Automatic", { limits }));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("a", scene.now()), "test");
    await scene.inState("Realised");
    await scene.responder.intake.accept(alertBody("b", scene.now()), "test");
    const overLimit = await scene.inState("Proposed");
    expect(overLimit.target.name).toBe("b");
    expect(overLimit.plan?.notes.join()).toContain("in force in the namespace already");
    expect(await networkPolicies(scene)).toHaveLength(1);
  });

  it("is only proposed when it is old or has no time: an automatic act needs a fresh cause", async () => {
    const scene = await startScene();
    // The pod is older than the alert about it.
    scene.clock.offsetMs = -7_200_000;
    await scene.others.create(types.pod, pod("old"));
    scene.clock.offsetMs = 0;
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("old", scene.now() - 3_600_000), "test");
    const proposed = await scene.inState("Proposed");
    expect(proposed.plan?.notes.join()).toContain("old");
    expect(await networkPolicies(scene)).toEqual([]);
  });

  it("waits while the global stop is on, and can be undone under it", async () => {
    const scene = await startScene();
    for (const name of ["a", "b"]) await scene.others.create(types.pod, pod(name));
    await scene.others.create(types.responsePolicy, policy("Propose"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("a", scene.now()), "test");
    await approve(scene, await scene.inState("Proposed"), "Approve");
    const inForce = await scene.inState("Realised");
    const stop = await scene.others.create(configMap, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "parapet-stop", namespace: "parapet-system" },
    });
    await eventually("the stop is seen", () => /^parapet_stopped 1$/m.test(scene.metrics.text()));
    await scene.responder.intake.accept(alertBody("b", scene.now()), "test");
    await approve(scene, await scene.inState("Proposed"), "Approve");
    await scene.inState("Approved");
    await approve(scene, inForce, "Deny");
    await scene.inState("Undone");
    expect(await networkPolicies(scene)).toEqual([]);
    const name = { namespace: "parapet-system", name: "parapet-stop" };
    await scene.others.remove(configMap, name, stop.ok ? uidOf(stop.value) : "");
    await scene.inState("Realised");
    expect(await networkPolicies(scene)).toHaveLength(1);
    const whats = readFileSync(scene.auditFile, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => textAt(parseJson(line), ["what"]))
      .filter((what) => /^(global|policy)/.test(what));
    expect(whats).toEqual(["policy in use", "global stop", "global stop lifted"]);
  });

  it("begins nothing from the moment that the global stop exists, however quick the alert is", async () => {
    const scene = await startScene();
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    await scene.others.create(configMap, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "parapet-stop", namespace: "parapet-system" },
    });
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    // Automatic, since the stop was not seen yet when the plan was made; or proposed, when it was.
    await scene.inState("Approved", "Proposed");
    await eventually("the stop is seen", () => /^parapet_stopped 1$/m.test(scene.metrics.text()));
    expect(await networkPolicies(scene)).toEqual([]);
    expect((await scene.remediations()).map((one) => one.status.history.length)).toEqual([1]);
  });

  it("in a protected namespace is recorded, never acted on", async () => {
    const scene = await startScene({ protectedNamespaces: ["shop"] });
    await scene.others.create(types.pod, pod("web-1"));
    await scene.others.create(types.responsePolicy, policy("Automatic"));
    await scene.responder.acting;
    await scene.responder.intake.accept(alertBody("web-1", scene.now()), "test");
    const observed = await scene.inState("Observed");
    expect(observed.plan?.notes.join()).toContain("protected");
    await approve(scene, observed, "Approve");
    await scene.responder.intake.accept(alertBody("web-1", scene.now() + 1), "test");
    await eventually(
      "counted",
      async () => (await scene.remediations())[0]?.status.alerts.count === 2,
    );
    expect((await scene.remediations())[0]?.status.state).toBe("Observed");
    expect(await networkPolicies(scene)).toEqual([]);
  });
});

type Scene = Awaited<ReturnType<typeof startScene>>;

async function networkPolicies(scene: Scene): Promise<readonly JsonObject[]> {
  const listed = await scene.others.list(types.networkPolicy, { namespace: "shop" });
  return listed.ok ? listed.value.items : [];
}

async function approve(
  scene: Scene,
  remediation: Remediation,
  decision: "Approve" | "Deny",
): Promise<void> {
  const reply = await writeApproval(
    scene.others,
    {
      name: remediation.name,
      digest: remediation.plan?.digest ?? "",
      decision,
      by: "jane",
      reason: "looked at it",
    },
    scene.now(),
  );
  expect(reply).toMatchObject({ ok: true });
}
