// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AlertQueue } from "#responder/intake/alert-queue";
import { openAuditFile } from "#responder/adapters/audit-file";
import { makeApiServer } from "#responder/adapters/api-server";
import { makeEvidenceDirectory } from "#responder/adapters/evidence-directory";
import { type ConfigFiles, readConfigFiles } from "#responder/adapters/config-files";
import { fromKubeconfig, inCluster } from "#responder/adapters/kubeconfig";
import { lockDirectory } from "#responder/adapters/pid-lock";
import { makeSendHttp } from "#responder/adapters/send-http";
import { openSpool } from "#responder/adapters/spool";
import { ownUser, starting } from "#responder/adapters/start-problem";
import type { Cluster } from "#responder/cluster";
import type { Config } from "#responder/config/config";
import { makeConsolePorts } from "#responder/console-ports";
import type { EvidenceStore } from "#responder/evidence";
import { makeIntakeHandler, makeOperationsHandler } from "#responder/http";
import { type Handle, listen, type Listener, type TlsFiles } from "#responder/listener";
import { auditPath, makeAuditHandler } from "#responder/drift/audit-http";
import type { Log } from "#responder/log";
import { makeMetrics, type Metrics } from "#responder/metrics";
import { type Observed, observe } from "#responder/observe";
import { makeRenewal } from "#responder/renewal";
import { type Responder, type ResponderPorts, startResponder } from "#responder/responder";

export type Running = {
  readonly responder: Responder;
  readonly cluster: Cluster;
  readonly intakePort: number;
  readonly operationsPort: number;
  /** Undefined without reviewers. */
  readonly reviewPort: number | undefined;
  readonly stop: () => Promise<void>;
};

/** The configuration is right, the files that it names are not. */
export class UnusableFiles extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super([`The configuration has ${problems.length} problem(s):`, ...problems].join("\n  "));
    this.problems = problems;
  }
}

/** Puts the responder together from its configuration and opens its doors. `cluster` replaces the configured one, for demos. */
export async function runResponder(config: Config, log: Log, given?: Cluster): Promise<Running> {
  const first = await readConfigFiles(config);
  if (!first.ok) throw new UnusableFiles(first.problems);
  const { files } = first;
  const inData = <T>(work: () => Promise<T>): Promise<T> =>
    starting(
      `dataDirectory ${config.dataDirectory}`,
      `${ownUser()} must be able to write there (in a pod: fsGroup; else chown, or another directory)`,
      work,
    );
  const release = await inData(() => lockDirectory(config.dataDirectory));
  const cluster = given ?? makeApiServer(await connection(config));
  const metrics = makeMetrics();
  const [queue, spool, audit] = await Promise.all([
    openQueue(config, files, log),
    inData(() => openSpool(join(config.dataDirectory, "spool"), config.spoolBytesMax)),
    inData(() => openAuditFile(join(config.dataDirectory, "audit.jsonl"), Date.now)),
  ]);
  log("info", "queue", { queue: queue.description });
  // Beside the log itself, so that one that is cut off or written anew does not agree with what others have kept.
  log("info", "audit log", { ...audit.end() });
  const effects = {
    evidence: await openEvidence(config),
    send: makeSendHttp(files.destinations, Date.now, config.notify.consoleUrl),
  };
  const common = { spool, metrics, log, now: Date.now };
  const observed = await observe(config, files, { ...common, cluster, queue });
  const openBeginnings = await beginningsIn(config, files);
  const ports = { ...common, ...observed, audit, effects, openBeginnings };
  const responder = startResponder(config, ports);
  const read = () => readConfigFiles(config);
  const renewal = makeRenewal(files, { ...common, read }, () => ({
    intakeTls: doors.intake.renew,
    reviewTls: (tls) => doors.review?.renew(tls),
  }));
  const now = renewal.files;
  const doors = await openDoors(config, now, { responder, cluster, metrics, log, observed });
  return {
    responder,
    cluster,
    intakePort: doors.intake.port,
    operationsPort: doors.operations.port,
    reviewPort: doors.review?.port,
    stop: async () => {
      renewal.stop();
      // Falco sends once: whoever still comes here because the news of our end is under way is served.
      doors.drain();
      await sleep(config.intake.drain);
      await doors.intake.close();
      await doors.review?.close();
      await responder.stop();
      await observed.stop();
      await doors.operations.close();
      await release();
    },
  };
}

/** The object store's client is loaded only where one is configured: it is the largest of all dependencies. */
async function openEvidence(config: Config): Promise<EvidenceStore> {
  const { dataDirectory, evidenceDirectory, evidenceS3 } = config;
  if (evidenceS3 === undefined) {
    return makeEvidenceDirectory(evidenceDirectory ?? join(dataDirectory, "evidence"));
  }
  const { openS3Evidence } = await import("#responder/adapters/evidence-s3");
  return openS3Evidence(evidenceS3, Date.now);
}

async function connection(config: Config) {
  const { kubeconfig, context } = config.cluster;
  if (kubeconfig !== undefined) {
    const advice = "name a kubeconfig that can be read, or none in a pod";
    return starting("cluster.kubeconfig", advice, () => fromKubeconfig(kubeconfig, context));
  }
  const host = process.env["KUBERNETES_SERVICE_HOST"];
  const port = process.env["KUBERNETES_SERVICE_PORT"] ?? "443";
  if (host !== undefined) {
    const advice =
      "the pod needs its service account's token: serviceAccountName and automountServiceAccountToken: true, or cluster.kubeconfig";
    return starting("cluster", advice, () => inCluster(host, port));
  }
  throw new Error(
    "no cluster: set cluster.kubeconfig (PARAPET_KUBECONFIG or KUBECONFIG), or run in a pod",
  );
}

async function openQueue(config: Config, files: ConfigFiles, log: Log): Promise<AlertQueue> {
  const { makeRedisQueue, makePgliteQueue } = await import("#responder/adapters/bull-queue");
  const { redisAdvice } = await import("#responder/adapters/redis-advice");
  let told = 0;
  const options = {
    name: config.queue.name,
    concurrency: config.queue.concurrency,
    onError: (error: Error): void => {
      // ioredis reports every try to connect again.
      if (performance.now() - told < 10_000 && told > 0) return;
      told = performance.now();
      log("warn", "queue", { error: error.message, advice: redisAdvice(error) });
    },
  };
  if (files.redis !== undefined) return makeRedisQueue(files.redis, options);
  if (config.queue.embedded !== "pglite") {
    const { startEmbeddedRedis } = await import("#responder/adapters/embedded-redis");
    const redis = await startEmbeddedRedis(join(config.dataDirectory, "redis"));
    if (redis !== undefined) {
      const queue = makeRedisQueue(redis.url, options);
      const close = async (): Promise<void> => {
        await queue.close();
        await redis.stop();
      };
      return { ...queue, close, description: "a redis-server of our own, laptop and demo only" };
    }
    if (config.queue.embedded === "redis") throw new Error("no redis-server on PATH");
  }
  // A bundle has neither the worker's file nor PGlite's own.
  if (!import.meta.url.endsWith(".ts")) {
    throw new Error(
      "no Redis: set queue.redisUrl (PARAPET_REDIS_URL), queue.redis.sentinel or queue.redis.cluster",
    );
  }
  const { openPglite } = await import("#responder/adapters/pglite-pool");
  return makePgliteQueue(await openPglite(join(config.dataDirectory, "pglite")), options);
}

/** Replicas share a Redis; an embedded queue has one process. */
async function beginningsIn(
  config: Config,
  { redis }: ConfigFiles,
): Promise<ResponderPorts["openBeginnings"]> {
  if (redis === undefined) return undefined;
  const { makeRedisBeginnings } = await import("#responder/adapters/redis-beginnings");
  // The queue's own connections tell of a Redis that is away.
  const onError = (): void => undefined;
  return (isThere) => makeRedisBeginnings(redis, config.queue.name, { isThere, onError });
}

type Doors = {
  /** Not ready from now on, and still there. */
  readonly drain: () => void;
  readonly intake: Listener;
  readonly operations: Listener;
  readonly review: Listener | undefined;
};

async function openDoors(
  config: Config,
  /** As they are now: credentials are taken from it with each request. */
  files: () => ConfigFiles,
  ports: {
    readonly responder: Responder;
    readonly cluster: Cluster;
    readonly metrics: Metrics;
    readonly log: Log;
    readonly observed: Observed;
  },
): Promise<Doors> {
  const { responder, cluster, metrics, log } = ports;
  const onError = (error: unknown): void =>
    log("error", "a request failed", { error: error instanceof Error ? (error.stack ?? "") : "" });
  const takeAlert = makeIntakeHandler({
    get credentials() {
      return files().credentials;
    },
    intake: responder.intake,
    metrics,
  });
  const takeAudit = makeAuditHandler({
    get tokens() {
      return files().auditTokens;
    },
    take: responder.writers.add,
    metrics,
  });
  const open = (name: "intake" | "operations" | "review", tls: TlsFiles | undefined, to: Handle) =>
    starting(`${name}.listen`, "choose another address or port, or end what listens there", () =>
      listen(config[name].listen, tls, to, onError),
    );
  const takeEither: Handle = (request, response) =>
    config.drift.audit !== undefined && request.url?.split("?", 1)[0] === auditPath
      ? takeAudit(request, response)
      : takeAlert(request, response);
  let draining = false;
  const ready = () => {
    const now = responder.ready();
    return { ...now, intake: now.intake && !draining };
  };
  const drain = (): void => {
    draining = true;
    intake.drain();
  };
  const intake = await open("intake", files().intakeTls, takeEither);
  const operations = await open(
    "operations",
    undefined,
    makeOperationsHandler({ ready, metrics, status: ports.observed.status }),
  );
  const review =
    config.review.reviewers.length === 0
      ? undefined
      : await open(
          "review",
          files().reviewTls,
          await consoleHandler(config, files, responder, cluster),
        );
  log("info", "listening", {
    intake: intake.port,
    operations: operations.port,
    review: review?.port ?? 0,
  });
  return { drain, intake, operations, review };
}

async function consoleHandler(
  config: Config,
  files: () => ConfigFiles,
  responder: Responder,
  cluster: Cluster,
): Promise<Handle> {
  const { makeConsole } = await import("#responder/console/routes");
  const drawn = randomBytes(32).toString("hex");
  const console = makeConsole(
    {
      get reviewers() {
        return files().reviewers;
      },
      get sessionKey() {
        return files().sessionKey ?? drawn;
      },
      secure: config.review.tls !== undefined,
      namespace: config.namespace,
    },
    makeConsolePorts(responder, cluster, Date.now),
  );
  return async (request, response) => {
    if (request.url?.startsWith("/console") === true) return console(request, response);
    response.writeHead(303, { location: "/console" });
    response.end();
  };
}
