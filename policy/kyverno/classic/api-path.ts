// SPDX-License-Identifier: Apache-2.0
import type { ListQuery, ObjectQuery } from "#policy/world";

/** Longest path that is read, in characters. */
const pathLengthMax = 4_096;

/**
 * The object or the list that a path of the API server stands for, e.g. `/apis/apps/v1/namespaces/x/deployments`;
 * undefined for subresources, for selectors other than `key=value`, and for all that is no resource.
 */
export function readApiPath(urlPath: string): ObjectQuery | ListQuery | undefined {
  if (urlPath.length > pathLengthMax) return undefined;
  const [path = "", parameters = ""] = urlPath.split("?");
  const parts = decoded(path);
  const labels = readParameters(parameters);
  if (parts === undefined || labels === undefined) return undefined;
  const place = splitGroup(parts);
  if (place === undefined) return undefined;
  const { apiVersion, rest } = place;
  const namespaced = rest[0] === "namespaces" && rest.length > 2;
  const namespace = namespaced ? (rest[1] ?? "") : "";
  const [resource = "", name, ...more] = namespaced ? rest.slice(2) : rest;
  if (resource === "" || more.length > 0) return undefined;
  const query = { apiVersion, resource, namespace };
  return name === undefined ? { ...query, labels } : { ...query, name };
}

function decoded(path: string): readonly string[] | undefined {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function splitGroup(
  parts: readonly string[],
): { readonly apiVersion: string; readonly rest: readonly string[] } | undefined {
  const [root, first = "", second = ""] = parts;
  if (root === "api") return { apiVersion: first, rest: parts.slice(2) };
  if (root === "apis") return { apiVersion: `${first}/${second}`, rest: parts.slice(3) };
  return undefined;
}

/** Equality selectors of labels alone; a limit changes nothing for a World that answers at once. */
function readParameters(text: string): Record<string, string> | undefined {
  const labels: [string, string][] = [];
  for (const [name, value] of new URLSearchParams(text)) {
    if (name === "limit") continue;
    if (name !== "labelSelector") return undefined;
    for (const term of value.split(",")) {
      const [key = "", wanted, ...more] = term.split(/==?/);
      if (key === "" || key.endsWith("!") || wanted === undefined || more.length > 0) {
        return undefined;
      }
      labels.push([key.trim(), wanted.trim()]);
    }
  }
  return Object.fromEntries(labels);
}
