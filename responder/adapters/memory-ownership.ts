// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, field, isArray, isObject, textAt } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";

/** A path of member names; lists are one value here, as with `x-kubernetes-list-type: atomic`. */
type Leaf = readonly string[];

/** Members that no manager owns (apimachinery: managedfields strips them). */
const unowned = new Set([
  "apiVersion",
  "kind",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "metadata.resourceVersion",
  "metadata.generation",
  "metadata.creationTimestamp",
  "metadata.managedFields",
]);

/** The leaves of an object that can be owned. */
export function leavesOf(value: Json, prefix: Leaf = []): readonly Leaf[] {
  if (unowned.has(prefix.join("."))) return [];
  if (!isObject(value)) return [prefix];
  const keys = Object.keys(value);
  if (keys.length === 0 && prefix.length > 0) return [prefix];
  return keys.flatMap((key) => leavesOf(value[key] ?? null, [...prefix, key]));
}

const keyOf = (leaf: Leaf): string => JSON.stringify(leaf);

/** Who owns which leaves, as kept in `metadata.managedFields`. */
type Owners = Map<string, { readonly operation: string; readonly leaves: Map<string, Leaf> }>;

function ownersOf(object: JsonObject): Owners {
  const owners: Owners = new Map();
  const entries = at(object, ["metadata", "managedFields"]);
  for (const entry of isArray(entries) ? entries : []) {
    const leaves = new Map<string, Leaf>();
    collect(field(entry, "fieldsV1"), [], leaves);
    owners.set(textAt(entry, ["manager"]), { operation: textAt(entry, ["operation"]), leaves });
  }
  return owners;
}

function collect(fields: Json | undefined, prefix: Leaf, into: Map<string, Leaf>): void {
  if (!isObject(fields)) return;
  for (const key of Object.keys(fields).filter((name) => name.startsWith("f:"))) {
    const path = [...prefix, key.slice(2)];
    const below = fields[key];
    if (isObject(below) && Object.keys(below).length === 0) into.set(keyOf(path), path);
    else collect(below, path, into);
  }
}

function writeOwners(object: JsonObject, owners: Owners, now: string): JsonObject {
  const managedFields = [...owners]
    .filter(([, owner]) => owner.leaves.size > 0)
    .map(([manager, owner]) => ({
      manager,
      operation: owner.operation,
      apiVersion: textAt(object, ["apiVersion"]),
      time: now,
      fieldsType: "FieldsV1",
      fieldsV1: treeOf([...owner.leaves.values()]),
    }));
  const metadata = field(object, "metadata");
  return { ...object, metadata: { ...(isObject(metadata) ? metadata : {}), managedFields } };
}

type Tree = { [key: string]: Tree };

function treeOf(leaves: readonly Leaf[]): JsonObject {
  const tree: Tree = {};
  for (const leaf of leaves) {
    let here = tree;
    for (const step of leaf) here = here[`f:${step}`] ??= {};
  }
  return tree;
}

/** Moves ownership after an ordinary write: what changed belongs to the writer alone, what went belongs to nobody. */
export function afterUpdate(
  before: JsonObject | undefined,
  after: JsonObject,
  manager: string,
  now: string,
): JsonObject {
  const owners = ownersOf(before ?? {});
  const live = new Map(leavesOf(after).map((leaf) => [keyOf(leaf), leaf]));
  const changed = [...live.values()].filter(
    (leaf) => before === undefined || !sameJson(at(before, leaf), at(after, leaf)),
  );
  for (const owner of owners.values()) {
    for (const key of owner.leaves.keys()) if (!live.has(key)) owner.leaves.delete(key);
    for (const leaf of changed) owner.leaves.delete(keyOf(leaf));
  }
  const mine = owners.get(manager) ?? { operation: "Update", leaves: new Map<string, Leaf>() };
  for (const leaf of changed) mine.leaves.set(keyOf(leaf), leaf);
  owners.set(manager, mine);
  return writeOwners(after, owners, now);
}

export type Applied =
  | { readonly ok: true; readonly object: JsonObject }
  | { readonly ok: false; readonly conflict: string };

/** Server-side apply over maps: sets the leaves, drops those the manager no longer states, refuses others' values unless forced. */
export function applied(
  before: JsonObject | undefined,
  intent: JsonObject,
  manager: string,
  force: boolean,
  now: string,
): Applied {
  const owners = ownersOf(before ?? {});
  const wanted = new Map(leavesOf(intent).map((leaf) => [keyOf(leaf), leaf]));
  const mine = owners.get(manager)?.leaves ?? new Map<string, Leaf>();
  let object: JsonObject = before ?? { ...intent };
  for (const [name, owner] of owners) {
    if (name === manager) continue;
    for (const [key, leaf] of wanted) {
      if (!owner.leaves.has(key) || sameJson(at(object, leaf), at(intent, leaf))) continue;
      if (!force) return { ok: false, conflict: `conflict with "${name}": .${leaf.join(".")}` };
      owner.leaves.delete(key);
    }
  }
  for (const [key, leaf] of mine) {
    const shared = [...owners].some(([name, owner]) => name !== manager && owner.leaves.has(key));
    if (!wanted.has(key) && !shared) object = without(object, leaf);
  }
  for (const leaf of wanted.values()) object = withLeaf(object, leaf, at(intent, leaf) ?? null);
  owners.set(manager, { operation: "Apply", leaves: wanted });
  return { ok: true, object: writeOwners(object, owners, now) };
}

function withLeaf(object: JsonObject, leaf: Leaf, value: Json): JsonObject {
  const [step, ...rest] = leaf;
  if (step === undefined) return object;
  const below = field(object, step);
  const next = rest.length === 0 ? value : withLeaf(isObject(below) ? below : {}, rest, value);
  return { ...object, [step]: next };
}

function without(object: JsonObject, leaf: Leaf): JsonObject {
  const [step, ...rest] = leaf;
  if (step === undefined || !Object.hasOwn(object, step)) return object;
  if (rest.length === 0) {
    return Object.fromEntries(Object.entries(object).filter(([key]) => key !== step));
  }
  const below = object[step];
  return isObject(below) ? { ...object, [step]: without(below, rest) } : object;
}

/** What a no-op write leaves as it is: everything but when a manager wrote; one that states what is there already holds it from now on. */
export function content(object: JsonObject): JsonObject {
  const metadata = field(object, "metadata");
  if (!isObject(metadata)) return object;
  const all = at(metadata, ["managedFields"]);
  const entries = isArray(all) ? all : [];
  const managedFields = entries.map((one) => (isObject(one) ? { ...one, time: "" } : one));
  return { ...object, metadata: { ...metadata, managedFields } };
}
