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
import { dnsNames } from "./credentials.ts";
import { traceOf, type Logger } from "./log.ts";
import type { Meter } from "./meter.ts";
import { WireError } from "./wire/reader.ts";

/** Takes the bytes of a RunFunctionRequest and gives those of the answer; throws a WireError on malformed bytes. */
export type Handler = (request: Buffer) => Buffer;

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
    answer(spec, call.request, reply);
  };
}

function answer(spec: ServerSpec, request: Buffer, reply: sendUnaryData<Buffer>): void {
  try {
    reply(null, spec.handler(request));
  } catch (error) {
    if (error instanceof WireError) {
      spec.meter?.call("malformed");
      spec.log("warn", "malformed request", { bytes: request.length, problem: error.message });
      const details = `malformed RunFunctionRequest: ${error.message}`;
      reply({ code: status.INVALID_ARGUMENT, details });
      return;
    }
    spec.meter?.call("failed");
    spec.log("error", "the handler failed", { bytes: request.length, ...traceOf(error) });
    reply({ code: status.INTERNAL, details: "internal error, see the function's log" });
  }
}

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
