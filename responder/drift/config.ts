// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration, namedSecret } from "#responder/config/config-parts";

const kinds = z
  .array(z.strictObject({ apiVersion: z.string().min(1), kind: z.string().min(1) }))
  .max(500)
  .default([]);
/** Users as the API server authenticates them; `*` and `?` are wildcards. */
const users = z.array(z.string().min(1).max(256)).max(100);
const names = z.array(z.string().min(1)).default([]);

/** What is watched for drift, who may change it, and where the responder learns who did. */
export const driftSettings = z
  .strictObject({
    resources: kinds,
    trustedManagers: names,
    /** Managed resources that cloud alerts are about, found by their external names. */
    managed: z
      .strictObject({
        resources: kinds,
        /** Every kind of the category `managed`, as Crossplane's providers mark theirs. */
        discover: z.boolean().default(false),
        /** Says for review where a provider reports another value than the spec for so long. Absent: providers compare, and nobody else. */
        compare: z
          .strictObject({ after: duration.refine((ms) => ms >= 1_000, "must be 1s at least") })
          .optional(),
      })
      .prefault({}),
    /** The API server's audit webhook, at `/audit` of the intake, which needs TLS: it sends its token over nothing else. Absent: field managers are the only hint at who changed something. */
    audit: z
      .strictObject({
        tokens: z.array(namedSecret).min(1).max(20),
        /** How long a difference waits for the audit event that tells who made it. */
        wait: duration.prefault("3s"),
        /** Users who may write under a trusted field manager's name; `*` and `?` are wildcards. None: nobody is asked. */
        trustedUsers: users.default([]),
        /** Kinds of clients by their users, for `drift.client` in a policy's condition; the first that names a user counts. */
        clients: z
          .array(z.strictObject({ name: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/), users }))
          .max(50)
          .default([]),
      })
      .optional(),
  })
  .prefault({});
