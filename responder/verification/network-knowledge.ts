// SPDX-License-Identifier: Apache-2.0
import type { Cluster } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import type { Log } from "#responder/log";
import { detectNetwork } from "#responder/verification/detect-network";
import {
  type NetworkFacts,
  networks,
  unknownNetwork,
  viewOf,
} from "#responder/verification/networks";
import type { ProbeRunner } from "#responder/verification/probe";
import { measured, runSelfTest, type SelfTest } from "#responder/verification/self-test";
import type { VerificationSettings } from "#responder/verification/settings";

/** What the responder knows of the cluster's network, and learns from its start on. */
export type NetworkKnowledge = {
  readonly facts: () => NetworkFacts;
  /** One line for readiness: whether isolations have an effect here. */
  readonly text: () => string;
  readonly stop: () => Promise<void>;
};

export type NetworkKnowledgeOptions = {
  readonly cluster: Cluster;
  readonly settings: VerificationSettings;
  /** Of this replica. */
  readonly identity: string;
  readonly runner: ProbeRunner | undefined;
  readonly now: () => number;
  readonly log: Log;
};

/** A question that had no answer is asked again after this. */
const againMs = 120_000;
/** A network may be exchanged under a running cluster. */
const renewMs = 24 * 3_600_000;
const sweepMs = 60_000;

/** Finds out by and by: by the agents that run, then by a self-test where probes are allowed. Never throws. */
export function startNetworkKnowledge(options: NetworkKnowledgeOptions): NetworkKnowledge {
  const stopping = new AbortController();
  let detected = detectedBy(options.settings);
  let test: SelfTest | undefined;
  const facts = (): NetworkFacts => measured(detected, test);
  const wait = makeWait(stopping.signal);

  const learn = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const isKnown = options.settings.network !== "auto";
      const found = isKnown ? undefined : await detectNetwork(options.cluster);
      if (found !== undefined) detected = viewOf(found.found);
      tellDetected(options.log, detected, found?.unanswered ?? []);
      const before = test;
      test = await selfTest(options, wait, stopping.signal);
      if (test !== undefined) tellTested(options.log, test, before);
      const isOpen = (found?.unanswered ?? []).length > 0 || test?.kind === "unknown";
      await wait(isOpen ? againMs : renewMs);
    }
  };
  const tidy = async (): Promise<void> => {
    while (!stopping.signal.aborted && options.runner !== undefined) {
      const removed = await options.runner.sweep();
      if (removed > 0) options.log("warn", "probe pods were left over", { removed });
      await wait(sweepMs);
    }
  };
  const { probes } = options.settings;
  if (probes === undefined) {
    options.log("info", "isolations are not tried by traffic: set verification.probes");
  }
  const running = Promise.all([learn(), tidy()]);
  return {
    facts,
    text: () => `${textOf(facts(), test)}${probes === undefined ? "; no probes" : ""}`,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

const detectedBy = (settings: VerificationSettings): NetworkFacts =>
  settings.network === "auto"
    ? unknownNetwork
    : viewOf(networks.filter((one) => one.name === settings.network));

async function selfTest(
  options: NetworkKnowledgeOptions,
  wait: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<SelfTest | undefined> {
  const { probes } = options.settings;
  if (probes?.selfTest !== true) return undefined;
  const test = await runSelfTest({
    cluster: options.cluster,
    namespace: probes.namespace,
    image: probes.image,
    command: probes.command,
    holdMs: probes.selfTestHold,
    id: sha256(options.identity).slice(0, 12),
    now: options.now,
    wait,
    stopped: () => signal.aborted,
  });
  return signal.aborted ? undefined : test;
}

function tellDetected(log: Log, facts: NetworkFacts, unanswered: readonly string[]): void {
  const network = facts.name === "" ? "unknown" : facts.name;
  if (facts.enforces === "no") {
    log("warn", "the network enforces no NetworkPolicies: isolations change nothing", { network });
  } else log("info", "network", { network, openConnections: facts.established });
  if (unanswered.length > 0) {
    log("warn", "which network runs here could not be asked for", {
      unanswered: unanswered.slice(0, 5).join("; "),
    });
  }
}

function tellTested(log: Log, test: SelfTest, before: SelfTest | undefined): void {
  if (test.kind === "unknown") {
    if (before?.kind !== "unknown" || before.reason !== test.reason) {
      log("warn", "the network self-test has no answer", { reason: test.reason });
    }
    return;
  }
  log(test.enforces ? "info" : "error", "network self-test", { result: test.text });
}

function textOf(facts: NetworkFacts, test: SelfTest | undefined): string {
  const name = facts.name === "" ? "unknown network" : facts.name;
  if (test?.kind === "unknown") return `${name}; the self-test has no answer: ${test.reason}`;
  return `${name}; ${facts.note}`;
}

/** Waits, or returns at once when all is to end. */
const makeWait =
  (signal: AbortSignal) =>
  (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, Math.min(ms, 2 ** 31 - 1));
      signal.addEventListener("abort", end);
    });
