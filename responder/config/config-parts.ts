// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { parseDuration } from "#policy/kubernetes/duration";
import { priorities } from "#responder/intake/alert";

/** Milliseconds of a Go duration such as `30s` or `10m`. */
export const duration = z.string().transform((text, context) => {
  const parsed = parseDuration(text);
  if (parsed.ok && parsed.value >= 0n) return Number(parsed.value / 1_000_000n);
  context.addIssue({ code: "custom", message: "must be a duration such as 30s or 10m" });
  return z.NEVER;
});

/** `host:port`; an IPv6 address stands in brackets. */
export const address = z.string().transform((text, context) => {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? -1);
  if (port >= 0 && port <= 65_535) return { host: match?.[1] ?? match?.[2] ?? "", port };
  context.addIssue({ code: "custom", message: "must be host:port, such as 0.0.0.0:9801" });
  return z.NEVER;
});

/** A secret stands in a file, or for demos in the configuration itself. */
export const secretMembers = {
  value: z.string().min(16).optional(),
  file: z.string().min(1).optional(),
};
export const exactlyOne = "name exactly one of value (16 characters at least) and file";
export const isOne = (secret: { value?: string | undefined; file?: string | undefined }): boolean =>
  (secret.value === undefined) !== (secret.file === undefined);

export const secret = z.strictObject(secretMembers).refine(isOne, exactlyOne);
export const namedSecret = z
  .strictObject({ name: z.string().min(1).max(128), ...secretMembers })
  .refine(isOne, exactlyOne);

/** Somebody else's secret, whose length is not ours to choose. */
const foreignSecret = z
  .strictObject({ value: z.string().min(1).optional(), file: z.string().min(1).optional() })
  .refine(isOne, "name exactly one of value and file");

const nodes = z.array(address).min(1).max(100);
const redisName = z.string().min(1).max(256);

/** How Redis is reached beside `queue.redisUrl`. */
export const redis = z
  .strictObject({
    /** An ACL user; Redis' default user without. */
    username: redisName.optional(),
    password: foreignSecret.optional(),
    database: z.int().min(0).max(1_000_000).optional(),
    /** Being there turns TLS on. */
    tls: z
      .strictObject({
        caFile: z.string().min(1).optional(),
        certFile: z.string().min(1).optional(),
        keyFile: z.string().min(1).optional(),
        serverName: z.string().min(1).max(253).optional(),
      })
      .refine(
        (tls) => (tls.certFile === undefined) === (tls.keyFile === undefined),
        "name certFile and keyFile together",
      )
      .optional(),
    sentinel: z
      .strictObject({
        name: redisName,
        nodes,
        username: redisName.optional(),
        password: foreignSecret.optional(),
      })
      .optional(),
    cluster: z.strictObject({ nodes }).optional(),
    /** Replicas that must have an alert before it is accepted. */
    replicas: z.int().min(0).max(10).default(0),
    /** What Redis' own setting is to be; `everysec`: the last second before a power cut may be lost, and that is accepted. */
    appendfsync: z.enum(["always", "everysec"]).default("always"),
  })
  .refine(
    (one) => one.sentinel === undefined || one.cluster === undefined,
    "name one of sentinel and cluster",
  )
  .refine(
    (one) => one.cluster === undefined || one.database === undefined,
    "a cluster has no databases",
  );

/** Where Falco counts its matches, to find out what never arrived. */
export const lossDetection = z
  .strictObject({
    metricsUrls: z
      .array(z.url({ protocol: /^https?$/ }))
      .max(2_000)
      .default([]),
    /** A headless Service as name:port; each of its addresses is a Falco. */
    service: address.optional(),
    path: z
      .string()
      .regex(/^\/[\w./-]{0,256}$/, "must be a path such as /metrics")
      .default("/metrics"),
    interval: duration.prefault("1m"),
    /** How late an alert may come until it counts as lost. */
    lateness: duration.prefault("1m"),
    /** What the senders filter: falcosidekick's `webhook.minimumpriority`. */
    minimumPriority: z.enum(priorities).default("Debug"),
    ignoreRules: z.array(z.string().min(1)).max(1_000).default([]),
  })
  .refine((one) => one.interval >= 1_000 && one.interval <= 3_600_000, "interval is 1s to 1h")
  .refine((one) => one.lateness <= 3_600_000, "lateness is 1h at most");

/** Where OpenTelemetry traces go; nothing of it is loaded without. */
export const tracing = z.strictObject({
  /** OTLP over HTTP, with the path: http://collector:4318/v1/traces */
  endpoint: z.url({ protocol: /^https?$/ }),
  /** Sent with each export, as a collector's `authorization`. */
  headers: z
    .array(
      z
        .strictObject({ name: z.string().regex(/^[\w-]{1,64}$/), ...secretMembers })
        .refine(isOne, exactlyOne),
    )
    .max(20)
    .default([]),
  /** Part of the alerts that are traced, the same ones on every replica. */
  ratio: z.number().min(0).max(1).default(1),
  serviceName: z.string().min(1).max(128).default("parapet-responder"),
});
