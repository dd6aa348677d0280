// SPDX-License-Identifier: Apache-2.0
import { at, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { packSchemas } from "#policy/kubernetes/open-api-schema";
import { unpackSchemas } from "#policy/kubernetes/schemas";
import type { Schema } from "#policy/kubernetes/schemas";
import type { GroupVersionKind } from "#policy/review";

/**
 * How custom resources are built, as CustomResourceDefinitions among the objects say, in the form that the API server
 * publishes: every object has metadata of its own, whatever its definition says of it. Other objects are passed over.
 */
export function schemasOfDefinitions(
  objects: readonly JsonObject[],
): (kind: GroupVersionKind) => Schema | undefined {
  const definitions = objects.filter(
    (object) => textAt(object, ["kind"]) === "CustomResourceDefinition",
  );
  if (definitions.length === 0) return () => undefined;
  return unpackSchemas(packSchemas(Object.fromEntries(definitions.flatMap(namedSchemas))));
}

function namedSchemas(definition: JsonObject): readonly (readonly [string, Json])[] {
  const group = textAt(definition, ["spec", "group"]);
  const kind = textAt(definition, ["spec", "names", "kind"]);
  const versions = at(definition, ["spec", "versions"]);
  return (isArray(versions) ? versions : []).flatMap((each) => {
    const version = textAt(each, ["name"]);
    const schema = at(each, ["schema", "openAPIV3Schema"]);
    if (!isObject(schema)) return [];
    const stated = at(schema, ["properties"]);
    const properties = {
      ...(isObject(stated) ? stated : {}),
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
    };
    // A definition without fields keeps anything.
    const known = isObject(stated) ? { ...schema, properties } : schema;
    const named = { ...known, "x-kubernetes-group-version-kind": [{ group, version, kind }] };
    return [[`${group}.${version}.${kind}`, named] as const];
  });
}
