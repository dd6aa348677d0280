// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { discoverCategory } from "#responder/adapters/api-discovery";
import { makeSend, type Send } from "#responder/adapters/api-request";
import { scaleSteps, withReplicas } from "#responder/adapters/api-scale";
import type { Connection } from "#responder/adapters/kubeconfig";
import type {
  Cluster,
  EndOptions,
  ObjectList,
  ObjectName,
  Reply,
  ResourceType,
  WatchEvent,
  WriteOptions,
} from "#responder/cluster";
import { failure, fieldManager, nameOf, types, versionOf } from "#responder/cluster";

/** Objects per page of a list; client-go's default. */
const pageSize = 500;
/** Pages of one list, a bound on the loop: 500,000 objects. */
const pagesMax = 1_000;
/** How long a watch is asked to last; reopened from the last bookmark. */
const watchSeconds = 300;

/** The cluster behind a real API server. `manager` is for tests that play somebody else. */
export function makeApiServer(connection: Connection, manager = fieldManager): Cluster {
  const send = makeSend(connection);
  const known = new Map<string, ResourceType>();
  const write = (options: WriteOptions | undefined): Record<string, string> => ({
    fieldManager: manager,
    fieldValidation: "Strict",
    ...(options?.dryRun === true ? { dryRun: "All" } : {}),
  });
  return {
    get: async (type, name) =>
      withReplicas(type, await send.json({ method: "GET", path: pathOf(type, name) })),
    list: (type, query) => listAll(send, type, query),
    create: (type, object, options) =>
      send.json({
        method: "POST",
        path: collection(type, nameOf(object).namespace),
        query: write(options),
        body: object,
      }),
    apply: (type, object, options) =>
      send.json({
        method: "PATCH",
        path: pathOf(type, nameOf(object)),
        query: { ...write(options), force: "false" },
        body: object,
        contentType: "application/apply-patch+yaml",
      }),
    patch: async (type, name, steps, options) => {
      const reply = await send.json({
        method: "PATCH",
        path: pathOf(type, name),
        query: write(options),
        body: scaleSteps(type, steps),
        contentType: "application/json-patch+json",
      });
      // A failed `test` is a 422 like any other; whoever patches reads again and decides anew, a bounded number of times.
      const isRefused = !reply.ok && reply.code === "Invalid";
      return isRefused ? failure("Conflict", reply.message) : withReplicas(type, reply);
    },
    replace: (type, object) =>
      send.json({
        method: "PUT",
        path: pathOf(type, nameOf(object)),
        query: write(undefined),
        body: object,
      }),
    replaceStatus: (type, object) =>
      send.json({
        method: "PUT",
        path: `${pathOf(type, nameOf(object))}/status`,
        query: write(undefined),
        body: object,
      }),
    ...endings(send),
    watch: (type, query, onEvent, signal) => watch(send, type, query, onEvent, signal),
    ping: async () => {
      const reply = await send.json({ method: "GET", path: "/version" });
      return reply.ok ? { ok: true, value: undefined } : reply;
    },
    typeOf: (apiVersion, kind) => discover(send, known, apiVersion, kind),
    typesIn: (category) => discoverCategory(send, category),
    close: send.close,
  };
}

/** How objects end, and what is left of a pod to read. */
const endings = (send: Send): Pick<Cluster, "remove" | "evict" | "podLog"> => ({
  remove: async (type, name, uid, options) => {
    const reply = await send.json({
      method: "DELETE",
      path: pathOf(type, name),
      body: { ...endOptions(uid, options), propagationPolicy: "Background" },
    });
    return reply.ok ? { ok: true, value: undefined } : reply;
  },
  evict: async (name, uid, options) => {
    const reply = await send.json({
      method: "POST",
      path: `${pathOf(types.pod, name)}/eviction`,
      body: {
        apiVersion: "policy/v1",
        kind: "Eviction",
        metadata: { name: name.name, namespace: name.namespace },
        deleteOptions: endOptions(uid, options),
      },
    });
    return reply.ok ? { ok: true, value: undefined } : reply;
  },
  podLog: (name, query) =>
    send.text({
      method: "GET",
      path: `${pathOf(types.pod, name)}/log`,
      query: {
        container: query.container,
        tailLines: `${query.lines}`,
        limitBytes: `${query.bytesMax}`,
        timestamps: "true",
      },
    }),
});

const endOptions = (uid: string, options: EndOptions | undefined): JsonObject => ({
  preconditions: {
    uid,
    ...(options?.version === undefined ? {} : { resourceVersion: options.version }),
  },
  ...(options?.graceSeconds === undefined ? {} : { gracePeriodSeconds: options.graceSeconds }),
});

const root = (apiVersion: string): string =>
  apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

function collection(type: ResourceType, namespace: string): string {
  const scope =
    type.namespaced && namespace !== "" ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root(type.apiVersion)}${scope}/${type.resource.split("/")[0] ?? ""}`;
}

function pathOf(type: ResourceType, name: ObjectName): string {
  const object = `${collection(type, name.namespace)}/${encodeURIComponent(name.name)}`;
  const subresource = type.resource.split("/")[1];
  return subresource === undefined ? object : `${object}/${subresource}`;
}

async function listAll(
  send: Send,
  type: ResourceType,
  query: { readonly namespace?: string; readonly labelSelector?: string },
): Promise<Reply<ObjectList>> {
  const items: JsonObject[] = [];
  let token = "";
  for (let page = 0; page < pagesMax; page++) {
    const reply = await send.json({
      method: "GET",
      path: collection(type, query.namespace ?? ""),
      query: {
        limit: `${pageSize}`,
        ...(query.labelSelector === undefined ? {} : { labelSelector: query.labelSelector }),
        ...(token === "" ? {} : { continue: token }),
      },
    });
    if (!reply.ok) return reply;
    const found = reply.value["items"];
    for (const item of isArray(found) ? found : [])
      if (isObject(item)) items.push(withType(item, type));
    token = textAt(reply.value, ["metadata", "continue"]);
    if (token === "") {
      return { ok: true, value: { items, resourceVersion: versionOf(reply.value) } };
    }
  }
  return failure("Unavailable", "the list has no end");
}

/** Items of a list come without apiVersion and kind. */
const withType = (item: JsonObject, type: ResourceType): JsonObject => ({
  apiVersion: type.apiVersion,
  kind: type.kind,
  ...item,
});

async function watch(
  send: Send,
  type: ResourceType,
  query: { readonly resourceVersion: string; readonly labelSelector?: string },
  onEvent: (event: WatchEvent) => void,
  signal: AbortSignal,
): Promise<Reply<undefined>> {
  let ended: Reply<undefined> | undefined;
  const reply = await send.lines(
    {
      method: "GET",
      path: collection(type, ""),
      query: {
        watch: "true",
        allowWatchBookmarks: "true",
        timeoutSeconds: `${watchSeconds}`,
        resourceVersion: query.resourceVersion,
        ...(query.labelSelector === undefined ? {} : { labelSelector: query.labelSelector }),
      },
    },
    (line) => {
      const kind = line["type"];
      const object = line["object"];
      if (!isObject(object)) return;
      if (kind === "ADDED" || kind === "MODIFIED" || kind === "DELETED" || kind === "BOOKMARK") {
        onEvent({ type: kind, object });
      } else {
        const code = at(object, ["code"]) === 410 ? "Gone" : "Unavailable";
        ended = failure(code, textAt(object, ["message"]));
      }
    },
    signal,
  );
  return ended ?? reply;
}

async function discover(
  send: Send,
  known: Map<string, ResourceType>,
  apiVersion: string,
  kind: string,
): Promise<Reply<ResourceType>> {
  const key = `${apiVersion} ${kind}`;
  const cached = known.get(key);
  if (cached !== undefined) return { ok: true, value: cached };
  const reply = await send.json({ method: "GET", path: root(apiVersion) });
  if (!reply.ok) return reply;
  const resources = reply.value["resources"];
  const found = (isArray(resources) ? resources : []).find(
    (one) => textAt(one, ["kind"]) === kind && !textAt(one, ["name"]).includes("/"),
  );
  if (found === undefined) return failure("NotFound", `${apiVersion} serves no ${kind}`);
  const type: ResourceType = {
    apiVersion,
    kind,
    resource: textAt(found, ["name"]),
    namespaced: at(found, ["namespaced"]) === true,
  };
  known.set(key, type);
  return { ok: true, value: type };
}
