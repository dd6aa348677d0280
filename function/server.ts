// SPDX-License-Identifier: Apache-2.0
import {
  Server,
  ServerCredentials,
  status,
  type ConnectionInjector,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { CallError, type Caller, type CallProblem } from "./call-error.ts";
import { endByAge, graceMs } from "./connection-age.ts";
import type { Tls } from "./credentials.ts";
import { listenTls } from "./listener.ts";
import { traceOf, type Logger } from "./log.ts";
import type { CallOutcome, Meter } from "./meter.ts";
import { onFirstCall } from "./sessions.ts";
import { widenWindows } from "./windows.ts";
import { WireError } from "./wire/reader.ts";

/**
 * Takes the bytes of a RunFunctionRequest and gives those of the answer, at once or later. Throws (or rejects with) a
 * WireError on malformed bytes and a CallError where there can be no verdict.
 */
export type Handler = (request: Buffer, caller: Caller) => Buffer | Promise<Buffer>;

export type ServerSpec = {
  readonly handler: Handler;
  /** Certificates; or grpc-js' own credentials, for a server without TLS. */
  readonly credentials: Tls | ServerCredentials;
  readonly receiveBytesMax: number;
  /** DNS names of which the caller's certificate must carry one; empty for any. */
  readonly clientSans: readonly string[];
  readonly log: Logger;
  /** When a connection is asked to end, in milliseconds; an hour where it is left out. */
  readonly connectionAgeMs?: number;
  /** Counts calls that never become an answer. */
  readonly meter?: Meter;
};

export type RunningServer = {
  /** The port that was bound, also where port 0 was asked for. */
  readonly port: number;
  /** Takes no new calls, waits for those under way up to the limit, then cuts them off. True when none was cut. */
  readonly drain: (limitMs: number) => Promise<boolean>;
};

/** Serves RunFunction (v1 and the older v1beta1 path, whose messages are the same) and health. Rejects when it cannot bind. */
export async function startServer(address: string, spec: ServerSpec): Promise<RunningServer> {
  const health: Health = { serving: true, watchers: new Set() };
  const known = makeServer(spec, health, runFunctionHandler(spec));
  const unknown = makeServer(spec, health, refusal(spec));
  const { credentials, clientSans } = spec;
  const isKnown = (names: readonly string[]) =>
    clientSans.length === 0 || names.some((name) => clientSans.includes(name));
  const { port, close } =
    credentials instanceof ServerCredentials
      ? await bind(isKnown([]) ? known : unknown, address, credentials)
      : await bindTls(address, credentials, (names) => (isKnown(names) ? known : unknown));
  const leaveSessions = onFirstCall(port, (session) => {
    widenWindows(session);
    // A client has to show its certificate again once in a while; calls under way are finished.
    endByAge(session, spec.connectionAgeMs ?? connectionAgeMs);
  });
  return {
    port,
    drain: async (limitMs) => {
      close();
      leaveSessions();
      health.serving = false;
      for (const tell of health.watchers) tell();
      const drained = await Promise.all([shutDown(known, limitMs), shutDown(unknown, limitMs)]);
      return drained.every(Boolean);
    },
  };
}

type RunFunction = (call: BytesCall, reply: sendUnaryData<Buffer>) => void;

function makeServer(spec: ServerSpec, health: Health, runFunction: RunFunction): Server {
  const server = new Server({
    ...connectionLimits,
    // For connections without a call; the others are ended by their age below.
    "grpc.max_connection_age_ms": (spec.connectionAgeMs ?? connectionAgeMs) + graceMs,
    "grpc.max_receive_message_length": spec.receiveBytesMax,
    "grpc.max_send_message_length": -1,
  });
  for (const version of ["v1", "v1beta1"]) {
    const path = `/apiextensions.fn.proto.${version}.FunctionRunnerService/RunFunction`;
    server.addService({ runFunction: bytesMethod(path) }, { runFunction });
  }
  addHealth(server, health);
  return server;
}

const connectionAgeMs = 60 * 60_000;

/**
 * Beside these Node ends connections that send floods of resets, pings, settings, or invalid frames, and headers of more
 * than 64 KiB or 128 lines (nodejs.org/api/http2.html, options of createServer).
 */
const connectionLimits = {
  /** Further calls of a client wait on its side. */
  "grpc.max_concurrent_streams": 1024,
  "grpc.max_connection_age_grace_ms": graceMs,
  /** A client that vanished without a word is found out. */
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // Statistics that nobody asks for.
  "grpc.enable_channelz": 0,
};

type Bound = { readonly port: number; readonly close: () => void };

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<Bound> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve({ port, close: () => undefined });
      else reject(error);
    });
  });
}

/** A connection belongs to one server from its beginning to its end, as its certificate says. */
function bindTls(
  address: string,
  tls: Tls,
  serverFor: (names: readonly string[]) => Server,
): Promise<Bound> {
  const injectors = new Map<Server, ConnectionInjector>();
  return listenTls(address, tls, ({ socket, names }) => {
    const server = serverFor(names);
    const injector =
      injectors.get(server) ?? server.createConnectionInjector(ServerCredentials.createInsecure());
    injectors.set(server, injector);
    injector.injectConnection(socket);
  });
}

type BytesCall = ServerUnaryCall<Buffer, Buffer>;

const bytesMethod = (path: string): MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: (bytes) => bytes,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => bytes,
});

function runFunctionHandler(spec: ServerSpec): RunFunction {
  return (call, reply) => {
    if (call.cancelled) {
      spec.meter?.call("cancelled");
      reply({ code: status.CANCELLED, details: "the caller has gone" });
      return;
    }
    answer(spec, call, reply);
  };
}

/** For callers whose certificate carries none of the allowed names. */
function refusal(spec: ServerSpec): RunFunction {
  return (_call, reply) => {
    spec.meter?.call("unauthorised");
    spec.log("warn", "refused a caller whose certificate carries none of the allowed names");
    reply({ code: status.PERMISSION_DENIED, details: "this client may not call the function" });
  };
}

/** A verdict that is there at once is sent at once: a promise would cost another turn. */
function answer(spec: ServerSpec, call: BytesCall, reply: sendUnaryData<Buffer>): void {
  const { request } = call;
  const since = performance.now();
  const send = (bytes: Buffer) => {
    spec.meter?.took((performance.now() - since) / 1000);
    reply(null, bytes);
  };
  const fail = (error: unknown) => reply(failure(spec, error, request.length));
  try {
    const answered = spec.handler(request, callerOf(call));
    if (answered instanceof Promise) answered.then(send, fail);
    else send(answered);
  } catch (error) {
    fail(error);
  }
}

const callerOf = (call: BytesCall): Caller => ({
  hasGone: () => call.cancelled,
  onGone: (tell) => call.once("cancelled", tell),
});

type Failure = { readonly code: status; readonly details: string };

function failure({ log, meter }: ServerSpec, error: unknown, bytes: number): Failure {
  if (error instanceof WireError) {
    meter?.call("malformed");
    log("warn", "malformed request", { bytes, problem: error.message });
    const details = `malformed RunFunctionRequest: ${error.message}`;
    return { code: status.INVALID_ARGUMENT, details };
  }
  if (error instanceof CallError) {
    const { code, outcome } = callProblems[error.problem];
    meter?.call(outcome);
    if (outcome !== "cancelled") log("warn", "no verdict", { bytes, problem: error.message });
    return { code, details: error.message };
  }
  meter?.call("failed");
  log("error", "the handler failed", { bytes, ...traceOf(error) });
  return { code: status.INTERNAL, details: "internal error, see the function's log" };
}

const callProblems = {
  cancelled: { code: status.CANCELLED, outcome: "cancelled" },
  stopped: { code: status.DEADLINE_EXCEEDED, outcome: "stopped" },
  refused: { code: status.RESOURCE_EXHAUSTED, outcome: "refused" },
  lost: { code: status.UNAVAILABLE, outcome: "failed" },
  failed: { code: status.INTERNAL, outcome: "failed" },
} satisfies Record<CallProblem, { readonly code: status; readonly outcome: CallOutcome }>;

type Health = { serving: boolean; readonly watchers: Set<() => void> };

/** grpc.health.v1.HealthCheckResponse: field 1 is SERVING (1) or NOT_SERVING (2). */
const healthBytes = (health: Health): Buffer => Buffer.from([0x08, health.serving ? 1 : 2]);

/** The standard health service; every service name gets the state of the process. */
function addHealth(server: Server, health: Health): void {
  server.addService(
    {
      check: bytesMethod("/grpc.health.v1.Health/Check"),
      watch: { ...bytesMethod("/grpc.health.v1.Health/Watch"), responseStream: true },
    },
    {
      check: (_call: BytesCall, reply: sendUnaryData<Buffer>) => reply(null, healthBytes(health)),
      watch: (call: ServerWritableStream<Buffer, Buffer>) => {
        const tell = () => {
          call.write(healthBytes(health));
          if (!health.serving) call.end();
        };
        health.watchers.add(tell);
        call.on("cancelled", () => health.watchers.delete(tell));
        tell();
      },
    },
  );
}

function shutDown(server: Server, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve(false);
    }, limitMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
