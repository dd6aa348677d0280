// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject, textAt } from "#policy/json";
import {
  type Cluster,
  failure,
  keyOf,
  nameOf,
  type ObjectList,
  type Reply,
  types,
} from "#responder/cluster";
import { unpackList } from "../input/resources.ts";
import type { SourceDocument } from "../input/files.ts";

/** What is around an alert, from files or a cluster; nothing here writes. */
export type Surroundings = {
  /** By `namespace/name`. */
  readonly getPod: (key: string) => Promise<Reply<JsonObject>>;
  readonly getNamespace: (name: string) => Promise<Reply<JsonObject>>;
  readonly networkPolicies: (namespace: string) => Promise<Reply<ObjectList>>;
  readonly remediations: (namespace: string) => Promise<Reply<ObjectList>>;
  readonly responsePolicies: () => Promise<Reply<ObjectList>>;
  /** Whether the global stop is on; undefined where that cannot be known. */
  readonly stopped: (namespace: string) => Promise<boolean | undefined>;
  /** For people: where all this comes from. */
  readonly description: string;
};

/** Objects of files by kind; lists are taken apart. */
export function objectsOf(documents: readonly SourceDocument[]): readonly JsonObject[] {
  return documents.flatMap(({ value }) => unpackList(value)).filter(isObject);
}

const isA = (object: JsonObject, kind: string): boolean => textAt(object, ["kind"]) === kind;

/** Surroundings that are all there is in files. */
export function fromFiles(objects: readonly JsonObject[]): Surroundings {
  const list = (kind: string, namespace?: string): Promise<Reply<ObjectList>> => {
    const items = objects.filter(
      (one) => isA(one, kind) && (namespace === undefined || nameOf(one).namespace === namespace),
    );
    return Promise.resolve({ ok: true, value: { items, resourceVersion: "" } });
  };
  const get = (kind: string, key: string): Promise<Reply<JsonObject>> => {
    const found = objects.find((one) => isA(one, kind) && keyOf(nameOf(one)) === key);
    return Promise.resolve(
      found === undefined
        ? failure("NotFound", `no ${kind} ${key} in the files`)
        : { ok: true, value: found },
    );
  };
  return {
    getPod: (key) => get("Pod", key),
    getNamespace: (name) => get("Namespace", name),
    networkPolicies: (namespace) => list("NetworkPolicy", namespace),
    remediations: (namespace) => list("Remediation", namespace),
    responsePolicies: () => list("ResponsePolicy"),
    stopped: () => Promise.resolve(undefined),
    description: "files",
  };
}

/** The ConfigMap whose existence is the global stop (responder/upkeep.ts). */
const stopName = "parapet-stop";

/** Surroundings as a cluster has them now. */
export const fromCluster = (cluster: Cluster): Surroundings => ({
  getPod: (key) => {
    const [namespace = "", name = ""] = key.split("/");
    return cluster.get(types.pod, { namespace, name });
  },
  getNamespace: (name) => cluster.get(types.namespace, { namespace: "", name }),
  networkPolicies: (namespace) => cluster.list(types.networkPolicy, { namespace }),
  remediations: (namespace) => cluster.list(types.remediation, { namespace }),
  responsePolicies: () => cluster.list(types.responsePolicy, {}),
  stopped: async (namespace) => {
    const type = await cluster.typeOf("v1", "ConfigMap");
    if (!type.ok) return undefined;
    const found = await cluster.get(type.value, { namespace, name: stopName });
    if (found.ok) return true;
    return found.code === "NotFound" ? false : undefined;
  },
  description: "the cluster",
});
