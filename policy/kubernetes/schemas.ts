// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import type { GroupVersionKind } from "#policy/review";
import packed from "./schemas.json" with { type: "json" };

/**
 * A schema in short form, as schemas.json holds it:
 * - `s` string, `n` number, `b` boolean, `u` any scalar, `?` anything (its maps merge, its lists are atomic)
 * - a number: the type with that index; `["r", index]` the same, but atomic
 * - `["a", element]` atomic list, `["e", element]` set, `["m", element, [[key, default or null], ...]]` list by keys
 * - `["f", fields, atomic 0 | 1, type of other fields]` object; without the last, other fields are errors
 */
export type PackedNode =
  | "s"
  | "n"
  | "b"
  | "u"
  | "?"
  | number
  | readonly ["r", number]
  | readonly ["a" | "e", PackedNode]
  | readonly ["m", PackedNode, readonly (readonly [string, Json])[]]
  | readonly ["f", Readonly<Record<string, PackedNode>>, 0 | 1, PackedNode?];

export type PackedSchemas = {
  /** `group/version/Kind` to the index of its type. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly types: readonly PackedNode[];
};

export type Scalar = "string" | "number" | "boolean" | "any";

export type Schema =
  | { readonly is: "scalar"; readonly type: Scalar }
  | { readonly is: "anything" }
  | { readonly is: "list"; readonly element: () => Schema; readonly relation: ListRelation }
  | {
      readonly is: "object";
      readonly field: (name: string) => Schema | undefined;
      /** Of fields that the type does not list, e.g. labels; undefined where there may be none. */
      readonly others: (() => Schema) | undefined;
      readonly atomic: boolean;
    };

export type ListRelation =
  | { readonly is: "atomic" }
  | { readonly is: "set" }
  /** Elements with the same keys are the same element; a missing key has its default, null for none. */
  | { readonly is: "map"; readonly keys: readonly (readonly [string, Json])[] };

/** The schema of what has none, e.g. a custom resource: maps merge, lists are atomic. */
export const anything: Schema = { is: "anything" };

/** Of a field of an object; undefined where there may be none. */
export const fieldSchema = (
  schema: Extract<Schema, { is: "object" }>,
  key: string,
): Schema | undefined => schema.field(key) ?? schema.others?.();

/** Of every kind that Kubernetes 1.36 serves; {@link anything} for other kinds. */
export function schemaOf(kind: GroupVersionKind): Schema {
  return kubernetes(kind) ?? anything;
}

/** Makes the lookup over a packed set: undefined for a kind that the set does not have. */
export function unpackSchemas(set: PackedSchemas): (kind: GroupVersionKind) => Schema | undefined {
  const unpacked = new Map<number, Schema>();
  const typeAt = (index: number): Schema => {
    const known = unpacked.get(index);
    if (known !== undefined) return known;
    const made = unpack(set.types[index] ?? "?", typeAt);
    unpacked.set(index, made);
    return made;
  };
  return ({ group, version, kind }) => {
    const key = `${group}/${version}/${kind}`;
    const index = Object.hasOwn(set.kinds, key) ? set.kinds[key] : undefined;
    return index === undefined ? undefined : typeAt(index);
  };
}

// The JSON's inferred type is a union of its literal shapes; the shape is checked by the test that packs it anew.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const kubernetes = unpackSchemas(packed as unknown as PackedSchemas);

const scalars = { s: "string", n: "number", b: "boolean", u: "any" } as const;

function unpack(node: PackedNode, typeAt: (index: number) => Schema): Schema {
  if (node === "?") return anything;
  if (typeof node === "number") return typeAt(node);
  if (typeof node === "string") return { is: "scalar", type: scalars[node] };
  switch (node[0]) {
    case "r": {
      const type = typeAt(node[1]);
      return type.is === "object" ? { ...type, atomic: true } : type;
    }
    case "a":
      return { is: "list", element: () => unpack(node[1], typeAt), relation: { is: "atomic" } };
    case "e":
      return { is: "list", element: () => unpack(node[1], typeAt), relation: { is: "set" } };
    case "m":
      return {
        is: "list",
        element: () => unpack(node[1], typeAt),
        relation: { is: "map", keys: node[2] },
      };
    case "f": {
      const [, fields, atomic, others] = node;
      return {
        is: "object",
        field: (name) => {
          const found = Object.hasOwn(fields, name) ? fields[name] : undefined;
          return found === undefined ? undefined : unpack(found, typeAt);
        },
        others: others === undefined ? undefined : () => unpack(others, typeAt),
        atomic: atomic === 1,
      };
    }
    default:
      return node satisfies never;
  }
}
