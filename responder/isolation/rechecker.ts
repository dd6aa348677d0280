// SPDX-License-Identifier: Apache-2.0
import { setImmediate as yieldToOthers } from "node:timers/promises";
import type { JsonObject } from "#policy/json";
import type { Reply } from "#responder/cluster";
import { failure, keyOf, nameOf, types } from "#responder/cluster";
import { makeDiscovery } from "#responder/isolation/network-view";
import { startRightsCheck } from "#responder/isolation/policy-rights";
import { podViewOf } from "#responder/reachability/pod-view";
import {
  concerns,
  type Isolation,
  isolationIn,
  isReopened,
  isRuledOut,
  isPlanned,
  isTarget,
  lookAt,
  ownerOf,
} from "#responder/isolation/recheck";
import {
  closingsMax,
  makeFightGuard,
  makeFigures,
  mendsMax,
  type RecheckPorts,
} from "#responder/isolation/recheck-figures";
import { differencesOf, type MendPorts, settleFinding } from "#responder/isolation/recheck-mend";
import { type OrphanWatch, watchOrphans } from "#responder/isolation/recheck-orphans";
import { followPods } from "#responder/isolation/recheck-pods";
import { World, type WorldChange } from "#responder/isolation/recheck-world";
import type { Remediation } from "#responder/remediation";
import { unverifiableFor } from "#responder/verification/try-again";

/** Changes within this time are looked at together: a burst of edits is one look. */
const gatherMs = 100;
/** After a look that failed. */
const againMs = 1_000;
/** Everything is looked at anew this often, whatever the watches missed. */
const sweepMs = 300_000;
/** Copies are kept this long after the last isolation ended, so that the next one need not read all again. */
const idleMs = 60_000;

type Watching = { readonly world: World; readonly stop: () => Promise<void> };

/**
 * Looks after isolations while they last: whenever a policy, a namespace's labels, the pod or an object of our own changes, those
 * isolations that it can be about are evaluated again, one at a time. Nothing is watched while nothing is isolated.
 */
export class Rechecker {
  readonly #ports: RecheckPorts;
  readonly #isolations = new Map<string, Isolation>();
  /** Keys of the isolations of a pod. */
  readonly #byPod = new Map<string, Set<string>>();
  /** Isolated pods as they are known; others are not kept. */
  readonly #pods = new Map<string, JsonObject>();
  readonly #due = new Set<string>();
  readonly #figures: ReturnType<typeof makeFigures>;
  readonly #mendPorts: MendPorts;
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #orphans: OrphanWatch;
  #watching: Watching | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #endedAtMs = 0;
  #stopping = false;

  constructor(ports: RecheckPorts) {
    this.#ports = ports;
    this.#figures = makeFigures(ports.metrics, {
      isolations: () => this.#isolations.size,
      unread: () => this.#watching?.world.unread().length ?? 0,
      orphans: () => this.#orphans.count(),
    });
    this.#mendPorts = {
      ...ports,
      mayMend: makeFightGuard(ports.now, mendsMax),
      mayClose: makeFightGuard(ports.now, closingsMax),
      found: ({ reason }) => {
        this.#figures.found.add({ reason });
        ports.log("warn", "an isolation does not hold", { reason });
      },
      mended: () => this.#figures.mended.add(),
    };
    const discover = makeDiscovery(ports.cluster, ports.now);
    this.#orphans = watchOrphans({ ...ports, discover });
    this.#timers = [
      setInterval(() => this.#sweepAll(), sweepMs),
      ...startRightsCheck(ports.settings.namespace, ports),
    ];
  }

  /** Takes a version of a remediation in; undefined: it is gone. */
  change(key: string, remediation: Remediation | undefined): void {
    const isolation = remediation === undefined ? undefined : isolationIn(remediation);
    const before = this.#isolations.get(key);
    if (isolation === undefined) {
      if (before !== undefined) this.#forget(key, before);
      // Deleted while it was in force: with its namespace, or by somebody.
      if (before !== undefined && remediation === undefined) this.#orphans.lookSoon();
      return;
    }
    if (this.#stopping) return;
    this.#isolations.set(key, isolation);
    const pod = keyOf(isolation.remediation.target);
    this.#byPod.set(pod, (this.#byPod.get(pod) ?? new Set()).add(key));
    this.#watching ??= this.#watch();
    if (before === undefined) this.#mark([key]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    for (const timer of this.#timers) clearInterval(timer);
    await this.#running;
    await this.#orphans.stop();
    await this.#watching?.stop();
  }

  #forget(key: string, isolation: Isolation): void {
    const pod = keyOf(isolation.remediation.target);
    this.#isolations.delete(key);
    this.#due.delete(key);
    const keys = this.#byPod.get(pod);
    keys?.delete(key);
    if (keys?.size === 0) {
      this.#byPod.delete(pod);
      this.#pods.delete(pod);
    }
    this.#endedAtMs = this.#ports.now();
  }

  #mark(keys: Iterable<string>, inMs = gatherMs): void {
    for (const key of keys) this.#due.add(key);
    if (this.#due.size === 0 || this.#timer !== undefined || this.#stopping) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#running ??= this.#drain().finally(() => {
        this.#running = undefined;
        this.#mark([], againMs);
      });
    }, inMs);
  }

  async #drain(): Promise<void> {
    const keys = [...this.#due];
    this.#due.clear();
    for (const key of keys) {
      if (this.#stopping) return;
      const isolation = this.#isolations.get(key);
      if (isolation === undefined) continue;
      const reply = await this.#figures
        .timed(() => this.#look(key, isolation))
        .catch((error: unknown) => failure("Invalid", textOf(error)));
      if (!reply.ok) {
        this.#due.add(key);
        // Busy: somebody acts on the pod just now.
        if (reply.code !== "Busy") {
          const why = `${reply.code}: ${reply.message}`;
          this.#ports.log("warn", "an isolation cannot be looked at", { remediation: key, why });
        }
      }
      await yieldToOthers();
    }
  }

  async #look(key: string, isolation: Isolation): Promise<Reply<undefined>> {
    const { target } = isolation.remediation;
    const world = this.#watching?.world;
    const view = world?.viewOf(target.namespace);
    // Marked again when all is read.
    if (world === undefined || view === undefined) return nothingToDo;
    const pod = await this.#readPod(isolation);
    if (!pod.ok) return pod;
    if (pod.value === undefined) {
      this.#ports.wake(key);
      return nothingToDo;
    }
    const hint = lookAt(isolation, pod.value, view, (change) =>
      change.kind === "apply"
        ? world.policyOf(change.type, keyOf(nameOf(change.manifest)))
        : undefined,
    );
    const { status } = isolation.remediation;
    const isToClose =
      isReopened(isolation.remediation) ||
      (hint.isClosed && unverifiableFor(status) === "ResidualAllows");
    if (hint.reopened.length === 0 && !hint.changed && !isToClose) return nothingToDo;
    if (hint.reopened.length === 0 && !isToClose) {
      // The watch may be behind what was written a moment ago.
      const differences = await differencesOf(this.#ports.cluster, isolation);
      if (!differences.ok) return differences;
      if (differences.value.length === 0) return nothingToDo;
    }
    return settleFinding(this.#mendPorts, isolation, hint);
  }

  /** undefined when the pod is gone, or another one of that name is there. */
  async #readPod(isolation: Isolation): Promise<Reply<JsonObject | undefined>> {
    const { target } = isolation.remediation;
    const key = keyOf(target);
    const known = this.#pods.get(key);
    if (known !== undefined && isTarget(isolation, known)) return { ok: true, value: known };
    const live = await this.#ports.cluster.get(types.pod, target);
    if (!live.ok) return live.code === "NotFound" ? { ok: true, value: undefined } : live;
    if (!isTarget(isolation, live.value)) return { ok: true, value: undefined };
    this.#pods.set(key, live.value);
    return live;
  }

  #watch(): Watching {
    const options = {
      cluster: this.#ports.cluster,
      onFailure: (message: string) => this.#ports.log("warn", message),
    };
    const world = new World({
      ...options,
      now: this.#ports.now,
      istioRootNamespace: this.#ports.settings.istioRootNamespace,
      onChange: (change) => this.#onWorld(change),
    });
    const follower = followPods({
      ...options,
      isWanted: (key) => this.#byPod.has(key),
      onPod: (key, pod) => {
        if (pod === undefined) this.#pods.delete(key);
        else this.#pods.set(key, pod);
        this.#mark(this.#byPod.get(key) ?? []);
      },
      onGap: () => this.#lookAtAll(),
    });
    const stop = async (): Promise<void> => {
      await Promise.all([world.stop(), follower.stop()]);
    };
    return { world, stop };
  }

  #onWorld(change: WorldChange): void {
    const owner = ownerOf(change);
    if (owner !== undefined && this.#isolations.has(owner)) this.#mark([owner]);
    // A policy of our own is about its own pod alone, as long as it is as we wrote it.
    const own = owner === undefined ? undefined : this.#isolations.get(owner);
    if (own !== undefined && isPlanned(own, change)) return;
    const about = [...this.#isolations].filter(([, one]) => this.#isAbout(change, one));
    this.#mark(about.map(([key]) => key));
  }

  /** Whether a change can be about an isolation at all. */
  #isAbout(change: WorldChange, { remediation }: Isolation): boolean {
    const { target } = remediation;
    if (change.namespace !== "" && change.namespace !== target.namespace) return false;
    const policies = [change.before, change.after].filter((one) => one !== undefined);
    const pod = this.#pods.get(keyOf(target));
    if (policies.length === 0 || pod === undefined) return true;
    const possible = policies.filter((one) => !isRuledOut(one, pod));
    if (possible.length === 0) return false;
    const view = podViewOf(pod, this.#watching?.world.namespaceOf(target.namespace) ?? {});
    return possible.some((one) => concerns(one, view));
  }

  #lookAtAll(): void {
    this.#pods.clear();
    this.#mark(this.#isolations.keys());
  }

  #sweepAll(): void {
    this.#orphans.lookSoon();
    if (this.#isolations.size > 0) this.#lookAtAll();
    else if (this.#ports.now() - this.#endedAtMs > idleMs) {
      void this.#watching?.stop();
      this.#watching = undefined;
    }
  }
}

const nothingToDo: Reply<undefined> = { ok: true, value: undefined };

const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : "failed";
