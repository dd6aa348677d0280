// SPDX-License-Identifier: Apache-2.0
import { field, type Json, type JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { QueryFailure } from "#policy/jmespath/query";
import type { EntryLoader } from "#policy/kyverno/classic/context";
import { compilePart, wrapped } from "#policy/kyverno/classic/context-variable";
import type { Scope } from "#policy/kyverno/classic/scope";
import type { Answer } from "#policy/world";

/** `configMap: {name, namespace}`: its data and metadata (loaders/configmap.go). */
export function compileConfigMap(entry: string, document: JsonObject): EntryLoader {
  const nameOf = compilePart(entry, document, "name");
  const namespaceOf = compilePart(entry, document, "namespace");
  return (scope) => {
    const name = textFrom(nameOf, scope, "");
    if (name instanceof QueryFailure) return retrieval(name, entry);
    const namespace = textFrom(namespaceOf, scope, "default");
    if (namespace instanceof QueryFailure) return retrieval(namespace, entry);
    const found = scope.world.get({
      apiVersion: "v1",
      resource: "configmaps",
      namespace,
      name,
    });
    const around = `failed to retrieve config map for context entry ${entry}: failed to get configmap ${namespace}/${name} `;
    const value = valueOf(found, around, `configmaps "${name}" not found`);
    if (value instanceof QueryFailure) return value;
    return { data: field(value, "data") ?? null, metadata: field(value, "metadata") ?? {} };
  };
}

const retrieval = (failure: QueryFailure, entry: string): QueryFailure =>
  wrapped(failure, `failed to retrieve config map for context entry ${entry}`);

/** `globalReference: {name, jmesPath}` (loaders/globalcontext.go). */
export function compileGlobalReference(entry: string, document: JsonObject): EntryLoader {
  const nameOf = compilePart(entry, document, "name");
  const transform = compileTransform(entry, document);
  return (scope) => {
    const name = textFrom(nameOf, scope, "");
    if (name instanceof QueryFailure) return name;
    const found = scope.world.globalContext(name, "");
    const around = `failed to marshal APICall data for context entry ${entry}`;
    const value = valueOf(found, around, `failed to fetch entry key=${name}`);
    return value instanceof QueryFailure ? value : transform(value, scope);
  };
}

/** `imageRegistry: {reference, jmesPath}`: what the World knows of the image (loaders/imagedata.go). */
export function compileImageRegistry(entry: string, document: JsonObject): EntryLoader {
  const referenceOf = compilePart(entry, document, "reference");
  const transform = compileTransform(entry, document);
  return (scope) => {
    const reference = referenceOf(scope);
    if (reference instanceof QueryFailure) return reference;
    if (typeof reference !== "string") {
      return new QueryFailure(
        "failed",
        "invalid image reference, image reference must be a string",
      );
    }
    const around = `failed to fetch image descriptor: ${reference}, error`;
    const value = valueOf(scope.world.imageData(reference), around, "image not found");
    return value instanceof QueryFailure ? value : transform(value, scope);
  };
}

/** Applies an entry's `jmesPath` to what was fetched. */
export function compileTransform(
  entry: string,
  document: JsonObject,
): (value: Json, scope: Scope) => Json | QueryFailure {
  const pathOf = compilePart(entry, document, "jmesPath");
  return (value, scope) => {
    const path = pathOf(scope);
    if (path instanceof QueryFailure || typeof path !== "string") return path ?? value;
    return transformed(entry, value, path, scope);
  };
}

export function transformed(
  entry: string,
  value: Json,
  path: string,
  scope: Scope,
): Json | QueryFailure {
  const result = compileQuery(path.trim()).evaluate(value, scope.world);
  if (!(result instanceof QueryFailure)) return result;
  return wrapped(result, `failed to apply JMESPath ${path} for context entry ${entry}`);
}

/** What the World found, or why there is nothing: `absent` says how the reference puts that it does not exist. */
export function valueOf(answer: Answer, around: string, absent: string): Json | QueryFailure {
  switch (answer.kind) {
    case "found":
      return answer.value;
    case "absent":
      return new QueryFailure("failed", `${around}: ${absent}`);
    case "unavailable":
      return new QueryFailure("unavailable", `${around}: ${answer.reason}`);
    default:
      return answer satisfies never;
  }
}

function textFrom(
  part: (scope: Scope) => Json | QueryFailure,
  scope: Scope,
  otherwise: string,
): string | QueryFailure {
  const value = part(scope);
  if (value instanceof QueryFailure) return value;
  return typeof value === "string" && value !== "" ? value : otherwise;
}
