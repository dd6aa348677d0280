// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { types } from "#responder/cluster";
import type { Remediation } from "#responder/remediation";
import { good } from "#test/cluster/packet-node";
import {
  intakeToken,
  makePod,
  namespaceObject,
  type ResponderScene,
  shellAlert,
  shellPolicy,
  startResponderScene,
} from "#test/cluster/responder-scene";
import { eventually } from "#test/support/processes";

// An approval is for the plan that was shown: on a real API server, with the rights that `parapet rbac` gives the responder.

let scene: ResponderScene;

beforeAll(async () => {
  const started = await startResponderScene();
  if (started === undefined) throw new Error("needs redis-server and a control plane");
  scene = started;
  await scene.startResponder({ settle: "1s" });
}, 1_800_000);

afterAll(() => scene.stop());

/** A pod, a policy that proposes to isolate it, and the proposal that an alert leads to. */
async function proposed(namespace: string): Promise<Remediation> {
  const policy = shellPolicy("Propose", {
    when: `alert.pod.namespace == '${namespace}'`,
    do: [{ isolate: { ttl: "1h" } }],
  });
  good(await scene.people.create(types.namespace, namespaceObject(namespace)));
  good(
    await scene.people.create(types.responsePolicy, { ...policy, metadata: { name: namespace } }),
  );
  await makePod(scene.people, namespace, "web-1");
  await eventually("the policy is in use", async () => {
    const name = { namespace: "", name: namespace };
    const live = good(await scene.people.get(types.responsePolicy, name));
    return textAt(live, ["status", "conditions", 0, "status"]) === "True";
  });
  const response = await fetch(scene.url(), {
    method: "POST",
    headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
    body: shellAlert(namespace, "web-1", Date.now()),
  });
  expect(response.status).toBe(202);
  return scene.inState(namespace, "Proposed");
}

const backdoor = (namespace: string): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "backdoor", namespace },
  spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{}] },
});

const policiesOf = async (namespace: string): Promise<readonly string[]> =>
  good(await scene.people.list(types.networkPolicy, { namespace })).items.map((one) =>
    textAt(one, ["metadata", "name"]),
  );

describe("an approved isolation", () => {
  it("is made where nothing changed since it was shown", async () => {
    const one = await proposed("approve-same");
    await scene.decide(one, "Approve");
    const applied = await scene.inState("approve-same", "Realised");
    expect(applied.name).toEqual(one.name);
    const begun = applied.status.history.find(({ to }) => to === "Applying");
    expect(begun?.message).toContain("planned anew as approved");
  });

  it("is refused where its plan is another by now, and the new plan waits for an approval of its own", async () => {
    const namespace = "approve-other";
    const shown = await proposed(namespace);
    expect(shown.plan?.residualAllows).toEqual([]);
    good(await scene.people.create(types.networkPolicy, backdoor(namespace)));
    await scene.decide(shown, "Approve");

    const refused = await scene.inState(namespace, "Denied");
    expect(refused.name).toEqual(shown.name);
    const last = refused.status.history.at(-1);
    expect(last).toMatchObject({ reason: "PlanChanged", by: "parapet" });
    expect(last?.message).toContain(
      "stays open now: Egress by NetworkPolicy approve-other/backdoor",
    );
    expect(await policiesOf(namespace)).toEqual(["backdoor"]);

    const next = await scene.inState(namespace, "Proposed");
    expect(last?.message).toContain(`Remediation ${next.name.name} proposes`);
    expect(next.plan?.digest).not.toBe(shown.plan?.digest);
    expect(next.plan?.residualAllows.map(({ name }) => name)).toEqual(["backdoor"]);
    // The approval of the first plan says nothing about the second.
    expect((await scene.remediations(namespace)).length).toBe(2);
    await scene.decide(next, "Approve");
    const inForce = await scene.inState(namespace, "Unverifiable");
    expect(inForce.name).toEqual(next.name);
    expect(inForce.status.history.at(-1)?.reason).toBe("ResidualAllows");
    expect((await policiesOf(namespace)).length).toBe(2);
    const audit = readFileSync(join(scene.directory, "one-data/audit.jsonl"), "utf8");
    expect(audit).toContain('"reason":"PlanChanged"');
  });

  it("is refused where the policy that it came from is gone", async () => {
    const namespace = "approve-gone";
    const shown = await proposed(namespace);
    const name = { namespace: "", name: namespace };
    const live = good(await scene.people.get(types.responsePolicy, name));
    good(await scene.people.remove(types.responsePolicy, name, textAt(live, ["metadata", "uid"])));
    await scene.decide(shown, "Approve");
    const refused = await scene.inState(namespace, "Denied");
    expect(refused.status.history.at(-1)?.message).toContain("ResponsePolicy approve-gone is gone");
    expect(await policiesOf(namespace)).toEqual([]);
  });
});
