// SPDX-License-Identifier: Apache-2.0
import { Agent, request } from "node:https";
import { type Json, type JsonObject, at, isArray, isObject, textAt } from "#policy/json";
import { eventually } from "#test/support/processes";

export type Reply = { readonly status: number; readonly body: JsonObject };

/** A bare client of a Kubernetes API server for tests: paths in, status and body out, nothing cached or retried. */
export type Api = {
  readonly send: (
    method: string,
    path: string,
    body?: Json,
    contentType?: string,
  ) => Promise<Reply>;
  /** The body of a GET, undefined on 404; throws on anything else but 200. */
  readonly get: (path: string) => Promise<JsonObject | undefined>;
  readonly list: (path: string) => Promise<readonly JsonObject[]>;
  /** POSTs to a collection; throws unless 201. */
  readonly create: (collection: string, object: JsonObject) => Promise<JsonObject>;
  /** Server-side apply of one object at its own path; throws unless 200 or 201. */
  readonly apply: (path: string, object: JsonObject, manager?: string) => Promise<JsonObject>;
  readonly mergePatch: (path: string, patch: Json, manager?: string) => Promise<JsonObject>;
  readonly jsonPatch: (path: string, patch: Json) => Promise<JsonObject>;
  readonly remove: (path: string, options?: JsonObject) => Promise<void>;
  /** The same server as somebody else. */
  readonly as: (token: string) => Api;
};

export class ApiError extends Error {
  readonly reply: Reply;
  constructor(what: string, reply: Reply) {
    super(`${what}: ${reply.status} ${textAt(reply.body, ["message"])}`);
    this.reply = reply;
  }
}

export function makeApi(server: {
  readonly url: string;
  readonly ca: Buffer;
  readonly token: string;
}): Api {
  const agent = new Agent({ ca: server.ca, keepAlive: true, maxSockets: 32 });
  const send: Api["send"] = (method, path, body, contentType = "application/json") =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        new URL(path, server.url),
        {
          method,
          agent,
          headers: {
            authorization: `Bearer ${server.token}`,
            accept: "application/json",
            ...(body === undefined ? {} : { "content-type": contentType }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.once("error", reject);
          incoming.once("end", () => {
            resolve({
              status: incoming.statusCode ?? 0,
              body: parse(Buffer.concat(chunks).toString("utf8")),
            });
          });
        },
      );
      outgoing.once("error", reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  const expect = async (allowed: readonly number[], ...call: Parameters<Api["send"]>) => {
    const reply = await send(...call);
    if (!allowed.includes(reply.status)) throw new ApiError(`${call[0]} ${call[1]}`, reply);
    return reply.body;
  };
  return {
    send,
    get: async (path) => {
      const reply = await send("GET", path);
      if (reply.status === 404) return undefined;
      if (reply.status !== 200) throw new ApiError(`GET ${path}`, reply);
      return reply.body;
    },
    list: async (path) => {
      const body = await expect([200], "GET", path);
      const items = body["items"];
      return isArray(items) ? items.filter(isObject) : [];
    },
    create: (collection, object) => expect([201], "POST", collection, object),
    apply: (path, object, manager = "parapet-test") =>
      expect(
        [200, 201],
        "PATCH",
        `${path}?fieldManager=${encodeURIComponent(manager)}&force=true`,
        object,
        "application/apply-patch+yaml",
      ),
    mergePatch: (path, patch, manager = "parapet-test") =>
      expect(
        [200],
        "PATCH",
        `${path}?fieldManager=${encodeURIComponent(manager)}`,
        patch,
        "application/merge-patch+json",
      ),
    jsonPatch: (path, patch) => expect([200], "PATCH", path, patch, "application/json-patch+json"),
    remove: async (path, options) => {
      await expect([200, 202, 404], "DELETE", path, options);
    },
    as: (token) => makeApi({ ...server, token }),
  };
}

function parse(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : { message: text };
  } catch {
    return { message: text };
  }
}

/**
 * Applies CustomResourceDefinitions and waits until their objects can be written, which the API server allows about
 * two seconds after a definition's creation (404, then 429 before).
 */
export async function installCrds(api: Api, crds: readonly JsonObject[]): Promise<void> {
  const base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  await Promise.all(
    crds.map((crd) => api.apply(`${base}/${textAt(crd, ["metadata", "name"])}`, crd)),
  );
  await Promise.all(
    crds.map((crd) =>
      eventually(
        `CRD ${textAt(crd, ["metadata", "name"])}`,
        () => writable(api, crd),
        400_000,
        200,
      ),
    ),
  );
}

async function writable(api: Api, crd: JsonObject): Promise<boolean> {
  const plural = textAt(crd, ["spec", "names", "plural"]);
  const group = textAt(crd, ["spec", "group"]);
  const versions = at(crd, ["spec", "versions"]);
  const served = isArray(versions)
    ? versions.find((v) => isObject(v) && v["served"] === true)
    : undefined;
  const namespaced = textAt(crd, ["spec", "scope"]) === "Namespaced";
  const collection = `/apis/${group}/${textAt(served, ["name"])}/${namespaced ? "namespaces/default/" : ""}${plural}`;
  // An object without a name is refused as invalid only once the storage is ready for writes.
  const reply = await api.send("POST", `${collection}?dryRun=All`, {
    apiVersion: `${group}/${textAt(served, ["name"])}`,
    kind: textAt(crd, ["spec", "names", "kind"]),
    metadata: { name: "parapet-readiness-probe" },
  });
  return reply.status !== 404 && reply.status !== 429 && reply.status < 500;
}
