// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { join } from "node:path";
import protobuf from "protobufjs";
import { type Json, type JsonObject, isArray, isObject, parseJson } from "#policy/json";
import type { CrossplaneBinaries } from "#test/cluster/binaries";

export type RenderInput = {
  readonly composite: JsonObject;
  readonly composition: JsonObject;
  /** Where each function of the pipeline listens, without TLS: `internal render` dials it insecurely. */
  readonly functions: readonly { readonly name: string; readonly address: string }[];
  readonly observed?: readonly JsonObject[];
  readonly required?: readonly JsonObject[];
  readonly definition?: JsonObject;
};

export type RenderOutput = {
  readonly composite: JsonObject;
  readonly composed: readonly JsonObject[];
  /** Only those whose observed object has a controller reference with the composite's UID are listed by core. */
  readonly deleted: readonly JsonObject[];
  readonly events: readonly {
    readonly type: string;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly requested: readonly JsonObject[];
  /** The pipeline ended with a FATAL result (exit code 3); the rest of the output is what came before it. */
  readonly fatal: boolean;
  readonly log: string;
};

/**
 * Runs Crossplane's real composite reconciler on objects in memory: core's hidden `internal render`, protobuf in and out.
 * @throws when core fails otherwise than by a fatal result.
 */
export async function render(
  binaries: CrossplaneBinaries,
  input: RenderInput,
): Promise<RenderOutput> {
  const { output, status, log } = await exchange(binaries, {
    composite: {
      compositeResource: toStruct(input.composite),
      composition: toStruct(input.composition),
      functions: input.functions,
      observedResources: (input.observed ?? []).map(toStruct),
      requiredResources: (input.required ?? []).map(toStruct),
      ...(input.definition === undefined
        ? {}
        : { compositeResourceDefinition: toStruct(input.definition) }),
    },
  });
  const rendered = partOf(output, "composite");
  return {
    composite: fromStruct(rendered["compositeResource"]),
    composed: structs(rendered["composedResources"]),
    deleted: structs(rendered["deletedResources"]),
    events: eventsIn(rendered),
    requested: structs(rendered["requiredResources"]),
    fatal: status === 3,
    log,
  };
}

export type OperationOutput = {
  /** The Operation with the status that the reconciler gave it. */
  readonly operation: JsonObject;
  readonly applied: readonly JsonObject[];
  readonly events: RenderOutput["events"];
  readonly requested: readonly JsonObject[];
  readonly fatal: boolean;
};

/**
 * Runs Crossplane's real Operation reconciler on objects in memory. A WatchOperation or CronOperation becomes the Operation
 * that core would make of it first.
 * @throws when core fails otherwise than by a fatal result.
 */
export async function renderOperation(
  binaries: CrossplaneBinaries,
  input: {
    readonly operation: JsonObject;
    /** What a WatchOperation saw change. */
    readonly watched?: JsonObject;
    readonly functions: RenderInput["functions"];
    readonly required: readonly JsonObject[];
  },
): Promise<OperationOutput> {
  const { functions, required } = input;
  const { output, status } = await exchange(binaries, {
    operation: {
      operation: toStruct(await operationFrom(binaries, input.operation, input.watched)),
      functions,
      requiredResources: required.map(toStruct),
    },
  });
  const rendered = partOf(output, "operation");
  return {
    operation: fromStruct(rendered["operation"]),
    applied: structs(rendered["appliedResources"]),
    events: eventsIn(rendered),
    requested: structs(rendered["requiredResources"]),
    fatal: status === 3,
  };
}

async function operationFrom(
  binaries: CrossplaneBinaries,
  object: JsonObject,
  watched: JsonObject | undefined,
): Promise<JsonObject> {
  const struct = toStruct(object);
  if (object["kind"] === "CronOperation") {
    const { output } = await exchange(binaries, { cronOperation: { cronOperation: struct } });
    return fromStruct(partOf(output, "cronOperation")["operation"]);
  }
  if (object["kind"] === "WatchOperation") {
    const watchedResource = toStruct(watched ?? {});
    const watchOperation = { watchOperation: struct, watchedResource };
    const { output } = await exchange(binaries, { watchOperation });
    return fromStruct(partOf(output, "watchOperation")["operation"]);
  }
  return object;
}

/** One run of core: exit code 3 is a fatal result of the pipeline, with the output up to it. */
async function exchange(binaries: CrossplaneBinaries, message: Record<string, unknown>) {
  const root = protobuf.loadSync(join(binaries.proto, "render/v1alpha1/render.proto"));
  const requestType = root.lookupType("crossplane.render.v1alpha1.RenderRequest");
  const responseType = root.lookupType("crossplane.render.v1alpha1.RenderResponse");
  const request = requestType.create(message);
  const { status, stdout, log } = await run(binaries.core, requestType.encode(request).finish());
  if (status !== 0 && status !== 3) throw new Error(`internal render exited ${status}: ${log}`);
  const output: Json = jsonOf(responseType.toObject(responseType.decode(stdout)));
  return { output, status, log };
}

const partOf = (output: Json, key: string): JsonObject =>
  isObject(output) && isObject(output[key]) ? output[key] : {};

const eventsIn = (rendered: JsonObject): RenderOutput["events"] =>
  (isArray(rendered["events"]) ? rendered["events"] : []).filter(isObject).map((event) => ({
    type: textOf(event["type"]),
    reason: textOf(event["reason"]),
    message: textOf(event["message"]),
  }));

/** Not spawnSync: the functions that core calls may live in this very process. */
async function run(core: string, input: Uint8Array) {
  const child = spawn(core, ["internal", "render"], { timeout: 60_000 });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  child.stdin.end(input);
  const [status, stdout, stderr] = await Promise.all([
    exited,
    buffer(child.stdout),
    buffer(child.stderr),
  ]);
  return { status, stdout, log: stderr.toString("utf8") };
}

const textOf = (value: Json | undefined) => (typeof value === "string" ? value : "");

const structs = (value: Json | undefined) => (isArray(value) ? value : []).map(fromStruct);

/** protobufjs hands out class instances; JSON makes plain data of them. */
function jsonOf(value: unknown): Json {
  return parseJson(JSON.stringify(value));
}

function toStruct(object: JsonObject): JsonObject {
  return {
    fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, toValue(value)])),
  };
}

function toValue(value: Json): JsonObject {
  if (value === null) return { nullValue: 0 };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (isArray(value)) return { listValue: { values: value.map(toValue) } };
  return { structValue: toStruct(value) };
}

function fromStruct(value: Json | undefined): JsonObject {
  const fields = isObject(value) && isObject(value["fields"]) ? value["fields"] : {};
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, fromValue(field)]));
}

function fromValue(value: Json): Json {
  if (!isObject(value)) return null;
  const scalar = value["stringValue"] ?? value["numberValue"] ?? value["boolValue"];
  if (scalar !== undefined) return scalar;
  if (isObject(value["listValue"])) {
    const items = value["listValue"]["values"];
    return (isArray(items) ? items : []).map(fromValue);
  }
  return isObject(value["structValue"]) ? fromStruct(value["structValue"]) : null;
}
