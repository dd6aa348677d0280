// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration, exactlyOne, isOne, secret, secretMembers } from "#responder/config/config-parts";
import { noticeKinds } from "#responder/notify/notices";

/** Where messages may go; a policy names one of these and can give no address itself. */
const destination = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
    format: z.enum(["webhook", "slack"]).default("webhook"),
    url: z.url({ protocol: /^https?$/ }).optional(),
    urlFile: z.string().min(1).optional(),
    /** Signs the body with HMAC-SHA256. */
    secret: secret.optional(),
    timeout: duration.prefault("5s"),
  })
  .refine((one) => (one.url === undefined) !== (one.urlFile === undefined), "name url or urlFile")
  .refine((one) => one.timeout >= 100 && one.timeout <= 30_000, "timeout is 100ms to 30s");

/** Whoever reaches the console: `view` sees all and decides nothing. */
export const reviewer = z
  .strictObject({
    name: z.string().min(1).max(128),
    role: z.enum(["view", "review"]).default("review"),
    ...secretMembers,
  })
  .refine(isOne, exactlyOne);

export const notify = z
  .strictObject({
    destinations: z.array(destination).max(50).default([]),
    /** Who is told of proposals, expiries and failures, where the policy names nobody itself. */
    to: z.array(z.string().min(1)).default([]),
    about: z.array(z.enum(noticeKinds)).default([...noticeKinds]),
    expiresSoon: duration.prefault("10m"),
    /** Messages to one destination in a minute; beyond it one message tells of all that wait. */
    perMinute: z.int().min(1).max(1_000).default(20),
    /** Where reviewers reach the console, such as https://parapet.example.org/console; for links. */
    consoleUrl: z.url({ protocol: /^https?$/ }).optional(),
  })
  .prefault({});
