// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "#responder/config/config-parts";
import { networks } from "#responder/verification/networks";
import { tryAgainDefault } from "#responder/verification/try-again";

const namespaceName = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const names = new Set(networks.map((one) => one.name));

/** How the responder finds out whether an isolation has its effect. */
export const verificationSettings = z
  .strictObject({
    /** `auto`: by the DaemonSets that are known; else a name of the table. */
    network: z
      .string()
      .refine((name) => name === "auto" || names.has(name), {
        message: `must be auto or one of ${[...names].join(", ")}`,
      })
      .default("auto"),
    /** What may pass by itself (no node had room for a probe, an agent was slow) is tried again. */
    tryAgain: z
      .strictObject({
        /** Wait before the first further try; doubled with each, up to half an hour. */
        after: duration
          .refine((ms) => ms >= 1_000 && ms <= 1_800_000, "must be 1s to 30m")
          .prefault("30s"),
        times: z.int().min(0).max(100).default(tryAgainDefault.times),
      })
      .prefault({}),
    /** Absent: no traffic is tried, and isolations stay Realised. */
    probes: z
      .strictObject({
        /** Where probe pods run; a namespace of their own. */
        namespace: namespaceName,
        /** The responder's image, or any with Node and the probe program. */
        image: z.string().regex(/^[a-z0-9][a-zA-Z0-9._/:@-]{0,511}$/, "must be an image reference"),
        command: z
          .array(z.string().min(1).max(512))
          .min(1)
          .max(20)
          .default(["node", "responder/verification/probe-main.ts"]),
        /** Namespaces in which pods may stand for an isolated one, for what only it could try. */
        standInNamespaces: z.array(namespaceName).max(500).default([]),
        /** Isolations that are tried at once, four pods each. */
        concurrency: z.int().min(1).max(50).default(5),
        /** Two pods and a deny policy at start-up tell whether the network enforces any. */
        selfTest: z.boolean().default(true),
        /** How long it holds a connection, for each direction: longer than the network needs to end open ones. */
        selfTestHold: duration
          .refine((ms) => ms >= 10_000 && ms <= 300_000, "must be 10s to 5m")
          .prefault("50s"),
      })
      .optional(),
  })
  .prefault({});

export type VerificationSettings = z.infer<typeof verificationSettings>;
