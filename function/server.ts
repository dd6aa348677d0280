// SPDX-License-Identifier: Apache-2.0
import {
  Server,
  ServerCredentials,
  status,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { CallError, type Caller, type CallProblem } from "./call-error.ts";
import { dnsNames } from "./credentials.ts";
import { traceOf, type Logger } from "./log.ts";
import type { CallOutcome, Meter } from "./meter.ts";
import { WireError } from "./wire/reader.ts";

/**
 * Takes the bytes of a RunFunctionRequest and gives those of the answer, at once or later. Throws (or rejects with) a
 * WireError on malformed bytes and a CallError where there can be no verdict.
 */
export type Handler = (request: Buffer, caller: Caller) => Buffer | Promise<Buffer>;

export type ServerSpec = {
  readonly handler: Handler;
  readonly credentials: ServerCredentials;
  readonly receiveBytesMax: number;
  /** DNS names of which the caller's certificate must carry one; empty for any. */
  readonly clientSans: readonly string[];
  readonly log: Logger;
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
  const server = new Server({
    "grpc.max_receive_message_length": spec.receiveBytesMax,
    "grpc.max_send_message_length": -1,
  });
  const health = { serving: true, watchers: new Set<() => void>() };
  for (const version of ["v1", "v1beta1"]) {
    server.addService(
      {
        runFunction: bytesMethod(
          `/apiextensions.fn.proto.${version}.FunctionRunnerService/RunFunction`,
        ),
      },
      { runFunction: runFunctionHandler(spec) },
    );
  }
  addHealth(server, health);
  const port = await bind(server, address, spec.credentials);
  return {
    port,
    drain: (limitMs) => {
      health.serving = false;
      for (const tell of health.watchers) tell();
      return shutDown(server, limitMs);
    },
  };
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

function runFunctionHandler(spec: ServerSpec) {
  return (call: BytesCall, reply: sendUnaryData<Buffer>): void => {
    if (call.cancelled) {
      spec.meter?.call("cancelled");
      reply({ code: status.CANCELLED, details: "the caller has gone" });
      return;
    }
    if (!callerAllowed(call, spec.clientSans)) {
      spec.meter?.call("unauthorised");
      spec.log("warn", "refused a caller whose certificate carries none of the allowed names");
      reply({ code: status.PERMISSION_DENIED, details: "this client may not call the function" });
      return;
    }
    answer(spec, call, reply);
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

function callerAllowed(call: BytesCall, sans: readonly string[]): boolean {
  if (sans.length === 0) return true;
  const names = dnsNames(call.getAuthContext().sslPeerCertificate?.subjectaltname ?? "");
  return names.some((name) => sans.includes(name));
}

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

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
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
