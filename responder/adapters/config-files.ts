// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: reads the files that the configuration names.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { RedisTarget, RedisTls, Renewed } from "#responder/adapters/redis-connection";
import { ownUser } from "#responder/adapters/start-problem";
import type { Config } from "#responder/config/config";
import type { Credentials } from "#responder/config/credentials";
import { contextOf, type TlsFiles } from "#responder/listener";
import type { Destination } from "#responder/notify/notification";

/** What stands in the files that a configuration names, and the secrets that stand in itself. */
export type ConfigFiles = {
  readonly credentials: Credentials;
  /** The API server's for its audit webhook; none where that is not configured. */
  readonly auditTokens: Credentials["tokens"];
  readonly intakeTls: TlsFiles | undefined;
  readonly reviewTls: TlsFiles | undefined;
  readonly reviewers: readonly {
    readonly name: string;
    readonly token: string;
    readonly role: "view" | "review";
  }[];
  readonly sessionKey: string | undefined;
  readonly destinations: readonly Destination[];
  /** Undefined: no Redis is configured. */
  readonly redis: RedisTarget | undefined;
  readonly traceHeaders: Readonly<Record<string, string>>;
};

export type ReadConfigFiles =
  | { readonly ok: true; readonly files: ConfigFiles }
  | { readonly ok: false; readonly problems: readonly string[] };

type Secret = { readonly value?: string | undefined; readonly file?: string | undefined };

/** Reads all of them and tells of every one that cannot be used, by the setting that names it. No secret is in a problem. */
export async function readConfigFiles(config: Config): Promise<ReadConfigFiles> {
  const reader = makeReader();
  const { intake, review } = config;
  const files: ConfigFiles = {
    credentials: await credentialsOf(reader, intake),
    auditTokens: await each(config.drift.audit?.tokens ?? [], async (one, i) => ({
      name: one.name,
      token: await reader.secret(`drift.audit.tokens.${i}`, one),
    })),
    intakeTls: await tlsOf(reader, "intake.tls", intake.tls),
    reviewTls: await tlsOf(reader, "review.tls", review.tls),
    reviewers: await each(review.reviewers, async (one, i) => ({
      name: one.name,
      role: one.role,
      token: await reader.secret(`review.reviewers.${i}`, one),
    })),
    sessionKey: review.sessionKey && (await reader.secret("review.sessionKey", review.sessionKey)),
    destinations: await destinationsOf(reader, config.notify.destinations),
    redis: await redisOf(reader, config.queue),
    traceHeaders: Object.fromEntries(
      await each(config.tracing?.headers ?? [], async (one, i): Promise<[string, string]> => [
        one.name,
        await reader.secret(`tracing.headers.${i}`, one, /^[\x20-\x7e]+$/),
      ]),
    ),
  };
  const { problems } = reader;
  problems.push(...sharedSecrets(files));
  return problems.length === 0 ? { ok: true, files } : { ok: false, problems };
}

const each = <T, R>(all: readonly T[], read: (one: T, i: number) => Promise<R>): Promise<R[]> =>
  Promise.all(all.map(read));

/** What a system's code means to whoever mounted the file. */
const hints = new Map([
  ["ENOENT", ": it is not there"],
  ["EACCES", `: ${ownUser()} may not`],
  ["EISDIR", ": it is a directory"],
]);

function makeReader() {
  const problems: string[] = [];
  const text = async (path: string, file: string): Promise<string> => {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      const why = code === "" ? "" : ` (${code}${hints.get(code) ?? ""})`;
      problems.push(`${path}: ${file} cannot be read${why}`);
      return "";
    }
  };
  const optional = async (path: string, file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : text(path, file);
  return {
    problems,
    text,
    optional,
    /** Of 16 characters at least, and such as a header can carry. */
    secret: async (path: string, secret: Secret, allowed = /^[\x21-\x7e]+$/): Promise<string> => {
      const before = problems.length;
      const where = secret.file === undefined ? `${path}.value` : `${path}.file`;
      const found = secret.value ?? (await text(where, secret.file ?? "")).trim();
      if (problems.length > before) return "";
      if (found.length < 16) problems.push(`${where}: is shorter than 16 characters`);
      else if (!allowed.test(found)) {
        problems.push(`${where}: has characters that no header can carry`);
      }
      return found;
    },
    /** Somebody else's secret: only that it is not empty. From a file it is read anew each time. */
    foreign: async (
      path: string,
      secret: Secret | undefined,
    ): Promise<Renewed<string> | undefined> => {
      if (secret === undefined) return undefined;
      const before = problems.length;
      const found = secret.value ?? (await text(`${path}.file`, secret.file ?? "")).trim();
      if (found === "" && problems.length === before) problems.push(`${path}: is empty`);
      return secret.file === undefined ? found : renewed(secret.file, found);
    },
  };
}

/** What stands in a file now; what stood there before while it cannot be read, as in the middle of a change. */
function renewed(file: string, first: string): () => string {
  let last = first;
  return () => {
    try {
      last = readFileSync(file, "utf8").trim() || last;
    } catch {
      // The old one may still be right, and who is refused is told so by Redis.
    }
    return last;
  };
}

type Reader = ReturnType<typeof makeReader>;

const credentialsOf = async (reader: Reader, intake: Config["intake"]): Promise<Credentials> => ({
  tokens: await each(intake.tokens, async (one, i) => ({
    name: one.name,
    token: await reader.secret(`intake.tokens.${i}`, one),
  })),
  basic: await each(intake.basic, async (one, i) => ({
    name: one.name,
    user: one.user,
    password: await reader.secret(`intake.basic.${i}`, one),
  })),
  certificateNames: intake.clientNames,
  certificates: intake.tls?.clientCaFile !== undefined,
});

async function tlsOf(
  reader: Reader,
  path: string,
  files: Config["intake"]["tls"],
): Promise<TlsFiles | undefined> {
  if (files === undefined) return undefined;
  const before = reader.problems.length;
  const read: TlsFiles = {
    cert: await reader.text(`${path}.certFile`, files.certFile),
    key: await reader.text(`${path}.keyFile`, files.keyFile),
    clientCa: await reader.optional(`${path}.clientCaFile`, files.clientCaFile),
  };
  if (reader.problems.length > before) return read;
  try {
    createSecureContext(contextOf(read));
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    reader.problems.push(
      `${path}: certificate, key and authority are no PEM, or do not belong together (${why})`,
    );
  }
  return read;
}

/** An address that holds a token, as Slack's do, stands in a file. */
const destinationsOf = (
  reader: Reader,
  destinations: Config["notify"]["destinations"],
): Promise<readonly Destination[]> =>
  each(destinations, async (one, i) => {
    const path = `notify.destinations.${i}`;
    const before = reader.problems.length;
    const given = one.url ?? (await reader.text(`${path}.urlFile`, one.urlFile ?? "")).trim();
    const url = URL.canParse(given) ? new URL(given) : undefined;
    const isHttp = url !== undefined && ["https:", "http:"].includes(url.protocol);
    if (!isHttp && reader.problems.length === before) {
      reader.problems.push(`${path}.urlFile: is no http address`);
    }
    const secret =
      one.secret === undefined ? undefined : await reader.secret(`${path}.secret`, one.secret);
    const { name, format, timeout } = one;
    return { name, format, url: url?.href ?? "", secret, timeoutMs: timeout };
  });

async function redisOf(reader: Reader, queue: Config["queue"]): Promise<RedisTarget | undefined> {
  const how = queue.redis;
  const at = await addressOf(reader, queue);
  if (at === undefined) return undefined;
  const password = await reader.foreign("queue.redis.password", how?.password);
  const tls = how?.tls === undefined ? undefined : await redisTlsOf(reader, how.tls);
  return {
    at,
    ...(how?.username === undefined ? {} : { username: how.username }),
    ...(password === undefined ? {} : { password }),
    ...(how?.database === undefined ? {} : { database: how.database }),
    ...(tls === undefined ? {} : { tls }),
    replicas: how?.replicas ?? 0,
    appendfsync: how?.appendfsync ?? "always",
  };
}

async function addressOf(
  reader: Reader,
  { redis: how, redisUrl: url }: Config["queue"],
): Promise<RedisTarget["at"] | undefined> {
  if (how?.cluster !== undefined) return { kind: "cluster", nodes: how.cluster.nodes };
  if (how?.sentinel === undefined) return url === undefined ? undefined : { kind: "url", url };
  const { name, nodes, username } = how.sentinel;
  const password = await reader.foreign("queue.redis.sentinel.password", how.sentinel.password);
  return {
    kind: "sentinel",
    name,
    nodes,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

type TlsSettings = NonNullable<NonNullable<Config["queue"]["redis"]>["tls"]>;

async function redisTlsOf(
  reader: Reader,
  { caFile, certFile, keyFile, serverName }: TlsSettings,
): Promise<Renewed<RedisTls>> {
  const path = "queue.redis.tls";
  const renew = async (name: string, file: string | undefined) => {
    const first = await reader.optional(`${path}.${name}`, file);
    return file === undefined || first === undefined ? undefined : renewed(file, first);
  };
  const ca = await renew("caFile", caFile);
  const cert = await renew("certFile", certFile);
  const key = await renew("keyFile", keyFile);
  return () => ({
    ...(ca === undefined ? {} : { ca: ca() }),
    ...(cert === undefined ? {} : { cert: cert() }),
    ...(key === undefined ? {} : { key: key() }),
    ...(serverName === undefined ? {} : { serverName }),
  });
}

/** Whoever may send alerts may not review, and the other way round: one secret in both places would make them one. */
function sharedSecrets({ credentials, reviewers, sessionKey }: ConfigFiles): readonly string[] {
  const senders = new Set([
    ...credentials.tokens.map((one) => one.token),
    ...credentials.basic.map((one) => one.password),
  ]);
  const shared = reviewers.flatMap(({ token }, i) =>
    token !== "" && senders.has(token)
      ? [`review.reviewers.${i}: has the secret of a sender of the intake`]
      : [],
  );
  const others = [...senders, ...reviewers.map((one) => one.token)];
  return sessionKey !== undefined && sessionKey !== "" && others.includes(sessionKey)
    ? [...shared, "review.sessionKey: is the secret of a sender or a reviewer"]
    : shared;
}
