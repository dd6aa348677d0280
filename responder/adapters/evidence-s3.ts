// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: evidence in an S3-compatible store.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type {
  GetObjectCommandOutput,
  PutObjectCommandInput,
  S3ClientConfig,
} from "@aws-sdk/client-s3";
import { failure, type Failure, type Reply } from "#responder/cluster";
import type { EvidenceStore, Kept } from "#responder/evidence";
import type { S3Settings } from "#responder/config/evidence-s3-settings";

/** Far above the largest bundle: a store that answers more does not hold what we wrote. */
const readBytesMax = 64 * 1024 * 1024;
const dayMs = 24 * 3_600_000;
/** Keys that are mounted as files may be exchanged while we run; they are read again this often. */
const keysMs = 60_000;
const connectMs = 5_000;

export type S3Evidence = EvidenceStore & { readonly close: () => void };

/**
 * Keeps each bundle as one object, written on the condition that none of its name exists (If-None-Match), so that a bundle is never
 * overwritten, with the SHA-256 that the store itself checks on receipt. The hash of a bundle that is there is computed from its bytes, never
 * taken from its metadata. All tries of one call share one deadline. The client is loaded by the first who asks for it.
 * Throws when a file that the settings name cannot be read.
 */
export async function openS3Evidence(settings: S3Settings, now: () => number): Promise<S3Evidence> {
  const s3 = await import("@aws-sdk/client-s3");
  const client = new s3.S3Client(await clientConfig(settings, now));
  const { bucket, prefix, timeout } = settings;
  const keyOf = (name: string): string => `${prefix === "" ? "" : `${prefix}/`}${name}.json`;
  const locate = (name: string): string => `s3://${bucket}/${keyOf(name)}`;
  const read = async (name: string): Promise<Reply<Kept | undefined>> => {
    try {
      const signal = AbortSignal.timeout(timeout);
      const command = new s3.GetObjectCommand({ Bucket: bucket, Key: keyOf(name) });
      const answer = await client.send(command, { abortSignal: signal });
      const sha256 = await hashOf(answer.Body, signal);
      if (sha256 === undefined) return failure("Invalid", `evidence: ${locate(name)} is too large`);
      return { ok: true, value: { location: locate(name), sha256 } };
    } catch (error) {
      return nameOf(error) === "NoSuchKey" ? { ok: true, value: undefined } : failed(error);
    }
  };
  return {
    find: async (name) => {
      const found = await read(name);
      // A credential that may only write cannot look; the condition of the write decides then.
      const isBlind = !found.ok && found.code === "Forbidden";
      return isBlind ? { ok: true, value: undefined } : found;
    },
    keep: async (name, bundle) => {
      const bytes = Buffer.from(bundle, "utf8");
      const digest = createHash("sha256").update(bytes).digest();
      const command = new s3.PutObjectCommand({
        ...putInput(settings, now()),
        Bucket: bucket,
        Key: keyOf(name),
        Body: bytes,
        ChecksumSHA256: digest.toString("base64"),
      });
      try {
        await client.send(command, { abortSignal: AbortSignal.timeout(timeout) });
        return { ok: true, value: { location: locate(name), sha256: digest.toString("hex") } };
      } catch (error) {
        if (statusOf(error) !== 412) return failed(error);
        return keptBefore(await read(name), digest.toString("hex"), locate(name));
      }
    },
    close: () => client.destroy(),
  };
}

/** A write whose answer was lost is found done by its hash; another bundle of that name stays as it is. */
function keptBefore(found: Reply<Kept | undefined>, sha256: string, location: string): Reply<Kept> {
  if (!found.ok) return failure(found.code, `${found.message}; ${location} is there already`);
  if (found.value?.sha256 === sha256) return { ok: true, value: found.value };
  return failure("Unavailable", `evidence: another bundle is kept as ${location} already`);
}

async function clientConfig(settings: S3Settings, now: () => number): Promise<S3ClientConfig> {
  const ca = settings.caFile === undefined ? undefined : await readFile(settings.caFile, "utf8");
  const { credentials, endpoint } = settings;
  if (credentials !== undefined) await readKeys(credentials, now);
  return {
    region: settings.region,
    forcePathStyle: settings.pathStyle,
    maxAttempts: settings.tries,
    // Only what we state ourselves: older stores refuse the trailing checksums that newer clients add.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: settings.timeout,
      ...(ca === undefined ? {} : { httpsAgent: { ca } }),
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: () => readKeys(credentials, now) }),
  };
}

async function readKeys(files: NonNullable<S3Settings["credentials"]>, now: () => number) {
  const text = async (file: string): Promise<string> => (await readFile(file, "utf8")).trim();
  return {
    accessKeyId: await text(files.accessKeyIdFile),
    secretAccessKey: await text(files.secretAccessKeyFile),
    ...(files.sessionTokenFile === undefined
      ? {}
      : { sessionToken: await text(files.sessionTokenFile) }),
    expiration: new Date(now() + keysMs),
  };
}

function putInput(
  { encryption, retention }: S3Settings,
  nowMs: number,
): Partial<PutObjectCommandInput> {
  return {
    ContentType: "application/json",
    IfNoneMatch: "*",
    ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.algorithm }),
    ...(encryption?.algorithm === "aws:kms" && encryption.keyId !== undefined
      ? { SSEKMSKeyId: encryption.keyId }
      : {}),
    ...(retention === undefined
      ? {}
      : {
          ObjectLockMode: retention.mode,
          ObjectLockRetainUntilDate: new Date(nowMs + retention.days * dayMs),
        }),
  };
}

async function hashOf(
  body: GetObjectCommandOutput["Body"],
  signal: AbortSignal,
): Promise<string | undefined> {
  const hash = createHash("sha256");
  let bytes = 0;
  const stream = body?.transformToWebStream();
  for await (const chunk of stream ?? []) {
    if (!(chunk instanceof Uint8Array)) continue;
    signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes > readBytesMax) return undefined;
    hash.update(chunk);
  }
  return hash.digest("hex");
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : "");

function statusOf(error: unknown): number {
  if (typeof error !== "object" || error === null || !("$metadata" in error)) return 0;
  const metadata = error.$metadata;
  if (typeof metadata !== "object" || metadata === null || !("httpStatusCode" in metadata))
    return 0;
  return Number(metadata.httpStatusCode);
}

/** All of it may be put right, so the action is tried again. An error's own text may name keys: only its code is told. */
function failed(error: unknown): Failure {
  const status = statusOf(error);
  const name = nameOf(error) || "failed";
  const isLate = name === "AbortError" || name === "TimeoutError";
  const why = isLate ? "no answer in time" : `${name}${status === 0 ? "" : ` (${status})`}`;
  return failure(
    status === 401 || status === 403 ? "Forbidden" : "Unavailable",
    `evidence: ${why}`,
  );
}
