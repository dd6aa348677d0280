// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { QueryFailure } from "#policy/jmespath/query";
import { readApiPath } from "#policy/kyverno/classic/api-path";
import type { EntryLoader } from "#policy/kyverno/classic/context";
import { transformed, valueOf } from "#policy/kyverno/classic/context-lookups";
import { wrapped } from "#policy/kyverno/classic/context-variable";
import { compileTemplate } from "#policy/kyverno/classic/variables";
import type { Answer, World } from "#policy/world";

/** `apiCall: {urlPath | service, method, data, jmesPath, default}` (loaders/apicall.go, pkg/engine/apicall). */
export function compileApiCall(name: string, document: JsonObject): EntryLoader {
  const template = compileTemplate(document);
  const written = textAt(document, ["urlPath"]);
  return (scope) => {
    const call = template.substitute(scope);
    if (!call.ok) {
      return wrapped(
        call.failure,
        `failed to fetch data for APICall: failed to substitute variables in context entry ${name} ${written}`,
      );
    }
    const fetched = fetch(call.value, scope.world);
    if (fetched instanceof QueryFailure)
      return wrapped(fetched, "failed to fetch data for APICall");
    const path = textAt(call.value, ["jmesPath"]);
    if (path === "") return fetched;
    const result = transformed(name, fetched, path, scope);
    return result instanceof QueryFailure
      ? wrapped(result, "failed to store data for APICall")
      : result;
  };
}

function fetch(call: Json, world: World): Json | QueryFailure {
  const method = textAt(call, ["method"]) || "GET";
  const urlPath = textAt(call, ["urlPath"]);
  const url = urlPath || textAt(call, ["service", "url"]);
  const answer = ask(world, method, url, urlPath !== "", call);
  const around =
    urlPath === ""
      ? `failed to execute HTTP request for APICall ${url}`
      : `failed to ${method} resource with raw url: ${urlPath}`;
  const value = valueOf(answer, around, "the server could not find the requested resource");
  if (!(value instanceof QueryFailure) || value.kind === "unavailable") return value;
  // The author's own answer for a call that fails; not for one that cannot be made here.
  return field(call, "default") ?? value;
}

function ask(world: World, method: string, url: string, isPath: boolean, call: Json): Answer {
  const answer = world.call({ method, url, headers: headersOf(call), body: bodyOf(call, method) });
  if (answer.kind !== "unavailable" || !isPath || method !== "GET") return answer;
  const query = readApiPath(url);
  if (query === undefined) return answer;
  return "name" in query ? world.get(query) : world.list(query);
}

function headersOf(call: Json): Record<string, string> {
  const headers = at(call, ["service", "headers"]) ?? [];
  return Object.fromEntries(
    (isArray(headers) ? headers : [])
      .filter(isObject)
      .map((header) => [textAt(header, ["key"]), textAt(header, ["value"])]),
  );
}

/** `data` is a list of keys and values; it is sent as one object. */
function bodyOf(call: Json, method: string): Json | undefined {
  const data = field(call, "data");
  if (method !== "POST" || !isArray(data)) return undefined;
  return Object.fromEntries(
    data.filter(isObject).map((item) => [textAt(item, ["key"]), field(item, "value") ?? null]),
  );
}
