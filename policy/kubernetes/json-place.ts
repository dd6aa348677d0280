// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { indexOf, looseIndex, parsePointer } from "#policy/kubernetes/json-pointer";

/** A document while a patch is at work: `root` changes, the values that were given do not. */
export type PatchedDocument = {
  root: Json;
  /** Whether indices and pointers are read as evanphx/json-patch does. */
  readonly loose: boolean;
};

/** A place below the root whose container exists. */
export type Place = {
  readonly path: readonly string[];
  readonly key: string;
  readonly parent: readonly Json[] | JsonObject;
  /** What is there; undefined for nothing. */
  readonly found: Json | undefined;
};

export type Container = { [key: string]: Json } | Json[];

/** The furthest that a patch may grow a list past its end; evanphx has no limit. */
const listGrowthMax = 10_000;

/** The place that a pointer names; undefined for the root, and where there is no container to hold it. */
export function placeOf(state: PatchedDocument, pointer: string): Place | undefined {
  const path = parsePointer(pointer, state.loose);
  const key = path?.at(-1);
  if (path === undefined || key === undefined) return undefined;
  const parent = find(state, path.slice(0, -1));
  if (!isArray(parent) && !isObject(parent)) return undefined;
  return { path, key, parent, found: step(parent, key, state.loose) };
}

function find(state: PatchedDocument, path: readonly string[]): Json | undefined {
  let here: Json | undefined = state.root;
  for (const key of path) {
    here = step(here, key, state.loose);
    if (here === undefined) return undefined;
  }
  return here;
}

function step(here: Json, key: string, loose: boolean): Json | undefined {
  if (isObject(here)) return Object.hasOwn(here, key) ? here[key] : undefined;
  if (!isArray(here)) return undefined;
  const index = indexOf(key, here.length, loose);
  return index === undefined ? undefined : here[index];
}

/** An own property even for `__proto__`, which assignment would take for the prototype. */
export function setKey(object: { [key: string]: Json }, key: string, value: Json): void {
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** The container at a path, copied with everything above it; undefined when there is none. */
export function openContainer(
  state: PatchedDocument,
  path: readonly string[],
): Container | undefined {
  const root = own(state.root);
  if (root === undefined) return undefined;
  state.root = root;
  let here = root;
  for (const key of path) {
    const owned = own(step(here, key, state.loose));
    if (owned === undefined) return undefined;
    if (Array.isArray(here)) here[indexOf(key, here.length, state.loose) ?? 0] = owned;
    else setKey(here, key, owned);
    here = owned;
  }
  return here;
}

function own(value: Json | undefined): Container | undefined {
  if (!isArray(value) && !isObject(value)) return undefined;
  // What this patch made is copied again as well: so values that a `copy` operation shares stay apart.
  return isArray(value) ? [...value] : { ...value };
}

/** Creates what is missing on the way: a list where the next step is an index or `-`, else an object. */
export function ensureParents(state: PatchedDocument, pointer: string): void {
  const path = parsePointer(pointer, state.loose) ?? [];
  for (let depth = 1; depth < path.length; depth += 1) {
    const steps = path.slice(0, depth);
    if (find(state, steps) !== undefined) continue;
    const made = containerFor(path[depth] ?? "");
    const parent = made === undefined ? undefined : openContainer(state, steps.slice(0, -1));
    if (made === undefined || parent === undefined) return;
    const key = steps.at(-1) ?? "";
    if (!Array.isArray(parent)) setKey(parent, key, made);
    else if (!growList(parent, key, made)) return;
  }
}

/** Empty, or with nulls up to the index that comes next; undefined for an index that no new list can have. */
function containerFor(next: string): Json | undefined {
  if (next === "-") return [];
  if (!looseIndex.test(next)) return {};
  const index = Number(next);
  if (index < -1 || index > listGrowthMax) return undefined;
  return Array.from({ length: Math.max(index, 0) }, () => null);
}

function growList(list: Json[], key: string, made: Json): boolean {
  const index = key === "-" || Number(key) === -1 ? list.length : Number(key);
  if (!(key === "-" || looseIndex.test(key)) || index < 0) return false;
  if (index > list.length + listGrowthMax) return false;
  while (list.length < index) list.push(null);
  list[index] = made;
  return true;
}
