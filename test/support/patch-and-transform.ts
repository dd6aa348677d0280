// SPDX-License-Identifier: Apache-2.0
import {
  FunctionRunnerServiceService,
  type RunFunctionRequest,
  type RunFunctionResponse,
} from "@crossplane-org/function-sdk-typescript";
import { Server, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import { at, isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { credentials } from "#test/support/composing-function";

export type StandIn = { readonly port: number; readonly stop: () => void };

/**
 * Stands in for function-patch-and-transform, which is written in Go, where examples are rendered in tests: bases, and
 * patches of the type FromCompositeFieldPath without transforms. What else its input may say is refused. With a TLS folder
 * as running Crossplane calls functions, without one as render does.
 */
export async function startPatchAndTransform(tlsFolder?: string): Promise<StandIn> {
  const server = new Server();
  server.addService(FunctionRunnerServiceService, {
    runFunction: (
      call: ServerUnaryCall<RunFunctionRequest, RunFunctionResponse>,
      reply: sendUnaryData<RunFunctionResponse>,
    ) => {
      const { observed, desired, input, context, meta } = call.request;
      const composite: JsonObject = observed?.composite?.resource ?? {};
      const resources = compose(input ?? {}, composite);
      reply(null, {
        meta: { tag: meta?.tag ?? "", ttl: { seconds: 60, nanos: 0 } },
        desired: {
          composite: desired?.composite,
          resources: Object.fromEntries(
            Object.entries(resources).map(([name, resource]) => [
              name,
              { resource, connectionDetails: {}, ready: 1 },
            ]),
          ),
        },
        context,
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

function compose(input: JsonObject, composite: JsonObject): Readonly<Record<string, JsonObject>> {
  const listed = input["resources"];
  const resources = isArray(listed) ? listed : [];
  return Object.fromEntries(
    resources.map((resource) => {
      const base = at(resource, ["base"]);
      const patches = at(resource, ["patches"]);
      const patched = (isArray(patches) ? patches : []).reduce<Json>(
        (object, patch) => patchWith(object, patch, composite),
        base ?? {},
      );
      return [textAt(resource, ["name"]), isObject(patched) ? patched : {}];
    }),
  );
}

function patchWith(object: Json, patch: Json, composite: JsonObject): Json {
  const type = textAt(patch, ["type"]);
  if (type !== "FromCompositeFieldPath") throw new Error(`patch type ${type} is not known here`);
  const value = at(composite, textAt(patch, ["fromFieldPath"]).split("."));
  if (value === undefined) return object;
  return put(object, textAt(patch, ["toFieldPath"]).split("."), value);
}

function put(object: Json | undefined, path: readonly string[], value: Json): Json {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const known = isObject(object) ? object : {};
  return { ...known, [key]: put(known[key], rest, value) };
}
