// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { allOf, hasMember, isIdentifier, member, not, quote } from "./cel-text.ts";
import { Refusal } from "./refusal.ts";
import type { Assumptions } from "./refusal.ts";

/** Maps that Kubernetes' schemas call atomic. */
const atomicMaps = new Set(["nodeSelector", "selector", "matchLabels"]);

/** Maps of Kubernetes objects whose keys are free: CEL writes them as maps, not as typed objects. */
const freeMaps = new Set([
  "labels",
  "annotations",
  "nodeSelector",
  "matchLabels",
  "data",
  "stringData",
  "binaryData",
  "limits",
  "requests",
]);

/**
 * The mutations of a MutatingPolicy that do what a patchStrategicMerge of maps and scalars does.
 * @throws Refusal for lists (merged by name, prepended), nulls (deletion), variables, and conditional anchors
 */
export function rewriteMutation(mutate: Json, assumptions: Assumptions): readonly JsonObject[] {
  for (const key of ["patchesJson6902", "foreach", "targets"]) {
    if (field(mutate, key) !== undefined) {
      throw new Refusal(`mutate.${key}`, reasons[key] ?? "has no equivalent");
    }
  }
  const patch = field(mutate, "patchStrategicMerge");
  if (!isObject(patch)) throw new Refusal("mutate", "has no patchStrategicMerge that is a map");
  assumptions.add("the objects that a patch goes through are maps, and no field is null");
  const leaves: Leaf[] = [];
  collect(patch, [], "mutate.patchStrategicMerge", leaves);
  if (leaves.length === 0) throw new Refusal("mutate.patchStrategicMerge", "changes nothing");
  const always = leaves.filter((leaf) => leaf.absentOf === undefined);
  const added = leaves.filter((leaf) => leaf.absentOf !== undefined);
  return [
    ...(always.length === 0 ? [] : [applyConfiguration(objectOf(always))]),
    ...added.map((leaf) => {
      const absent = not(allOf(presence(leaf.absentOf ?? [])));
      return applyConfiguration(`${absent} ? ${objectOf([leaf])} : Object{}`);
    }),
  ];
}

const reasons: Readonly<Record<string, string>> = {
  patchesJson6902:
    "Kyverno's JSON patches create missing parents and pass over missing paths, which CEL's do not",
  foreach: "elements are patched one after the other on what the one before left",
  targets: "existing objects are selected in another way",
};

const applyConfiguration = (expression: string): JsonObject => ({
  patchType: "ApplyConfiguration",
  applyConfiguration: { expression },
});

type Leaf = {
  readonly path: readonly string[];
  readonly value: string | number | boolean;
  /** Only where this path is not there yet: the anchor `+(key)`. */
  readonly absentOf: readonly string[] | undefined;
};

function collect(patch: JsonObject, path: readonly string[], shown: string, leaves: Leaf[]): void {
  for (const raw of Object.keys(patch)) {
    const value = patch[raw] ?? null;
    const here = `${shown}.${raw}`;
    const anchored = /^([+<=X^]?)\((.+)\)$/.exec(raw);
    const [, sign, inner = ""] = anchored ?? [];
    if (anchored !== null && sign !== "+") {
      throw new Refusal(here, "a condition inside a patch decides about its neighbours");
    }
    const key = anchored === null ? raw : inner;
    if (key.startsWith("$") || key.includes("{{"))
      throw new Refusal(here, "a directive or variable as key");
    if (atomicMaps.has(key) && isObject(value)) {
      throw new Refusal(here, "is atomic: an apply configuration may not change a part of it");
    }
    const below = [...path, key];
    if (isObject(value) && anchored === null) {
      collect(value, below, here, leaves);
      continue;
    }
    if (value === null || isArray(value) || isObject(value))
      throw new Refusal(here, listReason(value));
    if (typeof value === "string" && (value.includes("{{") || value.includes("$("))) {
      throw new Refusal(here, `the variable in ${JSON.stringify(value)} is computed by JMESPath`);
    }
    leaves.push({ path: below, value, absentOf: anchored === null ? undefined : below });
  }
}

const listReason = (value: Json): string =>
  value === null
    ? "null deletes, which apply configurations cannot"
    : "lists are merged by name and prepended, which apply configurations do in another order";

/** Every step of the path is there. */
const presence = (path: readonly string[]): readonly string[] =>
  path.map((key, depth) => hasMember(path.slice(0, depth).reduce(member, "object"), key));

/** `Object{spec: Object.spec{...}}` with the leaves in it. */
function objectOf(leaves: readonly Leaf[]): string {
  return build(leaves, 0, "Object");
}

function build(leaves: readonly Leaf[], depth: number, type: string): string {
  const keys = [...new Set(leaves.map((leaf) => leaf.path[depth] ?? ""))];
  const isFree = freeMaps.has(type.slice(type.lastIndexOf(".") + 1)) && type !== "Object";
  const entries = keys.map((key) => {
    if (!isFree && !isIdentifier(key)) {
      throw new Refusal("mutate.patchStrategicMerge", `${key} is no name of a field`);
    }
    const below = leaves.filter((leaf) => leaf.path[depth] === key);
    const [leaf] = below;
    const isLeaf = leaf !== undefined && leaf.path.length === depth + 1;
    const value = isLeaf ? literal(leaf.value) : build(below, depth + 1, `${type}.${key}`);
    return `${isFree ? quote(key) : key}: ${value}`;
  });
  return isFree ? `{${entries.join(", ")}}` : `${type}{${entries.join(", ")}}`;
}

function literal(value: string | number | boolean): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Refusal("mutate.patchStrategicMerge", `${value} is no whole number`);
  }
  return String(value);
}
