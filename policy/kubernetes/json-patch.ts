// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { ensureParents, openContainer, placeOf, setKey } from "#policy/kubernetes/json-place";
import type { PatchedDocument, Place } from "#policy/kubernetes/json-place";
import { indexForAdd, indexOf, looseIndex } from "#policy/kubernetes/json-pointer";

export type PatchOperation = {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  /** Undefined where the operation has none, which is not the same as null. */
  readonly value?: Json;
};

export type PatchOptions = {
  /**
   * Whose reading of RFC 6902; strict unless stated. Both versions of evanphx/json-patch take `-1` for the last element
   * (for `add`: the place behind it), `+1` and `01`. In v4 an absent key reads as null, so that `replace` adds it and
   * `copy` copies null. v5 stands for its use by Kyverno: removing what is not there is no error, and adding creates the
   * objects and lists on the way.
   */
  readonly dialect?: "evanphx-v4" | "evanphx-v5";
  /** Null as a value is not the same as none: a `test` for it fails, as no document of the API server holds nulls. */
  readonly literalNulls?: boolean;
};

/** How the API server applies patches that it is sent. */
export const admissionPatchOptions: PatchOptions = { dialect: "evanphx-v4" };

/** How mutating admission policies apply the ones that their expressions make, which are never read from JSON. */
export const mutationPatchOptions: PatchOptions = { dialect: "evanphx-v4", literalNulls: true };

/** How classic Kyverno rules apply them: with the options of pkg/engine/mutate/patch. */
export const classicPatchOptions: PatchOptions = { dialect: "evanphx-v5" };

export type PatchOutcome =
  | { readonly ok: true; readonly value: Json }
  /** `test`: a test operation found another value, which admission takes for "do not apply this patch". */
  | { readonly ok: false; readonly reason: "test" | "invalid"; readonly message: string };

/** Most operations in one patch; evanphx has no limit. */
export const patchOperationsMax = 10_000;

type Failure = { readonly reason: "test" | "invalid"; readonly message: string };

/**
 * Applies a JSON patch (RFC 6902) in order and returns the new document; the given one is never changed, and what the
 * patch does not touch is shared with it. All or nothing: the first failing operation decides. Messages are those of
 * evanphx/json-patch.
 */
export function applyJsonPatch(
  document: Json,
  operations: readonly PatchOperation[],
  options: PatchOptions = {},
): PatchOutcome {
  if (operations.length > patchOperationsMax) {
    return { ok: false, reason: "invalid", message: `more than ${patchOperationsMax} operations` };
  }
  const state: State = { root: document, options, loose: options.dialect !== undefined };
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

type State = PatchedDocument & { readonly options: PatchOptions };

const invalid = (message: string): Failure => ({ reason: "invalid", message: message });
const absent = (message: string): Failure => invalid(`${message}: missing value`);

function applyOperation(state: State, operation: PatchOperation): Failure | undefined {
  const { path } = operation;
  switch (operation.op) {
    case "add":
      return add(state, path, operation.value ?? null);
    case "replace":
      return replace(state, path, operation.value ?? null);
    case "remove":
      return remove(state, path);
    case "test":
      return test(state, path, operation.value);
    case "move":
    case "copy":
      return transfer(state, operation.op, operation.from ?? "", path);
    default:
      return invalid(`Unexpected kind: ${operation.op}`);
  }
}

function add(state: State, pointer: string, value: Json): Failure | undefined {
  const { dialect } = state.options;
  if (pointer === "" && dialect !== "evanphx-v4") {
    state.root = value;
    return undefined;
  }
  if (dialect === "evanphx-v5") ensureParents(state, pointer);
  const place = placeOf(state, pointer);
  if (place === undefined) {
    return absent(`add operation does not apply: doc is missing path: "${pointer}"`);
  }
  const why = insert(state, place, value);
  return why === undefined ? undefined : invalid(`error in add for path: '${pointer}': ${why}`);
}

function replace(state: State, pointer: string, value: Json): Failure | undefined {
  const { dialect } = state.options;
  if (pointer === "") {
    if (state.loose && !isArray(value) && !isObject(value)) {
      return invalid("replace operation value must be object or array");
    }
    state.root = value;
    return undefined;
  }
  const place = placeOf(state, pointer);
  const cannot = "replace operation does not apply: doc is missing";
  if (place === undefined) return absent(`${cannot} path: ${pointer}`);
  const { key, parent, path } = place;
  const adds = dialect === "evanphx-v4" && isObject(parent);
  if (place.found === undefined && !adds) return absent(`${cannot} key: ${pointer}`);
  const container = openContainer(state, path.slice(0, -1));
  if (Array.isArray(container)) container[indexOf(key, container.length, state.loose) ?? 0] = value;
  else if (container !== undefined) setKey(container, key, value);
  return undefined;
}

function remove(state: State, pointer: string): Failure | undefined {
  const lenient = state.options.dialect === "evanphx-v5";
  const place = placeOf(state, pointer);
  if (place === undefined) {
    if (lenient) return undefined;
    return absent(`remove operation does not apply: doc is missing path: "${pointer}"`);
  }
  const why = cut(state, place);
  if (why === undefined || (lenient && (isObject(place.parent) || looseIndex.test(place.key)))) {
    return undefined;
  }
  return invalid(`error in remove for path: '${pointer}': ${why}`);
}

function test(state: State, pointer: string, want: Json | undefined): Failure | undefined {
  const failed: Failure = { reason: "test", message: `testing value ${pointer} failed` };
  if (pointer === "") return sameJson(state.root, want ?? null) ? undefined : failed;
  const place = placeOf(state, pointer);
  if (place === undefined) {
    return absent(`test operation does not apply: is missing path: ${pointer}`);
  }
  const { found, key, parent } = place;
  if (found === undefined && isArray(parent)) {
    return invalid(`error in test for path: '${pointer}': ${noIndex(key)}`);
  }
  // An absent key and null are the same, in the document and in the operation.
  const wanted = state.options.literalNulls === true ? want : (want ?? undefined);
  return sameJson(found ?? undefined, wanted) ? undefined : failed;
}

function transfer(
  state: State,
  op: "move" | "copy",
  from: string,
  to: string,
): Failure | undefined {
  const source = placeOf(state, from);
  if (source === undefined) {
    return absent(`${op} operation does not apply: doc is missing from path: ${from}`);
  }
  const missing = op === "copy" ? noCopy(state, source) : cut(state, source);
  if (missing !== undefined) {
    const where = op === "copy" ? `from: '${from}'` : `path: '${source.key}'`;
    return invalid(`error in ${op} for ${where}: ${missing}`);
  }
  const target = placeOf(state, to);
  if (target === undefined) {
    return absent(`${op} operation does not apply: doc is missing destination path: ${to}`);
  }
  const why = insert(state, target, source.found ?? null);
  if (why === undefined) return undefined;
  const what =
    op === "copy" ? "error while adding value during copy" : `error in move for path: '${to}'`;
  return invalid(`${what}: ${why}`);
}

/** Why a place cannot be copied from. */
function noCopy(state: State, { found, key, parent }: Place): string | undefined {
  if (found !== undefined) return undefined;
  if (isArray(parent)) return noIndex(key);
  if (state.options.dialect === "evanphx-v4") return undefined;
  return `unable to get nonexistent key: ${key}: missing value`;
}

/** Takes what is at a place out of its container; a reason when there is nothing. */
function cut(state: State, { found, key, parent, path }: Place): string | undefined {
  if (found === undefined) {
    if (isArray(parent)) return noIndex(key);
    return `Unable to remove nonexistent key: ${key}: missing value`;
  }
  const container = openContainer(state, path.slice(0, -1));
  if (Array.isArray(container)) {
    container.splice(indexOf(key, container.length, state.loose) ?? 0, 1);
  } else if (container !== undefined) {
    delete container[key];
  }
  return undefined;
}

/** Puts a value at a place: between the items of a list, or over what an object has there. */
function insert(state: State, { key, path }: Place, value: Json): string | undefined {
  const container = openContainer(state, path.slice(0, -1));
  if (!Array.isArray(container)) {
    if (container !== undefined) setKey(container, key, value);
    return undefined;
  }
  const index = indexForAdd(key, container.length, state.loose);
  if (index !== undefined) {
    container.splice(index, 0, value);
    return undefined;
  }
  const why = noIndex(key);
  return looseIndex.test(key) ? why : `value was not a proper array index: '${key}': ${why}`;
}

const noIndex = (key: string): string =>
  looseIndex.test(key)
    ? `Unable to access invalid index: ${Number(key)}: invalid index referenced`
    : `strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`;
