// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it serves and calls the function over a socket.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  FunctionRunnerServiceService,
  Ready,
  type RunFunctionRequest,
  type RunFunctionResponse,
} from "@crossplane-org/function-sdk-typescript";
import { Client, credentials } from "@grpc/grpc-js";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { makeDemoCertificates } from "#cli/demo/certificates";
import type { Stage } from "#cli/demo/stage";
import { readCertificates, rotatingCredentials } from "#function/credentials";
import { makeHandler } from "#function/handler";
import { startServer } from "#function/server";
import { type Json, type JsonObject, at, field, isArray, isObject, textAt } from "#policy/json";
import { wrap } from "#cli/output/wrap";

/** Characters of a message that fit beside the words. */
const messageWidth = 100;

/**
 * Runs examples/bucket through function-parapet over gRPC with mutual TLS, as Crossplane would, and says what the guard did.
 * The step before it is function-patch-and-transform's; what that composes is computed here, so that nothing is downloaded.
 */
export async function showComposition(
  stage: Stage,
  examples: string,
  directory: string,
): Promise<void> {
  const [composite] = read(join(examples, "xr.yaml"));
  const [composition] = read(join(examples, "composition.yaml"));
  if (composite === undefined || composition === undefined)
    throw new Error(`${examples} is incomplete`);
  const desired = compose(composition, composite);
  stage.say(
    "composes",
    `Store ${textAt(composite, ["metadata", "namespace"])}/${textAt(composite, ["metadata", "name"])} of:`,
    ...[...desired].map(([name, resource]) => `  ${name} (${textAt(resource, ["kind"])})`),
  );
  const startedMs = performance.now();
  const answer = await callGuard(directory, {
    meta: { tag: "demo", capabilities: [] },
    observed: {
      composite: { resource: composite, connectionDetails: {}, ready: Ready.READY_UNSPECIFIED },
      resources: {},
    },
    desired: {
      composite: undefined,
      resources: Object.fromEntries(
        [...desired].map(([name, resource]) => [
          name,
          { resource, connectionDetails: {}, ready: Ready.READY_UNSPECIFIED },
        ]),
      ),
    },
    input: guardInput(composition),
    context: undefined,
    extraResources: {},
    credentials: {},
    requiredResources: {},
    requiredSchemas: {},
  });
  stage.say(
    "answered",
    `function-parapet, over gRPC with mutual TLS (start, call and stop ${Math.round(performance.now() - startedMs)} ms)`,
  );
  tell(stage, desired, answer);
}

function tell(
  stage: Stage,
  before: ReadonlyMap<string, JsonObject>,
  answer: RunFunctionResponse,
): void {
  const after = new Map<string, JsonObject>(
    Object.entries(answer.desired?.resources ?? {}).map(([name, { resource }]) => [
      name,
      resource ?? {},
    ]),
  );
  for (const [name, resource] of after) {
    const original = before.get(name);
    if (original === undefined) continue;
    const changes = difference(original, resource, "");
    if (changes.length > 0)
      stage.say(
        "injected",
        `${name} (${textAt(resource, ["kind"])}):`,
        ...changes.map((line) => `  ${line}`),
      );
  }
  for (const [name, resource] of after) {
    if (!before.has(name))
      stage.say("companion", `${textAt(resource, ["kind"])} added beside it as ${name}`);
  }
  const held = [...before.keys()].filter((name) => !after.has(name));
  const condition = answer.conditions.find((one) => one.type === "PolicyCompliant");
  stage.say(
    "held",
    `${held.join(", ")}: not created until the violation is gone`,
    ...wrap(condition?.message ?? "", messageWidth),
  );
}

/** One line per leaf that is new or different: what the guard stated. */
function difference(before: Json | undefined, after: Json, path: string): readonly string[] {
  if (isObject(after) && (isObject(before) || before === undefined)) {
    return Object.keys(after)
      .sort()
      .flatMap((key) => {
        const next = field(after, key);
        const step = /^[\w-]+$/.test(key) ? `${path === "" ? "" : "."}${key}` : `["${key}"]`;
        return next === undefined ? [] : difference(field(before, key), next, path + step);
      });
  }
  const text = JSON.stringify(after);
  if (JSON.stringify(before) === text) return [];
  return before === undefined
    ? [`+ ${path}: ${text}`]
    : [`~ ${path}: ${JSON.stringify(before)} -> ${text}`];
}

/** Longest wait for the function's answer, in milliseconds; it takes a few. */
const callMsMax = 20_000;

async function callGuard(
  directory: string,
  request: RunFunctionRequest,
): Promise<RunFunctionResponse> {
  const certificates = makeDemoCertificates(join(directory, "certificates"));
  const files = readCertificates(certificates.serverDirectory, new Date());
  if (!files.ok) throw new Error(files.problem);
  const log = () => undefined;
  const transport = rotatingCredentials(certificates.serverDirectory, files.files, log);
  const server = await startServer("127.0.0.1:0", {
    handler: makeHandler({ now: () => Date.now(), log, approvalNamespace: "" }),
    credentials: transport.credentials,
    receiveBytesMax: 4 * 1024 * 1024,
    clientSans: ["crossplane.crossplane-system"],
    log,
  });
  const client = new Client(
    `localhost:${server.port}`,
    credentials.createSsl(
      readFileSync(certificates.authority),
      readFileSync(certificates.clientKey),
      readFileSync(certificates.clientCert),
    ),
  );
  try {
    const { path, requestSerialize, responseDeserialize } =
      FunctionRunnerServiceService.runFunction;
    return await new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + callMsMax };
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        options,
        (error, response) => {
          if (error === null && response !== undefined) resolve(response);
          else reject(error ?? new Error("no answer"));
        },
      );
    });
  } finally {
    client.close();
    await server.drain(1_000);
    transport.stop();
  }
}

/** The bases of the patch-and-transform step with its FromCompositeFieldPath patches, by resource name. */
function compose(composition: JsonObject, composite: JsonObject): ReadonlyMap<string, JsonObject> {
  const step = steps(composition).find((one) => textAt(one, ["step"]) === "compose");
  const resources = at(step, ["input", "resources"]);
  return new Map(
    (isArray(resources) ? resources : []).map((resource) => {
      const base = at(resource, ["base"]);
      const patches = at(resource, ["patches"]);
      const patched = (isArray(patches) ? patches : []).reduce<JsonObject>(
        (object, patch) => {
          const value = at(composite, textAt(patch, ["fromFieldPath"]).split("."));
          return value === undefined
            ? object
            : withPath(object, textAt(patch, ["toFieldPath"]).split("."), value);
        },
        isObject(base) ? base : {},
      );
      return [textAt(resource, ["name"]), patched];
    }),
  );
}

function withPath(object: JsonObject, path: readonly string[], value: Json): JsonObject {
  const [key, ...rest] = path;
  if (key === undefined) return object;
  const inner = field(object, key);
  return {
    ...object,
    [key]: rest.length === 0 ? value : withPath(isObject(inner) ? inner : {}, rest, value),
  };
}

function guardInput(composition: JsonObject): JsonObject {
  const step = steps(composition).find(
    (one) => textAt(one, ["functionRef", "name"]) === "function-parapet",
  );
  const input = field(step, "input");
  return isObject(input) ? input : {};
}

const steps = (composition: JsonObject): readonly Json[] => {
  const pipeline = at(composition, ["spec", "pipeline"]);
  return isArray(pipeline) ? pipeline : [];
};

function read(file: string): readonly JsonObject[] {
  const documents: unknown[] = loadAll(readFileSync(file, "utf8"), { schema: CORE_SCHEMA });
  return documents.filter(isObject);
}
