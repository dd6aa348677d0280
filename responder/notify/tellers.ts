// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import type { RemediationCache } from "#responder/caches";
import type { Config } from "#responder/config/config";
import { noEffects } from "#responder/effects";
import { makeNotifier } from "#responder/notify/notifier";
import type { Policies } from "#responder/policies";
import type { ResponderPorts } from "#responder/responder";
import { makeTargetEvents } from "#responder/notify/target-events";

export type Tellers = {
  /** After every change of the remediation of that key. */
  readonly look: (key: string) => void;
  readonly stop: () => Promise<void>;
};

/** All that tells people of what happens to remediations, beside the path of acting: messages and Events. */
export function makeTellers(
  config: Pick<Config, "notify" | "namespace" | "identity">,
  ports: Pick<ResponderPorts, "cluster" | "effects" | "metrics" | "log" | "now">,
  on: {
    readonly remediations: Pick<RemediationCache, "get">;
    readonly policies: Pick<Policies, "all">;
  },
): Tellers {
  const { cluster, log, now, metrics } = ports;
  const { notify } = config;
  const notices = metrics.counter(
    "parapet_notices_total",
    "Messages to people, by destination and outcome.",
  );
  const dropped = metrics.counter(
    "parapet_events_dropped_total",
    "Events on targets that were not written because too many waited.",
  );
  const audienceOf = (policy: string) => {
    const named = on.policies.all().find(({ name }) => name === policy)?.spec.notify;
    return { to: named?.to ?? notify.to, on: named?.about ?? notify.about };
  };
  const notifier = makeNotifier({
    cluster,
    send: (ports.effects ?? noEffects).send,
    audienceOf,
    remediation: on.remediations.get,
    now,
    wait: (ms, signal) => sleep(Math.max(1, ms), undefined, { signal }).catch(() => undefined),
    log,
    counted: (labels) => notices.add(labels),
    settings: {
      namespace: config.namespace,
      identity: config.identity ?? "parapet",
      soonMs: notify.expiresSoon,
      perMinute: notify.perMinute,
    },
  });
  const events = makeTargetEvents({ cluster, now, log, dropped: () => dropped.add() });
  return {
    look: (key) => {
      const remediation = on.remediations.get(key);
      if (remediation === undefined) return;
      notifier.look(key);
      events.look(remediation);
    },
    stop: async () => {
      events.stop();
      await notifier.stop();
    },
  };
}
