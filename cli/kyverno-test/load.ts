// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { compile } from "#policy/compile";
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { AuthorizationRequest, Compilation } from "#policy/policy-set";
import { emptyWorld } from "#policy/world";
import { schemasOfDefinitions } from "#policy/kubernetes/definition-schemas";
import type { EvaluateOptions } from "../evaluate.ts";
import { findFiles, isRemote, readDocuments } from "../input/files.ts";
import type { Disk } from "../input/files.ts";
import { makeResourceOf } from "../input/known-kinds.ts";
import { makeObjectStore } from "../input/object-store.ts";
import { parseResources, uniqueResources } from "../input/resources.ts";
import { noValues, parseUserInfo, parseValues } from "../input/values.ts";
import { makeWorld, parseContextFile } from "../input/world.ts";
import { globalEntry, parseCall, withStatus } from "./stand-ins.ts";
import type { TestCase } from "./test-file.ts";

/** A test with all that its files say, ready to run. */
export type LoadedTest = {
  readonly compilation: Compilation;
  /** Policy documents as they were read, for what the matching of results wants to know of them. */
  readonly policies: readonly JsonObject[];
  readonly resources: readonly JsonObject[];
  /** JSON that is no Kubernetes object, by the path that names it. */
  readonly payloads: ReadonlyMap<string, JsonObject>;
  /** Requests to services, by the path that names them. */
  readonly requests: ReadonlyMap<string, AuthorizationRequest>;
  readonly targets: readonly JsonObject[];
  readonly options: EvaluateOptions;
  /** Why something of the test cannot be run here; empty when all of it can. */
  readonly unsupported: readonly string[];
};

export type LoadedOrNot =
  | { readonly ok: true; readonly loaded: LoadedTest }
  | { readonly ok: false; readonly message: string };

class LoadError extends Error {}

/** Reads what a test names; relative paths start at the test's own folder, which `disk` is for. */
export function loadTest(test: TestCase, disk: Disk, nowMs: number): LoadedOrNot {
  try {
    return { ok: true, loaded: load(test, disk, nowMs) };
  } catch (error) {
    if (error instanceof LoadError) return { ok: false, message: error.message };
    throw error;
  }
}

function load(test: TestCase, disk: Disk, nowMs: number): LoadedTest {
  const read = (paths: readonly string[]): readonly JsonObject[] => readObjects(paths, disk);
  const policies = read(test.policies.filter((given) => !isRemote(given)));
  const clusterFiles = read(test.clusterResources);
  const definitions = read(clusterFiles.flatMap((file) => textsAt(file, ["spec", "crds"])));
  const resourceOf = makeResourceOf(definitions, policies);
  const kinds = { ...emptyWorld(nowMs), resourceOf };
  const asResources = (objects: readonly JsonObject[]): readonly JsonObject[] =>
    uniqueResources(
      parseResources(
        objects.map((value, index) => ({ file: "", position: index + 1, value })),
        kinds,
      ).resources,
    ).map((resource) => resource.object);
  const resources = asResources(read(test.resources));
  const targets = asResources(read(test.targetResources));
  const params = asResources(read(test.paramResources));
  const context = test.context === "" ? undefined : parseContextFile(readOne(test.context, disk));
  const inCluster = clusterFiles.flatMap((file) => objectsAt(file, ["spec", "resources"]));
  const hasCluster = test.clusterResources.length > 0;
  const sources = read(test.results.map((result) => result.cloneSourceResource).filter(Boolean));
  const everything = [
    ...sources,
    ...inCluster,
    ...definitions,
    ...params,
    ...targets,
    ...resources,
  ];
  const cluster = hasCluster ? makeObjectStore(everything, resourceOf) : undefined;
  // Without a cluster only a Context file is asked, and the objects that policies are to change or to copy.
  const known = [
    ...(context?.resources ?? []),
    ...(targets.length > 0 ? everything : []),
    ...sources,
  ];
  const values = loadValues(test, disk);
  const calls = test.apiCallResponses.map(parseCall);
  const world = makeWorld({
    nowMs,
    values,
    resourceOf,
    schemaOf: schemasOfDefinitions(definitions),
    cluster: cluster ?? makeObjectStore(known, resourceOf, "absent"),
    api: cluster,
    calls,
    globalContext: new Map(
      test.globalContextEntries.map((entry) => [
        textAt(entry, ["name"]),
        globalEntry(
          entry,
          [...objectsAt(entry, ["resources"]), ...read(textsAt(entry, ["resourceFiles"]))],
          nowMs,
        ),
      ]),
    ),
    images: context?.images ?? new Map(),
  });
  const userInfo = readUserInfo(test, disk);
  return {
    compilation: compile([...policies, ...read(test.exceptions)], { params }),
    policies,
    resources,
    payloads: readPayloads(test.jsonPayloads, disk),
    requests: readRequests(test, disk),
    targets,
    options: { world, celWorld: withStatus(world, calls), values, userInfo, operation: undefined },
    unsupported: unsupportedParts(test),
  };
}

function unsupportedParts(test: TestCase): readonly string[] {
  return test.policies
    .filter(isRemote)
    .map((given) => `policy ${given} is remote: nothing is fetched over the network`);
}

function readRequests(test: TestCase, disk: Disk): ReadonlyMap<string, AuthorizationRequest> {
  const http = readPayloads(test.httpPayloads, disk);
  const envoy = readPayloads(test.envoyPayloads, disk);
  return new Map<string, AuthorizationRequest>([
    ...[...http].map(([name, payload]) => [name, { mode: "HTTP", payload }] as const),
    ...[...envoy].map(([name, payload]) => [name, { mode: "Envoy", payload }] as const),
  ]);
}

function readValues(paths: readonly string[], disk: Disk): readonly Json[] {
  const { files, errors: missing } = findFiles(paths, disk);
  const { documents, errors } = readDocuments(files, disk);
  const wrong = [...missing, ...errors][0];
  if (wrong !== undefined) throw new LoadError(`${wrong.file}: ${wrong.message}`);
  return documents.map((document) => document.value);
}

const readObjects = (paths: readonly string[], disk: Disk): readonly JsonObject[] =>
  readValues(paths, disk).filter(isObject);

function readOne(given: string, disk: Disk): JsonObject {
  const found = readObjects([given], disk)[0];
  if (found === undefined) throw new LoadError(`${given}: has no document`);
  return found;
}

function readPayloads(paths: readonly string[], disk: Disk): ReadonlyMap<string, JsonObject> {
  const payloads = new Map<string, JsonObject>();
  for (const given of paths) {
    const documents = readObjects([given], disk);
    for (const [index, document] of documents.entries()) {
      payloads.set(documents.length === 1 ? given : `${given}#${index + 1}`, document);
    }
  }
  return payloads;
}

const readUserInfo = (test: TestCase, disk: Disk): EvaluateOptions["userInfo"] =>
  test.userInfo === "" ? null : parseUserInfo(readOne(test.userInfo, disk));

function loadValues(test: TestCase, disk: Disk): EvaluateOptions["values"] {
  if (test.values !== undefined) return parseValues(test.values);
  return test.variables === "" ? noValues : parseValues(readOne(test.variables, disk));
}

const listAt = (value: Json, keys: readonly string[]): readonly Json[] => {
  const found = keys.reduce<Json | undefined>((here, key) => field(here, key), value);
  return isArray(found) ? found : [];
};

const textsAt = (value: Json, keys: readonly string[]): readonly string[] =>
  listAt(value, keys).filter((item) => typeof item === "string");

const objectsAt = (value: Json, keys: readonly string[]): readonly JsonObject[] =>
  listAt(value, keys).filter(isObject);

/** The folder that a test's paths start from. */
export const folderOf = (file: string, disk: Disk): Disk => ({
  ...disk,
  folder: path.resolve(disk.folder, path.dirname(file)),
});
