// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  FunctionRunnerServiceService,
  Ready,
  type RunFunctionRequest,
  type RunFunctionResponse,
} from "@crossplane-org/function-sdk-typescript";
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import type { JsonObject } from "#policy/json";

export type ComposingFunction = { readonly port: number; readonly stop: () => void };

/**
 * The step that comes before the guard in tests: a function that composes exactly what `compose` says, each resource ready.
 * With a TLS folder (tls.crt, tls.key, ca.crt) it asks callers for a certificate, without one it is insecure, as render wants it.
 */
export async function startComposingFunction(
  compose: (observedComposite: JsonObject) => Readonly<Record<string, JsonObject>>,
  tlsFolder?: string,
): Promise<ComposingFunction> {
  const server = new Server();
  server.addService(FunctionRunnerServiceService, {
    runFunction: (
      call: ServerUnaryCall<RunFunctionRequest, RunFunctionResponse>,
      reply: sendUnaryData<RunFunctionResponse>,
    ) => {
      const composite: JsonObject = call.request.observed?.composite?.resource ?? {};
      const resources = Object.fromEntries(
        Object.entries(compose(composite)).map(([name, resource]) => [
          name,
          { resource, connectionDetails: {}, ready: Ready.READY_TRUE },
        ]),
      );
      reply(null, {
        meta: { tag: call.request.meta?.tag ?? "", ttl: { seconds: 60, nanos: 0 } },
        desired: {
          composite: call.request.desired?.composite,
          resources: { ...call.request.desired?.resources, ...resources },
        },
        context: call.request.context,
        results: [],
        requirements: undefined,
        conditions: [],
        output: undefined,
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials(tlsFolder), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { port, stop: () => server.forceShutdown() };
}

/** Credentials of a function that asks callers for a certificate; insecure without a folder. */
export function credentials(folder: string | undefined): ServerCredentials {
  if (folder === undefined) return ServerCredentials.createInsecure();
  const read = (file: string) => readFileSync(join(folder, file));
  return ServerCredentials.createSsl(
    read("ca.crt"),
    [{ cert_chain: read("tls.crt"), private_key: read("tls.key") }],
    true,
  );
}
