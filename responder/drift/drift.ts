// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { field, isArray, isObject } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import type { Edit, Path } from "#responder/edit";
import { canonical } from "#responder/exact-json";
import {
  below,
  heldPaths,
  holds,
  itemStep,
  listKeys,
  managersOf,
  writersOf,
} from "#responder/drift/ownership";

/** One difference between the trusted baseline and the live object; `from` is the live value, `to` the trusted one. */
export type Drift = {
  readonly edit: Edit;
  /**
   * ownerHeals: the owner states another value and puts it back by itself. gap: nobody does, it stays until somebody acts.
   */
  readonly verdict: "ownerHeals" | "gap";
  /** Field manager that holds the path now: a hint. '' when nobody does. */
  readonly manager: string;
};

export type Trust = (manager: string) => boolean;

const ignoredMetadata = new Set([
  "managedFields",
  "resourceVersion",
  "generation",
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "selfLink",
]);
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/** The part of an object that drift is about: no status, no bookkeeping. */
export function content(object: JsonObject): JsonObject {
  const kept = Object.entries(object).filter(([key]) => key !== "status");
  const metadata = field(object, "metadata");
  if (!isObject(metadata)) return Object.fromEntries(kept);
  const entries = Object.entries(metadata).filter(([key]) => !ignoredMetadata.has(key));
  const annotations = field(metadata, "annotations");
  const clean = isObject(annotations)
    ? Object.entries(annotations).filter(([key]) => key !== lastApplied)
    : [];
  const meta = Object.fromEntries(entries.filter(([key]) => key !== "annotations"));
  const withAnnotations =
    clean.length === 0 ? meta : { ...meta, annotations: Object.fromEntries(clean) };
  return { ...Object.fromEntries(kept), metadata: withAnnotations };
}

/** Whether a trusted manager holds anything of the object: a label alone makes nothing a composed resource. */
export const isComposed = (object: JsonObject, trust: Trust): boolean =>
  managersOf(object).some((entry) => trust(entry.manager));

/**
 * The baseline of an object of which nothing was seen before: its content without what only untrusted managers hold.
 * Fields that nobody holds are defaults and webhooks' work, and count as trusted here.
 */
export function firstBaseline(object: JsonObject, trust: Trust): JsonObject {
  const managers = managersOf(object);
  const trusted = managers.filter((entry) => trust(entry.manager));
  let baseline: Json = content(object);
  for (const entry of managers.filter((one) => !trust(one.manager))) {
    for (const path of heldPaths(entry)) {
      if (trusted.some((one) => holds(one, path))) continue;
      baseline = withValue(baseline, path, undefined);
    }
  }
  return isObject(baseline) ? baseline : {};
}

/**
 * The baseline after one version: moved only by what trusted writers changed between the two versions. A foreign extra that is still
 * there when the owner writes does not become trusted by it.
 */
export function nextBaseline(
  baseline: JsonObject,
  before: JsonObject,
  after: JsonObject,
  trust: Trust,
): JsonObject {
  const writers = writersOf(before, after);
  let next: Json = baseline;
  for (const edit of difference(before, after)) {
    if (!isTrustedChange(edit, after, writers, trust)) continue;
    next = withValue(next, edit.path, edit.to);
  }
  return isObject(next) ? next : {};
}

/** A changed value belongs to its writer alone afterwards, so its holder tells; what is gone or nobody's is told by who wrote the version. */
function isTrustedChange(
  edit: Edit,
  after: JsonObject,
  writers: readonly string[],
  trust: Trust,
): boolean {
  const holders = managersOf(after).filter((entry) => holds(entry, edit.path));
  if (edit.to !== undefined && holders.length > 0) {
    return holders.some((entry) => trust(entry.manager));
  }
  return writers.length > 0 && writers.every(trust);
}

/** What differs from the baseline, with what is to be expected of the owner. `before` is the version before the change, if seen. */
export function findDrift(
  baseline: JsonObject,
  live: JsonObject,
  before: JsonObject | undefined,
  trust: Trust,
): readonly Drift[] {
  return difference(live, baseline).map((edit) => {
    const holders = managersOf(live).filter((entry) => holds(entry, edit.path));
    const owners = managersOf(before ?? live).filter(
      (entry) => trust(entry.manager) && holds(entry, edit.path),
    );
    const untrusted = holders.find((entry) => !trust(entry.manager));
    // The owner states a value only where it applied one: an Update by a trusted manager is a default or late initialisation.
    const isStated = edit.to !== undefined && owners.some((entry) => entry.operation === "Apply");
    return {
      edit,
      verdict: isStated ? "ownerHeals" : "gap",
      manager: untrusted?.manager ?? "",
    };
  });
}

/** The edits that lead from one object's content to another's, smallest parts first; lists by key where their managers do so. */
export function difference(from: JsonObject, to: JsonObject): readonly Edit[] {
  const trees = [...managersOf(from), ...managersOf(to)].map((entry) => entry.fields);
  const edits: Edit[] = [];
  compare(content(from), content(to), trees, [], edits);
  return edits;
}

function compare(
  from: Json | undefined,
  to: Json | undefined,
  trees: readonly JsonObject[],
  path: Path,
  edits: Edit[],
): void {
  if (sameJson(from, to)) return;
  if (isMapLike(from) && isMapLike(to)) {
    const keys = [...Object.keys(from ?? {}), ...Object.keys(to ?? {})];
    for (const key of [...new Set(keys)].sort()) {
      compare(field(from, key), field(to, key), step(trees, key), [...path, key], edits);
    }
    return;
  }
  const keys = isArray(from) || isArray(to) ? listKeys(trees) : undefined;
  if (keys !== undefined && compareItems(from, to, keys, trees, path, edits)) return;
  edits.push({
    path,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  });
}

/** An absent map is an empty one, so that each of its members is a difference of its own. */
const isMapLike = (value: Json | undefined): value is JsonObject | undefined =>
  value === undefined || isObject(value);

const step = (trees: readonly JsonObject[], to: Path[number]): readonly JsonObject[] =>
  trees.map((tree) => below(tree, to)).filter((tree) => tree !== undefined);

/** false when the items cannot be told apart by the keys; then the list is one value. */
function compareItems(
  from: Json | undefined,
  to: Json | undefined,
  keys: readonly string[],
  trees: readonly JsonObject[],
  path: Path,
  edits: Edit[],
): boolean {
  const old = itemsByKey(from, keys);
  const now = itemsByKey(to, keys);
  if (old === undefined || now === undefined) return false;
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const was = old.get(key);
    const is = now.get(key);
    const itemPath = [...path, (was ?? is)?.step ?? {}];
    if (was === undefined || is === undefined) {
      // An item that came or went is one difference, however many fields it has.
      edits.push({
        path: itemPath,
        ...(was === undefined ? {} : { from: was.item }),
        ...(is === undefined ? {} : { to: is.item }),
      });
    } else {
      compare(was.item, is.item, step(trees, was.step), itemPath, edits);
    }
  }
  return true;
}

type Item = { readonly step: JsonObject; readonly item: Json };

function itemsByKey(
  list: Json | undefined,
  keys: readonly string[],
): ReadonlyMap<string, Item> | undefined {
  const items = new Map<string, Item>();
  if (list === undefined) return items;
  if (!isArray(list)) return undefined;
  for (const item of list) {
    const found = itemStep(item, keys);
    const key = found === undefined ? "" : canonical(found);
    if (found === undefined || items.has(key)) return undefined;
    items.set(key, { step: found, item });
  }
  return items;
}

/** The value with one path set, or taken away; containers on the way are made, empty ones stay away. */
function withValue(value: Json, path: Path, to: Json | undefined): Json {
  const [first, ...rest] = path;
  if (first === undefined) return to ?? null;
  if (typeof first === "string") {
    if (!isObject(value)) return value;
    const inner = field(value, first);
    const next: Json | undefined =
      rest.length === 0 ? to : inside(inner, rest, to, typeof rest[0] === "string" ? {} : []);
    const others = Object.entries(value).filter(([key]) => key !== first);
    return Object.fromEntries(next === undefined ? others : [...others, [first, next]]);
  }
  if (!isArray(value)) return value;
  const index = value.findIndex((item) => sameJson(itemStep(item, Object.keys(first)), first));
  const item = index < 0 ? undefined : value[index];
  const next = rest.length === 0 ? to : inside(item, rest, to, first);
  if (index < 0) return next === undefined ? value : [...value, next];
  return value.flatMap((one, i) => (i === index ? (next === undefined ? [] : [next]) : [one]));
}

function inside(
  inner: Json | undefined,
  rest: Path,
  to: Json | undefined,
  empty: Json,
): Json | undefined {
  if (inner === undefined && to === undefined) return undefined;
  return withValue(inner ?? empty, rest, to);
}
