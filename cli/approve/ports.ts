// SPDX-License-Identifier: Apache-2.0
import type { Cluster } from "#responder/cluster";
import type { Answer } from "../cluster/ask.ts";

/** What `approve` needs of the world: a cluster to read and write, a person to ask, the time. */
export type ApprovePorts = {
  readonly cluster: Cluster;
  readonly ask: (question: string) => Answer;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly nowMs: () => number;
  /** Ending of the new object's name, so that two approvals of one thing do not meet. */
  readonly suffix: () => string;
};

/** How a person decides, as the command line says it. */
export type Choice = {
  readonly namespace: string;
  readonly decision: "Approve" | "Deny";
  readonly reason: string;
  /** Undefined: the admission policy fills in who creates the object. */
  readonly as: string | undefined;
  /** How long the decision may be acted on, in milliseconds; undefined: as long as it exists. */
  readonly expiresMs: number | undefined;
  /** More time for what is in force, in milliseconds from now; undefined: no renewal. */
  readonly renewMs: number | undefined;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly output: "table" | "json";
};
