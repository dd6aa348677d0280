// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { PackedNode, PackedSchemas } from "#policy/kubernetes/schemas";

/**
 * Packs the schemas of an OpenAPI document (v3 `components.schemas`, or v2 `definitions`) into what a structured merge
 * needs: which fields a type has, and whether lists and maps are atomic, sets or keyed. Follows kube-openapi
 * pkg/schemaconv; only what the given kinds reach is kept. Descriptions, patterns and bounds are left out.
 */
export function packSchemas(schemas: JsonObject): PackedSchemas {
  const packer = new Packer(schemas);
  const kinds: Record<string, number> = {};
  for (const name of Object.keys(schemas).sort()) {
    for (const kind of kindsOf(schemas[name])) kinds[kind] = packer.indexOf(name);
  }
  return { kinds, types: packer.finish() };
}

/** `apps/v1/Deployment`; lists of objects and the options of requests are nobody's policy. */
function kindsOf(schema: Json | undefined): readonly string[] {
  const kinds = field(schema, "x-kubernetes-group-version-kind");
  if (!isArray(kinds) || kinds.length !== 1) return [];
  return kinds.flatMap((kind): readonly string[] => {
    const name = textAt(kind, ["kind"]);
    if (name === "" || name.endsWith("List")) return [];
    return [`${textAt(kind, ["group"])}/${textAt(kind, ["version"])}/${name}`];
  });
}

/** Numbers the types as they are first reached and packs each once. */
class Packer {
  readonly #schemas: JsonObject;
  readonly #indices = new Map<string, number>();
  readonly #names: string[] = [];
  constructor(schemas: JsonObject) {
    this.#schemas = schemas;
  }

  indexOf(name: string): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    this.#indices.set(name, this.#names.length);
    this.#names.push(name);
    return this.#names.length - 1;
  }

  finish(): readonly PackedNode[] {
    const types: PackedNode[] = [];
    for (let index = 0; index < this.#names.length; index += 1) {
      types.push(this.#pack(field(this.#schemas, this.#names[index] ?? "") ?? {}));
    }
    return types;
  }

  #pack(schema: Json): PackedNode {
    const reference = textAt(schema, ["$ref"]) || textAt(schema, ["allOf", 0, "$ref"]);
    if (reference !== "") return this.#packReference(reference, schema);
    switch (textAt(schema, ["type"])) {
      case "object":
        return this.#packObject(schema);
      case "array":
        return this.#packList(schema);
      case "integer":
      case "number":
        return "n";
      case "boolean":
        return "b";
      case "string": {
        const format = textAt(schema, ["format"]);
        return format === "" || format === "byte" ? "s" : "u";
      }
      default:
        return "?";
    }
  }

  #packReference(reference: string, schema: Json): PackedNode {
    const index = this.indexOf(reference.slice(reference.lastIndexOf("/") + 1));
    return textAt(schema, ["x-kubernetes-map-type"]) === "atomic" ? ["r", index] : index;
  }

  #packObject(schema: Json): PackedNode {
    const properties = field(schema, "properties");
    const fields: Record<string, PackedNode> = {};
    if (isObject(properties)) {
      for (const name of Object.keys(properties).sort())
        fields[name] = this.#pack(properties[name] ?? {});
    }
    const atomic = textAt(schema, ["x-kubernetes-map-type"]) === "atomic" ? 1 : 0;
    const others = this.#packOthers(schema, Object.keys(fields).length === 0);
    return others === undefined ? ["f", fields, atomic] : ["f", fields, atomic, others];
  }

  #packOthers(schema: Json, free: boolean): PackedNode | undefined {
    const others = field(schema, "additionalProperties");
    if (isObject(others)) return this.#pack(others);
    const preserved = field(schema, "x-kubernetes-preserve-unknown-fields") === true;
    return others === true || (others === undefined && (free || preserved)) ? "?" : undefined;
  }

  #packList(schema: Json): PackedNode {
    const items = field(schema, "items") ?? {};
    const element = this.#pack(items);
    switch (textAt(schema, ["x-kubernetes-list-type"])) {
      case "set":
        return ["e", element];
      case "map":
        return ["m", element, this.#keysOf(schema, items)];
      case "atomic":
        return ["a", element];
      default:
        return this.#packByPatchStrategy(schema, items, element);
    }
  }

  #packByPatchStrategy(schema: Json, items: Json, element: PackedNode): PackedNode {
    if (!textAt(schema, ["x-kubernetes-patch-strategy"]).startsWith("merge")) return ["a", element];
    const key = textAt(schema, ["x-kubernetes-patch-merge-key"]);
    return key === "" ? ["e", element] : ["m", element, [[key, this.#defaultOf(items, key)]]];
  }

  #keysOf(schema: Json, items: Json): readonly (readonly [string, Json])[] {
    const keys = field(schema, "x-kubernetes-list-map-keys");
    if (!isArray(keys)) return [];
    return keys.flatMap((key) =>
      typeof key === "string" ? [[key, this.#defaultOf(items, key)] as const] : [],
    );
  }

  /** null where the key has no default. */
  #defaultOf(items: Json, key: string): Json {
    const reference = textAt(items, ["$ref"]) || textAt(items, ["allOf", 0, "$ref"]);
    const name = reference.slice(reference.lastIndexOf("/") + 1);
    const item = reference === "" ? items : field(this.#schemas, name);
    return at(item, ["properties", key, "default"]) ?? null;
  }
}
