// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { field, isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { parseApiVersion } from "#policy/kubernetes/kinds";
import { sameJson } from "./json-edit.ts";

/**
 * A node of `fieldsV1` (Kubernetes structured-merge-diff fieldpath/serialize.go): `f:name` a field, `k:{...}` an element
 * of a keyed list, `v:...` a value of a set, `.` the thing itself.
 */
export type FieldsNode = JsonObject;

/** Who owns what of a live object. */
export type Ownership = {
  /** What Crossplane applied for this composite; undefined when it owns nothing. */
  readonly ours: FieldsNode | undefined;
  readonly others: readonly FieldsNode[];
  /** False for an object without any record of owners, as hand-written files have it. */
  readonly recorded: boolean;
};

/**
 * The field manager under which Crossplane applies the composed resources of a composite
 * (core internal/controller/apiextensions/composite, ComposedFieldOwnerName; the namespace is no part of it).
 */
export function composedFieldManager(composite: JsonObject): string {
  const { group } = parseApiVersion(textAt(composite, ["apiVersion"]));
  const kind = textAt(composite, ["kind"]);
  const groupKind = group === "" ? kind : `${kind}.${group}`;
  const name = textAt(composite, ["metadata", "name"]);
  const hash = createHash("sha256").update(`${name}${groupKind}`).digest("hex");
  return `apiextensions.crossplane.io/composed/${hash}`;
}

export function ownershipOf(live: JsonObject, manager: string): Ownership {
  const entries = field(field(live, "metadata"), "managedFields");
  let ours: FieldsNode | undefined;
  const others: FieldsNode[] = [];
  for (const entry of isArray(entries) ? entries : []) {
    const fields = field(entry, "fieldsV1");
    if (!isObject(fields)) continue;
    const applied =
      textAt(entry, ["operation"]) === "Apply" && textAt(entry, ["subresource"]) === "";
    if (applied && textAt(entry, ["manager"]) === manager) ours = fields;
    else others.push(fields);
  }
  return { ours, others, recorded: isArray(entries) && entries.length > 0 };
}

/** The node of a field below a node. */
export function fieldNode(node: FieldsNode | undefined, name: string): FieldsNode | undefined {
  const child = field(node, `f:${name}`);
  return isObject(child) ? child : undefined;
}

/** The node of the list element with these keys. */
export function itemNode(node: FieldsNode | undefined, keys: JsonObject): FieldsNode | undefined {
  for (const [key, child] of Object.entries(node ?? {})) {
    if (key.startsWith("k:") && isObject(child) && sameJson(parseKeys(key), keys)) return child;
  }
  return undefined;
}

/** The keys in `k:{"name":"a"}`; an empty object when they are not readable. */
export function parseKeys(key: string): JsonObject {
  try {
    const parsed: unknown = JSON.parse(key.slice(2));
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

/** Names of the keys that elements of a list have in anybody's record; undefined when it is not kept as a keyed list. */
export function listKeys(
  nodes: readonly (FieldsNode | undefined)[],
): readonly string[] | undefined {
  for (const node of nodes) {
    const key = Object.keys(node ?? {}).find((each) => each.startsWith("k:"));
    if (key !== undefined) return Object.keys(parseKeys(key));
  }
  return undefined;
}

/** Whether a node is a leaf: the manager owns the value as a whole. With `.` alone it owns only an empty container. */
export const isLeaf = (node: FieldsNode): boolean => Object.keys(node).length === 0;

/** Whether any of the records mentions a field, itself or something in it. */
export const anyOwns = (nodes: readonly (FieldsNode | undefined)[]): boolean =>
  nodes.some((node) => node !== undefined);

/** The part of a value that a record names: what its manager would apply again. */
export function project(value: Json, node: FieldsNode): Json {
  if (isLeaf(node)) return value;
  if (isArray(value)) {
    const kept = value.filter((item) => listItemNode(node, item) !== undefined);
    return kept.map((item) => project(item, listItemNode(node, item) ?? {}));
  }
  if (!isObject(value)) return value;
  const kept = Object.entries(value).flatMap(
    ([key, item]): readonly (readonly [string, Json])[] => {
      const child = fieldNode(node, key);
      return child === undefined ? [] : [[key, project(item, child)]];
    },
  );
  return Object.fromEntries(kept);
}

function listItemNode(node: FieldsNode, item: Json): FieldsNode | undefined {
  for (const [key, child] of Object.entries(node)) {
    if (!isObject(child)) continue;
    if (key.startsWith("k:") && isObject(item) && matches(item, parseKeys(key))) return child;
    if (key.startsWith("v:") && key.slice(2) === JSON.stringify(item)) return {};
  }
  return undefined;
}

const matches = (item: JsonObject, keys: JsonObject): boolean =>
  Object.keys(keys).length > 0 &&
  Object.entries(keys).every(([key, value]) => sameJson(field(item, key), value));
