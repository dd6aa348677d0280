// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at } from "#policy/json";
import { types } from "#responder/cluster";
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
import { type Child, eventually } from "#test/support/processes";
import { redisServer } from "#test/support/redis";

const podsEach = 20;
const limits = { perWorkload: 100, perNamespace: 5, perCluster: 8 };

const hasAll = kubernetesBinaries() !== undefined && redisServer() !== undefined;

describe.skipIf(!hasAll)("the limits of a policy over two responder processes", () => {
  let scene: ResponderScene;
  let urls: readonly string[] = [];
  let two: Child;
  beforeAll(async () => {
    const started = await startResponderScene();
    if (started === undefined) throw new Error("no control plane or no Redis");
    scene = started;
    await scene.startResponder();
    const replica = await scene.startReplica("two");
    urls = [scene.url(), replica.url];
    two = replica.child;
  });
  afterAll(() => scene?.stop());

  const send = async (namespace: string, i: number): Promise<void> => {
    const reply = await fetch(urls[i % urls.length] ?? "", {
      method: "POST",
      headers: { authorization: `Bearer ${intakeToken}` },
      body: shellAlert(namespace, `web-${i}`, Date.now(), i),
    });
    if (reply.status !== 202) throw new Error(`answered ${reply.status}`);
  };

  // In this order: the second replica does not come back.
  it.each([
    { reason: "Alerts of many pods come at once on both.", name: "both", dies: false },
    // Some are counted, some written, some neither: what was counted for them is not lost, and is not counted again.
    { reason: "One of them dies in the middle.", name: "dies", dies: true },
  ])(
    "hold: $reason",
    async ({ name, dies }) => {
      const namespaces = [`shop-${name}-a`, `shop-${name}-b`];
      for (const namespace of namespaces) {
        await scene.people.create(types.namespace, namespaceObject(namespace));
        for (let i = 0; i < podsEach; i++) await makePod(scene.people, namespace, `web-${i}`);
      }
      const when = `alert.pod.namespace.startsWith('shop-${name}')`;
      const policy = shellPolicy("Automatic", { limits, when });
      const made = await scene.people.create(types.responsePolicy, {
        ...policy,
        metadata: { name },
      });
      if (!made.ok) throw new Error(made.message);
      await eventually("the policy is in use", async () => {
        const live = await scene.people.get(types.responsePolicy, { namespace: "", name });
        return live.ok && JSON.stringify(at(live.value, ["status"])).includes("Ready");
      });
      const all = namespaces.flatMap((namespace) =>
        Array.from({ length: podsEach }, (_, i) => ({ namespace, i })),
      );
      await Promise.all(all.map(({ namespace, i }) => send(namespace, i)));
      if (dies) await two.stop("SIGKILL");
      const records = await eventually(
        "every pod has its record",
        async () => {
          const found = (await Promise.all(namespaces.map(scene.remediations))).flat();
          return found.length === all.length && found;
        },
        60_000,
      );
      const automatic = records.filter((one) => one.mode === "Automatic");
      const inEach = namespaces.map(
        (namespace) => automatic.filter((one) => one.name.namespace === namespace).length,
      );
      expect(automatic).toHaveLength(limits.perCluster);
      expect(Math.max(...inEach)).toBeLessThanOrEqual(limits.perNamespace);
      expect(new Set(records.map((one) => one.target.uid)).size).toBe(all.length);
    },
    120_000,
  );
});
