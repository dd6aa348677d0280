// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import {
  canonicalIndex,
  indexForWrite,
  indexOf,
  looseIndex,
  parsePointer,
  pointerOf,
} from "#policy/kubernetes/json-pointer";

export type PatchOperation = {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  /** Undefined where the operation has none, which is not the same as null. */
  readonly value?: Json;
};

/** What evanphx/json-patch allows beyond RFC 6902; all off unless stated. */
export type PatchOptions = {
  /** `-1` is the last element (for `add`: behind it); `+1` and `01` count as indices too. */
  readonly looseIndices?: boolean;
  /** Replacing an object's key that is not there adds it. */
  readonly replaceAddsKey?: boolean;
  /** Removing what is not there is no error. */
  readonly allowMissingOnRemove?: boolean;
  /** Adding creates the objects and lists on the way. */
  readonly ensurePathOnAdd?: boolean;
};

/** How the API server and MutatingPolicies apply patches: evanphx/json-patch v4, with its global defaults. */
export const admissionPatchOptions: PatchOptions = { looseIndices: true, replaceAddsKey: true };

/** How classic Kyverno rules apply them: v5 with the options of pkg/engine/mutate/patch. */
export const classicPatchOptions: PatchOptions = {
  looseIndices: true,
  allowMissingOnRemove: true,
  ensurePathOnAdd: true,
};

export type PatchOutcome =
  | { readonly ok: true; readonly value: Json }
  /** `test`: a test operation found another value, which admission takes for "do not apply this patch". */
  | { readonly ok: false; readonly reason: "test" | "invalid"; readonly message: string };

/** Most operations in one patch, and the furthest that a patch may grow a list past its end (evanphx limits neither). */
export const patchOperationsMax = 10_000;
const listGrowthMax = 10_000;

type Container = { [key: string]: Json } | Json[];
type Failure = { readonly reason: "test" | "invalid"; readonly message: string };

/**
 * Applies a JSON patch (RFC 6902) in order and returns the new document; the given one is never changed, and what the
 * patch does not touch is shared with it. All or nothing: the first failing operation decides.
 */
export function applyJsonPatch(
  document: Json,
  operations: readonly PatchOperation[],
  options: PatchOptions = {},
): PatchOutcome {
  if (operations.length > patchOperationsMax) {
    return { ok: false, reason: "invalid", message: `more than ${patchOperationsMax} operations` };
  }
  const state: State = { root: document, options };
  for (const operation of operations) {
    const failure = applyOperation(state, operation);
    if (failure !== undefined) return { ok: false, ...failure };
  }
  return { ok: true, value: state.root };
}

/** Whether two JSON values are the same; objects regardless of the order of their keys. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (isArray(a)) {
    return (
      isArray(b) && a.length === b.length && a.every((item, index) => sameJson(item, b[index]))
    );
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}

type State = {
  root: Json;
  readonly options: PatchOptions;
};

const invalid = (message: string): Failure => ({ reason: "invalid", message });

function applyOperation(state: State, operation: PatchOperation): Failure | undefined {
  const path = parsePointer(operation.path);
  if (path === undefined) return invalid(`path '${operation.path}' is no JSON pointer`);
  switch (operation.op) {
    case "add":
      return write(state, path, operation.value ?? null, "add");
    case "replace":
      return write(state, path, operation.value ?? null, "replace");
    case "remove":
      return remove(state, path);
    case "test":
      return test(state, path, operation.value ?? null);
    case "move":
    case "copy":
      return transfer(state, path, operation);
    default:
      return invalid(
        `operation '${operation.op}' is none of add, remove, replace, move, copy, test`,
      );
  }
}

function transfer(
  state: State,
  path: readonly string[],
  operation: PatchOperation,
): Failure | undefined {
  const from = parsePointer(operation.from ?? "");
  if (from === undefined || operation.from === undefined) {
    return invalid(`${operation.op} needs a 'from' that is a JSON pointer`);
  }
  const value = find(state.root, from, state.options);
  if (value === undefined) return invalid(missing(operation.op, operation.from));
  if (operation.op === "copy") return write(state, path, value, "add");
  const inside = path.length > from.length && from.every((step, index) => step === path[index]);
  if (inside) return invalid(`cannot move '${operation.from}' into itself`);
  return remove(state, from) ?? write(state, path, value, "add");
}

function test(state: State, path: readonly string[], want: Json): Failure | undefined {
  const parent = find(state.root, path.slice(0, -1), state.options);
  const found = find(state.root, path, state.options);
  if (found === undefined && !isObject(parent)) {
    const where = pointerOf(path);
    return invalid(`test operation does not apply: is missing path: ${where}: missing value`);
  }
  // evanphx takes a missing value as null: `test` with null passes on an absent key.
  if (sameJson(found ?? null, want)) return undefined;
  return { reason: "test", message: `testing path ${pointerOf(path)} failed` };
}

function remove(state: State, path: readonly string[]): Failure | undefined {
  const last = path.at(-1);
  if (last === undefined) return invalid("cannot remove the whole document");
  if (find(state.root, path, state.options) === undefined) {
    if (state.options.allowMissingOnRemove === true) return undefined;
    return invalid(whyNot(state, path, "remove"));
  }
  const parent = open(state, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(indexOf(last, parent.length, state.options) ?? 0, 1);
  else if (parent !== undefined) delete parent[last];
  return undefined;
}

function write(
  state: State,
  path: readonly string[],
  value: Json,
  op: "add" | "replace",
): Failure | undefined {
  const last = path.at(-1);
  if (last === undefined) {
    state.root = value;
    return undefined;
  }
  if (op === "replace" && find(state.root, path, state.options) === undefined) {
    const parent = find(state.root, path.slice(0, -1), state.options);
    const adds = state.options.replaceAddsKey === true && isObject(parent);
    if (!adds) {
      const what = isArray(parent) || isObject(parent) ? "key" : "path";
      const where = pointerOf(path);
      return invalid(
        `replace operation does not apply: doc is missing ${what}: ${where}: missing value`,
      );
    }
  }
  if (op === "add" && state.options.ensurePathOnAdd === true) ensureParents(state, path);
  const parent = open(state, path.slice(0, -1));
  if (parent === undefined) return invalid(missing(op, pointerOf(path)));
  if (!Array.isArray(parent)) {
    setKey(parent, last, value);
    return undefined;
  }
  const index = indexForWrite(last, parent.length, op, state.options);
  if (index === undefined) return invalid(whyNot(state, path, "add"));
  parent.splice(index, op === "replace" ? 1 : 0, value);
  return undefined;
}

/** An own property even for `__proto__`, which assignment would take for the prototype. */
function setKey(object: { [key: string]: Json }, key: string, value: Json): void {
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function find(root: Json, path: readonly string[], options: PatchOptions): Json | undefined {
  let here: Json | undefined = root;
  for (const step of path) {
    if (isArray(here)) {
      const index = indexOf(step, here.length, options);
      here = index === undefined ? undefined : here[index];
    } else {
      here = isObject(here) && Object.hasOwn(here, step) ? here[step] : undefined;
    }
    if (here === undefined) return undefined;
  }
  return here;
}

/** The container at a path, copied with everything above it unless this patch made them; undefined when there is none. */
function open(state: State, path: readonly string[]): Container | undefined {
  const root = own(state.root);
  if (root === undefined) return undefined;
  state.root = root;
  let here = root;
  for (const step of path) {
    const key = Array.isArray(here) ? indexOf(step, here.length, state.options) : step;
    if (key === undefined) return undefined;
    const child = Array.isArray(here) ? here[Number(key)] : ownChild(here, String(key));
    const owned = own(child);
    if (owned === undefined) return undefined;
    if (Array.isArray(here)) here[Number(key)] = owned;
    else setKey(here, String(key), owned);
    here = owned;
  }
  return here;
}

const ownChild = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

function own(value: Json | undefined): Container | undefined {
  if (!isArray(value) && !isObject(value)) return undefined;
  // What this patch made is copied again as well: so values that a `copy` operation shares stay apart.
  return isArray(value) ? [...value] : { ...value };
}

/** Creates what is missing on the way to `path`: a list where the next step is an index or `-`, else an object. */
function ensureParents(state: State, path: readonly string[]): void {
  for (let depth = 1; depth < path.length; depth += 1) {
    const steps = path.slice(0, depth);
    const step = steps.at(-1) ?? "";
    if (find(state.root, steps, state.options) !== undefined) continue;
    const parent = open(state, steps.slice(0, -1));
    const next = path[depth] ?? "";
    const made: Json = appends(next, state.options) || canonicalIndex.test(next) ? [] : {};
    if (Array.isArray(parent)) growList(parent, appends(step, state.options) ? "-" : step, made);
    else if (parent !== undefined) setKey(parent, step, made);
  }
}

/** `-`, and with loose indices `-1`, which is the place behind the last item too. */
const appends = (step: string, options: PatchOptions): boolean =>
  step === "-" || (step === "-1" && options.looseIndices === true);

function growList(list: Json[], step: string, made: Json): void {
  if (step === "-") list.push(made);
  if (!canonicalIndex.test(step) || Number(step) > list.length + listGrowthMax) return;
  while (list.length < Number(step)) list.push(null);
  list[Number(step)] = made;
}

/** Why nothing can be removed from or added at a path, in the words of evanphx/json-patch v4. */
function whyNot(state: State, path: readonly string[], op: "add" | "remove"): string {
  const where = pointerOf(path);
  const last = path.at(-1) ?? "";
  const parent = find(state.root, path.slice(0, -1), state.options);
  if (isObject(parent)) {
    return `error in ${op} for path: '${where}': Unable to remove nonexistent key: ${last}: missing value`;
  }
  if (!isArray(parent)) return missing(op, where);
  if (looseIndex.test(last)) {
    return `error in ${op} for path: '${where}': Unable to access invalid index: ${Number(last)}: invalid index referenced`;
  }
  const why = `strconv.Atoi: parsing "${last}": invalid syntax`;
  const what = op === "add" ? `value was not a proper array index: '${last}': ${why}` : why;
  return `error in ${op} for path: '${where}': ${what}`;
}

const missing = (op: string, path: string): string =>
  `${op} operation does not apply: doc is missing path: "${path}": missing value`;
