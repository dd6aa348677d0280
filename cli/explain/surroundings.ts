// SPDX-License-Identifier: Apache-2.0
import { at, isArray, isObject, type JsonObject, textAt } from "#policy/json";
import { parseLabelSelectorText } from "#responder/adapters/label-selector-text";
import {
  type Cluster,
  failure,
  fromKey,
  keyOf,
  nameOf,
  type ObjectList,
  type Reply,
  type ResourceType,
  types,
} from "#responder/cluster";
import { makeReadNetwork, type ReadNetwork } from "#responder/isolation/network-view";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";
import { stopName } from "#responder/stop";
import type { SourceDocument } from "../input/files.ts";
import { unpackList } from "../input/resources.ts";

/** The part of a cluster that can change nothing. */
export type Reader = Pick<Cluster, "get" | "list" | "typeOf">;

/** What is around an alert, from files or a cluster. */
export type Surroundings = {
  readonly reader: Reader;
  /** By `namespace/name`. */
  readonly getPod: (key: string) => Promise<Reply<JsonObject>>;
  readonly getNamespace: (name: string) => Promise<Reply<JsonObject>>;
  readonly network: ReadNetwork;
  /** Of all namespaces. */
  readonly remediations: () => Promise<Reply<ObjectList>>;
  readonly responsePolicies: () => Promise<Reply<ObjectList>>;
  /** Whether the global stop is on; undefined where that cannot be known. */
  readonly stopped: (namespace: string) => Promise<boolean | undefined>;
  /** For people: where all this comes from. */
  readonly description: string;
};

/** Objects of files; lists are taken apart. */
export function objectsOf(documents: readonly SourceDocument[]): readonly JsonObject[] {
  return documents.flatMap(({ value }) => unpackList(value)).filter(isObject);
}

/** Surroundings that are all there is in files. Whether the global stop is on, files cannot tell. */
export const fromFiles = (
  objects: readonly JsonObject[],
  istioRootNamespace?: string,
): Surroundings => ({
  ...surroundings(readerOf(objects), "files", istioRootNamespace),
  stopped: () => Promise.resolve(undefined),
});

/** Surroundings as a cluster has them now. */
export const fromCluster = (cluster: Reader, istioRootNamespace?: string): Surroundings =>
  surroundings(cluster, "the cluster", istioRootNamespace);

const configMap: ResourceType = {
  apiVersion: "v1",
  kind: "ConfigMap",
  resource: "configmaps",
  namespaced: true,
};

const surroundings = (
  reader: Reader,
  description: string,
  istioRootNamespace: string | undefined,
): Surroundings => ({
  reader,
  getPod: (key) => reader.get(types.pod, fromKey(key)),
  getNamespace: (name) => reader.get(types.namespace, { namespace: "", name }),
  network: makeReadNetwork(reader, Date.now, { istioRootNamespace }),
  remediations: () => reader.list(types.remediation, {}),
  responsePolicies: () => reader.list(types.responsePolicy, {}),
  stopped: async (namespace) => {
    const found = await reader.get(configMap, { namespace, name: stopName });
    if (found.ok) return true;
    return found.code === "NotFound" ? false : undefined;
  },
  description,
});

function readerOf(objects: readonly JsonObject[]): Reader {
  const of = ({ apiVersion, kind }: ResourceType): readonly JsonObject[] =>
    objects.filter(
      (one) => textAt(one, ["apiVersion"]) === apiVersion && textAt(one, ["kind"]) === kind,
    );
  return {
    get: (type, name) => {
      const found = of(type).find((one) => keyOf(nameOf(one)) === keyOf(name));
      return Promise.resolve(
        found === undefined
          ? failure("NotFound", `no ${type.kind} ${keyOf(name)} in the files`)
          : { ok: true, value: found },
      );
    },
    list: (type, { namespace = "", labelSelector = "" }) => {
      const selects = parseLabelSelectorText(labelSelector);
      const items = of(type)
        .filter((one) => namespace === "" || nameOf(one).namespace === namespace)
        .filter((one) => selects(at(one, ["metadata", "labels"])));
      return Promise.resolve({ ok: true, value: { items, resourceVersion: "" } });
    },
    typeOf: (apiVersion, kind) => Promise.resolve(typeIn(objects, apiVersion, kind)),
  };
}

/** Files serve NetworkPolicies, and each other kind of policy of which they hold an object or the definition. */
function typeIn(
  objects: readonly JsonObject[],
  apiVersion: string,
  kind: string,
): Reply<ResourceType> {
  const type = policyKinds
    .map(typeOfKind)
    .find((one) => one.apiVersion === apiVersion && one.kind === kind);
  const isServed =
    apiVersion === types.networkPolicy.apiVersion ||
    objects.some((one) => one["apiVersion"] === apiVersion && one["kind"] === kind) ||
    objects.some((one) => defines(one, apiVersion, kind));
  return type !== undefined && isServed
    ? { ok: true, value: type }
    : failure("NotFound", `the files hold no ${kind} of ${apiVersion}`);
}

function defines(object: JsonObject, apiVersion: string, kind: string): boolean {
  const versions = at(object, ["spec", "versions"]);
  return (
    textAt(object, ["kind"]) === "CustomResourceDefinition" &&
    textAt(object, ["spec", "names", "kind"]) === kind &&
    isArray(versions) &&
    versions.some(
      (one) =>
        at(one, ["served"]) === true &&
        `${textAt(object, ["spec", "group"])}/${textAt(one, ["name"])}` === apiVersion,
    )
  );
}
