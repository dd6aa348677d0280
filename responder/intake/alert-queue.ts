// SPDX-License-Identifier: Apache-2.0

/** An alert as it is kept until it has its outcome: what came, so that nothing is lost by how it was first read. */
export type StoredAlert = {
  /** Identity of the alert; the queue keeps one job for each. */
  readonly fingerprint: string;
  readonly receivedAtMs: number;
  /** Name of the credential that it was sent with. */
  readonly sender: string;
  readonly priority: string;
  /** The alert's JSON as it was sent. */
  readonly text: string;
  /** The bytes in base64 where `text` cannot hold them: they were no valid UTF-8. */
  readonly bytes?: string;
};

export type QueueDepth = {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
};

/** Why a queue might not keep what it accepts, with what to do about it. */
export type QueueProblem = {
  readonly code:
    | "AppendOnlyFails"
    | "AppendOnlyOff"
    | "CannotCheck"
    | "Evicts"
    | "FsyncEverySecond"
    | "FsyncOff"
    | "NearlyFull"
    | "TooFewReplicas";
  readonly message: string;
};

/** A failure that the same alert will meet every time: it is kept for review, not tried again. */
export class Hopeless extends Error {}

/**
 * The durable queue of alerts. Delivers at least once, in no certain order; an alert that is still known is not added twice.
 * Implemented by adapters/bull-queue.ts (Redis, or PGlite for a laptop) and adapters/memory-queue.ts, held to one contract suite.
 */
export type AlertQueue = {
  /** Resolves when all of them are durable; rejects, within about a second, when that is not certain. */
  readonly add: (alerts: readonly StoredAlert[]) => Promise<void>;
  /**
   * Starts handing alerts over. A handler that throws gets the alert again, after growing pauses, for ever;
   * unless it throws {@link Hopeless}.
   */
  readonly start: (handle: (alert: StoredAlert) => Promise<void>) => void;
  readonly depth: () => Promise<QueueDepth>;
  /** Looks at the settings that durability rests on; rejects when they cannot be asked for now. */
  readonly check: () => Promise<readonly QueueProblem[]>;
  /** Lets what is being handled finish, and closes. */
  readonly close: () => Promise<void>;
  /** For people: which queue, and what it survives. */
  readonly description: string;
};
