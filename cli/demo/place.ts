// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it talks to a cluster, when one is given.
import { readFileSync, readdirSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { type JsonObject, isObject, textAt } from "#policy/json";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { type Cluster, type Reply, type ResourceType, types, uidOf } from "#responder/cluster";

/** Where the demo plays: a cluster of somebody's, in a namespace of the demo's own, or one in memory. */
export type Place = {
  readonly description: string;
  readonly namespace: string;
  /** Unique in the cluster; for the cluster-scoped objects that the demo makes. */
  readonly name: string;
  /** The responder's own client. */
  readonly cluster: Cluster;
  /** A client that writes under another field manager, as people and Crossplane do. */
  readonly as: (manager: string) => Cluster;
  /** Takes away what the demo made. */
  readonly cleanUp: () => Promise<void>;
};

const crdType: ResourceType = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  resource: "customresourcedefinitions",
  namespaced: false,
};

/** Longest wait for the API server to serve a new definition; two seconds is usual. */
const servedMsMax = 30_000;

/** Longest wait for the namespace to be emptied; five seconds is usual. What is left then, the cluster takes away itself. */
const goneMsMax = 15_000;

/** Opens the place that a kubeconfig names, or one in memory. @throws when the cluster refuses what the demo needs. */
export async function openPlace(kubeconfig: string | undefined, crds: string): Promise<Place> {
  const name = `parapet-demo-${randomBytes(3).toString("hex")}`;
  if (kubeconfig === undefined) {
    const memory = makeMemoryCluster(() => Date.now());
    return {
      description: "in memory; KUBECONFIG or PARAPET_KUBECONFIG name a real one",
      namespace: name,
      name,
      cluster: memory.client(),
      as: (manager) => memory.client(manager, true),
      cleanUp: () => Promise.resolve(),
    };
  }
  const connection = await fromKubeconfig(kubeconfig);
  const cluster = makeApiServer(connection);
  const made = await installCrds(cluster, crds);
  const namespace = must(
    await cluster.create(types.namespace, {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name },
    }),
  );
  return {
    description: `${kubeconfig}, namespace ${name}`,
    namespace: name,
    name,
    cluster,
    as: (manager) => makeApiServer(connection, manager),
    cleanUp: async () => {
      for (const policy of [name, `${name}-drift`]) await removePolicy(cluster, policy);
      await cluster.remove(types.namespace, { namespace: "", name }, uidOf(namespace));
      // A definition that goes while its namespace is emptied makes the namespace controller start over, minutes later.
      if (made.length > 0) await gone(cluster, name);
      for (const crd of made) {
        await cluster.remove(
          crdType,
          { namespace: "", name: textAt(crd, ["metadata", "name"]) },
          uidOf(crd),
        );
      }
      cluster.close();
    },
  };
}

async function gone(cluster: Cluster, namespace: string): Promise<void> {
  const deadline = Date.now() + goneMsMax;
  while (Date.now() < deadline) {
    const live = await cluster.get(types.namespace, { namespace: "", name: namespace });
    if (!live.ok) return;
    await sleep(100);
  }
}

async function removePolicy(cluster: Cluster, name: string): Promise<void> {
  const live = await cluster.get(types.responsePolicy, { namespace: "", name });
  if (live.ok)
    await cluster.remove(types.responsePolicy, { namespace: "", name }, uidOf(live.value));
}

/** Creates the definitions that are not there yet, and gives those back: only they are the demo's to remove. */
async function installCrds(cluster: Cluster, folder: string): Promise<readonly JsonObject[]> {
  const made: JsonObject[] = [];
  for (const file of readdirSync(folder).sort()) {
    const documents: unknown[] = loadAll(readFileSync(join(folder, file), "utf8"), {
      schema: CORE_SCHEMA,
    });
    for (const crd of documents.filter(isObject)) {
      if (crd["kind"] !== crdType.kind) continue;
      const created = await cluster.create(crdType, crd);
      if (created.ok) made.push(created.value);
      else if (created.code !== "AlreadyExists") throw new Error(`${file}: ${created.message}`);
    }
  }
  await served(cluster);
  return made;
}

/** A probe with an invalid object is answered as invalid only once the storage is ready for writes. */
async function served(cluster: Cluster): Promise<void> {
  const deadline = Date.now() + servedMsMax;
  for (const type of [types.remediation, types.approval, types.responsePolicy]) {
    for (;;) {
      const probe = await cluster.create(
        type,
        {
          apiVersion: type.apiVersion,
          kind: type.kind,
          metadata: { name: "probe", namespace: "default" },
        },
        { dryRun: true },
      );
      if (probe.ok || probe.code === "Invalid" || probe.code === "AlreadyExists") break;
      if (Date.now() > deadline) throw new Error(`${type.kind} is not served: ${probe.message}`);
      await sleep(100);
    }
  }
}

/** The value of a reply that the demo cannot go on without. @throws with the server's words otherwise. */
export function must<T>(reply: Reply<T>): T {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
}
