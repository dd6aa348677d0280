// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { ObjectName, Reply } from "#responder/cluster";

/** Who tries: a pod of the probe namespace, a stand-in that is isolated as the target is, or one that is not. */
export type Prober = "client" | "isolated" | "control";
/** What is tried; `listener` is a pod of the probe namespace. */
export type ProbeTarget = "target" | "twin" | "isolated" | "control" | "listener";

export const outcomes = ["connected", "refused", "timeout", "unreachable", "failed"] as const;
/** `refused`: somebody answered no; who it was cannot be told. `failed`: the try itself was not possible. */
export type Outcome = (typeof outcomes)[number];

export type Attempt = {
  readonly from: Prober;
  readonly to: ProbeTarget;
  readonly address: string;
  readonly port: number;
  readonly outcome: Outcome;
};

export type Destination = {
  readonly to: ProbeTarget;
  readonly address: string;
  readonly port: number;
};

/** Pods that stand for the target where only its own process could speak: same namespace, labels and node. */
export type StandIns = {
  readonly namespace: string;
  /** '' when the target has none. */
  readonly node: string;
  /** Of the pod that is not isolated. */
  readonly labels: JsonObject;
  /** What the isolated one bears beside them. */
  readonly isolation: JsonObject;
};

/** One experiment; the same request may be stepped any number of times, by any replica. */
export type ProbeRequest = {
  /** Unique to the remediation and to what is tried now: an answer of before a change must not count after it. */
  readonly id: string;
  readonly remediation: ObjectName & { readonly uid: string };
  /** The target's and its twin's addresses, at most {@link destinationsMax}. */
  readonly destinations: readonly Destination[];
  readonly standIns: StandIns | undefined;
};

export const destinationsMax = 16;
/** Where probe pods listen, and what is tried on a target that declares no port. Above the privileged, below the ephemeral ones. */
export const probePort = 4917;

export type Progress =
  | { readonly kind: "running"; readonly againMs: number; readonly waitsFor: string }
  | {
      readonly kind: "done";
      readonly attempts: readonly Attempt[];
      /** Addresses of the pods of the probe namespace, to tell an allow-list from a hole. */
      readonly sources: readonly string[];
    }
  /** `passing`: it may be possible later, as when no node had room. */
  | { readonly kind: "impossible"; readonly reason: string; readonly passing: boolean };

/**
 * Tries connections from pods of its own. Nothing of it comes from an alert: addresses are of live pods, words are ours.
 * Implemented by adapters/probe-pods.ts; every call is safe to repeat after a crash.
 */
export type ProbeRunner = {
  /** Where stand-ins may be made; nowhere by default. */
  readonly mayStandIn: (namespace: string) => boolean;
  /** Begins the experiment, goes on with it, or gives what came of it. */
  readonly step: (request: ProbeRequest) => Promise<Reply<Progress>>;
  /** Removes what is left of an experiment. */
  readonly end: (request: Pick<ProbeRequest, "id" | "standIns">) => Promise<void>;
  /** Removes what crashed experiments left behind; gives how many pods. */
  readonly sweep: () => Promise<number>;
};
