// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import type { JsonObject } from "#policy/json";
import { at, isObject, textAt } from "#policy/json";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { readApproval } from "#responder/record/approval-record";
import { type ResourceType, types } from "#responder/cluster";
import { tidy } from "#responder/record/retention";
import { installCrds } from "#test/cluster/api";
import { networkPolicyOracle } from "#test/cluster/binaries";
import { good } from "#test/cluster/packet-node";
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

const clusterPolicy: ResourceType = {
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  resource: "clusternetworkpolicies",
  namespaced: false,
};

let scene: ResponderScene;

beforeAll(async () => {
  const started = await startResponderScene();
  if (started === undefined) throw new Error("needs redis-server and a control plane");
  scene = started;
  const folder = join(networkPolicyOracle() ?? "", "..", "crds");
  const crds = readdirSync(folder)
    .filter((name) => name.includes("clusternetworkpolicies"))
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), "utf8")))
    .map((document): unknown => document.toJS())
    .filter(isObject);
  await installCrds(scene.plane.api, crds);
  // Time enough for a backend to speak before the responder first looks.
  await scene.startResponder({ settle: "3s" });
}, 1_800_000);

afterAll(() => scene.stop());

async function usePolicy(namespace: string, mode: string, ttl: string): Promise<void> {
  const policy = shellPolicy(mode, {
    when: `alert.pod.namespace == '${namespace}'`,
    do: [{ isolate: { ttl } }],
  });
  good(await scene.people.create(types.namespace, namespaceObject(namespace)));
  good(
    await scene.people.create(types.responsePolicy, { ...policy, metadata: { name: namespace } }),
  );
  await eventually("the policy is in use", async () => {
    const live = good(
      await scene.people.get(types.responsePolicy, { namespace: "", name: namespace }),
    );
    return textAt(live, ["status", "conditions", 0, "status"]) === "True";
  });
}

async function alert(namespace: string): Promise<void> {
  const response = await fetch(scene.url(), {
    method: "POST",
    headers: { authorization: `Bearer ${intakeToken}`, "content-type": "application/json" },
    body: shellAlert(namespace, "web-1", Date.now()),
  });
  expect(response.status).toBe(202);
}

describe("what is in force", () => {
  it("is renewed by a person with the command line, and ends when that time is over", async () => {
    const startedAt = performance.now();
    execFileSync(process.execPath, [join(repository, "cli/main.ts"), "--help"]);
    // Not over before somebody could renew it, on a machine however slow.
    const ttlSeconds = 15 + Math.ceil((6 * (performance.now() - startedAt)) / 1_000);
    await usePolicy("shop-renew", "Automatic", `${ttlSeconds}s`);
    await makePod(scene.people, "shop-renew", "web-1");
    await alert("shop-renew");
    const before = await scene.inState("shop-renew", "Realised");
    const said = execFileSync(
      process.execPath,
      [
        join(repository, "cli/main.ts"),
        ...["approve", before.name.name, "-n", "shop-renew", "--yes"],
        ...["--renew", `${ttlSeconds + 10}s`],
        ...["--reason", "still looking", "--as", "jane@example.org"],
        ...["--kubeconfig", scene.plane.kubeconfig],
      ],
      { encoding: "utf8" },
    );
    expect(said).toContain("by jane@example.org");
    const renewed = await eventually("its time is longer", async () => {
      const [one] = await scene.remediations("shop-renew");
      const last = one?.status.history.at(-1);
      return last?.reason === "Renewed" ? one : undefined;
    });
    expect(renewed.status.state).toBe("Realised");
    expect(renewed.status.history.at(-1)?.by).toBe("jane@example.org");
    const moreMs = (renewed.status.expiresAtMs ?? 0) - (before.status.expiresAtMs ?? 0);
    expect(moreMs).toBeGreaterThan(3_000);
    // Past the time that it had at first it is still in force; past the other it is taken back.
    await new Promise((resolve) => {
      setTimeout(resolve, Math.max(0, (before.status.expiresAtMs ?? 0) + 1_000 - Date.now()));
    });
    expect((await scene.remediations("shop-renew"))[0]?.status.state).toBe("Realised");
    const ended = await scene.inState("shop-renew", "Undone");
    expect(ended.status.history.at(-1)).toMatchObject({ reason: "Expired" });
    const policies = good(
      await scene.people.list(types.networkPolicy, { namespace: "shop-renew" }),
    );
    expect(policies.items).toEqual([]);
    const audit = readFileSync(join(scene.directory, "one-data/audit.jsonl"), "utf8");
    expect(audit).toContain('"reason":"Renewed"');
    expect(audit).toContain('"check":"ReadBack"');
  });

  it("is not renewed by a Deny: the server refuses the object", async () => {
    const spec = {
      for: { remediation: { name: "x", planDigest: `sha256:${"a".repeat(64)}` } },
      decision: "Deny",
      approvedBy: "jane",
      renewUntil: new Date().toISOString(),
    };
    const metadata = { name: "wrong", namespace: "default" };
    const made = await scene.people.create(types.approval, {
      apiVersion: types.approval.apiVersion,
      kind: types.approval.kind,
      metadata,
      spec,
    });
    expect(made).toMatchObject({ ok: false, code: "Invalid" });
  });

  it("counts as realised when its backend says so, and not before", async () => {
    await usePolicy("shop-status", "Automatic", "1h");
    good(
      await scene.people.create(types.networkPolicy, {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "allow-friends", namespace: "shop-status" },
        spec: {
          podSelector: {},
          ingress: [{ from: [{ podSelector: {} }] }],
          policyTypes: ["Ingress"],
        },
      }),
    );
    // The backend answers as slowly as one under load: it says no, and then yes.
    const says = async (status: "True" | "False"): Promise<void> => {
      await eventually("the backend's word", async () => {
        const [policy] = good(await scene.people.list(clusterPolicy, {})).items;
        if (policy === undefined) return false;
        const condition = {
          type: "Ready-In-Zone-a",
          status,
          reason: "Told",
          message: "zone a",
          lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ""),
        };
        const told = { ...policy, status: { conditions: [condition] } };
        return (await scene.people.replaceStatus(clusterPolicy, told)).ok;
      });
    };
    await makePod(scene.people, "shop-status", "web-1");
    const early = says("False");
    await alert("shop-status");
    await early;
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    expect((await scene.remediations("shop-status"))[0]?.status.state).toBe("Applied");
    await says("True");
    const one = await scene.inState("shop-status", "Realised");
    expect(one.status.history.at(-1)?.reason).toBe("BackendStatus");
    expect(one.status.evidence.map(({ check, finding }) => `${check} ${finding}`)).toContain(
      "BackendStatus Holds",
    );
  });
});

describe("closed records", () => {
  it("are deleted with the responder's own rights, and their Approvals; open ones are not", async () => {
    await usePolicy("shop-old", "Propose", "1h");
    await makePod(scene.people, "shop-old", "web-1");
    await alert("shop-old");
    const proposed = await scene.inState("shop-old", "Proposed");
    await scene.decide(proposed, "Deny");
    const denied = await scene.inState("shop-old", "Denied");
    const cluster = makeApiServer(await fromKubeconfig(scene.plane.kubeconfigAs("responder")));
    const listed = good(await cluster.list(types.approval, { namespace: "shop-old" })).items;
    const approvals = listed.flatMap((object) => readApproval(object) ?? []);
    const audited: JsonObject[] = [];
    const openOnes = await scene.remediations("shop-status");
    const ports = {
      cluster,
      remediations: { all: () => [denied, ...openOnes] },
      approvals: { all: () => approvals },
      audit: (entry: JsonObject) => {
        audited.push(entry);
        return Promise.resolve();
      },
      log: () => undefined,
      now: () => Date.now() + 31 * 86_400_000,
      isBehind: () => false,
    };
    expect(approvals).toHaveLength(1);
    expect(await tidy(ports, 30 * 86_400_000)).toBe(1);
    expect(
      good(await scene.people.list(types.remediation, { namespace: "shop-old" })).items,
    ).toEqual([]);
    expect(good(await scene.people.list(types.approval, { namespace: "shop-old" })).items).toEqual(
      [],
    );
    expect((await scene.remediations("shop-status")).length).toBe(1);
    expect(audited.map((one) => at(one, ["what"]))).toEqual([
      "deleted Approval after its retention",
      "deleted Remediation after its retention",
    ]);
    cluster.close();
  });
});
