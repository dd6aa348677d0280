// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { goPrint, goSyntax, goTypeOf } from "#policy/kubernetes/go-print";
import { anything, fieldSchema } from "#policy/kubernetes/schemas";
import { identify, nameOf } from "#policy/kubernetes/list-identity";
import type { ListRelation, Scalar, Schema } from "#policy/kubernetes/schemas";

export type ApplyOptions = {
  /**
   * Kyverno's `evaluation.useServerSideApply`: atomic lists and maps in the configuration replace the object's, as
   * kubectl apply --server-side does. Otherwise they are errors, as in a MutatingAdmissionPolicy.
   */
  readonly replaceAtomics?: boolean;
};

export type ApplyOutcome =
  | { readonly ok: true; readonly object: JsonObject }
  | { readonly ok: false; readonly message: string };

/**
 * Merges an apply configuration into an object by the list and map types of its schema (structured-merge-diff's Merge,
 * as the API server calls it for MutatingAdmissionPolicies): fields are set, keyed lists merge element by element, sets
 * unite; nothing is removed. The object is not changed. Errors have the reference's texts.
 */
export function applyConfiguration(
  object: JsonObject,
  configuration: JsonObject,
  schema: Schema,
  options: ApplyOptions = {},
): ApplyOutcome {
  const patch = {
    ...configuration,
    apiVersion: object["apiVersion"] ?? null,
    kind: object["kind"] ?? null,
  };
  const invalid = validate(patch, schema, "", false);
  if (invalid.length > 0) {
    return refuse(`failed to convert patch object to typed object: ${printErrors(invalid)}`);
  }
  const atomics = options.replaceAtomics === true ? [] : findAtomics(patch, schema, "");
  if (atomics.length > 0) {
    const paths = atomics.join(", ");
    return refuse(
      `invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${paths}`,
    );
  }
  const unknown = validate(object, schema, "", true);
  if (unknown.length > 0) {
    return refuse(`failed to convert original object to typed object: ${printErrors(unknown)}`);
  }
  const merged = merge(object, patch, schema);
  return isObject(merged) ? { ok: true, object: merged } : refuse("the merge gave no object");
}

const refuse = (message: string): ApplyOutcome => ({ ok: false, message });

type Found = { readonly path: string; readonly message: string };

function printErrors(errors: readonly Found[]): string {
  const texts = errors.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  return texts.length === 1
    ? (texts[0] ?? "")
    : ["errors:", ...texts.map((text) => `  ${text}`)].join("\n");
}

function validate(
  value: Json,
  schema: Schema,
  path: string,
  duplicates: boolean,
): readonly Found[] {
  if (value === null) return [];
  switch (schema.is) {
    case "anything":
      return [];
    case "scalar":
      return isScalar(value, schema.type)
        ? []
        : [{ path, message: wrongScalar(value, schema.type) }];
    case "list":
      return isArray(value)
        ? validateList(value, schema, path, duplicates)
        : [{ path, message: `expected list, got &{${goPrint(value)}}` }];
    case "object":
      if (!isObject(value)) return [{ path, message: `expected map, got &{${goPrint(value)}}` }];
      return Object.keys(value).flatMap((key) => {
        const below = fieldSchema(schema, key);
        if (below === undefined)
          return [{ path: `${path}.${key}`, message: "field not declared in schema" }];
        return validate(value[key] ?? null, below, `${path}.${key}`, duplicates);
      });
    default:
      return schema satisfies never;
  }
}

function validateList(
  list: readonly Json[],
  schema: Extract<Schema, { is: "list" }>,
  path: string,
  duplicates: boolean,
): readonly Found[] {
  const errors: Found[] = [];
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    let name = `[${index}]`;
    if (schema.relation.is !== "atomic") {
      const identity = identify(item, schema.relation);
      if (!identity.ok)
        return [...errors, { path, message: `element ${index}: ${identity.message}` }];
      name = identity.name;
      if (seen.has(name) && !duplicates) {
        errors.push({ path, message: `duplicate entries for key ${name}` });
      }
      seen.add(name);
    }
    errors.push(...validate(item, schema.element(), `${path}${name}`, duplicates));
  }
  return errors;
}

/** The reference prints a value in a different way for each type that it expects. */
function wrongScalar(value: Json, type: Scalar): string {
  switch (type) {
    case "number":
      return `expected numeric (int or float), got ${goTypeOf(value)}`;
    case "string":
      return `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`;
    case "boolean":
      return `expected boolean, got &{${goPrint(value)}}`;
    case "any":
      return `expected any scalar, got &{${goPrint(value)}}`;
    default:
      return type satisfies never;
  }
}

function isScalar(value: Json, type: Scalar): boolean {
  if (type === "any") return typeof value !== "object";
  return typeof value === type;
}

/** Paths of atomic parts that the configuration states. Keys that a map does not list are not looked into. */
function findAtomics(value: Json, schema: Schema, path: string): readonly string[] {
  if (isObject(value)) {
    if (schema.is !== "object" && schema.is !== "anything") return [];
    const own = schema.is === "object" && schema.atomic ? [path] : [];
    const below = Object.keys(value).flatMap((key) => {
      const inner = schema.is === "object" ? schema.field(key) : undefined;
      if (schema.is === "object" && inner === undefined) return [];
      return findAtomics(value[key] ?? null, inner ?? anything, `${path}.${key}`);
    });
    return [...own, ...below];
  }
  if (!isArray(value) || (schema.is !== "list" && schema.is !== "anything")) return [];
  const atomic = schema.is === "anything" || schema.relation.is === "atomic";
  const element = schema.is === "list" ? schema.element() : anything;
  const below = value.flatMap((item, index) => findAtomics(item, element, `${path}[${index}]`));
  return atomic ? [path, ...below] : below;
}

function merge(left: Json | undefined, right: Json | undefined, schema: Schema): Json | undefined {
  if (right === undefined) return left;
  if (left === undefined) return right;
  switch (schema.is) {
    case "scalar":
      return right;
    case "anything":
      return isObject(left) && isObject(right) ? mergeObjects(left, right, () => anything) : right;
    case "list":
      if (schema.relation.is === "atomic" || !isArray(left) || !isArray(right))
        return right ?? left;
      return left.length + right.length === 0
        ? right
        : mergeLists(left, right, schema, schema.relation);
    case "object":
      if (schema.atomic || !isObject(left) || !isObject(right)) return right ?? left;
      return mergeObjects(left, right, (key) => fieldSchema(schema, key) ?? anything);
    default:
      return schema satisfies never;
  }
}

function mergeObjects(
  left: JsonObject,
  right: JsonObject,
  below: (key: string) => Schema,
): JsonObject {
  const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  const entries = keys.flatMap((key): readonly [string, Json][] => {
    const merged = merge(field(left, key), field(right, key), below(key));
    return merged === undefined ? [] : [[key, merged]];
  });
  // fromEntries defines own properties, also for a key like __proto__.
  return Object.fromEntries(entries);
}

/**
 * The elements of both lists, each once: an element of the object keeps its place, new ones of the configuration come
 * where the order of the configuration puts them, which wins where the two disagree.
 */
function mergeLists(
  left: readonly Json[],
  right: readonly Json[],
  schema: Extract<Schema, { is: "list" }>,
  relation: ListRelation,
): readonly Json[] {
  const leftNames = left.map((item) => nameOf(item, relation));
  const rightNames = right.map((item) => nameOf(item, relation));
  const leftByName = firstByName(left, leftNames);
  const inRight = new Set(rightNames);
  const shared = rightNames.filter((name) => leftByName.has(name));
  const merged = new Set<string>();
  const out: Json[] = [];
  const takeRight = (index: number): void => {
    const name = rightNames[index] ?? "";
    merged.add(name);
    const item = merge(leftByName.get(name) ?? undefined, right[index], schema.element());
    if (item !== undefined) out.push(item);
    if (shared[0] === name) shared.shift();
  };
  let l = 0;
  let r = 0;
  while (l < left.length || r < right.length) {
    const name = leftNames[l];
    if (name !== undefined && r < right.length) {
      if (name === rightNames[r]) {
        takeRight(r);
        l += 1;
        r += 1;
        continue;
      }
      // The object has it, but the configuration wants another shared one first.
      if (inRight.has(name) && shared.length > 0 && shared[0] !== name) {
        l += 1;
        continue;
      }
    }
    if (name !== undefined && !inRight.has(name)) {
      out.push(left[l] ?? null);
      l += 1;
      continue;
    }
    if (name !== undefined && merged.has(name)) l += 1;
    if (r < right.length) {
      takeRight(r);
      r += 1;
    }
  }
  return out;
}

/** Elements that occur twice in the object are not merged with the configuration's: they give way to it. */
function firstByName(
  items: readonly Json[],
  names: readonly string[],
): ReadonlyMap<string, Json | undefined> {
  const byName = new Map<string, Json | undefined>();
  for (const [index, name] of names.entries()) {
    byName.set(name, byName.has(name) ? undefined : items[index]);
  }
  return byName;
}
