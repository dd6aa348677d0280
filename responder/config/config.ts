// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import {
  address,
  duration,
  exactlyOne,
  isOne,
  lossDetection,
  namedSecret,
  redis,
  secret,
  secretMembers,
  tracing,
} from "#responder/config/config-parts";
import { driftSettings } from "#responder/drift/config";
import { s3Settings } from "#responder/config/evidence-s3-settings";
import { notify, reviewer } from "#responder/config/people-settings";
import { isolationSettings } from "#responder/isolation/settings";
import { verificationSettings } from "#responder/verification/settings";

const tls = z.strictObject({
  certFile: z.string().min(1),
  keyFile: z.string().min(1),
  clientCaFile: z.string().min(1).optional(),
});

const names = z.array(z.string().min(1)).default([]);

const schema = z.strictObject({
  intake: z
    .strictObject({
      listen: address.prefault("127.0.0.1:9801"),
      tls: tls.optional(),
      tokens: z.array(namedSecret).default([]),
      basic: z
        .array(
          z
            .strictObject({
              name: z.string().min(1),
              user: z.string().min(1),
              ...secretMembers,
            })
            .refine(isOne, exactlyOne),
        )
        .default([]),
      clientNames: names,
      /** How long alerts are still taken after the signal to end: until every node knows that we do. */
      drain: duration.prefault("0s").refine((ms) => ms <= 50_000, "50s at most"),
      /** Fields that a relay writes into alerts (falcosidekick's templatedfields), so that they are no part of an alert's identity. */
      relayFields: z.array(z.string().min(1)).max(100).default([]),
    })
    .prefault({}),
  operations: z.strictObject({ listen: address.prefault("127.0.0.1:9802") }).prefault({}),
  review: z
    .strictObject({
      listen: address.prefault("127.0.0.1:9803"),
      tls: tls.optional(),
      reviewers: z.array(reviewer).default([]),
      sessionKey: secret.optional(),
    })
    .prefault({}),
  queue: z
    .strictObject({
      /** Absent: a redis-server of our own when the program is on PATH, else PGlite; both for a laptop. */
      redisUrl: z.url({ protocol: /^(?:rediss?|unix)$/ }).optional(),
      redis: redis.optional(),
      embedded: z.enum(["auto", "redis", "pglite"]).default("auto"),
      name: z
        .string()
        .regex(/^[\w-]{1,64}$/)
        .default("parapet-alerts"),
      concurrency: z.int().min(1).max(2_000).default(500),
    })
    .prefault({}),
  /** Spool, audit log and what an embedded queue keeps. */
  dataDirectory: z.string().min(1).default("./parapet-data"),
  spoolBytesMax: z.int().min(1_048_576).default(1_073_741_824),
  cluster: z
    .strictObject({
      kubeconfig: z.string().min(1).optional(),
      context: z.string().min(1).optional(),
    })
    .prefault({}),
  /** Where leases and remediations without a namespace are kept. */
  namespace: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
    .default("parapet-system"),
  /** One for each replica, and the same after its restart. */
  identity: z.string().min(1).max(128).optional(),
  protectedNamespaces: z
    .array(z.string().min(1))
    .default([
      "kube-system",
      "kube-public",
      "kube-node-lease",
      "crossplane-system",
      "parapet-system",
    ]),
  notify,
  /** Where evidence is kept; dataDirectory/evidence unless named. */
  evidenceDirectory: z.string().min(1).optional(),
  /** An S3-compatible store instead. */
  evidenceS3: s3Settings.optional(),
  alertAgeMax: duration.prefault("10m"),
  settle: duration.optional(), // absent: as the network implementation needs it
  isolation: isolationSettings,
  verification: verificationSettings,
  retention: duration.prefault("720h"), // of closed records and their Approvals; 0s for ever
  lossDetection: lossDetection.optional(),
  tracing: tracing.optional(),
  actConcurrency: z.int().min(1).max(200).default(32),
  drift: driftSettings,
});

/** As the file is written, for whoever lists all settings. */
export const configSchema = (): unknown =>
  z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });

export type Config = z.infer<typeof schema>;

export type ParsedConfig =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Settings that the environment gives; each replaces one of the file. */
export const environmentSettings = {
  PARAPET_INTAKE_LISTEN: ["intake", "listen"],
  PARAPET_OPERATIONS_LISTEN: ["operations", "listen"],
  PARAPET_REVIEW_LISTEN: ["review", "listen"],
  PARAPET_REDIS_URL: ["queue", "redisUrl"],
  PARAPET_REDIS_USERNAME: ["queue", "redis", "username"],
  PARAPET_REDIS_PASSWORD: ["queue", "redis", "password", "value"],
  PARAPET_EMBEDDED_QUEUE: ["queue", "embedded"],
  PARAPET_DATA: ["dataDirectory"],
  PARAPET_KUBECONFIG: ["cluster", "kubeconfig"],
  PARAPET_CONTEXT: ["cluster", "context"],
  PARAPET_NAMESPACE: ["namespace"],
  PARAPET_IDENTITY: ["identity"],
  PARAPET_ISTIO_ROOT_NAMESPACE: ["isolation", "istioRootNamespace"],
  PARAPET_TRACES_ENDPOINT: ["tracing", "endpoint"],
} as const;

/**
 * Reads the configuration: the file's content with the environment laid over it. Every problem is reported at once, by path;
 * unknown settings are problems.
 */
export function parseConfig(
  file: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): ParsedConfig {
  const merged: Record<string, unknown> = { ...(isRecord(file) ? file : {}) };
  for (const [name, path] of Object.entries(environmentSettings)) {
    const value = environment[name];
    if (value !== undefined && value !== "") setAt(merged, path, value);
  }
  const token = environment["PARAPET_INTAKE_TOKEN"];
  if (token !== undefined && token !== "") {
    const intake = isRecord(merged["intake"]) ? merged["intake"] : {};
    const tokens: unknown[] = Array.isArray(intake["tokens"]) ? intake["tokens"] : [];
    merged["intake"] = { ...intake, tokens: [...tokens, { name: "environment", value: token }] };
  }
  const problems: string[] = [];
  if (file !== undefined && file !== null && !isRecord(file)) problems.push(".: must be a mapping");
  const parsed = schema.safeParse(merged);
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap(toProblems));
  // What contradicts what is looked for where the parts can be read, whatever is wrong beside them.
  const readable = parsed.success ? parsed : schema.safeParse(without(merged, parsed.error.issues));
  if (readable.success) problems.push(...contradictions(readable.data));
  if (parsed.success && problems.length === 0) return { ok: true, config: parsed.data };
  return { ok: false, problems: problems.map((problem) => named(problem, environment)) };
}

/** One line for each; of unknown settings one for each of them, with its own path. */
function toProblems(issue: z.core.$ZodIssue): readonly string[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${[...path, key].join(".")}: is no setting`);
  }
  return [`${path.join(".") || "."}: ${issue.message}`];
}

/** With the variable that a problem's value came from, where it came from one. */
function named(problem: string, environment: Readonly<Record<string, string | undefined>>): string {
  const path = problem.slice(0, problem.indexOf(":"));
  const from = Object.entries(environmentSettings).find(
    ([name, steps]) => steps.join(".") === path && (environment[name] ?? "") !== "",
  );
  return from === undefined ? problem : `${problem} (from ${from[0]})`;
}

/** The settings without those that cannot be read. */
function without(
  settings: Readonly<Record<string, unknown>>,
  issues: readonly z.core.$ZodIssue[],
): Record<string, unknown> {
  const left: Record<string, unknown> = structuredClone({ ...settings });
  for (const issue of issues) {
    const keys = issue.code === "unrecognized_keys" ? issue.keys : [issue.path.at(-1)];
    const parents = issue.code === "unrecognized_keys" ? issue.path : issue.path.slice(0, -1);
    let holder: unknown = left;
    for (const step of parents) holder = isRecord(holder) ? holder[String(step)] : undefined;
    // A fault inside a list takes the whole list with it.
    if (!isRecord(holder)) delete left[String(issue.path[0])];
    else for (const key of keys) delete holder[String(key)];
  }
  return left;
}

function contradictions(config: Config): readonly string[] {
  const { intake, review } = config;
  const problems: string[] = [...queueContradictions(config.queue)];
  const isOpen =
    intake.tokens.length === 0 &&
    intake.basic.length === 0 &&
    intake.tls?.clientCaFile === undefined;
  if (isOpen) {
    problems.push(
      "intake: name at least one of tokens, basic and tls.clientCaFile (or PARAPET_INTAKE_TOKEN): nothing is taken from just anybody",
    );
  }
  if (intake.clientNames.length > 0 && intake.tls?.clientCaFile === undefined) {
    problems.push("intake.clientNames: needs intake.tls.clientCaFile");
  }
  if (config.evidenceDirectory !== undefined && config.evidenceS3 !== undefined) {
    problems.push("evidenceS3: name either this or evidenceDirectory");
  }
  const destinations = config.notify.destinations.map((one) => one.name);
  const twice = destinations.find((name, i) => destinations.indexOf(name) !== i);
  if (twice !== undefined) problems.push(`notify.destinations: ${twice} is there twice`);
  const unknown = config.notify.to.find((name) => !destinations.includes(name));
  if (unknown !== undefined) problems.push(`notify.to: no destination is called ${unknown}`);
  if (review.reviewers.length > 0 && review.tls === undefined && !isLoopback(review.listen.host)) {
    problems.push("review.tls: is needed where the console is not on loopback");
  }
  return problems;
}

function queueContradictions({ redis: how, redisUrl }: Config["queue"]): readonly string[] {
  if (how === undefined) return [];
  const elsewhere = how.sentinel !== undefined || how.cluster !== undefined;
  if (redisUrl !== undefined && elsewhere) {
    return ["queue.redisUrl: leave it out beside queue.redis.sentinel or queue.redis.cluster"];
  }
  if (redisUrl === undefined && !elsewhere) {
    return ["queue.redis: name queue.redisUrl, queue.redis.sentinel or queue.redis.cluster"];
  }
  return [];
}

export const isLoopback = (host: string): boolean =>
  ["127.0.0.1", "::1", "localhost"].includes(host);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function setAt(into: Record<string, unknown>, path: readonly string[], value: string): void {
  const [step, ...rest] = path;
  if (step === undefined) return;
  if (rest.length === 0) {
    into[step] = value;
    return;
  }
  const below = into[step];
  const copy = isRecord(below) ? { ...below } : {};
  setAt(copy, rest, value);
  into[step] = copy;
}
