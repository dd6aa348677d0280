// SPDX-License-Identifier: Apache-2.0
import type { Cluster, Reply } from "#responder/cluster";
import { types } from "#responder/cluster";
import { podEnd } from "#responder/effects";
import { differences, type Worked } from "#responder/perform";
import type { Plan } from "#responder/plan";
import { residualsOf } from "#responder/isolation/recheck";
import { isIsolation, removesTarget } from "#responder/plan";
import type { EventKind, Remediation, Status } from "#responder/remediation";
import { readBackendStatus } from "#responder/verification/backend-status";
import { type Evidence, withEvidence } from "#responder/verification/evidence";
import { judgeProbes } from "#responder/verification/judge-probes";
import { type NetworkFacts, unknownNetwork } from "#responder/verification/networks";
import { isAllowListed, planProbes } from "#responder/verification/plan-probes";
import type { ProbeRequest, ProbeRunner } from "#responder/verification/probe";
import {
  type TryAgain,
  tryAgainDefault,
  unverifiableFor,
  unverified,
} from "#responder/verification/try-again";

export type VerificationPorts = {
  /** What is known of the network now; a self-test may still add to it. */
  readonly network: () => NetworkFacts;
  /** Undefined: no traffic is tried. */
  readonly probes: { readonly runner: ProbeRunner; readonly namespace: string } | undefined;
  readonly tryAgain?: TryAgain;
};

type Ports = {
  readonly cluster: Cluster;
  readonly now: () => number;
  readonly verification?: VerificationPorts;
  /** For a pod whose open connections outlive its isolation. */
  readonly followUp?: (remediation: Remediation) => Promise<Reply<string>>;
};

/** How long after its settle time a policy may still be on its way, by its backend's own word. */
const realiseMsMax = 120_000;
const lookAgainMs = 2_000;
const endingMs = 60_000;

/**
 * Looks whether what was applied still holds after its settle time, and says so as exactly as is known: Realised when those
 * who enforce it say so, or have had their time; then, where probes are allowed, Verified or why not.
 */
export async function check(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  const { plan, status } = remediation;
  const different = await differences(ports.cluster, remediation);
  if (!different.ok) return different;
  const { text, seen } = different.value;
  const readBack = evidenceOf(ports, "ReadBack", text === "" ? "Holds" : "Fails", text || seen);
  const end = makeEnd(status, [readBack]);
  if (text !== "") {
    return lasting(ports, status, [readBack], "ChangedMeanwhile", text);
  }
  if (removesTarget(plan)) return checkRemoved(ports, remediation);
  if (plan === undefined || !isIsolation(plan)) {
    return end("verified", "ReadBackTwice", "the value stayed");
  }
  const isProbing = status.state === "Realised" || isProbed(unverifiableFor(status));
  return isProbing && ports.verification?.probes !== undefined
    ? probe(ports, ports.verification.probes, remediation, plan)
    : checkRealised(ports, remediation, plan, readBack);
}

/** Whether that was found by probes, so that trying again begins with them. */
const isProbed = (reason: string): boolean =>
  [
    "NotProbed",
    "StillReachable",
    "ControlFailed",
    "OneDirectionOnly",
    "EstablishedConnections",
    "ProbeOnAllowList",
  ].includes(reason);

/** Asked again after a minute while the pod is on its way out: its node gives it its grace period. */
async function checkRemoved(ports: Ports, remediation: Remediation): Promise<Reply<Worked>> {
  const gone = await podEnd(ports.cluster, remediation.target);
  if (!gone.ok) return gone;
  if (gone.value !== "gone") return later(endingMs);
  const message = "the pod of that uid is gone";
  const evidence = [evidenceOf(ports, "ReadBack", "Holds", message)];
  return makeEnd(remediation.status, evidence)("verified", "Gone", message);
}

async function checkRealised(
  ports: Ports,
  remediation: Remediation,
  plan: Plan,
  readBack: Evidence,
): Promise<Reply<Worked>> {
  const { status, target } = remediation;
  const network = ports.verification?.network() ?? unknownNetwork;
  const backend = await readBackendStatus(ports.cluster, plan, target, ports.now());
  if (!backend.ok) return backend;
  const { kind, evidence: told } = backend.value;
  const connections = connectionsOf(ports, network);
  if (network.enforces === "no") {
    const message = `the network enforces no policies: ${network.note}`;
    return lasting(ports, status, [readBack, ...told], "PolicyIgnored", message);
  }
  const open = residualsOf(remediation).length;
  if (open > 0) {
    const message = `${open} allow rule(s) of other policies are still open`;
    return lasting(ports, status, [readBack, ...told, connections], "ResidualAllows", message);
  }
  if (kind === "notYet") {
    const sinceMs = ports.now() - (status.appliedAtMs ?? ports.now());
    if (sinceMs < network.settleMs + realiseMsMax) return later(lookAgainMs);
    const why = told.filter((one) => one.finding === "Fails").map((one) => one.detail);
    const message = `not in force in time: ${why.join("; ")}`;
    const found = { reason: "NotRealised", message, passing: true };
    return notShown(ports, status, found, [readBack, ...told]);
  }
  const settled = evidenceOf(
    ports,
    "SettleTime",
    "Holds",
    `its settle time is over${network.name === "" ? "" : ` (network ${network.name})`}`,
  );
  const probing = ports.verification?.probes === undefined ? [noProbes(ports)] : [];
  const how = kind === "realised" ? "by its backend's status" : "by its settle time";
  const reason = kind === "realised" ? "BackendStatus" : "SettleTimeElapsed";
  const next =
    probing.length > 0
      ? "no traffic was tried: no probes are configured (verification.probes)"
      : "probes follow";
  const end = makeEnd(status, [readBack, ...told, settled, connections, ...probing]);
  return end("settled", reason, `read back again, in force ${how}; ${next}`);
}

const noProbes = (ports: Ports): Evidence =>
  evidenceOf(
    ports,
    "Probe",
    "Unknown",
    "no probes are configured (verification.probes): no traffic was tried",
  );

/** What the network does with connections that were open before: an isolation's blind spot, so it is always said. */
function connectionsOf(ports: Ports, network: NetworkFacts): Evidence {
  const finding = { end: "Holds", "live on": "Fails", unknown: "Unknown" } as const;
  const detail = `connections that were open before: ${network.note} (${network.source})`;
  return evidenceOf(ports, "Connections", finding[network.established], detail);
}

/** One step of the experiment; it is asked again until it has an answer, and nobody waits for it meanwhile. */
async function probe(
  ports: Ports,
  { runner, namespace }: NonNullable<VerificationPorts["probes"]>,
  remediation: Remediation,
  plan: Plan,
): Promise<Reply<Worked>> {
  const request = await planned(ports, runner, remediation);
  if (!request.ok) return request;
  if ("reason" in request.value) return notProbed(ports, remediation, request.value);
  const progress = await runner.step(request.value);
  if (!progress.ok) return progress;
  switch (progress.value.kind) {
    case "running":
      return later(progress.value.againMs);
    case "impossible":
      await runner.end(request.value);
      return notProbed(ports, remediation, progress.value);
    case "done": {
      await runner.end(request.value);
      const { attempts, sources } = progress.value;
      const verdict = judgeProbes({
        attempts,
        network: ports.verification?.network() ?? unknownNetwork,
        isAllowListed: (one) => isAllowListed(plan, { namespace, sources }, one),
        nowMs: ports.now(),
      });
      const { kind, reason, message, evidence } = verdict;
      if (kind === "verified") {
        return makeEnd(remediation.status, evidence)(kind, reason, message);
      }
      const isOutlived =
        reason === "EstablishedConnections" &&
        ports.verification?.network().established === "live on";
      const next = isOutlived ? await ports.followUp?.(remediation) : undefined;
      if (next?.ok === false) return next;
      const found = { ...verdict, message: `${message}${next?.value ?? ""}` };
      return notShown(ports, remediation.status, found, evidence);
    }
    default:
      return progress.value satisfies never;
  }
}

/** The request, or why there is none. */
async function planned(
  ports: Ports,
  runner: ProbeRunner,
  remediation: Remediation,
): Promise<Reply<ProbeRequest | Impossible>> {
  const { target } = remediation;
  const pod = await ports.cluster.get(types.pod, target);
  if (!pod.ok) return pod;
  const others = await ports.cluster.list(types.pod, { namespace: target.namespace });
  if (!others.ok) return others;
  const mayStandIn = runner.mayStandIn(target.namespace);
  const plan = planProbes(remediation, pod.value, others.value.items, mayStandIn);
  return { ok: true, value: plan.ok ? plan.request : plan };
}

type Impossible = { readonly reason: string; readonly passing: boolean };

function notProbed(
  ports: Ports,
  { status }: Remediation,
  { reason: why, passing }: Impossible,
): Reply<Worked> {
  const evidence = [evidenceOf(ports, "Probe", "Unknown", why)];
  const message = `no traffic was tried: ${why}`;
  return notShown(ports, status, { reason: "NotProbed", message, passing }, evidence);
}

const notShown = (
  ports: Ports,
  status: Status,
  found: Parameters<typeof unverified>[1],
  evidence: readonly Evidence[],
): Reply<Worked> => ({
  ok: true,
  value: unverified(status, found, evidence, {
    nowMs: ports.now(),
    tryAgain: ports.verification?.tryAgain ?? tryAgainDefault,
  }),
});

const lasting = (
  ports: Ports,
  status: Status,
  evidence: readonly Evidence[],
  reason: string,
  message: string,
): Reply<Worked> => notShown(ports, status, { reason, message, passing: false }, evidence);

const evidenceOf = (
  ports: Ports,
  checked: Evidence["check"],
  finding: Evidence["finding"],
  detail: string,
): Evidence => ({ atMs: ports.now(), check: checked, finding, detail });

const later = (againMs: number): Reply<Worked> => ({
  ok: true,
  value: { event: undefined, status: {}, againMs },
});

const makeEnd =
  (status: Status, more: readonly Evidence[]) =>
  (kind: EventKind, reason: string, message: string): Reply<Worked> => ({
    ok: true,
    value: {
      event: { kind, reason, message, by: "parapet" },
      status: { evidence: withEvidence(status.evidence, more) },
    },
  });
