// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it posts an alert over HTTP and writes to the demo's cluster.
import { setTimeout as sleep } from "node:timers/promises";
import { type Place, must } from "#cli/demo/place";
import type { Stage } from "#cli/demo/stage";
import { type JsonObject, at, textAt } from "#policy/json";
import { nameOf, types } from "#responder/cluster";
import { writeApproval } from "#responder/console-ports";
import { changeText, changesOf } from "#responder/plan";
import type { Remediation, State } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";

/** What the demo knows of the running responder. */
export type Scene = {
  readonly stage: Stage;
  readonly place: Place;
  readonly intakePort: number;
  readonly intakeToken: string;
};

/** Longest wait for one step; each takes well under a second. */
const stepMsMax = 30_000;

/** A Falco alert becomes a proposal, an isolation after somebody's approval, and is taken back. */
export async function showResponse(scene: Scene): Promise<void> {
  const { stage, place } = scene;
  const { namespace } = place;
  const pod = must(await place.as("kubectl").create(types.pod, webPod(namespace)));
  must(
    await place.as("kubectl").create(types.responsePolicy, isolateShells(place.name, namespace)),
  );
  const refused = await post(scene, webAlert(namespace), "wrong-token-of-somebody");
  const status = await eventually("the policy is known", async () => {
    const answer = await post(scene, webAlert(namespace), scene.intakeToken);
    const listed = await place.cluster.list(types.remediation, { namespace });
    return listed.ok && listed.value.items.length > 0 ? answer : undefined;
  });
  stage.say(
    "alert",
    `"Terminal shell in container" for Pod web, posted as Falco does: ${status}; with a wrong token: ${refused}`,
  );

  const proposed = await inState(place, "Falco", ["Proposed"]);
  tellPlan(stage, proposed);
  await decide(place, proposed, "Approve", "jane", "seen the plan; the shell is not ours");
  stage.say("approved", "by jane, an Approval object bound to this plan's digest");

  const applied = await inState(place, "Falco", [
    "Applied",
    "Realised",
    "Verified",
    "Unverifiable",
  ]);
  const policies = must(await place.cluster.list(types.networkPolicy, { namespace }));
  const [policy] = policies.items;
  if (policy === undefined) throw new Error("no NetworkPolicy was written");
  stage.say(
    "applied",
    `NetworkPolicy ${textAt(policy, ["metadata", "name"])} written and read back, state ${applied.status.state}`,
    `selects ${JSON.stringify(at(policy, ["spec", "podSelector", "matchLabels"]))}, the pod with uid ${textAt(pod, ["metadata", "uid"])}`,
  );

  await decide(place, applied, "Deny", "jane", "investigated: a colleague debugging");
  await inState(place, "Falco", ["Undone"]);
  const left = must(await place.cluster.list(types.networkPolicy, { namespace })).items.length;
  const after = must(await place.cluster.get(types.pod, nameOf(pod)));
  stage.say(
    "undone",
    `${left} NetworkPolicies left, the pod's labels are ${JSON.stringify(at(after, ["metadata", "labels"]))} again`,
  );
}

export function tellPlan(stage: Stage, proposed: Remediation): void {
  if (proposed.plan === undefined) throw new Error("the remediation has no plan");
  stage.say(
    "proposed",
    `Remediation ${proposed.name.name}, plan ${proposed.plan.digest.slice(0, 19)}...`,
    ...changesOf(proposed.plan).map((change) => `  ${changeText(change)}`),
  );
}

/** The demo's one remediation of that source once it is in one of the states. */
export function inState(
  place: Place,
  source: Remediation["cause"]["source"],
  states: readonly State[],
): Promise<Remediation> {
  return eventually(`a remediation in ${states.join(" or ")}`, async () => {
    const listed = must(
      await place.cluster.list(types.remediation, { namespace: place.namespace }),
    );
    const records = listed.items.map(readRemediation);
    return records
      .filter((one) => typeof one !== "string")
      .find((one) => one.cause.source === source && states.includes(one.status.state));
  });
}

export async function decide(
  place: Place,
  remediation: Remediation,
  decision: "Approve" | "Deny",
  by: string,
  reason: string,
): Promise<void> {
  const digest = remediation.plan?.digest ?? "";
  must(
    await writeApproval(
      place.as("kubectl"),
      { name: remediation.name, digest, decision, by, reason },
      Date.now(),
    ),
  );
}

export async function eventually<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + stepMsMax;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`not within ${stepMsMax / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** The status that the intake answered with. */
async function post(scene: Scene, alert: JsonObject, token: string): Promise<number> {
  const reply = await fetch(`http://127.0.0.1:${scene.intakePort}/falco`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(alert),
  });
  await reply.arrayBuffer();
  return reply.status;
}

const webPod = (namespace: string): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace, labels: { app: "web" } },
  // Never scheduled: the demo's pod need not run for its isolation to be written, and without a node it goes at once.
  spec: {
    schedulingGates: [{ name: "parapet.dev/demo" }],
    containers: [{ name: "web", image: "registry.example.org/web:1" }],
  },
});

const isolateShells = (name: string, namespace: string): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name },
  spec: {
    match: { falco: { rules: ["Terminal shell in container"], priority: ">=Notice" } },
    when: `alert.pod.namespace == '${namespace}'`,
    do: [{ isolate: { ttl: "1h" } }],
    mode: "Propose",
  },
});

const webAlert = (namespace: string): JsonObject => ({
  hostname: "demo-node",
  priority: "Notice",
  rule: "Terminal shell in container",
  source: "syscall",
  time: new Date().toISOString().replace("Z", "000000Z"),
  output:
    "Notice A shell was spawned in a container with an attached terminal | evt_type=execve user=root",
  tags: ["container", "mitre_execution", "shell"],
  output_fields: {
    "k8s.ns.name": namespace,
    "k8s.pod.name": "web",
    "proc.name": "sh",
    "user.name": "root",
  },
});
