// SPDX-License-Identifier: Apache-2.0
import { field, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { emptyWorld } from "#policy/world";
import type { Answer, CallQuery, ContextValues, World } from "#policy/world";
import type { ObjectStore } from "./object-store.ts";
import type { Values } from "./values.ts";

/** A canned answer to a call over the network. */
export type CallResponse = {
  /** Absolute URL, or the API server's path. */
  readonly url: string;
  /** '' answers every method. */
  readonly method: string;
  readonly statusCode: number;
  readonly body: Json;
};

export type WorldParts = {
  readonly nowMs: number;
  readonly values: Values;
  readonly resourceOf: World["resourceOf"];
  readonly schemaOf: World["schemaOf"];
  /** What `resource.Get`, `resource.List` and configMap entries see; undefined when nothing stands for the cluster. */
  readonly cluster: ObjectStore | undefined;
  /** What apiCall entries with a urlPath see; undefined when such calls are not answered. */
  readonly api: ObjectStore | undefined;
  readonly calls: readonly CallResponse[];
  /** By entry name, and in it '' for the whole entry or the projection's name. */
  readonly globalContext: ReadonlyMap<string, ReadonlyMap<string, Answer>>;
  /** Registry metadata by image reference. */
  readonly images: ReadonlyMap<string, JsonObject>;
};

export const noParts: Omit<WorldParts, "nowMs" | "values"> = {
  resourceOf: () => undefined,
  schemaOf: () => undefined,
  cluster: undefined,
  api: undefined,
  calls: [],
  globalContext: new Map(),
  images: new Map(),
};

/** The World of one run of the command line: what its files say, and nothing beside it. */
export function makeWorld(parts: WorldParts): World {
  const { values, cluster } = parts;
  const unknown = (what: string): Answer => ({
    kind: "unavailable",
    reason: `${what} is not among the given files`,
  });
  return {
    ...emptyWorld(parts.nowMs),
    random: makeRandom(),
    resourceOf: parts.resourceOf,
    schemaOf: parts.schemaOf,
    namespace: (name) => values.namespace(name) ?? namespaceIn(cluster, name),
    get: (query) => cluster?.get(query) ?? unknown(`${query.resource} ${query.name}`),
    list: (query) => cluster?.list(query) ?? unknown(`the list of ${query.resource}`),
    call: (query) => answerCall(parts, query) ?? unknown(`the answer of ${query.url}`),
    globalContext: (name, projection) => globalAnswer(parts, name, projection),
    imageData: (reference) => {
      const value = parts.images.get(reference);
      return value === undefined
        ? unknown(`registry metadata of ${reference}`)
        : { kind: "found", value };
    },
    contextValues: (policy, rule, resource) => contextValues(values, policy, rule, resource),
  };
}

function namespaceIn(cluster: ObjectStore | undefined, name: string): JsonObject | undefined {
  const answer = cluster?.get({ apiVersion: "v1", resource: "namespaces", namespace: "", name });
  return answer?.kind === "found" && isObject(answer.value) ? answer.value : undefined;
}

function answerCall(parts: WorldParts, query: CallQuery): Answer | undefined {
  const canned = parts.calls.find(
    (call) => call.url === query.url && (call.method === "" || call.method === query.method),
  );
  if (canned !== undefined) {
    const { statusCode, body, url } = canned;
    if (statusCode < 400) return { kind: "found", value: body };
    return { kind: "unavailable", reason: `${url} answered with status ${statusCode}` };
  }
  return query.method === "GET" ? parts.api?.getPath(query.url) : undefined;
}

function globalAnswer(parts: WorldParts, name: string, projection: string): Answer {
  const entry = parts.globalContext.get(name);
  return (
    entry?.get(projection) ?? {
      kind: "unavailable",
      reason: `global context entry ${[name, projection].filter(Boolean).join(".")} is not among the given files`,
    }
  );
}

function contextValues(
  values: Values,
  policy: string,
  rule: string,
  resource: string,
): ContextValues | undefined {
  const ofResource = values.forResource(policy, resource);
  const ofRule = values.forRule(policy, rule);
  if (ofRule === undefined && Object.keys(ofResource).length === 0) return undefined;
  return {
    values: { ...ofResource, ...ofRule?.values },
    foreachValues: ofRule?.foreachValues ?? {},
  };
}

/** mulberry32 from a fixed seed: two runs over the same files print the same. */
function makeRandom(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Reads a Context file: resources for `resource.Get` and registry metadata of images. */
export function parseContextFile(document: Json): {
  readonly resources: readonly JsonObject[];
  readonly images: ReadonlyMap<string, JsonObject>;
} {
  const spec = field(document, "spec");
  const items = (key: string): readonly JsonObject[] => {
    const value = field(spec, key);
    return Array.isArray(value) ? value.filter(isObject) : [];
  };
  const images = items("images").flatMap((image): readonly [string, JsonObject][] => {
    const name = field(image, "image");
    return typeof name === "string" ? [[name, image]] : [];
  });
  return { resources: items("resources"), images: new Map(images) };
}
