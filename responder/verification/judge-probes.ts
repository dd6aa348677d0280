// SPDX-License-Identifier: Apache-2.0
import type { Evidence } from "#responder/verification/evidence";
import type { Denial, NetworkFacts } from "#responder/verification/networks";
import type { Attempt } from "#responder/verification/probe";

/** What an experiment came to; the message names every reason that counts. */
export type ProbeVerdict = {
  readonly kind: "verified" | "unverifiable";
  /** CamelCase, never changes. */
  readonly reason: string;
  readonly message: string;
  /** Whether what stands in the way may pass by itself, so that it is worth another try. */
  readonly passing: boolean;
  readonly evidence: readonly Evidence[];
};

export type Experiment = {
  readonly attempts: readonly Attempt[];
  readonly network: NetworkFacts;
  /** Whether the plan's own allow-list lets a try through. */
  readonly isAllowListed: (attempt: Attempt) => boolean;
  readonly nowMs: number;
};

/**
 * Whether an isolation has its effect, from tries with a negative control. Verified needs all of it: both directions
 * closed, in each the same try open for a pod that is not isolated, and a network that ends open connections. What cannot
 * be told apart counts as open: a target that refuses was reached, unless the network is known to deny by refusing.
 */
export function judgeProbes(experiment: Experiment): ProbeVerdict {
  const { attempts, network, nowMs } = experiment;
  const evidence = attempts.map((one) => evidenceOf(one, network.denies, nowMs));
  const unverifiable = (reason: string, message: string, passing = false): ProbeVerdict => ({
    kind: "unverifiable",
    reason,
    message,
    passing,
    evidence,
  });
  if (network.enforces === "no") {
    return unverifiable("PolicyIgnored", `the network enforces no policies: ${network.note}`);
  }
  const open = attempts.filter((one) => isProbe(one) && isReached(one, network.denies));
  const holes = open.filter((one) => !experiment.isAllowListed(one));
  if (holes.length > 0) {
    // The network may only need longer than its settle time.
    return unverifiable("StillReachable", `not cut: ${holes.map(attemptText).join("; ")}`, true);
  }
  if (open.length > 0) {
    return unverifiable("ProbeOnAllowList", "the probe pods are on the isolation's allow-list");
  }
  const broken = attempts.filter((one) => isProbe(one) && one.outcome === "failed");
  if (broken.length > 0) {
    return unverifiable("NotProbed", `not possible: ${broken.map(attemptText).join("; ")}`, true);
  }
  const missing = directions(attempts).filter((one) => one.gap(attempts, network.denies) !== "");
  if (missing.length > 0) {
    const reason = missing.some((one) => one.wasTried(attempts))
      ? "ControlFailed"
      : "OneDirectionOnly";
    const gaps = missing.map((one) => one.gap(attempts, network.denies));
    return unverifiable(reason, gaps.join("; "), !missing.some((one) => one.isLasting(attempts)));
  }
  const closed = "new connections are cut both ways, and open for a pod that is not isolated";
  if (network.established !== "end") {
    const what = network.established === "live on" ? "live on" : "may live on";
    return unverifiable(
      "EstablishedConnections",
      `${closed}; connections that were open before ${what}: ${network.note}`,
    );
  }
  const message = `${closed}; connections that were open before end: ${network.note}`;
  return { kind: "verified", reason: "Probed", message, passing: false, evidence };
}

/** What is tried on the isolated side, as against its control. */
const isProbe = (one: Attempt): boolean => one.from === "isolated" || isInward(one);
const isInward = (one: Attempt): boolean =>
  one.from === "client" && (one.to === "target" || one.to === "isolated");

/** An isolated stand-in is known to listen, so a refusal before it is the network's. */
const isReached = (one: Attempt, denies: Denial): boolean =>
  one.outcome === "connected" ||
  (one.outcome === "refused" && one.to === "target" && denies !== "reject");

/** A control counts only where it proves a way: an answer that may be the network's own is none. */
const isWay = (one: Attempt, denies: Denial): boolean =>
  one.outcome === "connected" || (one.outcome === "refused" && denies === "drop");

type Side = {
  readonly wasTried: (attempts: readonly Attempt[]) => boolean;
  /** What is missing of the proof; '' for nothing. */
  readonly gap: (attempts: readonly Attempt[], denies: Denial) => string;
  /** Whether the gap is there by configuration: another pod may become ready, a right does not come by itself. */
  readonly isLasting: (attempts: readonly Attempt[]) => boolean;
};

const directions = (attempts: readonly Attempt[]): readonly Side[] => [
  {
    wasTried: () => attempts.some(isInward) && attempts.some(isInwardControl),
    isLasting: () => false,
    gap: (all, denies) => {
      if (!all.some(isInward)) return "nothing was tried towards the target";
      const controls = all.filter(isInwardControl);
      if (controls.length === 0) {
        return "towards the target there is no control: its workload has no other ready pod";
      }
      return controls.some((one) => isWay(one, denies))
        ? ""
        : `the control failed too: ${controls.map(attemptText).join("; ")}`;
    },
  },
  {
    wasTried: () => attempts.some((one) => one.from === "control"),
    isLasting: (all) => !all.some((one) => one.from === "isolated"),
    gap: (all, denies) => {
      const tried = all.filter((one) => one.from === "isolated");
      if (tried.length === 0) {
        return "from the target nothing was tried: stand-ins are not allowed in its namespace";
      }
      const controls = all.filter((one) => one.from === "control");
      return controls.some((one) => isWay(one, denies))
        ? ""
        : `the control failed too: ${controls.map(attemptText).join("; ")}`;
    },
  },
];

const isInwardControl = (one: Attempt): boolean =>
  one.from === "client" && (one.to === "twin" || one.to === "control");

const names = {
  client: "probe pod",
  listener: "probe pod",
  target: "target",
  twin: "unisolated twin",
  isolated: "isolated stand-in",
  control: "stand-in without isolation",
} as const;

/** Addresses and words of ours alone. */
export const attemptText = (one: Attempt): string =>
  `${names[one.from]} -> ${names[one.to]} ${one.address.includes(":") ? `[${one.address}]` : one.address}:${one.port} TCP ${one.outcome}`;

function evidenceOf(one: Attempt, denies: Denial, atMs: number): Evidence {
  const check = isProbe(one) ? "Probe" : "Control";
  const holds = isProbe(one) ? !isReached(one, denies) : isWay(one, denies);
  const finding = one.outcome === "failed" ? "Unknown" : holds ? "Holds" : "Fails";
  return { atMs, check, finding, detail: attemptText(one) };
}
