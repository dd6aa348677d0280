// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "#responder/actions/parameters";

/** Longest that one bundle may take to be kept, with all tries: what follows the evidence waits so long. */
const timeoutMsMax = 120_000;
/** 100 years, the most that S3 takes (docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html). */
const retentionDaysMax = 36_500;

const keyFiles = z.strictObject({
  accessKeyIdFile: z.string().min(1),
  secretAccessKeyFile: z.string().min(1),
  sessionTokenFile: z.string().min(1).optional(),
});

/** An S3-compatible store for evidence. */
export const s3Settings = z
  .strictObject({
    /** docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket's name"),
    /** Before each key; without a slash at its ends. */
    prefix: z
      .string()
      .regex(/^([\w.-]{1,100}(\/[\w.-]{1,100}){0,9})?$/, "must be a path such as parapet/evidence")
      .default(""),
    region: z.string().min(1).max(64).default("us-east-1"),
    /** Undefined: Amazon's of the region. */
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
    /** The bucket in the path, as most stores but Amazon's want it. */
    pathStyle: z.boolean().default(false),
    /** Certificates to trust instead of the system's. */
    caFile: z.string().min(1).optional(),
    /** Undefined: where Amazon's tools look: environment, shared files, web identity, the node's role. */
    credentials: keyFiles.optional(),
    encryption: z
      .union([
        z.strictObject({ algorithm: z.literal("AES256") }),
        z.strictObject({
          algorithm: z.literal("aws:kms"),
          keyId: z.string().min(1).max(2_048).optional(),
        }),
      ])
      .optional(),
    /** Object lock: until then nobody deletes or overwrites the bundle; the bucket must have been made with it. */
    retention: z
      .strictObject({
        mode: z.enum(["GOVERNANCE", "COMPLIANCE"]),
        days: z.int().min(1).max(retentionDaysMax),
      })
      .optional(),
    tries: z.int().min(1).max(10).default(3),
    timeout: duration(timeoutMsMax).prefault("20s"),
  })
  .refine((one) => one.pathStyle || one.endpoint === undefined || !isAddress(one.endpoint), {
    path: ["pathStyle"],
    message: "must be true where endpoint is an IP address: a bucket cannot stand before it",
  });

export type S3Settings = z.infer<typeof s3Settings>;

const isAddress = (endpoint: string): boolean =>
  /^(\d+\.){3}\d+$|^\[/.test(new URL(endpoint).hostname);
