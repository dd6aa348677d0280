// SPDX-License-Identifier: Apache-2.0
import { availableParallelism, totalmem } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { ServerCredentials } from "@grpc/grpc-js";
import { readCertificates, rotatingCredentials, type Tls } from "./credentials.ts";
import { makeLogger, type Logger } from "./log.ts";
import { makeMeter, type Meter } from "./meter.ts";
import { startMetricsServer, type Figures } from "./metrics-server.ts";
import { help, parseOptions, type Options } from "./options.ts";
import { startServer, type Handler } from "./server.ts";
import { Pool } from "./workers/pool.ts";
import { workerMb, workersFor, type Machine } from "./workers/size.ts";

/**
 * Runs the function as its command line and environment say, until it is told to stop. `entry` is the script that was
 * started: workers run it, too.
 */
export async function start(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  entry: URL,
): Promise<void> {
  const log = makeLogger(
    (line) => process.stdout.write(line),
    () => new Date(),
  );
  const parsed = parseOptions(args, env);
  switch (parsed.kind) {
    case "help":
      process.stdout.write(help);
      return;
    case "wrong":
      process.stderr.write(`${parsed.problems.join("\n")}\n\n${help}`);
      process.exitCode = 2;
      return;
    case "run":
      await run(parsed.options, log, entry);
      return;
    default:
      parsed satisfies never;
  }
}

async function run(options: Options, logger: Logger, entry: URL): Promise<void> {
  const transport = makeTransport(options, logger);
  if (transport === undefined) {
    process.exitCode = 1;
    return;
  }
  const meter = makeMeter(() => performance.now());
  const evaluation = await startEvaluation(options, { meter, log: logger, entry });
  try {
    const server = await startServer(options.address, {
      handler: evaluation.handler,
      credentials: transport.credentials,
      receiveBytesMax: options.receiveBytesMax,
      clientSans: options.clientSans,
      log: logger,
      meter,
    });
    logger("info", "listening", {
      address: options.address,
      port: server.port,
      tls: !options.insecure,
      workers: evaluation.workers,
      readyAfterMs: Math.round(performance.now()),
    });
    let draining = false;
    const figures = { text: meter.text, isServing: () => !draining };
    addProcessFigures(meter);
    await serveMetrics(options.metricsAddress, figures, logger);
    stopOnSignal(async () => {
      draining = true;
      logger("info", "draining", { limitSeconds: options.drainSeconds });
      const clean = await server.drain(options.drainSeconds * 1000);
      transport.stop();
      await evaluation.stop();
      logger(clean ? "info" : "warn", clean ? "stopped" : "stopped with calls cut off");
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : "unknown";
    logger("error", "cannot listen", { address: options.address, reason });
    process.exit(1);
  }
}

type Evaluation = {
  readonly handler: Handler;
  readonly workers: number;
  readonly stop: () => Promise<void>;
};

type Surroundings = { readonly meter: Meter; readonly log: Logger; readonly entry: URL };

/** Evaluates on threads beside this one, or on this one where there is to be no other. */
async function startEvaluation(
  { workers, callSeconds, approvalNamespace }: Options,
  { meter, log, entry }: Surroundings,
): Promise<Evaluation> {
  const machine = thisMachine();
  const count = workers ?? workersFor(machine);
  if (count === 1) {
    // Loaded only here: with workers this thread needs none of the engine.
    const { makeHandler } = await import("./handler.ts");
    const handler = makeHandler({ meter, now: () => Date.now(), log, approvalNamespace });
    return { handler, workers: 1, stop: () => Promise.resolve() };
  }
  const settings = { approvalNamespace };
  const clock = () => performance.now();
  const pool = new Pool({
    entry,
    loadLocal: async () => {
      const { makeLocal } = await import("./workers/local.ts");
      return makeLocal({ settings, meter, log, clock });
    },
    count,
    heapMbMax: workerMb(machine, count),
    callMsMax: callSeconds * 1000,
    settings,
    meter,
    log,
    clock,
  });
  return {
    handler: (request, caller) => pool.answer(request, caller),
    workers: count,
    stop: () => pool.stop(),
  };
}

/** Node says 2^64 where the container has no limit of its own. */
const thisMachine = (): Machine => ({
  cores: availableParallelism(),
  memoryBytes: Math.min(totalmem(), process.constrainedMemory() || totalmem()),
});

/** Verdicts matter more than figures: without a port for them the function goes on, and the log says so. */
async function serveMetrics(address: string, figures: Figures, logger: Logger): Promise<void> {
  if (address === "") return;
  try {
    const { port } = await startMetricsServer(address, figures);
    logger("info", "serving metrics", { metricsPort: port });
  } catch (error) {
    const reason = error instanceof Error ? error.message : "unknown";
    logger("error", "cannot serve metrics", { address, reason });
  }
}

function addProcessFigures(meter: Meter): void {
  meter.gauge("resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss());
  meter.gauge(
    "heap_used_bytes",
    "Memory of live and uncollected objects.",
    () => process.memoryUsage().heapUsed,
  );
  meter.gauge("cpu_seconds", "Processor time of the process.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000_000;
  });
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const loop = "How late the thread that reads and writes was since the last look at this, ";
  meter.gauge("event_loop_delay_seconds", `${loop}99th percentile.`, () => {
    const seconds = delay.percentile(99) / 1e9;
    delay.reset();
    return seconds;
  });
}

type Transport = { readonly credentials: Tls | ServerCredentials; readonly stop: () => void };

function makeTransport(options: Options, logger: Logger): Transport | undefined {
  if (options.insecure) {
    logger(
      "warn",
      "listening without TLS, as --insecure asks; anybody who reaches the port is served",
    );
    return { credentials: ServerCredentials.createInsecure(), stop: () => undefined };
  }
  const read = readCertificates(options.certsDir, new Date());
  if (read.ok) return rotatingCredentials(options.certsDir, read.files, logger);
  logger("error", "cannot use the certificates", { problem: read.problem });
  return undefined;
}

function stopOnSignal(stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      void stop().then(() => process.exit(0));
    });
  }
}
