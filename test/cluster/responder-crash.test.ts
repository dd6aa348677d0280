// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
import { makeFalcosidekick } from "#test/support/falcosidekick";
import { type Child, eventually } from "#test/support/processes";
import { redisServer } from "#test/support/redis";

const isPossible = kubernetesBinaries() !== undefined && redisServer() !== undefined;
/** Kill points of one run; more by PARAPET_KILL_POINTS. The seed repeats them. */
const rounds = Number(process.env["PARAPET_KILL_POINTS"] ?? "12");
const seed = Number(process.env["PARAPET_SEED"] ?? "20261122");
const podsPerRound = 5;
const alertsPerPod = 3;

function makeRandom(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

describe.skipIf(!isPossible)("the responder under kill -9", () => {
  let scene: ResponderScene;
  let responder: Child;
  beforeAll(async () => {
    const started = await startResponderScene();
    if (started === undefined) throw new Error("no control plane or Redis");
    scene = started;
    await scene.people.create(types.namespace, namespaceObject("shop-kills"));
    await scene.people.create(
      types.responsePolicy,
      shellPolicy("Automatic", { limits: { perNamespace: 1_000, perWorkload: 1_000 } }),
    );
  });
  afterAll(() => scene?.stop());

  it(`loses no accepted alert and isolates every pod exactly once over ${rounds} seeded kill points of responder, Redis and API server`, async () => {
    const random = makeRandom(seed);
    const sent = new Map<string, number>();
    const delivered = new Map<string, number>();
    responder = await scene.startResponder();
    for (let round = 0; round < rounds; round++) {
      const pods = Array.from({ length: podsPerRound }, (_, i) => `pod-${round}-${i}`);
      for (const pod of pods) await makePod(scene.people, "shop-kills", pod);
      const victim =
        (["responder", "responder", "redis", "api"] as const)[random(4)] ?? "responder";
      const killAtMs = random(350);
      const kill = sleep(killAtMs).then(() => {
        if (victim === "redis") return scene.redis.kill();
        if (victim === "api") return scene.plane.killApiServer();
        return responder.stop("SIGKILL");
      });
      const atMs = Date.now();
      for (const [i, pod] of pods.entries()) {
        // One sender for each pod, so that it is known which pod's alerts were accepted.
        const sender = makeFalcosidekick({
          url: scene.url(),
          customHeaders: { Authorization: `Bearer ${intakeToken}` },
        });
        for (let n = 0; n < alertsPerPod; n++) {
          sender.accept(shellAlert("shop-kills", pod, atMs, i * 100 + n));
        }
        await sender.drained();
        sent.set(pod, alertsPerPod);
        delivered.set(pod, sender.delivered());
        await sleep(random(60));
      }
      await kill;
      if (victim === "redis") await scene.redis.restart();
      else if (victim === "api") await scene.plane.restartApiServer();
      else responder = await scene.startResponder();
    }
    const accepted = [...delivered].filter(([, count]) => count > 0).map(([pod]) => pod);
    expect(accepted.length).toBeGreaterThan(rounds);
    const all = await eventually(
      "every accepted alert has its outcome",
      async () => {
        const found = await scene.remediations("shop-kills");
        const by = new Map(found.map((one) => [one.target.name, one]));
        const isDone = accepted.every((pod) => {
          const one = by.get(pod);
          return (
            one?.status.state === "Realised" && one.status.alerts.count >= (delivered.get(pod) ?? 0)
          );
        });
        return isDone ? found : false;
      },
      120_000,
      200,
    );
    // One remediation for each pod, applied once, and no alert counted twice.
    expect(new Set(all.map((one) => one.target.uid)).size).toBe(all.length);
    const wrong = all.filter((one) => {
      const applied = one.status.history.filter((entry) => entry.to === "Applied").length;
      return applied !== 1 || one.status.alerts.count > (sent.get(one.target.name) ?? 0);
    });
    expect(wrong.map((one) => [one.target.name, one.status])).toEqual([]);
    const policies = await scene.people.list(types.networkPolicy, { namespace: "shop-kills" });
    expect(policies.ok && policies.value.items.length).toBe(all.length);
  }, 600_000);
});
