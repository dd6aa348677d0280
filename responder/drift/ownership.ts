// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, field, isArray, isObject, textAt } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import type { Path, PathStep } from "#responder/edit";

/** One manager's entry of `metadata.managedFields`: a hint about who wrote what, chosen by the client and erasable. */
export type ManagerEntry = {
  readonly manager: string;
  readonly operation: string;
  readonly time: string;
  readonly fields: JsonObject;
};

/** All entries, those of subresources too: controllers set annotations when they write a status. */
export function managersOf(object: JsonObject): readonly ManagerEntry[] {
  const entries = at(object, ["metadata", "managedFields"]);
  if (!isArray(entries)) return [];
  return entries.flatMap((entry) => {
    const fields = field(entry, "fieldsV1");
    if (!isObject(fields)) return [];
    return [
      {
        manager: textAt(entry, ["manager"]),
        operation: textAt(entry, ["operation"]),
        time: textAt(entry, ["time"]),
        fields,
      },
    ];
  });
}

/** The part of a fieldsV1 tree below one step, undefined when the manager holds nothing there. */
export function below(fields: JsonObject, step: PathStep): JsonObject | undefined {
  if (typeof step === "string") {
    const child = field(fields, `f:${step}`);
    return isObject(child) ? child : undefined;
  }
  for (const key of Object.keys(fields)) {
    if (key.startsWith("k:") && sameJson(parseKey(key), step)) {
      const child = fields[key];
      return isObject(child) ? child : undefined;
    }
  }
  return undefined;
}

/** The key fields of a list's items (`x-kubernetes-list-map-keys`), undefined when the list is one value to its managers. */
export function listKeys(trees: readonly JsonObject[]): readonly string[] | undefined {
  for (const tree of trees) {
    const key = Object.keys(tree).find((one) => one.startsWith("k:"));
    if (key !== undefined) return Object.keys(parseKey(key)).sort();
  }
  return undefined;
}

function parseKey(key: string): JsonObject {
  try {
    const parsed: unknown = JSON.parse(key.slice(2));
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

const isLeaf = (tree: JsonObject): boolean =>
  Object.keys(tree).every((key) => key === "." || key.startsWith("v:") || key.startsWith("i:"));

/** Whether a manager holds a path, something below it, or a whole value above it. */
export function holds(entry: ManagerEntry, path: Path): boolean {
  let tree: JsonObject = entry.fields;
  for (const [depth, step] of path.entries()) {
    const child = below(tree, step);
    if (child === undefined) return depth > 0 && isLeaf(tree) && !Object.hasOwn(tree, ".");
    tree = child;
  }
  return true;
}

/** Every path that a manager holds, outermost first; an item of a keyed list stands for all of itself. */
export function heldPaths(entry: ManagerEntry): readonly Path[] {
  const paths: Path[] = [];
  collect(entry.fields, [], paths);
  return paths;
}

function collect(tree: JsonObject, path: Path, into: Path[]): void {
  if (path.length > 0 && isLeaf(tree)) {
    into.push(path);
    return;
  }
  for (const key of Object.keys(tree)) {
    const child = tree[key];
    if (!isObject(child)) continue;
    if (key.startsWith("f:")) collect(child, [...path, key.slice(2)], into);
    else if (key.startsWith("k:")) {
      const item: Path = [...path, parseKey(key)];
      if (Object.hasOwn(child, ".")) into.push(item);
      collect(child, item, into);
    }
  }
}

/** The managers that wrote a version, as far as their entries tell: new, at another time, or holding more than before. */
export function writersOf(before: JsonObject, after: JsonObject): readonly string[] {
  const old = managersOf(before);
  const writers = managersOf(after).filter((entry) => {
    const was = old.find(
      (one) => one.manager === entry.manager && one.operation === entry.operation,
    );
    return was === undefined || was.time !== entry.time || gained(was, entry);
  });
  return [...new Set(writers.map((entry) => entry.manager))].sort();
}

const gained = (was: ManagerEntry, now: ManagerEntry): boolean =>
  !sameJson(was.fields, now.fields) && heldPaths(now).some((path) => !holds(was, path));

/** The step into a list's item by its key fields, undefined when the item lacks one. */
export function itemStep(item: Json, keys: readonly string[]): JsonObject | undefined {
  const entries = keys.map((key): [string, Json | undefined] => [key, field(item, key)]);
  const step: Record<string, Json> = {};
  for (const [key, value] of entries) {
    if (value === undefined) return undefined;
    step[key] = value;
  }
  return step;
}
