// SPDX-License-Identifier: Apache-2.0
import { field, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { kindOf, parseApiVersion, pluralOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import type { Answer, ListQuery, ObjectQuery, World } from "#policy/world";

/** Objects that stand in for a cluster's: found by name, by listing, and under the API server's paths. */
export type ObjectStore = {
  readonly get: (query: ObjectQuery) => Answer;
  readonly list: (query: ListQuery) => Answer;
  /** A GET of `/api/v1/...` or `/apis/group/version/...`; undefined for a path of another form. */
  readonly getPath: (path: string) => Answer | undefined;
};

type Entry = { readonly object: JsonObject; readonly namespace: string; readonly name: string };

/** The group says which plural is meant, the version does not: a cluster serves its objects under all of them. */
const bucketOf = (apiVersion: string, resource: string): string =>
  `${parseApiVersion(apiVersion).group}/${resource.toLowerCase()}`;

/** What a list of a kind without any object is: nothing, or a kind that nobody has heard of. */
export type UnknownLists = "empty" | "absent";

/** Objects under the plurals that `resourceOf` knows, else those that the engine guesses; a later object replaces an earlier one of the same name. */
export function makeObjectStore(
  objects: readonly JsonObject[],
  resourceOf: World["resourceOf"],
  unknownLists: UnknownLists = "empty",
): ObjectStore {
  const world = { ...emptyWorld(0), resourceOf };
  const buckets = new Map<string, Map<string, Entry>>();
  for (const object of objects) {
    const bucket = bucketOf(
      textAt(object, ["apiVersion"]),
      pluralOf(kindOf(object), world).resource,
    );
    const entries = buckets.get(bucket) ?? new Map<string, Entry>();
    const namespace = textAt(object, ["metadata", "namespace"]);
    const name = textAt(object, ["metadata", "name"]);
    entries.set(`${namespace}/${name}`, { object, namespace, name });
    buckets.set(bucket, entries);
  }
  const get = (query: ObjectQuery): Answer => {
    const entries = buckets.get(bucketOf(query.apiVersion, query.resource));
    const found = entries?.get(`${query.namespace}/${query.name}`);
    return found === undefined ? { kind: "absent" } : { kind: "found", value: found.object };
  };
  const list = (query: ListQuery): Answer => {
    const entries = buckets.get(bucketOf(query.apiVersion, query.resource));
    if (entries === undefined && unknownLists === "absent") return { kind: "absent" };
    const items = [...(entries?.values() ?? [])]
      .filter((entry) => query.namespace === "" || entry.namespace === query.namespace)
      .filter((entry) => hasLabels(entry.object, query.labels))
      .map((entry) => entry.object);
    return { kind: "found", value: { apiVersion: query.apiVersion, kind: "List", items } };
  };
  return { get, list, getPath: (path) => answerPath(path, { get, list }) };
}

function hasLabels(object: JsonObject, labels: Readonly<Record<string, string>>): boolean {
  const own = field(field(object, "metadata"), "labels");
  return Object.entries(labels).every(([key, value]) => field(own, key) === value);
}

/** `/api/v1/namespaces/x/pods/y`, `/apis/apps/v1/deployments`, with an optional equality `labelSelector`. */
const apiPath =
  /^\/(?:api|apis\/(?<group>[^/]+))\/(?<version>[^/]+)(?:\/namespaces\/(?<namespace>[^/]+)(?=\/[^/]+))?\/(?<resource>[^/]+)(?:\/(?<name>[^/]+))?$/;

function answerPath(path: string, store: Pick<ObjectStore, "get" | "list">): Answer | undefined {
  const [bare = "", query = ""] = path.split("?", 2);
  const found = apiPath.exec(bare.replace(/\/+$/, ""));
  if (found?.groups === undefined) return undefined;
  const { group = "", version = "", namespace = "", resource = "", name = "" } = found.groups;
  const apiVersion = group === "" ? version : `${group}/${version}`;
  if (name !== "") return store.get({ apiVersion, resource, namespace, name });
  const labels = parseSelector(new URLSearchParams(query).get("labelSelector") ?? "");
  if (labels === undefined) {
    return { kind: "unavailable", reason: `only equality selectors are answered: ${query}` };
  }
  return store.list({ apiVersion, resource, namespace, labels });
}

function parseSelector(selector: string): Readonly<Record<string, string>> | undefined {
  const labels = new Map<string, string>();
  for (const term of selector.split(",").filter((part) => part.trim() !== "")) {
    const found = /^\s*([^=!\s]+)\s*==?\s*([^=\s]*)\s*$/.exec(term);
    if (found === null) return undefined;
    labels.set(found[1] ?? "", found[2] ?? "");
  }
  return Object.fromEntries(labels);
}
