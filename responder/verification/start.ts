// SPDX-License-Identifier: Apache-2.0
import { makeProbePods } from "#responder/adapters/probe-pods";
import type { Cluster } from "#responder/cluster";
import type { Log } from "#responder/log";
import type { Metrics } from "#responder/metrics";
import type { VerificationPorts } from "#responder/verification/check";
import { startNetworkKnowledge } from "#responder/verification/network-knowledge";
import { networkNotes } from "#responder/verification/networks";
import type { VerificationSettings } from "#responder/verification/settings";

export type Verification = {
  readonly ports: VerificationPorts;
  /** For the approver of an isolation. */
  readonly notes: () => readonly string[];
  /** For readiness: what is known of the network. */
  readonly text: () => string;
  readonly stop: () => Promise<void>;
};

/** Starts to learn about the network, and makes the probes where they are configured. */
export function startVerification(options: {
  readonly cluster: Cluster;
  readonly settings: VerificationSettings;
  readonly identity: string;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly log: Log;
}): Verification {
  const { cluster, settings, now } = options;
  const { probes } = settings;
  const runner = probes === undefined ? undefined : makeProbePods({ ...probes, cluster, now });
  const knowledge = startNetworkKnowledge({ ...options, runner });
  const answers = { yes: 1, no: 0, unknown: -1 } as const;
  options.metrics.gauge(
    "parapet_network_policies_enforced",
    "Whether the network enforces NetworkPolicies: 1 as a self-test saw, 0 not, -1 unknown.",
    () => answers[knowledge.facts().enforces],
  );
  return {
    ports: {
      network: knowledge.facts,
      tryAgain: settings.tryAgain,
      probes:
        runner === undefined || probes === undefined
          ? undefined
          : { runner, namespace: probes.namespace },
    },
    notes: () => networkNotes(knowledge.facts()),
    text: knowledge.text,
    stop: knowledge.stop,
  };
}
